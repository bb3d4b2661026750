import { join } from 'node:path'
import { type Holdfast } from '../../src/index.ts'
import type { Contender, Finding, Median, Row } from '../contract.ts'
import { askFork } from '../forks.ts'
import { comparison, inTurn, manyAtATime, median, medianOf } from '../measure.ts'
import { bodiesOf, openPaused, puts } from '../paused.ts'
import type { Claimed } from '../pending/claim.ts'
import { keyOf } from '../pending/keys.ts'
import type { Opened } from '../pending/open.ts'

const planted = 1_000_000
const bytes = 1_024
const count = 20_000
const claims = 50

/** A long outage: what waits must not slow down what comes. */
export const millionPending: Row = {
  id: 11,
  name: '1,000,000 writes of 1 KiB pending: open, memory, put rate against an empty journal, claim of 100 due replicas',
  rounds: 5,
  async run({ directory, say }, rounds) {
    const path = join(directory, 'full')
    const started = performance.now()
    await askFork(file('plant'), [path, String(planted), String(bytes)])
    say(`${planted} writes planted in ${Math.round((performance.now() - started) / 1000)} s`)

    const opened: Opened[] = []
    for (let round = 1; round <= rounds; round++) {
      const each = await askFork<Opened>(file('open'), [path])
      if (each.waiting !== planted) throw new Error(`${each.waiting} writes wait, not ${planted}`)
      say(`round ${round}: open ${Math.round(each.sample.seconds * 1000)} ms, ${Math.round(each.rssMiB)} MiB`)
      opened.push(each)
    }
    const open = medianOf(opened.map(({ sample }) => sample))

    const claimed = await askFork<Claimed>(file('claim'), [path, String(claims)])
    const slower = (p50Ms(claimed.oldest) > p50Ms(claimed.fresh) ? 'oldest' : 'fresh') satisfies keyof Claimed

    const body = bodiesOf(bytes)
    const samples = await inTurn(
      [
        putsInto(path, body),
        puts({ name: 'put, nothing pending', directory: join(directory, 'empty'), count, atATime: 64, body, keyOf }),
      ],
      rounds,
      say,
    )
    const findings: readonly Finding[] = [
      {
        name: 'open',
        value: median(opened.map(({ sample }) => sample.seconds)),
        unit: 's',
        target: { atMost: 3 },
        from: { open },
      },
      {
        name: 'RSS of a fresh process that opened it',
        value: median(opened.map(({ rssMiB }) => rssMiB)),
        unit: 'MiB',
        target: { atMost: 250 },
        from: { open },
      },
      comparison(samples, ['put, 1,000,000 pending', 'put, nothing pending'], { atLeast: 0.8 }),
      {
        name: `claim of 100 due replicas, ${slower} first`,
        value: p50Ms(claimed[slower]),
        unit: 'ms',
        target: { atMost: 5 },
        from: { 'claim, oldest first': claimed.oldest, 'claim, fresh first': claimed.fresh },
      },
    ]
    return findings
  },
}

const file = (name: string): string => join(import.meta.dirname, '../pending', `${name}.ts`)
const p50Ms = (of: Median): number => of.p50Ms ?? Number.NaN

/** Puts on top of what waits there: under new names, which go in between those that are there. */
function putsInto(path: string, body: (i: number) => Uint8Array): Contender {
  let store: Holdfast | undefined
  let next = planted
  return {
    name: 'put, 1,000,000 pending',
    async before() {
      store = await openPaused(path)
    },
    async round() {
      const open = store as Holdfast
      const first = next
      next += count
      return { ops: count, latenciesMs: await manyAtATime(count, 64, i => open.put(keyOf(first + i), body(i))) }
    },
    async after() {
      await store?.close()
    },
  }
}
