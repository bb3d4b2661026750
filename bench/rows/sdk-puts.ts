import { join } from 'node:path'
import { PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import type { Contender, Row } from '../contract.ts'
import { startFork } from '../forks.ts'
import { comparison, inTurn, manyAtATime } from '../measure.ts'
import { bodiesOf, puts } from '../paused.ts'

const atATime = 64

/** What an app saves that waited for a request before: the request alone, to a service that costs nothing and is next door. */
export const sdkPuts: Row = {
  id: 2,
  name: 'durable put of 4 KiB, 64 in flight, replication paused, against PutObject of the SDK to a local server that does nothing',
  rounds: 7,
  async run({ directory, say }, rounds) {
    const server = await startFork<{ port: number }>(join(import.meta.dirname, '../servers/nothing.ts'))
    const client = new S3Client({
      endpoint: `http://127.0.0.1:${server.said.port}`,
      region: 'eu-central-1',
      forcePathStyle: true,
      credentials: { accessKeyId: 'id', secretAccessKey: 'secret' },
    })
    const body = bodiesOf(4_096)
    const requests = 4_000
    const sdk: Contender = {
      name: 'PutObject',
      async round() {
        const send = (i: number) =>
          client.send(new PutObjectCommand({ Bucket: 'photos', Key: `photos/${i}.jpg`, Body: body(i) }))
        return { ops: requests, latenciesMs: await manyAtATime(requests, atATime, send) }
      },
    }
    const put = puts({ name: 'put', directory: join(directory, 'store'), count: 20_000, atATime, body })
    try {
      const samples = await inTurn([put, sdk], rounds, say)
      return [comparison(samples, ['put', 'PutObject'], { atLeast: 12 })]
    } finally {
      client.destroy()
      await server.stop()
    }
  },
}
