import { join } from 'node:path'
import { bareFiles } from '../bare-files.ts'
import type { Row } from '../contract.ts'
import { comparison, inTurn } from '../measure.ts'
import { bodiesOf, puts } from '../paused.ts'

const kinds = [
  { name: '100 KiB', bytes: 102_400, count: 1_500, atATime: 64, atLeast: 0.6 },
  { name: '1 MiB', bytes: 2 ** 20, count: 200, atATime: 16, atLeast: 0.7 },
] as const

/** Bodies that have a file of their own: what is left of the disk's and the digests' speed. */
export const largePuts: Row = {
  id: 3,
  name: 'durable put of 100 KiB, 64 in flight, and of 1 MiB, 16 in flight, paused, against hash + write + fdatasync of the same bytes',
  rounds: 7,
  async run({ directory, say }, rounds) {
    const findings = []
    for (const { name, bytes, count, atATime, atLeast } of kinds) {
      const same = { count, atATime, body: bodiesOf(bytes) }
      const put = `put ${name}`
      const bare = `hash + write + fdatasync ${name}`
      const samples = await inTurn(
        [
          puts({ name: put, directory: join(directory, 'store'), ...same }),
          bareFiles({ name: bare, directory: join(directory, 'files'), ...same }),
        ],
        rounds,
        say,
      )
      findings.push(comparison(samples, [put, bare], { atLeast }))
    }
    return findings
  },
}
