import { spawn } from 'node:child_process'
import { readFileSync, rmSync } from 'node:fs'
import { stripTypeScriptTypes } from 'node:module'
import { join } from 'node:path'
import type { Copy } from './copy.ts'
import type { Mutant } from './mutant.ts'

/** What a run of one test file came to. */
export interface Run {
  readonly tests: readonly {
    readonly name: string
    readonly state: string
    readonly ms: number
    readonly why: string
  }[]
  readonly seconds: number
  /** It was not over after its time, and was ended. */
  readonly isLate: boolean
  /** The end of what it wrote. */
  readonly said: string
}

/**
 * What became of a mutant. `caught`: a test failed; `in time`: none did before the run was ended, which without the change takes no third of that.
 * `survived`: all of them passed. `broken`: the change is no program, so that nobody knows.
 */
export type Verdict =
  | { readonly is: 'caught' | 'caught in time'; readonly by: string; readonly seconds: number }
  | { readonly is: 'survived' | 'broken'; readonly by: string; readonly seconds: number }

/** For a test that catches one, in seconds. */
export const limitSeconds = 30

/** Words of errors that tell of a change that does not compile, rather than of a promise that is not kept. */
const noProgram = /ReferenceError|SyntaxError|is not defined|Cannot find module|does not provide an export/

/** Runs a mutant's tests in a copy where it was applied. `usualSeconds`: what they take without it. */
export async function judge(copy: Copy, mutant: Mutant, usualSeconds: number): Promise<Verdict> {
  const broken = (by: string, seconds = 0): Verdict => ({ is: 'broken', by, seconds })
  const undo = copy.apply(mutant)
  try {
    stripTypeScriptTypes(readFileSync(join(copy.path, mutant.file), 'utf8'))
    const { tests, seconds, isLate, said } = await run(
      copy,
      mutant.test,
      mutant.only && asPattern([mutant.only]),
      limitSeconds,
    )
    const failed = tests.filter(({ state }) => state === 'failed')
    const [first] = failed
    if (first !== undefined) {
      if (failed.every(({ why }) => noProgram.test(why))) return broken(first.why.split('\n')[0] ?? '', seconds)
      return { is: 'caught', by: first.name, seconds }
    }
    if (isLate && usualSeconds <= limitSeconds / 3) return { is: 'caught in time', by: 'hangs', seconds }
    if (isLate)
      return broken(`not over after ${limitSeconds} s, and takes ${usualSeconds} s without the change`, seconds)
    const passed = tests.filter(({ state }) => state === 'passed').length
    if (passed === 0) return broken(`no test ran: ${said}`, seconds)
    return { is: 'survived', by: `${passed} passed`, seconds }
  } catch (error) {
    return broken((error as Error).message)
  } finally {
    undo()
  }
}

/** Runs the tests of a file whose names have a text in them (all, without one), up to the first that fails. Ends all that it began. */
export async function run(copy: Copy, test: string, only: string | undefined, limit: number): Promise<Run> {
  const report = join(copy.path, 'report.json')
  rmSync(report, { force: true })
  const config = test.endsWith('.long.test.ts') ? ['-c', 'vitest.long.config.ts'] : []
  const names = only === undefined ? [] : ['-t', only]
  const args = ['run', test, ...config, ...names, '--bail', '1', '--reporter=json', `--outputFile=${report}`]
  const began = performance.now()
  // A group of its own, so that what it starts ends with it.
  const child = spawn(join(copy.path, 'node_modules', '.bin', 'vitest'), args, {
    cwd: copy.path,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, CI: 'true', NO_COLOR: '1' },
  })
  const end = (): void => {
    if (child.pid === undefined) return
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // Nobody is left of it.
    }
  }
  let isLate = false
  let said = ''
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', data => (said = (said + String(data)).slice(-2_000)))
  const timer = setTimeout(() => {
    isLate = true
    end()
  }, limit * 1000)
  process.once('exit', end)
  await new Promise(resolve => child.once('close', resolve).once('error', resolve))
  clearTimeout(timer)
  process.removeListener('exit', end)
  end()
  const seconds = Math.round((performance.now() - began) / 100) / 10
  return { tests: testsIn(report), seconds, isLate, said: said.trim().split('\n').slice(-5).join(' / ') }
}

interface Report {
  readonly testResults: readonly {
    readonly assertionResults: readonly {
      readonly fullName: string
      readonly status: string
      readonly duration?: number
      readonly failureMessages?: readonly string[]
    }[]
  }[]
}

function testsIn(report: string): Run['tests'] {
  let text: string
  try {
    text = readFileSync(report, 'utf8')
  } catch {
    return []
  }
  const { testResults } = JSON.parse(text) as Report
  return testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .map(({ fullName, status, duration = 0, failureMessages = [] }) => ({
      name: fullName,
      state: status,
      ms: duration,
      why: failureMessages.join('\n'),
    }))
}

/** As vitest wants a name in `-t`, where it is a pattern. */
export function asPattern(names: readonly string[]): string {
  return names.map(name => name.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')).join('|')
}
