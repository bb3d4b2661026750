import type { Holdfast } from '../../src/index.ts'
import type { Sample } from '../contract.ts'
import { tell } from '../forks.ts'
import { measured } from '../measure.ts'
import { openPaused } from '../paused.ts'

/** `open.ts DIRECTORY`: opens a store in a process that has done nothing else, and tells how long it took, how much memory (RSS) the process has then, and what waits. */

export interface Opened {
  readonly sample: Sample
  readonly rssMiB: number
  readonly waiting: number
}

const [directory = ''] = process.argv.slice(2)
let store: Holdfast | undefined
const sample = await measured({
  name: 'open',
  async round() {
    const started = performance.now()
    store = await openPaused(directory)
    return { ops: 1, latenciesMs: [performance.now() - started] }
  },
})
const status = await store?.status()
const rssMiB = process.memoryUsage.rss() / 2 ** 20
await store?.close()
await tell({ sample, rssMiB, waiting: status?.pending.writes ?? 0 } satisfies Opened)
