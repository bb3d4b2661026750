import { readdirSync, readFileSync } from 'node:fs'
import type { Reporter, TestCase, TestModule, Vitest } from 'vitest/node'

/** A test that does not run says why: `context.skip('…')`, or `{ skip: true, meta: { reason: '…' } }` on it or on what it is in. */
declare module 'vitest' {
  interface TaskMeta {
    reason?: string
  }
}

/** In the environment of everything that a run starts, however deep: what is still there at the end was left running. */
const mark = 'HOLDFAST_TEST_RUN'
/** For children that end because their parent has. */
const patienceMs = 3_000

/**
 * Ends a run with the plain line `N passed, N failed`, after the reasons of skipped tests. Beside failed tests it counts as failed: files and
 * hooks that failed outside any test, errors that nobody handled, tests that were skipped without a reason, processes left running.
 */
export class Summary implements Reporter {
  private passed = 0
  private readonly failed: string[] = []
  private readonly skipped: string[] = []
  /** Failed once and passed then: `.ci/run` gives each a second try, and says so. */
  private readonly retried: string[] = []
  private isFiltered = false
  private hasEnded = false

  onInit(vitest: Vitest): void {
    this.isFiltered = vitest.config.testNamePattern !== undefined || vitest.config.watch
    process.env[mark] = `${process.pid}.${Date.now()}`
    if (!vitest.config.watch) process.once('exit', () => this.say())
  }

  onTestCaseResult(test: TestCase): void {
    const result = test.result()
    const name = nameOf(test)
    if (result.state === 'passed') this.passed++
    if (result.state === 'failed') this.failed.push(name)
    if (result.state === 'passed' && (test.diagnostic()?.retryCount ?? 0) > 0)
      this.retried.push(`RETRIED ${name}: ${result.errors?.[0]?.message.split('\n')[0] ?? 'no message'}`)
    if (result.state === 'skipped' && !this.isFiltered) {
      const reason = result.note ?? test.meta().reason
      this.skipped.push(`SKIPPED ${name}: ${reason ?? 'no reason given'}`)
      if (reason === undefined) this.failed.push(`${name}: skipped, and does not say why`)
    }
  }

  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly unknown[]): void {
    this.hasEnded = true
    for (const module of modules) {
      const suites = [...module.children.allSuites()].filter(suite => suite.errors().length > 0)
      for (const suite of suites) this.failed.push(`${module.relativeModuleId}: ${suite.fullName}: outside any test`)
      if (module.errors().length > 0) this.failed.push(`${module.relativeModuleId}: outside any test`)
    }
    for (const _ of unhandled) this.failed.push('an error that nobody handled')
  }

  /** Last of all: vitest itself writes after `onTestRunEnd`. */
  private say(): void {
    if (!this.hasEnded) this.failed.push('the run did not come to its end')
    for (const left of leftRunning()) this.failed.push(`left running: ${left}`)
    const { failed, skipped, retried, passed } = this
    const lines = [...skipped, ...retried, ...failed.map(name => `FAILED ${name}`), '']
    const tail = skipped.length > 0 ? `, ${skipped.length} skipped` : ''
    process.stdout.write(`\n${lines.join('\n')}\n${passed} passed, ${failed.length} failed${tail}\n`)
    if (failed.length > 0) process.exitCode = 1
  }
}

function nameOf(test: TestCase): string {
  return `${test.module.relativeModuleId}: ${test.fullName}`
}

/** Processes of this run, by the mark in their environment; Linux only. Waits for those that are just ending. */
function leftRunning(): string[] {
  const pause = new Int32Array(new SharedArrayBuffer(4))
  let left = marked()
  for (let waited = 0; left.length > 0 && waited < patienceMs; waited += 50) {
    Atomics.wait(pause, 0, 0, 50)
    left = marked()
  }
  return left
}

function marked(): string[] {
  if (process.platform !== 'linux') return []
  const wanted = `${mark}=${process.env[mark]}\0`
  return readdirSync('/proc')
    .filter(name => /^\d+$/.test(name) && Number(name) !== process.pid)
    .filter(
      pid => `${read(`/proc/${pid}/environ`)}\0`.includes(wanted) && !/^\d+ \(.*\) Z/s.test(read(`/proc/${pid}/stat`)),
    )
    .map(pid => `${pid} ${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').trim()}`)
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}
