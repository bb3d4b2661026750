import {
  AbortMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListObjectsV2Command,
  ListPartsCommand,
  type ListPartsCommandOutput,
  NoSuchUpload,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
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
import { openShop, refusal, type Shop } from './multipart-shop.ts'

let shop: Shop
let client: S3Client
/** A client that sends no checksums of its own. */
let quietShop: Shop
let quiet: S3Client

beforeAll(async () => {
  shop = await openShop()
  client = shop.client
  quietShop = await openShop({ config: { requestChecksumCalculation: 'WHEN_REQUIRED' } })
  quiet = quietShop.client
})
afterAll(async () => {
  await shop[Symbol.asyncDispose]()
  await quietShop[Symbol.asyncDispose]()
})

describe('an upload in parts by the wrapped client', () => {
  test('becomes one object with what its beginning said of it, at both clouds with the same ETag', async () => {
    const id = await begin(client, 'object', {
      ContentType: 'text/a',
      CacheControl: 'max-age=7',
      Metadata: { In: 'parts' },
      StorageClass: 'STANDARD_IA',
      Tagging: 'a=1',
    })
    const parts = await sendParts(client, 'object', id, [first, second, last])
    expect(parts.map(({ ETag }) => ETag)).toEqual([first, second, last].map(part => `"${md5(part)}"`))
    const answer = await complete(client, 'object', id, parts)
    const ETag = etagOf(first, second, last)
    expect(answer).toMatchObject({
      $metadata: { httpStatusCode: 200, attempts: 1 },
      Bucket,
      Key: 'object',
      ETag,
      Location: `${shop.clouds[0].endpoint}/${Bucket}/object`,
      ServerSideEncryption: 'AES256',
    })
    expect(answer).not.toHaveProperty('VersionId')
    const whole = Buffer.concat([first, second, last])
    const expected = {
      ETag,
      ContentLength: whole.byteLength,
      ContentType: 'text/a',
      CacheControl: 'max-age=7',
      Metadata: { in: 'parts' },
      StorageClass: 'STANDARD_IA',
    }
    const look = async (by: S3Client) => {
      expect(await by.send(new HeadObjectCommand({ Bucket, Key: 'object' }))).toMatchObject({
        ...expected,
        ...(by === client ? {} : { Metadata: expect.objectContaining({ in: 'parts' }) }),
      })
      expect((await bytesOf(by, 'object')).equals(whole)).toBe(true)
      const { Contents } = await by.send(new ListObjectsV2Command({ Bucket, Prefix: 'object' }))
      expect(Contents?.map(each => [each.Key, each.ETag, each.Size])).toEqual([['object', ETag, whole.byteLength]])
    }
    await look(client)
    await shop.store.drain({ until: 'verified' })
    for (const by of [client, shop.plain, shop.other]) await look(by)
    const one = await shop.clouds[0].fault({ fault: { kind: 'reset' } })
    await look(client)
    await shop.clouds[0].heal(one)
  })

  test('is read by part after it was completed', async () => {
    const answer = await client.send(new GetObjectCommand({ Bucket, Key: 'object', PartNumber: 2 }))
    expect(answer).toMatchObject({ PartsCount: 3, ContentLength: partBytes })
    expect(Buffer.from((await answer.Body?.transformToByteArray()) ?? []).equals(second)).toBe(true)
  })

  test('is read as a whole only, and refused by part, where its parts differ in size', async () => {
    const id = await begin(client, 'uneven')
    await complete(client, 'uneven', id, await sendParts(client, 'uneven', id, [first, Buffer.concat([second, last])]))
    const read = (more: object) => client.send(new GetObjectCommand({ Bucket, Key: 'uneven', ...more }))
    const refused = { name: 'NotImplemented', $metadata: { httpStatusCode: 501 }, Header: 'PartNumber' }
    await expect(read({ PartNumber: 1 })).rejects.toMatchObject(refused)
    await expect(client.send(new HeadObjectCommand({ Bucket, Key: 'uneven', PartNumber: 2 }))).rejects.toMatchObject(
      refused,
    )
    expect((await bytesOf(client, 'uneven')).equals(Buffer.concat([first, second, last]))).toBe(true)
  })

  test('leaves out parts that the end does not list, and takes the last of what a part was', async () => {
    const id = await begin(client, 'chosen')
    await sendParts(client, 'chosen', id, [first, last])
    const [again] = await sendParts(client, 'chosen', id, [second])
    const { ETag } = await client.send(
      new UploadPartCommand({ Bucket, Key: 'chosen', UploadId: id, PartNumber: 10_000, Body: last }),
    )
    const answer = await complete(client, 'chosen', id, [again ?? {}, { PartNumber: 10_000, ETag }])
    expect(answer.ETag).toBe(etagOf(second, last))
    expect((await bytesOf(client, 'chosen')).equals(Buffer.concat([second, last]))).toBe(true)
  })

  test('does nothing to the object before it is complete, nor after it was aborted', async () => {
    await client.send(new PutObjectCommand({ Bucket, Key: 'kept', Body: 'kept' }))
    const id = await begin(client, 'kept')
    const parts = await sendParts(client, 'kept', id, [last])
    expect((await bytesOf(client, 'kept')).toString()).toBe('kept')
    const abort = () => client.send(new AbortMultipartUploadCommand({ Bucket, Key: 'kept', UploadId: id }))
    expect((await abort()).$metadata.httpStatusCode).toBe(204)
    await expect(complete(client, 'kept', id, parts)).rejects.toBeInstanceOf(NoSuchUpload)
    expect(await refusal(sendParts(client, 'kept', id, [last]))).toBe('NoSuchUpload 404')
    expect(await refusal(abort())).toBe('NoSuchUpload 404')
    expect(await refusal(client.send(new ListPartsCommand({ Bucket, Key: 'kept', UploadId: id })))).toBe(
      'NoSuchUpload 404',
    )
    expect((await bytesOf(client, 'kept')).toString()).toBe('kept')
  })

  test('of one part has an ETag of one part', async () => {
    const id = await begin(client, 'one')
    const { ETag } = await complete(client, 'one', id, await sendParts(client, 'one', id, [last]))
    expect(ETag).toBe(etagOf(last))
    await shop.store.drain()
    expect((await shop.plain.send(new HeadObjectCommand({ Bucket, Key: 'one' }))).ETag).toBe(ETag)
  })

  test('may be completed again with the same answer while its object is there, also after a restart', async () => {
    const id = await begin(quiet, 'again')
    const parts = await sendParts(quiet, 'again', id, [last])
    const { ETag } = await complete(quiet, 'again', id, parts)
    expect((await complete(quiet, 'again', id, parts)).ETag).toBe(ETag)
    expect(await refusal(complete(quiet, 'again', id, [{ PartNumber: 1, ETag: '"00"' }]))).toBe('NoSuchUpload 404')
    expect(await refusal(complete(quiet, 'again', id, parts, { IfNoneMatch: '*' }))).toBe('PreconditionFailed 412')
    expect(await refusal(complete(quiet, 'again', id, parts, { IfMatch: '"00"' }))).toBe('PreconditionFailed 412')
    expect((await complete(quiet, 'again', id, parts, { IfMatch: ETag })).ETag).toBe(ETag)
    const aborted = await begin(quiet, 'again')
    const same = await sendParts(quiet, 'again', aborted, [last])
    await quiet.send(new AbortMultipartUploadCommand({ Bucket, Key: 'again', UploadId: aborted }))
    expect(await refusal(complete(quiet, 'again', aborted, same))).toBe('NoSuchUpload 404')
    await quietShop.restart()
    quiet = quietShop.client
    expect((await complete(quiet, 'again', id, parts)).ETag).toBe(ETag)
    await quiet.send(new PutObjectCommand({ Bucket, Key: 'again', Body: 'another' }))
    expect(await refusal(complete(quiet, 'again', id, parts))).toBe('NoSuchUpload 404')
  })

  test('is refused for parts that are wrong, and can still be completed', async () => {
    const id = await begin(quiet, 'wrong')
    const [one = {}, two = {}] = await sendParts(quiet, 'wrong', id, [first, last])
    const attempt = (...parts: object[]) => refusal(complete(quiet, 'wrong', id, parts))
    expect(await attempt(two, one)).toBe('InvalidPartOrder 400')
    expect(await attempt(one, one)).toBe('InvalidPartOrder 400')
    expect(await attempt(one, { PartNumber: 3, ETag: two.ETag })).toBe('InvalidPart 400')
    expect(await attempt(one, { PartNumber: 2, ETag: one.ETag })).toBe('InvalidPart 400')
    expect(await attempt({ ...one, ChecksumCRC32: 'AAAAAA==' })).toBe('InvalidPart 400')
    expect(await attempt()).toBe('MalformedXML 400')
    expect(await refusal(complete(quiet, 'wrong', id, undefined))).toBe('MalformedXML 400')
    const { ETag } = await quiet.send(
      new UploadPartCommand({ Bucket, Key: 'wrong', UploadId: id, PartNumber: 3, Body: first }),
    )
    const small = await complete(quiet, 'wrong', id, [one, two, { PartNumber: 3, ETag }]).catch(
      (error: unknown) => error,
    )
    expect(small).toMatchObject({ name: 'EntityTooSmall', PartNumber: 2, ProposedSize: 1_000 })
    expect(await refusal(complete(quiet, 'wrong', id, [one], { MpuObjectSize: 7 }))).toBe('InvalidRequest 400')
    const more = { MpuObjectSize: 2 * partBytes }
    expect(await refusal(complete(quiet, 'wrong', id, [one], more))).toBe('InvalidRequest 400')
    expect(await refusal(complete(quiet, 'other-key', id, [one]))).toBe('NoSuchUpload 404')
    expect(await refusal(sendParts(quiet, 'other-key', id, [last]))).toBe('NoSuchUpload 404')
    expect(await refusal(complete(quiet, 'wrong', 'nonsense', [one]))).toBe('NoSuchUpload 404')
    await complete(quiet, 'wrong', id, [one, two], { MpuObjectSize: partBytes + 1_000 })
  })

  test('numbers its parts from 1 to 10,000', async () => {
    const id = await begin(client, 'numbers')
    for (const PartNumber of [0, 10_001, -1, 1.5])
      expect(
        await refusal(
          client.send(new UploadPartCommand({ Bucket, Key: 'numbers', UploadId: id, PartNumber, Body: last })),
        ),
      ).toBe('InvalidArgument 400')
  })

  test('has conditions at its end; refused, it can still be completed', async () => {
    const id = await begin(client, 'conditional')
    const parts = await sendParts(client, 'conditional', id, [last])
    const { ETag } = await client.send(new PutObjectCommand({ Bucket, Key: 'conditional', Body: 'first' }))
    await shop.store.drain()
    const attempt = (more: object) => complete(client, 'conditional', id, parts, more)
    expect(await refusal(attempt({ IfNoneMatch: '*' }))).toBe('PreconditionFailed 412')
    expect(await refusal(attempt({ IfMatch: '"00"' }))).toBe('PreconditionFailed 412')
    expect(await refusal(attempt({ IfNoneMatch: '"00"' }))).toBe('NotImplemented 501')
    await attempt({ IfMatch: ETag })
    const late = await begin(client, 'conditional-new')
    const lateParts = await sendParts(client, 'conditional-new', late, [last])
    expect(await refusal(complete(client, 'conditional-new', late, lateParts, { IfMatch: ETag }))).toBe('NoSuchKey 404')
    await complete(client, 'conditional-new', late, lateParts, { IfNoneMatch: '*' })
    await shop.store.drain()
    expect((await shop.other.send(new HeadObjectCommand({ Bucket, Key: 'conditional-new' }))).ETag).toBe(etagOf(last))
  })

  test('completed twice at the same time is one object, and two equal answers', async () => {
    const id = await begin(client, 'twice')
    const parts = await sendParts(client, 'twice', id, [first, last])
    const { accepted } = await shop.store.status()
    const answers = await Promise.all([complete(client, 'twice', id, parts), complete(client, 'twice', id, parts)])
    expect(answers.map(({ ETag }) => ETag)).toEqual([etagOf(first, last), etagOf(first, last)])
    expect((await shop.store.status()).accepted).toBe(accepted + 1)
  })

  test('of four that complete the same new key at once, one wins', async () => {
    const uploads = await Promise.all(
      ['a', 'b', 'c', 'd'].map(async writer => {
        const id = await begin(client, 'raced')
        return { id, parts: await sendParts(client, 'raced', id, [Buffer.from(`by ${writer}`)]) }
      }),
    )
    const results = await Promise.allSettled(
      uploads.map(({ id, parts }) => complete(client, 'raced', id, parts, { IfNoneMatch: '*' })),
    )
    const won = results.flatMap((result, writer) => (result.status === 'fulfilled' ? ['abcd'[writer]] : []))
    expect(won).toHaveLength(1)
    expect((await bytesOf(client, 'raced')).toString()).toBe(`by ${won[0]}`)
    const names = results.flatMap(result => (result.status === 'rejected' ? [(result.reason as Error).name] : []))
    expect(new Set(names)).toEqual(new Set(['PreconditionFailed']))
  })

  test('ends with the signal of the app, or with the error of its stream, and keeps no part of it', async () => {
    const id = await begin(client, 'cut')
    const send = (Body: Readable, abortSignal?: AbortSignal) =>
      client.send(
        new UploadPartCommand({ Bucket, Key: 'cut', UploadId: id, PartNumber: 1, Body }),
        abortSignal === undefined ? {} : { abortSignal },
      )
    const controller = new AbortController()
    const endless = new Readable({
      read() {
        this.push(last)
        if (!controller.signal.aborted) setImmediate(() => controller.abort())
      },
    })
    await expect(send(endless, controller.signal)).rejects.toMatchObject({ name: 'AbortError' })
    endless.destroy()
    const broken = Readable.from(
      (async function* () {
        yield last
        throw new Error('gone')
      })(),
    )
    await expect(send(broken)).rejects.toThrow('gone')
    expect(await client.send(new ListPartsCommand({ Bucket, Key: 'cut', UploadId: id }))).not.toHaveProperty('Parts')
  })

  test('takes streams of known and of unknown length, strings, and nothing', async () => {
    const id = await begin(client, 'bodies')
    const send = (PartNumber: number, Body?: string | Readable, ContentLength?: number) =>
      client.send(
        new UploadPartCommand({
          Bucket,
          Key: 'bodies',
          UploadId: id,
          PartNumber,
          ...(Body === undefined ? {} : { Body }),
          ...(ContentLength === undefined ? {} : { ContentLength }),
        }),
      )
    expect((await send(1, Readable.from([first.subarray(0, 7), first.subarray(7)]), partBytes)).ETag).toBe(
      `"${md5(first)}"`,
    )
    expect((await send(1, Readable.from([first]))).ETag).toBe(`"${md5(first)}"`)
    expect((await send(2, 'text')).ETag).toBe(`"${md5(Buffer.from('text'))}"`)
    expect((await send(3)).ETag).toBe(`"${md5(Buffer.alloc(0))}"`)
    expect(await refusal(send(4, Readable.from([last]), 999))).toBe('IncompleteBody 400')
    const { Parts } = await client.send(new ListPartsCommand({ Bucket, Key: 'bodies', UploadId: id }))
    expect(Parts?.map(({ Size }) => Size)).toEqual([partBytes, 4, 0])
  })

  test('changes none of its inputs', async () => {
    const frozen = <T extends object>(given: T): T => {
      for (const value of Object.values(given))
        if (typeof value === 'object' && value !== null && !ArrayBuffer.isView(value)) frozen(value as object)
      return Object.freeze(given)
    }
    const id = await begin(client, 'frozen', frozen({ Metadata: { a: '1' } }))
    const name = { Bucket, Key: 'frozen', UploadId: id }
    const { ETag } = await client.send(new UploadPartCommand(frozen({ ...name, PartNumber: 1, Body: last })))
    await client.send(new ListPartsCommand(frozen({ ...name })))
    await client.send(new ListMultipartUploadsCommand(frozen({ Bucket })))
    await complete(client, 'frozen', id, frozen([{ PartNumber: 1, ETag }]))
  })

  test("an app's middleware runs once for each command", async () => {
    const seen: string[] = []
    const name = 'counting'
    shop.plain.middlewareStack.add(
      (next, context) => async args => {
        seen.push(String(context['commandName']))
        return await next(args)
      },
      { step: 'initialize', name },
    )
    try {
      const id = await begin(client, 'counted')
      const parts = await sendParts(client, 'counted', id, [last])
      await client.send(new ListPartsCommand({ Bucket, Key: 'counted', UploadId: id }))
      await complete(client, 'counted', id, parts)
    } finally {
      shop.plain.middlewareStack.remove(name)
    }
    expect(seen).toEqual([
      'CreateMultipartUploadCommand',
      'UploadPartCommand',
      'ListPartsCommand',
      'CompleteMultipartUploadCommand',
    ])
  })
})

describe('checksums of parts', () => {
  test('are compared, and given back as the plain client does', async () => {
    const id = await begin(client, 'sums')
    const send = (more: object) =>
      client.send(new UploadPartCommand({ Bucket, Key: 'sums', UploadId: id, PartNumber: 1, Body: 'hello', ...more }))
    expect(await send({})).toMatchObject({ ChecksumCRC32: 'NhCmhg==', ServerSideEncryption: 'AES256' })
    expect(await send({ ChecksumAlgorithm: 'SHA1' })).toMatchObject({ ChecksumSHA1: 'qvTGHdzF6KLavt4PO0gs2a6pQ00=' })
    expect(await send({ ContentMD5: Buffer.from(md5(Buffer.from('hello')), 'hex').toString('base64') })).toHaveProperty(
      'ETag',
    )
    expect(await refusal(send({ ContentMD5: 'AAAAAAAAAAAAAAAAAAAAAA==' }))).toBe('BadDigest 400')
    expect(await refusal(send({ ContentMD5: 'nonsense' }))).toBe('InvalidDigest 400')
    expect(await refusal(send({ ChecksumCRC32: 'AAAAAA==' }))).toBe('BadDigest 400')
    expect(await refusal(send({ ChecksumCRC32: 'nonsense' }))).toBe('InvalidRequest 400')
    expect(await refusal(send({ ChecksumCRC32: 'NhCmhg==', ChecksumCRC32C: 'mnG7TA==' }))).toBe('InvalidRequest 400')
    const quietId = await begin(quiet, 'sums')
    const part = await quiet.send(
      new UploadPartCommand({ Bucket, Key: 'sums', UploadId: quietId, PartNumber: 1, Body: 'hello' }),
    )
    expect(Object.keys(part).filter(name => name.startsWith('Checksum'))).toEqual([])
  })

  test('a composite one is of the checksums, which the end must list', async () => {
    const name = { ChecksumAlgorithm: 'SHA256' } as const
    const id = await begin(quiet, 'composite', name)
    expect(await refusal(sendParts(quiet, 'composite', id, [first]))).toBe('InvalidRequest 400')
    expect(await refusal(sendParts(quiet, 'composite', id, [first], { ChecksumAlgorithm: 'CRC32C' }))).toBe(
      'InvalidRequest 400',
    )
    const bare = await sendParts(quiet, 'composite', id, [first, last], name)
    expect(await refusal(complete(quiet, 'composite', id, bare))).toBe('InvalidRequest 400')
    const { Parts = [], ...listed } = await quiet.send(new ListPartsCommand({ Bucket, Key: 'composite', UploadId: id }))
    expect(listed).toMatchObject({ ChecksumAlgorithm: 'SHA256', ChecksumType: 'COMPOSITE' })
    const parts = Parts.map(({ PartNumber, ETag, ChecksumSHA256 }) => ({ PartNumber, ETag, ChecksumSHA256 }))
    const swapped = bare.map((part, index) => ({ ...part, ChecksumSHA256: parts[1 - index]?.ChecksumSHA256 }))
    expect(await refusal(complete(quiet, 'composite', id, swapped))).toBe('InvalidPart 400')
    const wrongWhole = { ChecksumSHA256: `${'A'.repeat(43)}=` }
    expect(await refusal(complete(quiet, 'composite', id, parts, wrongWhole))).toBe('BadDigest 400')
    const answer = await complete(quiet, 'composite', id, parts, { ChecksumType: 'COMPOSITE' })
    expect(answer).toMatchObject({ ChecksumType: 'COMPOSITE', ChecksumSHA256: expect.stringMatching(/=-2$/) })
    await quietShop.store.drain()
    const head = await quiet.send(new HeadObjectCommand({ Bucket, Key: 'composite', ChecksumMode: 'ENABLED' }))
    expect(head).toMatchObject({ ChecksumSHA256: answer.ChecksumSHA256, ChecksumType: 'COMPOSITE' })
  })

  test('a whole one needs none from the parts', async () => {
    const id = await begin(quiet, 'full', { ChecksumAlgorithm: 'CRC32C', ChecksumType: 'FULL_OBJECT' })
    const parts = await sendParts(quiet, 'full', id, [first, last])
    expect(await refusal(complete(quiet, 'full', id, parts, { ChecksumCRC32C: 'AAAAAA==' }))).toBe('BadDigest 400')
    expect(await refusal(complete(quiet, 'full', id, parts, { ChecksumType: 'COMPOSITE' }))).toBe('InvalidRequest 400')
    expect(await refusal(complete(quiet, 'full', id, parts, { ChecksumCRC32: 'AAAAAA==' }))).toBe('InvalidRequest 400')
    const answer = await complete(quiet, 'full', id, parts)
    expect(answer).toMatchObject({ ChecksumType: 'FULL_OBJECT', ChecksumCRC32C: expect.stringMatching(/^.{6}==$/) })
  })

  test('algorithm and type must go together', async () => {
    const attempt = (more: object) => refusal(begin(client, 'types', more))
    expect(await attempt({ ChecksumAlgorithm: 'SHA256', ChecksumType: 'FULL_OBJECT' })).toBe('InvalidRequest 400')
    expect(await attempt({ ChecksumAlgorithm: 'CRC64NVME', ChecksumType: 'COMPOSITE' })).toBe('InvalidRequest 400')
    expect(await attempt({ ChecksumType: 'FULL_OBJECT' })).toBe('InvalidRequest 400')
  })
})

describe('parts that are copies', () => {
  test('of an object, or of a range of it, with every cloud down', async () => {
    const whole = Buffer.concat([first, last])
    await client.send(new PutObjectCommand({ Bucket, Key: 'source +1', Body: whole }))
    await shop.down()
    const id = await begin(client, 'from copies')
    const copy = (PartNumber: number, more: object = {}) =>
      client.send(
        new UploadPartCopyCommand({
          Bucket,
          Key: 'from copies',
          UploadId: id,
          PartNumber,
          CopySource: `/${Bucket}/source%20%2B1`,
          ...more,
        }),
      )
    const { CopyPartResult: one } = await copy(1)
    const { CopyPartResult: two } = await copy(2, { CopySourceRange: 'bytes=10-19' })
    expect(two).toMatchObject({ ETag: `"${md5(whole.subarray(10, 20))}"`, LastModified: expect.any(Date) })
    await complete(client, 'from copies', id, [
      { PartNumber: 1, ETag: one?.ETag },
      { PartNumber: 2, ETag: two?.ETag },
    ])
    expect((await bytesOf(client, 'from copies')).equals(Buffer.concat([whole, whole.subarray(10, 20)]))).toBe(true)
    await shop.up()
  })

  test('come from buckets without a store too', async () => {
    await client.send(new PutObjectCommand({ Bucket: 'else', Key: 'foreign', Body: '0123456789' }))
    const id = await begin(client, 'from else')
    const { CopyPartResult } = await client.send(
      new UploadPartCopyCommand({
        Bucket,
        Key: 'from else',
        UploadId: id,
        PartNumber: 1,
        CopySource: 'else/foreign',
        CopySourceRange: 'bytes=2-4',
      }),
    )
    expect(CopyPartResult?.ETag).toBe(`"${md5(Buffer.from('234'))}"`)
  })

  test('are refused where source or range is not there', async () => {
    const id = await begin(client, 'refused-copies')
    const { ETag } = await client.send(new PutObjectCommand({ Bucket, Key: 'ten', Body: '0123456789' }))
    const copy = (more: object) =>
      refusal(
        client.send(
          new UploadPartCopyCommand({
            Bucket,
            Key: 'refused-copies',
            UploadId: id,
            PartNumber: 1,
            CopySource: `${Bucket}/ten`,
            ...more,
          }),
        ),
      )
    expect(await copy({ CopySourceRange: 'bytes=5-10' })).toBe('InvalidArgument 400')
    expect(await copy({ CopySourceRange: 'bytes=10-11' })).toBe('InvalidArgument 400')
    expect(await copy({ CopySourceRange: 'bytes=5-' })).toBe('InvalidArgument 400')
    expect(await copy({ CopySourceIfMatch: '"00"' })).toBe('PreconditionFailed 412')
    expect(await copy({ CopySourceIfNoneMatch: ETag })).toBe('PreconditionFailed 412')
    expect(await copy({ CopySource: `${Bucket}/none` })).toBe('NoSuchKey 404')
    expect(await copy({ CopySource: 'else/none' })).toBe('NoSuchKey 404')
    await client.send(new PutObjectCommand({ Bucket: 'else', Key: 'three', Body: 'abc' }))
    expect(await copy({ CopySource: 'else/three', CopySourceRange: 'bytes=0-3' })).toBe('InvalidArgument 400')
    expect(await copy({ CopySource: 'else/three', CopySourceRange: 'bytes=3-3' })).toBe('InvalidArgument 400')
    expect(await copy({ CopySource: `${Bucket}/ten?versionId=1` })).toBe('NotImplemented 501')
    expect(await copy({ UploadId: 'none' })).toBe('NoSuchUpload 404')
    expect(await copy({ PartNumber: 0 })).toBe('InvalidArgument 400')
  })
})

describe('listings of what is unfinished', () => {
  test('parts come page by page', async () => {
    const id = await begin(client, 'listed', { ChecksumAlgorithm: 'CRC32' })
    await sendParts(client, 'listed', id, [last, first, last, second])
    const sizes: (number | undefined)[] = []
    let PartNumberMarker: string | undefined
    do {
      const page: ListPartsCommandOutput = await client.send(
        new ListPartsCommand({ Bucket, Key: 'listed', UploadId: id, MaxParts: 3, PartNumberMarker }),
      )
      expect(page).toMatchObject({ ChecksumAlgorithm: 'CRC32', ChecksumType: 'COMPOSITE', UploadId: id, MaxParts: 3 })
      expect(page.Parts?.every(({ ChecksumCRC32 }) => ChecksumCRC32 !== undefined)).toBe(true)
      sizes.push(...(page.Parts?.map(({ Size }) => Size) ?? []))
      PartNumberMarker = page.IsTruncated === true ? page.NextPartNumberMarker : undefined
    } while (PartNumberMarker !== undefined)
    expect(sizes).toEqual([1_000, partBytes, 1_000, partBytes])
    const list = (more: object) => client.send(new ListPartsCommand({ Bucket, Key: 'listed', UploadId: id, ...more }))
    expect(await list({ MaxParts: 0 })).toMatchObject({ IsTruncated: false, NextPartNumberMarker: '0' })
    expect(await list({ PartNumberMarker: '4' })).not.toHaveProperty('Parts')
    expect(await refusal(list({ PartNumberMarker: 'x' }))).toBe('InvalidArgument 400')
    expect(await refusal(list({ MaxParts: -1 }))).toBe('InvalidArgument 400')
  })

  test('uploads come in order of key and time, page by page, by prefix and delimiter', async () => {
    const begun: [string, string][] = []
    for (const key of ['up/a', 'up/b', 'up/b', 'up/c/1', 'up/c/2', 'up/\u{1f600}', 'up/\uffee'])
      begun.push([key, await begin(client, key)])
    const all: string[] = []
    let markers: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {}
    while (markers !== undefined) {
      const page: ListMultipartUploadsCommandOutput = await client.send(
        new ListMultipartUploadsCommand({ Bucket, Prefix: 'up/', MaxUploads: 2, ...markers }),
      )
      all.push(...(page.Uploads ?? []).map(({ Key }) => Key ?? ''))
      markers =
        page.IsTruncated === true
          ? { KeyMarker: page.NextKeyMarker ?? '', UploadIdMarker: page.NextUploadIdMarker ?? '' }
          : undefined
    }
    const sorted = begun.map(([key]) => key).toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    expect(all).toEqual(sorted)
    const grouped = await client.send(
      new ListMultipartUploadsCommand({ Bucket, Prefix: 'up/', Delimiter: '/', EncodingType: 'url' }),
    )
    expect(grouped.CommonPrefixes?.map(({ Prefix }) => Prefix)).toEqual(['up/c/'])
    expect(grouped.Uploads?.map(({ Key }) => Key)).toEqual(['up/a', 'up/b', 'up/b', 'up/%EF%BF%AE', 'up/%F0%9F%98%80'])
    const paged = await client.send(
      new ListMultipartUploadsCommand({ Bucket, Prefix: 'up/', Delimiter: '/', MaxUploads: 4 }),
    )
    expect(paged).toMatchObject({ IsTruncated: true, NextKeyMarker: 'up/c/', NextUploadIdMarker: '' })
    const rest = await client.send(
      new ListMultipartUploadsCommand({ Bucket, Prefix: 'up/', Delimiter: '/', KeyMarker: 'up/c/' }),
    )
    expect(rest.Uploads?.map(({ Key }) => Key)).toEqual(['up/\uffee', 'up/\u{1f600}'])
    const oddly = client.send(new ListMultipartUploadsCommand({ Bucket, EncodingType: 'base64' as 'url' }))
    expect(await refusal(oddly)).toBe('InvalidArgument 400')
    for (const [Key, UploadId] of begun) await client.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }))
    expect(await client.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'up/' }))).not.toHaveProperty('Uploads')
  })
})
