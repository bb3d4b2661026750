import { setTimeout as wait } from 'node:timers/promises'
import type { DemoFile } from './files.ts'
import type { Ledger } from './ledger.ts'
import type { Life } from './life.ts'

const mostPuts = 8
const mostReads = 4
const readEveryMs = 100

/**
 * Puts these files, spread over `ms` milliseconds, and notes what was acknowledged. Begins none after the signal; what was begun is waited
 * for. Resolves with the files that are still to be put: not begun, or cut off by a kill.
 */
export async function putAll(
  life: Life,
  files: readonly DemoFile[],
  { ms, signal, ledger }: { readonly ms: number; readonly signal?: AbortSignal; readonly ledger: Ledger },
): Promise<DemoFile[]> {
  const left = new Set(files)
  const begun = performance.now()
  const running = new Set<Promise<void>>()
  for (const [index, file] of files.entries()) {
    if (signal?.aborted === true || life.isKilled) break
    const put = putOne(file).finally(() => running.delete(put))
    running.add(put)
    if (running.size >= mostPuts) await Promise.race(running)
    const due = begun + ((index + 1) / files.length) * ms
    // A pause that is cut short rejects; the loop looks at the signal itself.
    if (due > performance.now()) await wait(due - performance.now(), undefined, { signal }).catch(() => {})
  }
  await Promise.all(running)
  return [...left]

  async function putOne(file: DemoFile): Promise<void> {
    try {
      await life.ask('put', file)
      left.delete(file)
      ledger.notePut(file)
    } catch (error) {
      if (life.isKilled) {
        ledger.noteCutOff()
        return
      }
      left.delete(file)
      ledger.notePutFailed(file, (error as Error).message)
    }
  }
}

/** Reads acknowledged files at random until it is stopped, and compares each with what was put. */
export function keepReading(life: Life, ledger: Ledger): { stop(): Promise<void> } {
  const stopping = new AbortController()
  const running = new Set<Promise<void>>()
  const done = run()

  async function run(): Promise<void> {
    while (!stopping.signal.aborted && !life.isKilled) {
      const known = [...ledger.acknowledged.values()]
      const file = known[Math.floor(Math.random() * known.length)]
      if (file !== undefined && running.size < mostReads) {
        const read = readOne(file).finally(() => running.delete(read))
        running.add(read)
      }
      await wait(readEveryMs, undefined, { signal: stopping.signal }).catch(() => {})
    }
    await Promise.all(running)
  }

  async function readOne(file: DemoFile): Promise<void> {
    const begun = performance.now()
    try {
      const found = await life.ask('get', file.key)
      ledger.noteRead(file, found, performance.now() - begun)
    } catch (error) {
      if (!life.isKilled) ledger.noteReadFailed(file, (error as Error).message)
    }
  }

  return {
    async stop() {
      stopping.abort()
      await done
    },
  }
}
