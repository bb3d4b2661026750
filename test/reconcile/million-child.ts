import { mkdir } from 'node:fs/promises'
import { systemClock } from '../../src/core/system.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { fs } from '../../src/providers/fs.ts'
import { generated, keyOf } from './generated.ts'

// A process of its own: reconciles generated listings in a real directory, prints every difference, and how fast it was.
// Arguments: directory, keys a side, one of how many differs, 'begin', 'resume', or 'measure'.

const [path = '', count = '', every = '', how = ''] = process.argv.slice(2)
const shared = { count: Number(count), every: Number(every) }
for (const name of ['first', 'second']) await mkdir(`${path}/${name}`, { recursive: true })
const primary = generated(fs({ root: `${path}/first`, name: 'first' }), { ...shared, side: 0, flavour: 's3' })
const secondary = generated(fs({ root: `${path}/second`, name: 'second' }), { ...shared, side: 1, flavour: 'gcs' })

await using store = await openHoldfast({ directory: `${path}/store`, primary, secondary, holdMs: 0 })
// V8 lets its young generation grow to about 100 MiB in any process that works hard: that is done before it is measured what comes with the keys.
if (how === 'measure') await store.reconcile({ startAfter: keyOf(shared.count * 0.8), maxRequestsPerSecond: 1_000_000 })
const started = systemClock.monotonic()
const before = process.memoryUsage().rss
let most = before
const run = store.reconcile({ resume: how === 'resume', maxRequestsPerSecond: 1_000_000 })
for await (const { key, kind } of run) {
  process.stdout.write(`${kind} ${key}\n`)
  most = Math.max(most, process.memoryUsage().rss)
}
const { compared, cursor } = await run
const seconds = (systemClock.monotonic() - started) / 1000
const grownMiB = (Math.max(most, process.memoryUsage().rss) - before) / 2 ** 20
process.stdout.write(`end ${JSON.stringify({ compared, cursor, seconds, grownMiB })}\n`)
