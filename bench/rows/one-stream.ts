import { rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import { keepStream } from '../bare-files.ts'
import type { Contender, Finding, Row } from '../contract.ts'
import { askFork } from '../forks.ts'
import { comparison, inTurn, median, mediansOf } from '../measure.ts'
import { openPaused } from '../paused.ts'
import { streamOf } from '../stream.ts'

const bytes = 2 ** 30
const mebibytes = bytes / 2 ** 20

/** A body that must not be in memory. */
export const oneStream: Row = {
  id: 4,
  name: 'one stream of 1 GiB, replication paused, against hash + write + fdatasync of the same stream; and the memory that it takes',
  rounds: 2,
  async run({ directory, say }, rounds) {
    const { bavail, bsize } = await statfs(directory)
    if (bavail * bsize < 2 * bytes) throw new Error(`${directory} has no room for a stream of 1 GiB`)
    const path = join(directory, 'store')
    let store: Awaited<ReturnType<typeof openPaused>> | undefined
    const put: Contender = {
      name: 'put, MiB',
      async before() {
        store = await openPaused(path)
      },
      async round() {
        const receipt = await store?.put('films/1.mp4', streamOf(bytes))
        if (receipt?.size !== bytes) throw new Error('that was not the whole stream')
        return { ops: mebibytes }
      },
      async after() {
        await store?.close()
        await rm(path, { recursive: true })
      },
    }
    const file = join(directory, 'file')
    const bare: Contender = {
      name: 'hash + write + fdatasync, MiB',
      async round() {
        await keepStream(file, streamOf(bytes))
        return { ops: mebibytes }
      },
      after: () => rm(file),
    }
    const samples = await inTurn([put, bare], rounds, say)
    const grown: number[] = []
    for (let round = 0; round < rounds; round++) {
      const { grownMiB } = await askFork<{ grownMiB: number }>(join(import.meta.dirname, '../stream-memory.ts'), [
        path,
        String(bytes),
      ])
      await rm(path, { recursive: true })
      say(`round ${round + 1}: a process that does nothing else grew by ${Math.round(grownMiB)} MiB`)
      grown.push(grownMiB)
    }
    const memory: Finding = {
      name: 'RSS growth while it is put, in a process that does nothing else',
      value: median(grown),
      unit: 'MiB',
      target: { atMost: 96 },
      from: mediansOf(samples, [put.name]),
    }
    return [comparison(samples, [put.name, bare.name], { atLeast: 0.7 }), memory]
  },
}
