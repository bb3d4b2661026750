// A process of its own that puts bodies and says which it may promise: one line each, `file size crc32c md5`. What is refused is said
// with its code. Arguments: the directory, how many at a time, how many in all, bytes at most, 'durable' or 'ephemeral'.
import { writeSync } from 'node:fs'
import { HoldfastError } from '../../src/core/errors.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import { openDirectory } from '../../src/stage/directory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { openStage } from '../../src/stage/stage.ts'
import { bytes, inPieces } from './bodies.ts'

const [path = '', lanes = '1', total = '1', most = '100000', kind = 'durable'] = process.argv.slice(2)
const directory = await openDirectory({
  path,
  kind: kind === 'durable' ? 'durable' : 'ephemeral',
  disk: nodeDisk,
  random: systemRandom,
  clock: systemClock,
})
const stage = openStage({
  directory,
  random: systemRandom,
  clock: systemClock,
  maxStageBytes: 1e12,
  stagedBytes: () => 0,
})
writeSync(1, `open ${directory.identity}\n`)

let left = Number(total)
async function lane(): Promise<void> {
  while (left-- > 0) {
    const body = bytes(20_000 + Math.floor(Math.random() * (Number(most) - 20_000)))
    try {
      const draft = await stage.receive(inPieces(body, 65_536))
      const published = await draft.publish()
      draft.release()
      if (published.in !== 'file') throw new Error('too small for a file')
      // At once, and not through a stream: what was said before a kill was said.
      writeSync(1, `put ${published.file} ${draft.size} ${draft.digests.crc32c} ${draft.digests.md5}\n`)
    } catch (error) {
      if (!(error instanceof HoldfastError)) throw error
      writeSync(1, `refused ${error.code} ${error.retryable}\n`)
    }
  }
}
await Promise.all(Array.from({ length: Number(lanes) }, lane))
writeSync(1, `end ${stage.reservedBytes} ${await stage.isPoisoned()}\n`)
