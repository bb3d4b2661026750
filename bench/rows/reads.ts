import { join } from 'node:path'
import { GetObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import type { Contender, Row } from '../contract.ts'
import { comparison, inTurn, manyAtATime } from '../measure.ts'
import { bodiesOf } from '../paused.ts'
import { startAnswers } from '../servers/start.ts'
import { bucket, openOver, sdkClient, warmedUp } from '../servers/stores.ts'

const mebibyte = 2 ** 20
/** How often what is read, how many of them there are, how many at a time. */
const sizes = [
  { of: '4 KiB', bytes: 4_096, objects: 64, gets: 4_000, atATime: 16, atLeast: 1.5 },
  { of: '64 MiB', bytes: 64 * mebibyte, objects: 1, gets: 4, atATime: 1, atLeast: 0.95 },
] as const

/** Reads that only a cloud can answer: everything is on both, nothing is on local disk. */
export const reads: Row = {
  id: 7,
  name: 'get from the primary, read to the end, against GetObject of the SDK: 4 KiB, 16 in flight; 64 MiB, one at a time',
  rounds: 5,
  async run({ directory, say }, rounds) {
    const servers = [await startAnswers('all'), await startAnswers('all')] as const
    const client = sdkClient(servers[0])
    const store = await warmedUp(await openOver(join(directory, 'store'), servers, { holdMs: 0 }))
    const contenders: Contender[] = []
    for (const { of, bytes, objects, gets, atATime } of sizes) {
      const body = bodiesOf(bytes)
      const keyOf = (i: number) => `${of}/${i % objects}`
      // Each reads what it wrote: the checksum that the SDK looks at is then of the kind that it is quick at.
      for (let i = 0; i < objects; i++) {
        await store.put(keyOf(i), body(i))
        await client.send(new PutObjectCommand({ Bucket: bucket, Key: `sdk/${keyOf(i)}`, Body: body(i) }))
      }
      const contender = (name: string, read: (i: number) => Promise<number>): Contender => ({
        name,
        async round() {
          const latenciesMs = await manyAtATime(gets, atATime, async i => {
            const size = await read(i)
            if (size !== bytes) throw new Error(`${name} ${keyOf(i)}: ${size} bytes`)
          })
          return { ops: gets, latenciesMs }
        },
      })
      contenders.push(
        contender(`get ${of}`, async i => {
          const found = await store.get(keyOf(i))
          if (found?.from !== 'primary') throw new Error(`${keyOf(i)} came from ${found?.from}`)
          let size = 0
          for await (const chunk of found.body) size += chunk.byteLength
          return size
        }),
        contender(`SDK ${of}`, async i => {
          const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: `sdk/${keyOf(i)}` }))
          let size = 0
          for await (const chunk of Body as AsyncIterable<Uint8Array>) size += chunk.byteLength
          return size
        }),
      )
    }
    await store.drain({ until: 'verified' })
    const samples = await inTurn(contenders, rounds, say)
    await store.close()
    client.destroy()
    await Promise.all(servers.map(server => server.stop()))
    return sizes.map(({ of, atLeast }) => comparison(samples, [`get ${of}`, `SDK ${of}`], { atLeast }))
  },
}
