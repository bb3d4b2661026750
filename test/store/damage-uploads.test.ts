import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ListMultipartUploadsCommand, S3Client } from '@aws-sdk/client-s3'
import { expect, onTestFinished, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { s3 } from '../../src/providers/s3.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { eventually, testDirectory } from '../support/store.ts'

test('an upload in parts that starts over, since its body was damaged and fetched anew, leaves nothing at the provider (D10)', async () => {
  await using cloud = await startLocalS3({ buckets: ['main'] })
  const credentials = { accessKeyId: cloud.credentials.id, secretAccessKey: cloud.credentials.secret }
  const at = { endpoint: cloud.endpoint, region: 'us-east-1', forcePathStyle: true, credentials }
  const client = new S3Client(at)
  onTestFinished(() => client.destroy())
  const begun = async (): Promise<readonly (string | undefined)[]> => {
    const { Uploads = [] } = await client.send(new ListMultipartUploadsCommand({ Bucket: 'main', Prefix: 'k' }))
    return Uploads.map(({ Key }) => Key)
  }
  const part = 5 * 2 ** 20
  const amazon = () => s3({ bucket: 'main', name: 'b', partSize: part, multipartThreshold: part, ...at })
  await using directory = await testDirectory()
  const a = memory({ name: 'a' })
  await cloud.fault({ match: { operation: 'UploadPart', key: 'k' }, skip: 1, fault: { kind: 'status', status: 503 } })
  const store = await directory.open([a, amazon()])
  await store.put('k', Buffer.alloc(part + 2 ** 20, 'x'), { ack: 'one' })
  await eventually(async () => (await begun()).length > 0, 20_000)
  await store.close()
  expect(await begun(), 'it goes on with what it began').toEqual(['k'])
  for (const file of readdirSync(join(directory.path, 'bodies'))) rmSync(join(directory.path, 'bodies', file))
  await cloud.heal()
  const again = await directory.open([a, amazon()])
  const told: string[] = []
  again.on('restored', ({ key }) => void told.push(key))
  await again.drain({ until: 'verified' })
  expect(told).toEqual(['k'])
  await eventually(async () => (await begun()).length === 0, 5_000)
}, 60_000)
