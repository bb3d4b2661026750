import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { PassThrough, Readable } from 'node:stream'
import {
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { expect, test } from 'vitest'
import { withHoldfast } from '../../src/s3-client/index.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { testDirectory } from '../support/store.ts'
import { clientOf } from '../testing/local-s3-tools.ts'
import {
  begin,
  Bucket,
  bytesOf,
  complete,
  etagOf,
  first,
  last,
  partBytes,
  providerOf,
  second,
  sendParts,
} from './multipart-parts.ts'
import { openShop, refusal, type Shop } from './multipart-shop.ts'

const whole = Buffer.concat([first, second, last])

/** Both clouds have these bytes under this ETag, by their own word. */
async function expectEverywhere(shop: Shop, key: string, body: Buffer, etag: string): Promise<void> {
  await shop.store.drain({ until: 'verified' })
  for (const client of [shop.plain, shop.other]) {
    expect((await bytesOf(client, key)).equals(body)).toBe(true)
    expect((await client.send(new HeadObjectCommand({ Bucket, Key: key }))).ETag).toBe(etag)
  }
}

test('lib-storage uploads a stream in parts with both clouds down, four at a time, and says how far it is', async () => {
  await using shop = await openShop()
  await shop.down()
  const upload = new Upload({
    client: shop.client,
    queueSize: 4,
    params: { Bucket, Key: 'video', Body: Readable.from(pieces(whole)), ContentType: 'video/mp4', ACL: 'private' },
  })
  const loaded: (number | undefined)[] = []
  upload.on('httpUploadProgress', progress => loaded.push(progress.loaded))
  const { ETag, Location } = await upload.done()
  expect(ETag).toBe(etagOf(first, second, last))
  expect(Location).toBe(`${shop.clouds[0].endpoint}/${Bucket}/video`)
  expect(loaded).toHaveLength(3)
  expect(loaded.at(-1)).toBe(whole.byteLength)
  expect((await bytesOf(shop.client, 'video')).equals(whole)).toBe(true)
  await shop.up()
  const { Contents } = await shop.client.send(new ListObjectsV2Command({ Bucket }))
  expect(Contents?.map(each => [each.Key, each.ETag])).toEqual([['video', ETag]])
  await expectEverywhere(shop, 'video', whole, ETag ?? '')
  expect(await shop.other.send(new HeadObjectCommand({ Bucket, Key: 'video' }))).toMatchObject({
    ContentType: 'video/mp4',
  })
})

test('lib-storage uploads what fits in one part as one put', async () => {
  await using shop = await openShop()
  await shop.down()
  const upload = new Upload({ client: shop.client, params: { Bucket, Key: 'small', Body: Readable.from([last]) } })
  const seen: (number | undefined)[] = []
  upload.on('httpUploadProgress', ({ loaded }) => seen.push(loaded))
  const { ETag } = await upload.done()
  expect(seen.at(-1)).toBe(last.byteLength)
  await shop.up()
  await expectEverywhere(shop, 'small', last, ETag ?? '')
})

test('lib-storage aborted in the middle leaves nothing behind', async () => {
  await using shop = await openShop()
  await shop.down()
  const body = new PassThrough()
  const upload = new Upload({ client: shop.client, queueSize: 2, params: { Bucket, Key: 'aborted', Body: body } })
  const begun = new Promise(resolve => upload.on('httpUploadProgress', resolve))
  const done = upload.done()
  body.write(whole)
  await begun
  await upload.abort()
  await expect(done).rejects.toMatchObject({ name: 'AbortError' })
  body.end()
  await expect
    .poll(async () => (await shop.client.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads, {
      timeout: 10_000,
    })
    .toBeUndefined()
  await shop.up()
  expect(await refusal(shop.client.send(new HeadObjectCommand({ Bucket, Key: 'aborted' })))).toBe('NotFound 404')
})

test('lib-storage whose stream breaks drops the upload, unless it is told to leave the parts', async () => {
  await using shop = await openShop()
  const broken = () =>
    Readable.from(
      (async function* () {
        yield first
        yield second
        throw new Error('the camera fell into the sea')
      })(),
    )
  const attempt = async (Key: string, leavePartsOnError: boolean) => {
    const upload = new Upload({ client: shop.client, leavePartsOnError, params: { Bucket, Key, Body: broken() } })
    await expect(upload.done()).rejects.toThrow('the camera fell into the sea')
    const { Uploads = [] } = await shop.client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: Key }))
    return Uploads
  }
  expect(await attempt('dropped', false)).toEqual([])
  const [left] = await attempt('left', true)
  const { Parts } = await shop.client.send(new ListPartsCommand({ Bucket, Key: 'left', UploadId: left?.UploadId }))
  expect(Parts?.length).toBeGreaterThan(0)
})

test('an upload goes on after a restart between its parts', async () => {
  await using shop = await openShop()
  await shop.down()
  const sent = { ChecksumAlgorithm: 'CRC32' } as const
  const id = await begin(shop.client, 'restarted', sent)
  const [one] = await sendParts(shop.client, 'restarted', id, [first])
  await shop.restart()
  const name = { Bucket, Key: 'restarted', UploadId: id }
  const { Parts = [] } = await shop.client.send(new ListPartsCommand(name))
  expect(Parts).toMatchObject([{ PartNumber: 1, ETag: one?.ETag, Size: partBytes, ChecksumCRC32: expect.any(String) }])
  const all = await sendParts(shop.client, 'restarted', id, [first, last])
  await shop.restart()
  const listed = (await shop.client.send(new ListPartsCommand(name))).Parts ?? []
  expect(listed.map(({ ETag }) => ETag)).toEqual(all.map(({ ETag }) => ETag))
  const parts = listed.map(({ PartNumber, ETag, ChecksumCRC32 }) => ({ PartNumber, ETag, ChecksumCRC32 }))
  const { ETag } = await complete(shop.client, 'restarted', id, parts)
  await shop.up()
  await expectEverywhere(shop, 'restarted', Buffer.concat([first, last]), ETag ?? '')
})

test('an upload survives the death of its process between the parts and their end', async () => {
  const clouds = [await startLocalS3({ buckets: [Bucket] }), await startLocalS3({ buckets: [Bucket] })] as const
  // The child's clouds are down: where they were, nobody answers.
  await using directory = await testDirectory({ orphans: 'allowed' })
  for (const cloud of clouds) await cloud.fault({ fault: { kind: 'reset' } })
  const script = join(import.meta.dirname, 'multipart-child.ts')
  const child = spawn(process.execPath, [script, directory.path, ...clouds.map(({ endpoint }) => endpoint)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const [id] = (await once(createInterface(child.stdout), 'line')) as [string]
  child.kill('SIGKILL')
  await once(child, 'exit')
  for (const cloud of clouds) await cloud.heal()

  const store = await directory.open([providerOf(clouds[0], 'one'), providerOf(clouds[1], 'two')])
  const plain = clientOf(clouds[0])
  const client: S3Client = withHoldfast(plain, { [Bucket]: store })
  const { Parts = [] } = await client.send(new ListPartsCommand({ Bucket, Key: 'crashed', UploadId: id }))
  expect(Parts.map(({ PartNumber, Size }) => [PartNumber, Size])).toEqual([
    [1, partBytes],
    [2, 7],
  ])
  const body = Buffer.concat([Buffer.alloc(partBytes, 'the same in both processes '), Buffer.from('the end')])
  const { ETag } = await complete(
    client,
    'crashed',
    id,
    Parts.map(({ PartNumber, ETag: etag }) => ({ PartNumber, ETag: etag })),
  )
  expect(ETag).toBe(etagOf(body.subarray(0, partBytes), body.subarray(partBytes)))
  await store.drain({ until: 'verified' })
  for (const cloud of clouds) {
    const by = clientOf(cloud)
    expect((await bytesOf(by, 'crashed')).equals(body)).toBe(true)
    expect(await by.send(new HeadObjectCommand({ Bucket, Key: 'crashed' }))).toMatchObject({
      ETag,
      Metadata: expect.objectContaining({ life: 'one' }),
    })
    by.destroy()
  }
  plain.destroy()
  await store.close()
  for (const cloud of clouds) await cloud.stop()
})

/** In chunks as they come from a socket. */
function* pieces(bytes: Buffer): Iterable<Buffer> {
  for (let at = 0; at < bytes.byteLength; at += 65_536) yield bytes.subarray(at, at + 65_536)
}
