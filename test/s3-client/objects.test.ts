import { once } from 'node:events'
import type { Readable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { withHoldfast } from '../../src/s3-client/index.ts'
import { bucket, other, refusal, startWorld, type World } from './world.ts'

let world: World
beforeAll(async () => {
  world = await startWorld()
  await world.s3.putObject({
    Bucket: bucket,
    Key: 'hello',
    Body: 'hello',
    ContentType: 'text/plain',
    Metadata: { A: 'ü' },
  })
})
afterAll(() => world[Symbol.asyncDispose]())

describe('the body of an answer', () => {
  const body = async () => {
    const { Body } = await world.s3.getObject({ Bucket: bucket, Key: 'hello' })
    if (Body === undefined) throw new Error('no body')
    return Body
  }

  test('comes as text, as bytes, as a web stream, by iteration, in an encoding', async () => {
    expect(await (await body()).transformToString()).toBe('hello')
    expect(await (await body()).transformToString('base64')).toBe('aGVsbG8=')
    expect(await (await body()).transformToString('utf-16le')).toHaveLength(2)
    expect(Buffer.from(await (await body()).transformToByteArray()).toString()).toBe('hello')
    expect(await new Response((await body()).transformToWebStream() as unknown as ReadableStream).text()).toBe('hello')
    const chunks: Buffer[] = []
    for await (const chunk of (await body()) as Readable) chunks.push(chunk as Buffer)
    expect(Buffer.concat(chunks).toString()).toBe('hello')
    expect(chunks.every(chunk => Buffer.isBuffer(chunk))).toBe(true)
  })

  test.each(['transformToByteArray', 'transformToString', 'transformToWebStream'] as const)(
    'that breaks off rejects %s, and nothing else: no event is left without a listener, which would end the process',
    async way => {
      const uncaught: unknown[] = []
      const hear = (error: unknown): number => uncaught.push(error)
      process.on('uncaughtException', hear)
      try {
        const control = new AbortController()
        const { Body } = await world.s3.getObject({ Bucket: bucket, Key: 'hello' }, { abortSignal: control.signal })
        control.abort()
        const read = async (): Promise<unknown> => {
          const all = Body?.[way]()
          return all instanceof ReadableStream ? await new Response(all).text() : await all
        }
        expect(await refusal(read())).toMatchObject({ name: 'AbortError' })
        await new Promise(resolve => setTimeout(resolve, 20))
      } finally {
        process.off('uncaughtException', hear)
      }
      expect(uncaught).toEqual([])
    },
  )

  test('is given once', async () => {
    const once = await body()
    await once.transformToString()
    await expect(once.transformToString()).rejects.toThrow('already been transformed')
    await expect(async () => once.transformToWebStream()).rejects.toThrow()
  })

  test('that is read by its stream ends with end and close, and destroyed lets go of its connection', async () => {
    const read = (await body()) as Readable
    read.resume()
    await once(read, 'close')
    expect(read.readableEnded).toBe(true)
    await world.s3.putObject({ Bucket: bucket, Key: 'large', Body: Buffer.alloc(20_000_000) })
    await world.store.drain({ until: 'verified' })
    const { Body } = await world.s3.getObject({ Bucket: bucket, Key: 'large' })
    const left = Body as Readable
    await once(left, 'readable')
    left.destroy()
    await once(left, 'close')
    expect(left.readableEnded).toBe(false)
  })
})

describe('a copy', () => {
  test('to a bucket without a store has the newest bytes, which the primary may not have yet', async () => {
    await world.first.fault({ match: { bucket, method: 'PUT' }, fault: { kind: 'status', status: 503 } })
    await world.s3.putObject({ Bucket: bucket, Key: 'new', Body: 'newest', Metadata: { a: 'b' } })
    const { CopyObjectResult } = await world.s3.copyObject({ Bucket: other, Key: 'out', CopySource: `/${bucket}/new` })
    await world.first.heal()
    const got = await world.plain.getObject({ Bucket: other, Key: 'out' })
    expect(got).toMatchObject({ ETag: CopyObjectResult?.ETag, Metadata: { a: 'b' } })
    expect(await got.Body?.transformToString()).toBe('newest')
    const { UploadId } = await world.s3.createMultipartUpload({ Bucket: other, Key: 'parts' })
    const part = { Bucket: other, Key: 'parts', UploadId, PartNumber: 1 }
    const { CopyPartResult } = await world.s3.uploadPartCopy({
      ...part,
      CopySource: `${bucket}/new`,
      CopySourceRange: 'bytes=1-3',
    })
    const Parts = [{ PartNumber: 1, ETag: CopyPartResult?.ETag }]
    await world.s3.completeMultipartUpload({ ...part, MultipartUpload: { Parts } })
    expect(await (await world.plain.getObject({ Bucket: other, Key: 'parts' })).Body?.transformToString()).toBe('ewe')
  })

  test('from a bucket without a store is a write like any other, with the tags of its source', async () => {
    await world.plain.putObject({
      Bucket: other,
      Key: 'in put',
      Body: 'from outside',
      CacheControl: 'no-store',
      Tagging: 'a=1',
    })
    await world.s3.copyObject({ Bucket: bucket, Key: 'in', CopySource: encodeURIComponent(`${other}/in put`) })
    const got = await world.s3.getObject({ Bucket: bucket, Key: 'in' })
    expect(got.CacheControl).toBe('no-store')
    expect(await got.Body?.transformToString()).toBe('from outside')
    await world.store.drain()
    const { TagSet } = await world.plain.getObjectTagging({ Bucket: bucket, Key: 'in' })
    expect(TagSet).toEqual([{ Key: 'a', Value: '1' }])
    const version = await refusal(
      world.s3.copyObject({ Bucket: bucket, Key: 'x', CopySource: `${bucket}/hello?versionId=v1` }),
    )
    expect(version).toMatchObject({ name: 'NotImplemented' })
  })

  test('is refused as S3 refuses it where the source has tags that nobody may read, unless it may go without them', async () => {
    await using world = await startWorld()
    await world.s3.putObject({ Bucket: bucket, Key: 'tagged', Body: 'a', Tagging: 'kind=cat' })
    await world.store.drain()
    const fault = { kind: 'status', status: 403, code: 'AccessDenied' } as const
    await world.first.fault({ match: { operation: 'GetObjectTagging' }, fault })
    const copy = { Bucket: bucket, Key: 'copy', CopySource: `${bucket}/tagged` }
    await expect(world.s3.copyObject(copy)).rejects.toMatchObject({ name: 'AccessDenied' })
    expect(await world.store.head('copy')).toBeUndefined()
    const relaxed = withHoldfast(world.client(), { [bucket]: world.store }, { relax: ['Tagging'] })
    await relaxed.copyObject(copy)
    expect((await world.store.head('copy'))?.size).toBe(1)
  })
})

describe('a listing', () => {
  test('goes on after a common prefix, and takes no token of others', async () => {
    for (const Key of ['l/a/1', 'l/a/2', 'l/b', 'l/c/1']) await world.s3.putObject({ Bucket: bucket, Key, Body: 'x' })
    const input = { Bucket: bucket, Prefix: 'l/', Delimiter: '/', MaxKeys: 1 }
    const names: (string | undefined)[] = []
    let ContinuationToken: string | undefined
    do {
      const page = await world.s3.listObjectsV2({ ...input, ContinuationToken })
      expect(page.KeyCount).toBe(1)
      names.push(page.CommonPrefixes?.[0]?.Prefix ?? page.Contents?.[0]?.Key)
      ContinuationToken = page.NextContinuationToken
    } while (ContinuationToken !== undefined)
    expect(names).toEqual(['l/a/', 'l/b', 'l/c/'])
    expect((await refusal(world.s3.listObjectsV2({ ...input, ContinuationToken: 'abc' }))).name).toBe('InvalidArgument')
  })
})

test('an error says what the store said, in S3’s word', async () => {
  const denied = await refusal(world.s3.putObject({ Bucket: bucket, Key: '.holdfast/x', Body: '' }))
  expect(denied).toMatchObject({ name: 'InvalidArgument', cause: { code: 'INVALID', rule: 'reserved' } })
  const Body = (await import('node:stream')).Readable.from(
    (async function* () {
      yield Buffer.from('x')
      throw new Error('the disk of the app')
    })(),
  )
  expect((await refusal(world.s3.putObject({ Bucket: bucket, Key: 'k', Body }))).message).toBe('the disk of the app')
})

test('a delete of many keys says of each what became of it: what is refused is no deleted one', async () => {
  const { s3 } = world
  for (const Key of ['one', 'two']) await s3.putObject({ Bucket: bucket, Key, Body: Key })
  const Objects = [{ Key: 'one', ETag: '"00"' }, { Key: 'two' }]
  const answer = await s3.deleteObjects({ Bucket: bucket, Delete: { Objects } })
  expect(answer.Deleted).toEqual([{ Key: 'two' }])
  expect(answer.Errors).toMatchObject([{ Key: 'one', Code: 'PreconditionFailed' }])
  expect(await s3.headObject({ Bucket: bucket, Key: 'one' })).toMatchObject({ ContentLength: 3 })
})

describe('what code without types gives', () => {
  const untyped = (given: object): never => given as never

  test('as text where a number is to be, or as a number for a key, is taken as the SDK takes it', async () => {
    const { s3 } = world
    await s3.putObject(untyped({ Bucket: bucket, Key: 5, Body: 'abc', ContentLength: '3' }))
    const { Body } = await s3.getObject(untyped({ Bucket: bucket, Key: '5', PartNumber: '1' }))
    expect(await Body?.transformToString()).toBe('abc')
    const short = s3.putObject(untyped({ Bucket: bucket, Key: '5', Body: 'abc', ContentLength: '2' }))
    expect(await refusal(short)).toMatchObject({ name: 'IncompleteBody' })
    expect(await s3.listObjectsV2(untyped({ Bucket: bucket, MaxKeys: '1' }))).toMatchObject({ MaxKeys: 1, KeyCount: 1 })
    const { UploadId } = await s3.createMultipartUpload({ Bucket: bucket, Key: 'parts' })
    const part = { Bucket: bucket, Key: 'parts', UploadId, PartNumber: '1', Body: 'abc', ContentLength: '3' }
    await s3.uploadPart(untyped(part))
    const { Parts } = await s3.listParts(untyped({ Bucket: bucket, Key: 'parts', UploadId, MaxParts: '1' }))
    expect(Parts).toMatchObject([{ PartNumber: 1, Size: 3 }])
    await s3.abortMultipartUpload({ Bucket: bucket, Key: 'parts', UploadId })
  })

  test('as the text of a date stays that text', async () => {
    for (const Expires of ['soon', '2030-01-02', new Date(0)]) {
      await world.s3.putObject(untyped({ Bucket: bucket, Key: 'expires', Body: 'a', Expires }))
      const { ExpiresString } = await world.s3.headObject({ Bucket: bucket, Key: 'expires' })
      expect(ExpiresString).toBe(Expires instanceof Date ? 'Thu, 01 Jan 1970 00:00:00 GMT' : Expires)
    }
  })

  test('as null in a DeleteObjects is not given', async () => {
    const { s3 } = world
    const Objects = [{ Key: 'not there', ETag: null, VersionId: null }]
    expect(await s3.deleteObjects(untyped({ Bucket: bucket, Delete: { Objects, Quiet: null } }))).toMatchObject({
      Deleted: [{ Key: 'not there' }],
    })
    for (const wrong of [null, [null], []])
      expect(await refusal(s3.deleteObjects(untyped({ Bucket: bucket, Delete: { Objects: wrong } })))).toMatchObject({
        name: 'MalformedXML',
      })
  })

  test.each([
    ['ACL', 'publik'],
    ['ObjectLockMode', 'compliance'],
    ['ObjectLockLegalHoldStatus', 'on'],
  ])(
    'as one of the values that %s has for good is refused where it is none, before anything is stored',
    async (field, value) => {
      await using world = await startWorld()
      const input = { Bucket: bucket, Key: 'k', Body: 'x', [field]: value }
      const refused = { name: 'InvalidArgument', ArgumentValue: value, $metadata: { httpStatusCode: 400 } }
      await expect(world.s3.putObject(input)).rejects.toMatchObject(refused)
      await expect(world.s3.createMultipartUpload(input)).rejects.toMatchObject(refused)
      expect((await world.store.status()).accepted).toBe(0)
      expect(await world.store.uploads.list()).toEqual([])
    },
  )

  test('as a value that no service takes is the fault of the value, not of a feature', async () => {
    const put = world.s3.putObject({ Bucket: bucket, Key: 'tags', Body: 'a', Tagging: 'a=b&a=c' })
    expect(await refusal(put)).toMatchObject({ name: 'InvalidArgument', $metadata: { httpStatusCode: 400 } })
  })
})
