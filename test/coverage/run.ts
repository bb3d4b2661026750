import { spawn } from 'node:child_process'
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { root } from '../house/sources.ts'
import type { Report, Tally } from './tally.ts'

/** Runs a command, with all that it starts, and counts what it came by. Answers how it ended, and how many reports were read. */
export async function counted(
  tally: Tally,
  [program = '', ...args]: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<{ readonly code: number | null; readonly reports: number; readonly torn: number }> {
  const reports = mkdtempSync(join(tmpdir(), 'holdfast-coverage-'))
  // Some tests run processes of another user.
  chmodSync(reports, 0o1777)
  const child = spawn(program, args, {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
    // What comes out of a cache of compiled code is counted by functions only.
    env: { ...process.env, ...env, NODE_V8_COVERAGE: reports, NODE_DISABLE_COMPILE_CACHE: '1' },
  })
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', resolve)
  })
  try {
    let read = 0
    let isOver = false
    const over = ended.finally(() => {
      isOver = true
    })
    // While it runs: there are thousands, of half a megabyte each.
    while (!isOver) {
      await Promise.race([over, pause(1_000)])
      read += await take(reports, tally)
    }
    return { code: await ended, reports: read, torn: readdirSync(reports).length }
  } finally {
    rmSync(reports, { recursive: true, force: true })
  }
}

/** Reads what is there, and removes it. What is not whole is still being written, or its process was killed meanwhile. */
async function take(reports: string, tally: Tally): Promise<number> {
  let read = 0
  for (const name of readdirSync(reports)) {
    const path = join(reports, name)
    let report: Report
    try {
      report = JSON.parse(readFileSync(path, 'utf8')) as Report
    } catch {
      continue
    }
    tally.add(report)
    rmSync(path)
    read++
    await pause()
  }
  return read
}
