import { GetObjectCommand, HeadObjectCommand, PutObjectCommand } from '@aws-sdk/client-s3'
import { digestsOf } from '../../src/core/digest.ts'
import { noMemo } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import type { Contender, Row } from '../contract.ts'
import { comparison, inTurn, manyAtATime } from '../measure.ts'
import { bodiesOf } from '../paused.ts'
import { startAnswers } from '../servers/start.ts'
import { bucket, providerAt, sdkClient } from '../servers/stores.ts'

const requests = 4_000
const atATime = 16
/** So many objects are there to be read. */
const kept = 64

/** What a request costs this process, by our driver and by the SDK, to the same server: what the server does is not in it. */
export const dataPath: Row = {
  id: 6,
  name: "CPU of the S3 data path for 4 KiB, against the SDK's, 16 in flight",
  rounds: 5,
  async run({ say }, rounds) {
    const server = await startAnswers('all')
    const client = sdkClient(server)
    const provider = providerAt(server, 'driver')
    const { signal } = new AbortController()
    await provider.learn(undefined, signal)
    const body = bodiesOf(4_096)
    // The replicator has the digests from the stage: to compute them is no part of a request.
    const sources = Array.from({ length: kept }, (_, i) => bytesSource(body(i), digestsOf(body(i))))
    const keyOf = (i: number) => `photos/${i % kept}.jpg`
    const put = (i: number) =>
      provider.put(
        {
          key: keyOf(i),
          source: sources[i % kept] as (typeof sources)[number],
          headers: { contentType: 'image/jpeg' },
          metadata: { 'taken-by': 'somebody' },
          condition: undefined,
          upload: noMemo,
        },
        signal,
      )
    const sdkPut = (i: number) =>
      client.send(
        new PutObjectCommand({
          Bucket: bucket,
          Key: keyOf(i),
          Body: body(i % kept),
          ContentType: 'image/jpeg',
          Metadata: { 'taken-by': 'somebody' },
        }),
      )
    // What is read is what the SDK wrote, so that the checksum that it looks at is of the kind that it is quick at.
    const getOf = (i: number) => ({ key: keyOf(i), range: undefined, token: undefined })
    const pair = (what: string, ours: (i: number) => Promise<unknown>, sdks: (i: number) => Promise<unknown>) => {
      const contender = (name: string, task: (i: number) => Promise<unknown>): Contender => ({
        name,
        before: () => manyAtATime(kept, atATime, sdkPut).then(() => {}),
        round: async () => ({ ops: requests, latenciesMs: await manyAtATime(requests, atATime, task) }),
      })
      return [contender(what, ours), contender(`SDK ${what}`, sdks)]
    }
    const contenders = [
      ...pair('put', put, sdkPut),
      ...pair(
        'get',
        async i => {
          const found = await provider.get(getOf(i), signal)
          let size = 0
          for await (const chunk of found?.body ?? []) size += chunk.byteLength
          if (size !== 4_096) throw new Error(`the driver read ${size} bytes`)
        },
        async i => {
          const { Body } = await client.send(new GetObjectCommand({ Bucket: bucket, Key: keyOf(i) }))
          const bytes = await Body?.transformToByteArray()
          if (bytes?.byteLength !== 4_096) throw new Error(`the SDK read ${bytes?.byteLength} bytes`)
        },
      ),
      ...pair(
        'head',
        i => provider.head(keyOf(i), signal),
        i => client.send(new HeadObjectCommand({ Bucket: bucket, Key: keyOf(i) })),
      ),
    ]
    const samples = await inTurn(contenders, rounds, say)
    client.destroy()
    await server.stop()
    return ['put', 'get', 'head'].map(what =>
      comparison(samples, [what, `SDK ${what}`], { atMost: 0.35 }, { pick: ({ cpuUsPerOp }) => cpuUsPerOp }),
    )
  },
}
