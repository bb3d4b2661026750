import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Contender, Row } from '../contract.ts'
import { comparison, inTurn, manyAtATime } from '../measure.ts'
import { bodiesOf, openPaused } from '../paused.ts'

const atATime = 16
const kinds = [
  { name: '4 KiB', bytes: 4_096, objects: 2_000, reads: 20_000 },
  { name: '1 MiB', bytes: 2 ** 20, objects: 100, reads: 1_000 },
] as const

/** What was just written is read from where it is. Both read what the system has in memory. */
export const pendingGets: Row = {
  id: 8,
  name: 'get while pending, from local disk, of 4 KiB and 1 MiB, 16 in flight, against fs.readFile of the same bytes',
  rounds: 7,
  async run({ directory, say }, rounds) {
    const store = await openPaused(join(directory, 'store'))
    const findings = []
    for (const { name, bytes, objects, reads } of kinds) {
      const files = join(directory, name)
      const body = bodiesOf(bytes)
      await mkdir(files)
      await manyAtATime(objects, atATime, async i => {
        await store.put(`${name}/${i}`, body(i))
        await writeFile(join(files, String(i)), body(i))
      })
      const get: Contender = {
        name: `get ${name}`,
        async round() {
          const latenciesMs = await manyAtATime(reads, atATime, async i => {
            const found = await store.get(`${name}/${i % objects}`)
            const read = await found?.bytes()
            if (read?.byteLength !== bytes || found?.from !== 'local') throw new Error('that was not what was put')
          })
          return { ops: reads, latenciesMs }
        },
      }
      const file: Contender = {
        name: `readFile ${name}`,
        async round() {
          const latenciesMs = await manyAtATime(reads, atATime, async i => {
            const read = await readFile(join(files, String(i % objects)))
            if (read.byteLength !== bytes) throw new Error('that was not what was written')
          })
          return { ops: reads, latenciesMs }
        },
      }
      const samples = await inTurn([get, file], rounds, say)
      findings.push(comparison(samples, [get.name, file.name], { atLeast: 0.4 }))
    }
    await store.close()
    return findings
  },
}
