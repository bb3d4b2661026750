import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { join } from 'node:path'
import * as sdk from '@aws-sdk/client-s3'
import { openHoldfast } from 'holdfast'
import { s3 } from 'holdfast/s3'
import { withHoldfast } from 'holdfast/s3-client'
import { startLocalS3 } from 'holdfast/testing'

// Existing S3 code: the client is wrapped, the rest is as it was. With whatever SDK this project has.
const Bucket = 'photos'
const clouds = await Promise.all([1, 2].map(() => startLocalS3({ buckets: [Bucket], process: 'own' })))
const configs = clouds.map(({ endpoint, credentials: { id, secret } }) => ({
  endpoint,
  region: 'us-east-1',
  forcePathStyle: true,
  credentials: { accessKeyId: id, secretAccessKey: secret },
}))
const home = await mkdtemp(join(import.meta.dirname, 'store-'))
const [primary, secondary] = configs.map((config, at) => s3({ name: `cloud-${at}`, bucket: Bucket, ...config }))
const store = await openHoldfast({ directory: join(home, 'store'), primary, secondary, holdMs: 0 })
const plain = new sdk.S3(configs[0])
const client = withHoldfast(new sdk.S3(configs[0]), { [Bucket]: store })
assert.ok(client instanceof sdk.S3Client)

const seen = []
client.middlewareStack.add(next => args => (seen.push(args.input.Key), next(args)), { step: 'initialize' })
const { ETag } = await client.send(
  new sdk.PutObjectCommand({ Bucket, Key: 'a', Body: 'hello', Metadata: { By: 'me' } }),
)
const got = await client.getObject({ Bucket, Key: 'a', Range: 'bytes=1-3' })
assert.equal(await got.Body.transformToString(), 'ell')
assert.equal(got.ContentRange, 'bytes 1-3/5')
const head = await client.headObject({ Bucket, Key: 'a' })
assert.deepEqual([head.ETag, head.Metadata.by], [ETag, 'me'])
await assert.rejects(client.getObject({ Bucket, Key: 'none' }), sdk.NoSuchKey)
await assert.rejects(client.headObject({ Bucket, Key: 'none' }), sdk.NotFound)

const { UploadId } = await client.createMultipartUpload({ Bucket, Key: 'b' })
const parts = []
for (const [index, size] of [5 * 2 ** 20, 100].entries()) {
  const PartNumber = index + 1
  const part = await client.uploadPart({ Bucket, Key: 'b', UploadId, PartNumber, Body: Buffer.alloc(size, 'x') })
  parts.push({ PartNumber, ETag: part.ETag })
}
const MultipartUpload = { Parts: parts }
const done = await client.completeMultipartUpload({ Bucket, Key: 'b', UploadId, MultipartUpload })
const keys = []
for await (const page of sdk.paginateListObjectsV2({ client, pageSize: 1 }, { Bucket }))
  keys.push(...(page.Contents ?? []).map(({ Key }) => Key))
assert.deepEqual(keys, ['a', 'b'])
await store.drain({ until: 'verified' })
assert.equal((await plain.headObject({ Bucket, Key: 'b' })).ETag, done.ETag)
await client.deleteObjects({ Bucket, Delete: { Objects: [{ Key: 'a' }, { Key: 'b' }] } })
assert.equal((await client.listObjectsV2({ Bucket })).KeyCount, 0)
assert.deepEqual([...new Set(seen.filter(Boolean))].sort(), ['a', 'b', 'none'])

await store.drain()
await store.close()
plain.destroy()
client.destroy()
await Promise.all(clouds.map(cloud => cloud.stop()))
await rm(home, { recursive: true })
console.log('a wrapped client puts, gets, lists, uploads in parts and deletes')
