import { setImmediate as turn } from 'node:timers/promises'
import { systemRandom } from '../../src/core/system.ts'
import type { DueQuery, Lease } from '../../src/journal/contract.ts'
import type { Median } from '../contract.ts'
import { tell } from '../forks.ts'
import { inTurn, medianOf } from '../measure.ts'
import { bodiesOf } from '../paused.ts'
import { accept, openJournalOf } from './journal.ts'

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
const journal = await openJournalOf(path)
const lease = await journal.lease()
if (lease === undefined) throw new Error('another process replicates this directory')
const provider = journal.providers()[0]?.id ?? 0
const body = bodiesOf(1_024)
const samples = await inTurn([claiming(lease, 'oldest'), claiming(lease, 'fresh')], 3, () => {})
await lease.end()
await journal.close()
const of = (order: string): Median => medianOf(samples.get(order) ?? [])
await tell({ oldest: of('oldest'), fresh: of('fresh') } satisfies Claimed)

function claiming(from: Lease, order: DueQuery['order']) {
  const query = (limit: number, except: ReadonlySet<string>) => ({ provider, now: Date.now(), limit, order, except })
  let except: ReadonlySet<string> = new Set()
  return {
    name: order,
    async before() {
      // What counts as fresh is gone after ten seconds.
      const some = Array.from({ length: 2 * perClaim }, (_, i) => i)
      await Promise.all(some.map(i => accept(journal, `fresh/${systemRandom.hex(8)}`, body(i))))
      except = new Set(from.due(query(inFlight, new Set())).map(({ write }) => write.key))
    },
    async round() {
      const latenciesMs: number[] = []
      for (let i = 0; i < Number(claims); i++) {
        const started = performance.now()
        const due = from.due(query(perClaim, except))
        latenciesMs.push(performance.now() - started)
        await turn()
        if (due.length !== perClaim) throw new Error(`${due.length} replicas are due (${order}), not ${perClaim}`)
      }
      return { ops: Number(claims), latenciesMs }
    },
  }
}
