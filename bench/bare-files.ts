import { mkdir, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { digester, digestsOf } from '../src/core/digest.ts'
import type { Contender } from './contract.ts'
import { manyAtATime } from './measure.ts'
import type { Puts } from './paused.ts'

/**
 * What cannot be left out of taking in a body that clouds will check: the same digests that Holdfast computes, the bytes in a new file, one `fdatasync` of it. No sync
 * of the directory, no journal: after a power cut the file may have no name.
 */
export function bareFiles({ name, directory, count, atATime, body }: Puts): Contender {
  return {
    name,
    before: () => mkdir(directory),
    async round() {
      return {
        ops: count,
        latenciesMs: await manyAtATime(count, atATime, i => keep(join(directory, String(i)), body(i))),
      }
    },
    after: () => rm(directory, { recursive: true }),
  }
}

async function keep(path: string, bytes: Uint8Array): Promise<void> {
  await using file = await open(path, 'wx')
  digestsOf(bytes)
  const { bytesWritten } = await file.write(bytes)
  if (bytesWritten !== bytes.byteLength) throw new Error(`the disk took ${bytesWritten} of ${bytes.byteLength} bytes`)
  await file.datasync()
}

/** The same of a stream: each chunk is digested while it is written. */
export async function keepStream(path: string, chunks: AsyncIterable<Uint8Array>): Promise<void> {
  await using file = await open(path, 'wx')
  const digests = digester()
  for await (const chunk of chunks) {
    const writing = file.write(chunk)
    digests.update(chunk)
    const { bytesWritten } = await writing
    if (bytesWritten !== chunk.byteLength) throw new Error(`the disk took ${bytesWritten} of ${chunk.byteLength} bytes`)
  }
  digests.finish()
  await file.datasync()
}
