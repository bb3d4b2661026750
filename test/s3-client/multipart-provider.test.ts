import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  PutObjectCommand,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { Readable } from 'node:stream'
import { describe, expect, test } from 'vitest'
import {
  begin,
  Bucket,
  bytesOf,
  complete,
  etagOf,
  first,
  last,
  md5,
  partBytes,
  second,
  sendParts,
} from './multipart-parts.ts'
import { openShop, refusal, type Shop, type ShopOptions } from './multipart-shop.ts'

const openProviderShop = (options: ShopOptions = {}) => openShop({ multipart: 'provider', ...options })

/** The object is in the store, and both clouds have it under this ETag by their own word. */
async function expectTakenIn(shop: Shop, Key: string, body: Buffer, ETag: string): Promise<void> {
  expect(await shop.client.send(new HeadObjectCommand({ Bucket, Key }))).toMatchObject({ ETag })
  expect((await bytesOf(shop.client, Key)).equals(body)).toBe(true)
  await shop.store.drain({ until: 'verified' })
  for (const client of [shop.client, shop.plain, shop.other]) {
    expect(await client.send(new HeadObjectCommand({ Bucket, Key }))).toMatchObject({ ETag })
    expect((await bytesOf(client, Key)).equals(body)).toBe(true)
    const { Contents } = await client.send(new ListObjectsV2Command({ Bucket, Prefix: Key }))
    expect(Contents?.map(each => each.ETag)).toEqual([ETag])
  }
}

describe("with multipart: 'provider'", () => {
  test('parts go to the primary as they are, and the complete object is taken in and mirrored', async () => {
    await using shop = await openProviderShop()
    const { client } = shop
    const id = await begin(client, 'object', { ContentType: 'text/a', Metadata: { a: '1' } })
    const parts = await sendParts(client, 'object', id, [first, second, last])
    expect(await shop.store.uploads.list()).toEqual([])
    const name = { Bucket, Key: 'object', UploadId: id }
    const { Parts } = await client.send(new ListPartsCommand(name))
    expect(Parts?.map(({ Size }) => Size)).toEqual([partBytes, partBytes, 1_000])
    // Without the prefix also those that Holdfast itself has open there.
    const { Uploads } = await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'object' }))
    expect(Uploads?.map(({ UploadId }) => UploadId)).toEqual([id])
    const answer = await complete(client, 'object', id, parts)
    expect(answer).toMatchObject({ ETag: etagOf(first, second, last), Bucket, Key: 'object' })
    await expectTakenIn(shop, 'object', Buffer.concat([first, second, last]), answer.ETag ?? '')
    const { accepted } = await shop.store.status()
    expect((await complete(client, 'object', id, parts)).ETag).toBe(answer.ETag)
    expect((await shop.store.status()).accepted).toBe(accepted)
    const part = await client.send(new GetObjectCommand({ Bucket, Key: 'object', PartNumber: 3 }))
    expect(part).toMatchObject({ PartsCount: 3, ContentLength: 1_000, ContentType: 'text/a', Metadata: { a: '1' } })
    part.Body?.transformToWebStream()
      .cancel()
      .catch(() => {})
    const one = await shop.clouds[0].fault({ fault: { kind: 'reset' } })
    expect((await bytesOf(client, 'object')).byteLength).toBe(2 * partBytes + 1_000)
    await shop.clouds[0].heal(one)
  })

  test('tags and storage class are kept when it is taken in, at both clouds', async () => {
    await using shop = await openProviderShop()
    const { client, plain, other, store } = shop
    const id = await begin(client, 'tagged', { Tagging: 'a=1&b=x%20y', StorageClass: 'STANDARD_IA' })
    await complete(client, 'tagged', id, await sendParts(client, 'tagged', id, [first, last]))
    await store.drain()
    for (const cloud of [plain, other]) {
      const { TagSet } = await cloud.send(new GetObjectTaggingCommand({ Bucket, Key: 'tagged' }))
      expect(TagSet).toEqual([
        { Key: 'a', Value: '1' },
        { Key: 'b', Value: 'x y' },
      ])
      const { StorageClass } = await cloud.send(new HeadObjectCommand({ Bucket, Key: 'tagged' }))
      expect(StorageClass).toBe('STANDARD_IA')
    }
  })

  test('access rights, which no read gives back, are refused at the beginning, unless they may be lost', async () => {
    await using shop = await openProviderShop()
    expect(await refusal(begin(shop.client, 'public', { ACL: 'public-read' }))).toBe('NotImplemented 501')
    expect(
      (await shop.plain.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'public' }))).Uploads,
    ).toBeUndefined()
    await using relaxed = await openProviderShop({ relax: ['ACL', 'RequestPayer'] })
    await begin(relaxed.client, 'public', { ACL: 'bucket-owner-full-control', Tagging: 'a=1' })
  })

  test('what the primary refuses stays refused, and changes nothing', async () => {
    await using shop = await openProviderShop()
    const { client } = shop
    const id = await begin(client, 'refused')
    const [small = {}, end = {}] = await sendParts(client, 'refused', id, [last, last])
    expect(await refusal(complete(client, 'refused', id, [small, end]))).toBe('EntityTooSmall 400')
    expect(await refusal(complete(client, 'refused', id, [end, small]))).toBe('InvalidPartOrder 400')
    expect(await refusal(complete(client, 'refused', 'nothing', [small]))).toBe('NoSuchUpload 404')
    expect(await refusal(complete(client, 'refused', id, undefined))).toBe('MalformedXML 400')
    await client.send(new PutObjectCommand({ Bucket, Key: 'refused', Body: 'here' }))
    await shop.store.drain()
    expect(await refusal(complete(client, 'refused', id, [small], { IfNoneMatch: '*' }))).toBe('PreconditionFailed 412')
    await client.send(new AbortMultipartUploadCommand({ Bucket, Key: 'refused', UploadId: id }))
    expect(await refusal(complete(client, 'refused', id, [small]))).toBe('NoSuchUpload 404')
    expect((await bytesOf(client, 'refused')).toString()).toBe('here')
  })

  test('a client that may not list parts asks the object for them', async () => {
    await using shop = await openProviderShop()
    await shop.clouds[0].fault({
      match: { operation: 'ListParts' },
      fault: { kind: 'status', status: 403, code: 'AccessDenied' },
    })
    const id = await begin(shop.client, 'unlisted')
    const parts = await sendParts(shop.client, 'unlisted', id, [first, last])
    const { ETag } = await complete(shop.client, 'unlisted', id, parts)
    await expectTakenIn(shop, 'unlisted', Buffer.concat([first, last]), ETag ?? '')
  })

  test('lib-storage and copies of parts work as with the plain client', async () => {
    await using shop = await openProviderShop()
    const { client } = shop
    const body = Buffer.concat([first, last])
    const upload = new Upload({ client, params: { Bucket, Key: 'streamed', Body: Readable.from([body]) } })
    const { ETag } = await upload.done()
    await expectTakenIn(shop, 'streamed', body, ETag ?? '')
    const id = await begin(client, 'copied')
    const { CopyPartResult } = await client.send(
      new UploadPartCopyCommand({
        Bucket,
        Key: 'copied',
        UploadId: id,
        PartNumber: 1,
        CopySource: `${Bucket}/streamed`,
        CopySourceRange: `bytes=0-9`,
      }),
    )
    await complete(client, 'copied', id, [{ PartNumber: 1, ETag: CopyPartResult?.ETag }])
    await expectTakenIn(shop, 'copied', body.subarray(0, 10), etagOf(body.subarray(0, 10)))
  })

  test('parts that a browser sends by presigned URLs are completed by the wrapped client', async () => {
    await using shop = await openProviderShop({ config: { requestChecksumCalculation: 'WHEN_REQUIRED' } })
    const { client } = shop
    const id = await begin(client, 'from browser')
    const parts: CompletedPart[] = []
    for (const [index, body] of [first, last].entries()) {
      const PartNumber = index + 1
      const command = new UploadPartCommand({ Bucket, Key: 'from browser', UploadId: id, PartNumber })
      const url = await getSignedUrl(client, command, { expiresIn: 60 })
      const answer = await fetch(url, { method: 'PUT', body })
      expect(answer.status).toBe(200)
      parts.push({ PartNumber, ETag: answer.headers.get('etag') ?? '' })
    }
    const { ETag } = await complete(client, 'from browser', id, parts)
    await expectTakenIn(shop, 'from browser', Buffer.concat([first, last]), ETag ?? '')
  })
})

describe('an upload that is complete at the primary, and could not be taken in', () => {
  /** Complete, while nothing can be read from the primary. */
  async function completeInVain(shop: Shop, key: string): Promise<{ id: string; parts: CompletedPart[] }> {
    const id = await begin(shop.client, key)
    const parts = await sendParts(shop.client, key, id, [first, second, last])
    const rule = await shop.clouds[0].fault({
      match: { operation: 'GetObject' },
      fault: { kind: 'status', status: 503, code: 'SlowDown' },
    })
    const error = await complete(shop.client, key, id, parts).catch((thrown: unknown) => thrown)
    expect(error).toMatchObject({
      name: 'ServiceUnavailable',
      $metadata: { httpStatusCode: 503 },
      Key: key,
      ETag: etagOf(first, second, last),
    })
    expect(String(error)).toContain('is complete at one')
    expect(String(error)).toContain('Send the same CompleteMultipartUpload again, or call store.adopt')
    await shop.clouds[0].heal(rule)
    return { id, parts }
  }
  const whole = Buffer.concat([first, second, last])
  const ETag = etagOf(first, second, last)

  test('says so, and the same Complete again takes it in', async () => {
    await using shop = await openProviderShop()
    const { id, parts } = await completeInVain(shop, 'later')
    await shop.clouds[0].requests({ reset: true })
    expect(await complete(shop.client, 'later', id, parts)).toMatchObject({ ETag, Bucket, Key: 'later' })
    const asked = await shop.clouds[0].requests()
    expect(asked.some(({ operation }) => operation === 'CompleteMultipartUpload')).toBe(false)
    await expectTakenIn(shop, 'later', whole, ETag)
  })

  test('is taken in with its parts after a restart, when the service answers as the first time', async () => {
    await using shop = await openProviderShop()
    const { id, parts } = await completeInVain(shop, 'restarted')
    await shop.restart()
    expect(await complete(shop.client, 'restarted', id, parts)).toMatchObject({ ETag })
    await expectTakenIn(shop, 'restarted', whole, ETag)
  })

  test('is taken in with its parts after a restart, when the service knows the upload no more', async () => {
    await using shop = await openProviderShop()
    const { id, parts } = await completeInVain(shop, 'forgotten')
    await shop.restart()
    await shop.clouds[0].fault({
      match: { operation: 'CompleteMultipartUpload' },
      fault: { kind: 'status', status: 404, code: 'NoSuchUpload' },
    })
    expect(await complete(shop.client, 'forgotten', id, parts)).toMatchObject({
      ETag,
      Location: `${shop.clouds[0].endpoint}/${Bucket}/forgotten`,
    })
    const [one = {}] = parts
    expect(await refusal(complete(shop.client, 'forgotten', id, [one]))).toBe('NoSuchUpload 404')
    await shop.clouds[0].heal()
    await expectTakenIn(shop, 'forgotten', whole, ETag)
  })

  test('waits for a primary that does not answer for its parts', async () => {
    await using shop = await openProviderShop()
    const { id, parts } = await completeInVain(shop, 'silent')
    await shop.restart()
    const rule = await shop.clouds[0].fault({
      match: { operation: 'HeadObject' },
      fault: { kind: 'status', status: 503, code: 'SlowDown' },
    })
    const error = await complete(shop.client, 'silent', id, parts).catch((thrown: unknown) => thrown)
    expect(String(error)).toContain('is complete at one')
    await shop.clouds[0].heal(rule)
    expect(await complete(shop.client, 'silent', id, parts)).toMatchObject({ ETag })
    await expectTakenIn(shop, 'silent', whole, ETag)
  })

  test('is taken in by adopt', async () => {
    await using shop = await openProviderShop()
    await completeInVain(shop, 'adopted')
    const { etag } = await shop.store.adopt('adopted')
    expect(etag).toBe(md5(whole))
    expect((await bytesOf(shop.client, 'adopted')).equals(whole)).toBe(true)
  })
})

test("an app's middleware that writes other keys does so once, also for what Holdfast asks by itself", async () => {
  await using shop = await openProviderShop()
  shop.plain.middlewareStack.add(
    next => async args => {
      const { input } = args
      return await next({ ...args, input: 'Key' in input ? { ...input, Key: `tenant/${input.Key}` } : input })
    },
    { step: 'initialize', name: 'tenant' },
  )
  const id = await begin(shop.client, 'key')
  const parts = await sendParts(shop.client, 'key', id, [first, last])
  const { ETag } = await complete(shop.client, 'key', id, parts)
  shop.plain.middlewareStack.remove('tenant')
  await expectTakenIn(shop, 'tenant/key', Buffer.concat([first, last]), ETag ?? '')
})

test('a URL that is signed for a part of a local upload leads to a bucket that has no such upload, and writes nothing', async () => {
  await using shop = await openShop({ config: { requestChecksumCalculation: 'WHEN_REQUIRED' } })
  const id = await begin(shop.client, 'local')
  const command = new UploadPartCommand({ Bucket, Key: 'local', UploadId: id, PartNumber: 1 })
  const url = await getSignedUrl(shop.client, command, { expiresIn: 60 })
  expect(new URL(url).origin).toBe(shop.clouds[0].endpoint)
  const { Parts } = await shop.client.send(new ListPartsCommand({ Bucket, Key: 'local', UploadId: id }))
  expect(Parts).toBeUndefined()
  expect((await fetch(url, { method: 'PUT', body: 'part' })).status).toBe(404)
})
