import { digestsOf } from '../../src/core/digest.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import type { DueQuery, Lease } from '../../src/journal/contract.ts'
import { openJournal } from '../../src/journal/sqlite.ts'
import { openDirectory } from '../../src/stage/directory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import type { Median } from '../contract.ts'
import { tell } from '../forks.ts'
import { inTurn, medianOf } from '../measure.ts'
import { bodiesOf } from '../paused.ts'

/**
 * `claim.ts DIRECTORY CLAIMS`: takes the lease of a directory with a backlog, and asks, as often as that, for 100 replicas that are due, while 16 are in flight: the oldest,
 * and those that were written just now. Tells what it took.
 */

export interface Claimed {
  readonly oldest: Median
  readonly fresh: Median
}

const perClaim = 100
const inFlight = 16

const [path = '', claims] = process.argv.slice(2)
const directory = await openDirectory({
  path,
  kind: 'durable',
  disk: nodeDisk,
  random: systemRandom,
  clock: systemClock,
})
const { journal } = await openJournal({
  path,
  directory: directory.identity,
  writer: systemRandom.hex(8),
  clock: systemClock,
})
const providers = journal.providers().map(({ id }) => id)
const lease = await journal.lease()
if (lease === undefined) throw new Error('another process replicates this directory')
const provider = providers[0] ?? 0
const body = bodiesOf(1_024)
const samples = await inTurn([claiming(lease, 'oldest'), claiming(lease, 'fresh')], 3, () => {})
await lease.end()
await journal.close()
const of = (order: string): Median => medianOf(samples.get(order) ?? [])
await tell({ oldest: of('oldest'), fresh: of('fresh') } satisfies Claimed)

function claiming(from: Lease, order: DueQuery['order']) {
  const query = (limit: number, except: ReadonlySet<number>) => ({ provider, now: Date.now(), limit, order, except })
  let except: ReadonlySet<number> = new Set()
  return {
    name: order,
    async before() {
      // What counts as fresh is gone after ten seconds.
      await Promise.all(Array.from({ length: 2 * perClaim }, (_, i) => acceptOne(i)))
      except = new Set(from.due(query(inFlight, new Set())).map(({ write }) => write.seq))
    },
    async round() {
      const latenciesMs: number[] = []
      for (let i = 0; i < Number(claims); i++) {
        const started = performance.now()
        const due = from.due(query(perClaim, except))
        latenciesMs.push(performance.now() - started)
        if (due.length !== perClaim) throw new Error(`${due.length} replicas are due (${order}), not ${perClaim}`)
      }
      return { ops: Number(claims), latenciesMs }
    },
  }
}

function acceptOne(i: number) {
  const bytes = body(i)
  return journal.accept({
    key: `fresh/${systemRandom.hex(8)}`,
    kind: 'put',
    origin: 'app',
    version: undefined,
    stampMs: Date.now(),
    condition: undefined,
    size: bytes.byteLength,
    ...digestsOf(bytes),
    attributes: { contentType: 'image/jpeg', metadata: {} },
    body: { in: 'row', bytes },
    providers,
    maxStageBytes: 2 ** 40,
  })
}
