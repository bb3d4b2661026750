import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { PutObjectCommand } from '@aws-sdk/client-s3'
import type { Holdfast } from '../../src/index.ts'
import type { Contender, Row } from '../contract.ts'
import { comparison, inTurn, manyAtATime } from '../measure.ts'
import { bodiesOf } from '../paused.ts'
import { startAnswers } from '../servers/start.ts'
import { bucket, openOver, sdkClient, warmedUp } from '../servers/stores.ts'

const objects = 3_000
const atATime = 64

/** What the promise costs in the end: both clouds have it and were asked twice, beside two bare calls of the SDK that promise nothing. */
export const replicated: Row = {
  id: 5,
  name: 'objects of 4 KiB on two servers, both looks included, 64 puts in flight, against two PutObject of the SDK at once, 64 objects in flight',
  rounds: 5,
  async run({ directory, say }, rounds) {
    const servers = [await startAnswers(), await startAnswers()] as const
    const clients = servers.map(sdkClient)
    const body = bodiesOf(4_096)
    let store: Holdfast | undefined
    const contenders: readonly Contender[] = [
      {
        name: 'replicated',
        async before() {
          await Promise.all(servers.map(server => server.forget()))
          store = await warmedUp(await openOver(join(directory, 'store'), servers, { holdMs: 0 }))
        },
        async round() {
          const open = store as Holdfast
          await manyAtATime(objects, atATime, i => open.put(`photos/${i}.jpg`, body(i)))
          await open.drain({ until: 'verified' })
          return { ops: objects }
        },
        async after() {
          await store?.close()
          await rm(join(directory, 'store'), { recursive: true })
        },
      },
      {
        name: 'SDK',
        before: () => Promise.all(servers.map(server => server.forget())).then(() => {}),
        async round() {
          await manyAtATime(objects, atATime, i =>
            Promise.all(
              clients.map(client =>
                client.send(new PutObjectCommand({ Bucket: bucket, Key: `photos/${i}.jpg`, Body: body(i) })),
              ),
            ),
          )
          return { ops: objects }
        },
      },
    ]
    const samples = await inTurn(contenders, rounds, say)
    for (const client of clients) client.destroy()
    await Promise.all(servers.map(server => server.stop()))
    return [comparison(samples, ['replicated', 'SDK'], { atLeast: 1.2 })]
  },
}
