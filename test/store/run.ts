import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

/** An empty directory on a disk that keeps things, gone after the test. */
export async function scratch(): Promise<string> {
  const path = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-machine-'))
  onTestFinished(() => rm(path, { recursive: true, force: true }))
  return path
}

export interface Ended {
  readonly lines: readonly string[]
  readonly stderr: string
  readonly code: number | null
  readonly ms: number
}

/** Runs `child.ts` to its own end; kills it, and fails, after `patienceMs`. */
export async function run(
  args: readonly string[],
  options: { readonly uid?: number; readonly patienceMs?: number } = {},
): Promise<Ended> {
  const { uid, patienceMs = 20_000 } = options
  const started = performance.now()
  const child = spawn(process.execPath, [join(import.meta.dirname, 'child.ts'), ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
    ...(uid === undefined ? {} : { uid, gid: uid, cwd: '/' }),
  })
  let [stdout, stderr] = ['', '']
  child.stdout.on('data', chunk => (stdout += String(chunk)))
  child.stderr.on('data', chunk => (stderr += String(chunk)))
  const late = setTimeout(() => child.kill('SIGKILL'), patienceMs)
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  clearTimeout(late)
  return { lines: stdout.split('\n').filter(line => line !== ''), stderr, code, ms: performance.now() - started }
}
