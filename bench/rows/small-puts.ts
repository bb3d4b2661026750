import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Holdfast } from '../../src/index.ts'
import { openAppendLog } from '../append-log.ts'
import type { Contender, Row } from '../contract.ts'
import { comparison, inTurn, manyAtATime } from '../measure.ts'
import { bodiesOf, openPaused } from '../paused.ts'

const puts = 20_000
const atATime = 64

/** What a promise costs beside the least that it could cost. */
export const smallPuts: Row = {
  id: 1,
  name: 'durable put of 4 KiB, 64 in flight, replication paused, against a bare append log with shared fdatasync',
  rounds: 7,
  async run({ directory, say }, rounds) {
    const log = await openAppendLog(join(directory, 'log'))
    const body = bodiesOf(4_096)
    let store: Holdfast | undefined
    const contenders: readonly Contender[] = [
      {
        name: 'put',
        async before() {
          store = await openPaused(join(directory, 'store'))
        },
        async round() {
          const open = store as Holdfast
          return { ops: puts, latenciesMs: await manyAtATime(puts, atATime, i => open.put(`photos/${i}.jpg`, body(i))) }
        },
        async after() {
          await store?.close()
          await rm(join(directory, 'store'), { recursive: true })
        },
      },
      {
        name: 'append',
        async round() {
          return { ops: puts, latenciesMs: await manyAtATime(puts, atATime, i => log.append(body(i))) }
        },
      },
    ]
    const samples = await inTurn(contenders, rounds, say)
    await log.close()
    return [comparison(samples, ['put', 'append'], { atLeast: 0.25 })]
  },
}
