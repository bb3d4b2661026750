import { join } from 'node:path'
import { openAppendLog } from '../append-log.ts'
import type { Contender, Row } from '../contract.ts'
import { comparison, inTurn, manyAtATime } from '../measure.ts'
import { bodiesOf, puts } from '../paused.ts'

const count = 20_000
const atATime = 64

/** What a promise costs beside the least that it could cost. */
export const smallPuts: Row = {
  id: 1,
  name: 'durable put of 4 KiB, 64 in flight, replication paused, against a bare append log with shared fdatasync',
  rounds: 7,
  async run({ directory, say }, rounds) {
    const log = await openAppendLog(join(directory, 'log'))
    const body = bodiesOf(4_096)
    const append: Contender = {
      name: 'append',
      async round() {
        return { ops: count, latenciesMs: await manyAtATime(count, atATime, i => log.append(body(i))) }
      },
    }
    const put = puts({ name: 'put', directory: join(directory, 'store'), count, atATime, body })
    const samples = await inTurn([put, append], rounds, say)
    await log.close()
    return [comparison(samples, ['put', 'append'], { atLeast: 0.25 })]
  },
}
