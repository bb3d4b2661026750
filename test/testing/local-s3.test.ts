import { createHash } from 'node:crypto'
import { request as httpRequest } from 'node:http'
import { Readable } from 'node:stream'
import {
  CopyObjectCommand,
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetBucketLocationCommand,
  GetBucketVersioningCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadBucketCommand,
  HeadObjectCommand,
  ListBucketsCommand,
  NoSuchKey,
  NotFound,
  PutBucketCorsCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { clientOf, failure, pieces, raw, sign, signedRaw } from './local-s3-tools.ts'

let cloud: LocalCloud
let client: S3Client
const Bucket = 'things'

beforeAll(async () => {
  cloud = await startLocalS3({ buckets: [Bucket] })
  client = clientOf(cloud)
})
afterAll(async () => {
  client.destroy()
  await cloud.stop()
})

async function put(Key: string, Body: string | Uint8Array, more: object = {}): Promise<string> {
  const { ETag = '' } = await client.send(new PutObjectCommand({ Bucket, Key, Body, ...more }))
  return ETag
}

async function textOf(Key: string, more: object = {}): Promise<string | undefined> {
  return (await client.send(new GetObjectCommand({ Bucket, Key, ...more }))).Body?.transformToString()
}

describe('objects', () => {
  test('an object comes back with its bytes, headers and metadata, and an ETag that is its MD5', async () => {
    const described = {
      ContentType: 'text/plain; charset=utf-8',
      CacheControl: 'max-age=60',
      ContentDisposition: 'attachment; filename="a.txt"',
      ContentEncoding: 'identity',
      ContentLanguage: 'de',
      Metadata: { one: '1', 'two-2': 'x y' },
    }
    const etag = await put('whole', 'hello', described)
    expect(etag).toBe(`"${createHash('md5').update('hello').digest('hex')}"`)
    const answer = await client.send(new GetObjectCommand({ Bucket, Key: 'whole' }))
    expect(answer).toMatchObject({ ...described, ETag: etag, ContentLength: 5, AcceptRanges: 'bytes' })
    expect(await answer.Body?.transformToString()).toBe('hello')
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'whole' }))
    expect(head).toMatchObject({ ...described, ETag: etag, ContentLength: 5 })
    expect(Math.abs(Number(head.LastModified) - Date.now())).toBeLessThan(5_000)
    expect(head.LastModified?.getMilliseconds()).toBe(0)
  })

  test('every answer has the headers of the service', async () => {
    await put('headers', 'x')
    for (const answer of [
      await signedRaw(cloud, 'GET', `/${Bucket}/headers`),
      await signedRaw(cloud, 'GET', `/${Bucket}/missing`),
      await raw(cloud, { method: 'GET', path: `/${Bucket}/headers` }),
    ]) {
      expect(answer.headers['x-amz-request-id']).toMatch(/^[0-9A-F]{16}$/)
      expect(answer.headers['x-amz-id-2']).toBeTruthy()
      expect(answer.headers.server).toBe('AmazonS3')
      expect(Date.parse(answer.headers.date ?? '')).toBeGreaterThan(0)
    }
  })

  test('a type of octets is what an object has that came without one', async () => {
    await signedRaw(cloud, 'PUT', `/${Bucket}/untyped`, 'x')
    expect((await client.send(new HeadObjectCommand({ Bucket, Key: 'untyped' }))).ContentType).toBe(
      'binary/octet-stream',
    )
  })

  test('keys of all kinds are kept as they are', async () => {
    const keys = [
      'a b',
      'ü/é',
      '日本',
      '😀',
      'plus+plus',
      'per%41cent',
      'a//b',
      '/lead',
      'trail/',
      'a/../b',
      './x',
      "q?#&=!'()*~",
      '\u0001',
    ]
    for (const Key of keys) {
      await put(Key, `at ${Key}`)
      expect(await textOf(Key)).toBe(`at ${Key}`)
    }
  })

  test('a missing key is a 404 with a body for GET and without one for HEAD', async () => {
    expect((await failure(textOf('nothing'))).error).toBeInstanceOf(NoSuchKey)
    const { error } = await failure(client.send(new HeadObjectCommand({ Bucket, Key: 'nothing' })))
    expect(error).toBeInstanceOf(NotFound)
    const answer = await signedRaw(cloud, 'HEAD', `/${Bucket}/nothing`)
    expect([answer.status, answer.body.byteLength]).toEqual([404, 0])
    expect(await failure(client.send(new GetObjectCommand({ Bucket: 'no-such', Key: 'x' })))).toMatchObject({
      name: 'NoSuchBucket',
      status: 404,
    })
  })

  test('a delete is the same whether there was something or not', async () => {
    await put('gone', 'x')
    for (let i = 0; i < 2; i++) {
      const { $metadata } = await client.send(new DeleteObjectCommand({ Bucket, Key: 'gone' }))
      expect($metadata.httpStatusCode).toBe(204)
    }
    expect((await failure(textOf('gone'))).name).toBe('NoSuchKey')
  })

  test('many deletes in one request: each on its own', async () => {
    const kept = await put('many/kept', 'x')
    await put('many/&<1>', 'x')
    await put('many/other', 'x')
    const answer = await client.send(
      new DeleteObjectsCommand({
        Bucket,
        Delete: {
          Objects: [
            { Key: 'many/&<1>' },
            { Key: 'many/never' },
            { Key: 'many/kept', ETag: '"00"' },
            { Key: 'many/other', ETag: kept },
          ],
        },
      }),
    )
    expect(answer.Deleted?.map(each => each.Key)).toEqual(['many/&<1>', 'many/never', 'many/other'])
    expect(answer.Errors).toMatchObject([{ Key: 'many/kept', Code: 'PreconditionFailed' }])
    expect(await textOf('many/kept')).toBe('x')
    expect((await failure(textOf('many/&<1>'))).name).toBe('NoSuchKey')
  })

  test('many deletes need a digest, a list that is XML, and at most 1,000 keys', async () => {
    const path = `/${Bucket}?delete`
    const document = (inner: string): string => `<Delete>${inner}</Delete>`
    const md5 = (text: string): string => createHash('md5').update(text).digest('base64')
    const ask = (text: string, digest: string | undefined) =>
      signedRaw(cloud, 'POST', path, text, digest === undefined ? {} : { headers: { 'content-md5': digest } })
    const one = document('<Object><Key>a</Key></Object>')
    expect((await ask(one, undefined)).code).toBe('InvalidRequest')
    expect((await ask(one, md5('other'))).code).toBe('BadDigest')
    expect((await ask(one, 'nonsense')).code).toBe('InvalidDigest')
    for (const bad of [
      '',
      'text',
      document(''),
      '<Delete>',
      `${one}${one}`,
      document('<Object><Key>a</Kez></Object>'),
      document('<Object><Key>&nbsp;</Key></Object>'),
      `<!DOCTYPE Delete [<!ENTITY a "aaaa">]>${document('<Object><Key>&a;</Key></Object>')}`,
      document('<Object><Key>a</Key></Object>'.repeat(1_001)),
      document(`<Object>${'<a>'.repeat(50)}${'</a>'.repeat(50)}</Object>`),
    ])
      expect([bad.slice(0, 60), (await ask(bad, md5(bad))).code]).toEqual([bad.slice(0, 60), 'MalformedXML'])
  })

  test('metadata outside ASCII comes back as an encoded word, and encoded words are decoded first', async () => {
    const headers = { 'x-amz-meta-word': '=?UTF-8?B?w7xiZXI=?=', 'x-amz-meta-plain': '=?UTF-8?Q?pl=61in?=' }
    await signedRaw(cloud, 'PUT', `/${Bucket}/words`, 'x', { headers })
    const answer = await signedRaw(cloud, 'GET', `/${Bucket}/words`)
    expect(answer.headers['x-amz-meta-word']).toBe('=?UTF-8?B?w7xiZXI=?=')
    expect(answer.headers['x-amz-meta-plain']).toBe('plain')
  })

  test('limits: a key of 1,024 bytes, metadata of 2,048, a body of 5 GiB', async () => {
    await put('k'.repeat(1_024), 'x')
    expect(await failure(put('k'.repeat(1_025), 'x'))).toMatchObject({ name: 'KeyTooLongError', status: 400 })
    expect(await failure(put('ü'.repeat(513), 'x'))).toMatchObject({ name: 'KeyTooLongError', status: 400 })
    await put('meta', 'x', { Metadata: { a: 'v'.repeat(2_047) } })
    expect(await failure(put('meta', 'x', { Metadata: { a: 'v'.repeat(2_048) } }))).toMatchObject({
      name: 'MetadataTooLarge',
      status: 400,
    })
    const headers = { 'content-length': String(5 * 1024 ** 3 + 1), expect: '100-continue' }
    expect((await signedRaw(cloud, 'PUT', `/${Bucket}/huge`, undefined, { headers })).code).toBe('EntityTooLarge')
  })

  test('a signed GET may choose headers of the answer', async () => {
    await put('overridden', 'x')
    const answer = await client.send(
      new GetObjectCommand({
        Bucket,
        Key: 'overridden',
        ResponseContentType: 'text/x-mine',
        ResponseContentDisposition: 'attachment',
        ResponseCacheControl: 'no-store',
      }),
    )
    expect(answer).toMatchObject({
      ContentType: 'text/x-mine',
      ContentDisposition: 'attachment',
      CacheControl: 'no-store',
    })
  })

  test('what is asked for and not done here is refused, not ignored', async () => {
    const headers = (name: string, value: string) => ({ headers: { [name]: value } })
    const path = `/${Bucket}/refused`
    const codes = await Promise.all([
      signedRaw(cloud, 'PUT', path, 'x', headers('x-amz-server-side-encryption-customer-algorithm', 'AES256')),
      signedRaw(cloud, 'PUT', path, 'x', headers('x-amz-write-offset-bytes', '0')),
      signedRaw(cloud, 'PUT', path, 'x', headers('x-amz-acl', 'public-read')),
      signedRaw(cloud, 'PUT', path, 'x', headers('x-amz-storage-class', 'CHEAP')),
      signedRaw(cloud, 'GET', `${path}?retention`),
      signedRaw(cloud, 'GET', `${path}?versionId=abc`),
    ])
    expect(codes.map(({ code }) => code)).toEqual([
      'NotImplemented',
      'NotImplemented',
      'AccessControlListNotSupported',
      'InvalidStorageClass',
      'NotImplemented',
      'InvalidArgument',
    ])
  })
})

describe('bodies', () => {
  test('a stream with the default settings of the SDK arrives: chunked with a trailing checksum', async () => {
    const Body = Readable.from(pieces(3_000_000))
    const answer = await client.send(new PutObjectCommand({ Bucket, Key: 'streamed', Body, ContentLength: 3_000_000 }))
    expect(answer.ChecksumCRC32).toBeTruthy()
    const [seen] = (await cloud.requests()).slice(-1)
    expect(seen?.headers['x-amz-content-sha256']).toBe('STREAMING-UNSIGNED-PAYLOAD-TRAILER')
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'streamed', ChecksumMode: 'ENABLED' }))
    expect(head).toMatchObject({ ContentLength: 3_000_000, ChecksumCRC32: answer.ChecksumCRC32 })
    expect(head.ContentEncoding).toBeUndefined()
    const answered = await client.send(new GetObjectCommand({ Bucket, Key: 'streamed' }))
    const bytes = Buffer.from((await answered.Body?.transformToByteArray()) ?? [])
    expect(bytes.equals(Buffer.concat(await Array.fromAsync(pieces(3_000_000))))).toBe(true)
  })

  test('Upload sends one part or several', async () => {
    for (const [Key, size, parts] of [
      ['one', 1_000_000, ''],
      ['several', 11_000_000, '-3'],
    ] as const) {
      const upload = new Upload({
        client,
        params: { Bucket, Key, Body: Readable.from(pieces(size)), Metadata: { by: 'upload' } },
      })
      const { ETag } = await upload.done()
      expect(ETag?.endsWith(`${parts}"`)).toBe(true)
      const head = await client.send(new HeadObjectCommand({ Bucket, Key }))
      expect(head).toMatchObject({ ContentLength: size, ETag, Metadata: { by: 'upload' } })
    }
  })

  test('an empty body is an object', async () => {
    await put('empty', '')
    const answer = await client.send(new GetObjectCommand({ Bucket, Key: 'empty' }))
    expect([answer.ContentLength, await answer.Body?.transformToString()]).toEqual([0, ''])
    const ranged = await signedRaw(cloud, 'GET', `/${Bucket}/empty`, undefined, { headers: { range: 'bytes=0-' } })
    expect([ranged.status, ranged.code]).toEqual([416, 'InvalidRange'])
  })

  test('a length must be known, and be kept', async () => {
    const path = `/${Bucket}/lengths`
    const chunkedByHttp = await signedRaw(cloud, 'PUT', path, undefined, {
      headers: { 'transfer-encoding': 'chunked' },
    })
    expect([chunkedByHttp.status, chunkedByHttp.code]).toEqual([501, 'NotImplemented'])
    expect((await failure(textOf('lengths'))).name).toBe('NoSuchKey')
  })

  test('a request that ends early stores nothing', async () => {
    const path = `/${Bucket}/broken`
    const { headers } = sign(cloud, 'PUT', path, { headers: { 'content-length': '2000000' } })
    const request = httpRequest({ host: '127.0.0.1', port: cloud.port, method: 'PUT', path, headers, agent: false })
    const ended = new Promise<void>(resolve => request.on('close', resolve))
    request.on('error', () => {})
    request.write(Buffer.alloc(1_000_000), () => request.destroy())
    await ended
    await expect.poll(async () => (await cloud.requests()).at(-1)?.status).toBeDefined()
    expect((await failure(textOf('broken'))).name).toBe('NoSuchKey')
  })
})

describe('ranges', () => {
  const content = '0123456789'
  beforeAll(() => put('ranged', content))

  test.each([
    ['bytes=0-0', '0', 'bytes 0-0/10'],
    ['bytes=2-4', '234', 'bytes 2-4/10'],
    ['bytes=7-', '789', 'bytes 7-9/10'],
    ['bytes=-3', '789', 'bytes 7-9/10'],
    ['bytes=-99', content, 'bytes 0-9/10'],
    ['bytes=5-999', '56789', 'bytes 5-9/10'],
  ])('%s is %s', async (Range, expected, contentRange) => {
    const answer = await client.send(new GetObjectCommand({ Bucket, Key: 'ranged', Range }))
    expect(answer).toMatchObject({ ContentRange: contentRange, ContentLength: expected.length })
    expect(answer.$metadata.httpStatusCode).toBe(206)
    expect(await answer.Body?.transformToString()).toBe(expected)
    expect(await client.send(new HeadObjectCommand({ Bucket, Key: 'ranged', Range }))).toMatchObject({
      ContentLength: expected.length,
    })
  })

  test.each(['bytes=10-', 'bytes=-0', 'bytes=99-100'])('%s is refused', async Range => {
    expect(await failure(textOf('ranged', { Range }))).toMatchObject({ name: 'InvalidRange', status: 416 })
    const answer = await signedRaw(cloud, 'GET', `/${Bucket}/ranged`, undefined, { headers: { range: Range } })
    expect(answer.headers['content-range']).toBe('bytes */10')
  })

  test.each(['bytes=4-2', 'bytes=0-1,3-4', 'lines=1-2', 'bytes=a-b', 'bytes=-'])('%s is ignored', async Range => {
    const answer = await client.send(new GetObjectCommand({ Bucket, Key: 'ranged', Range }))
    expect([answer.$metadata.httpStatusCode, await answer.Body?.transformToString()]).toEqual([200, content])
  })

  test('a part of an object that was not uploaded in parts is all of it', async () => {
    const answer = await client.send(new GetObjectCommand({ Bucket, Key: 'ranged', PartNumber: 1 }))
    expect(answer).toMatchObject({ ContentRange: 'bytes 0-9/10', ContentLength: 10 })
    expect(answer.$metadata.httpStatusCode).toBe(206)
    expect(await failure(textOf('ranged', { PartNumber: 2 }))).toMatchObject({ name: 'InvalidPartNumber', status: 416 })
    expect((await failure(textOf('ranged', { PartNumber: 1, Range: 'bytes=0-1' }))).name).toBe('InvalidRequest')
  })
})

describe('attributes', () => {
  test('are those that were asked for', async () => {
    const etag = await put('attributes', 'x', { ChecksumAlgorithm: 'SHA256' })
    const answer = await client.send(
      new GetObjectAttributesCommand({
        Bucket,
        Key: 'attributes',
        ObjectAttributes: ['ETag', 'Checksum', 'ObjectSize', 'StorageClass'],
      }),
    )
    expect(answer).toMatchObject({
      ETag: etag.replaceAll('"', ''),
      ObjectSize: 1,
      StorageClass: 'STANDARD',
      Checksum: { ChecksumSHA256: createHash('sha256').update('x').digest('base64'), ChecksumType: 'FULL_OBJECT' },
    })
    expect(answer.LastModified).toBeInstanceOf(Date)
    const missing = client.send(new GetObjectAttributesCommand({ Bucket, Key: 'none', ObjectAttributes: ['ETag'] }))
    expect((await failure(missing)).name).toBe('NoSuchKey')
  })
})

describe('copies', () => {
  test('a copy has the bytes, headers and metadata of its source, or new ones', async () => {
    const etag = await put('source/ü +', 'copied', { ContentType: 'text/a', Metadata: { of: 'source' } })
    const CopySource = `${Bucket}/${encodeURIComponent('source/ü +')}`
    const { CopyObjectResult } = await client.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource }))
    expect(CopyObjectResult?.ETag).toBe(etag)
    const copy = await client.send(new GetObjectCommand({ Bucket, Key: 'copy' }))
    expect(copy).toMatchObject({ ContentType: 'text/a', Metadata: { of: 'source' }, ETag: etag })
    expect(await copy.Body?.transformToString()).toBe('copied')
    const replacing = { MetadataDirective: 'REPLACE', ContentType: 'text/b', Metadata: { of: 'copy' } } as const
    await client.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `/${Bucket}/copy`, ...replacing }))
    expect(await client.send(new HeadObjectCommand({ Bucket, Key: 'copy' }))).toMatchObject({
      ContentType: 'text/b',
      Metadata: { of: 'copy' },
    })
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'source/ü +' }))
    expect(await textOf('copy')).toBe('copied')
  })

  test('a copy of an object of parts is one piece: another ETag, a checksum of the whole', async () => {
    await new Upload({ client, params: { Bucket, Key: 'in-parts', Body: Readable.from(pieces(6_000_000)) } }).done()
    const { CopyObjectResult } = await client.send(
      new CopyObjectCommand({ Bucket, Key: 'in-one', CopySource: `${Bucket}/in-parts`, ChecksumAlgorithm: 'SHA256' }),
    )
    const whole = Buffer.concat(await Array.fromAsync(pieces(6_000_000)))
    expect(CopyObjectResult).toMatchObject({
      ETag: `"${createHash('md5').update(whole).digest('hex')}"`,
      ChecksumSHA256: createHash('sha256').update(whole).digest('base64'),
      ChecksumType: 'FULL_OBJECT',
    })
  })

  test('a copy onto itself must change something; a source must be there', async () => {
    await put('self', 'x')
    const copy = (CopySource: string) =>
      failure(client.send(new CopyObjectCommand({ Bucket, Key: 'self', CopySource })))
    expect((await copy(`${Bucket}/self`)).name).toBe('InvalidRequest')
    expect((await copy(`${Bucket}/none`)).name).toBe('NoSuchKey')
    expect((await copy(`nowhere/none`)).name).toBe('NoSuchBucket')
    expect((await copy(`nonsense`)).name).toBe('InvalidArgument')
  })
})

describe('buckets', () => {
  test('are created, found, listed and deleted', async () => {
    await client.send(new CreateBucketCommand({ Bucket: 'another' }))
    await client.send(new HeadBucketCommand({ Bucket: 'another' }))
    expect((await client.send(new ListBucketsCommand({}))).Buckets?.map(({ Name }) => Name)).toEqual([
      'another',
      Bucket,
    ])
    expect((await client.send(new GetBucketLocationCommand({ Bucket: 'another' }))).LocationConstraint).toBeUndefined()
    await client.send(new PutObjectCommand({ Bucket: 'another', Key: 'k', Body: 'x' }))
    expect((await failure(client.send(new DeleteBucketCommand({ Bucket: 'another' })))).name).toBe('BucketNotEmpty')
    await client.send(new DeleteObjectCommand({ Bucket: 'another', Key: 'k' }))
    await client.send(new DeleteBucketCommand({ Bucket: 'another' }))
    expect(await failure(client.send(new HeadBucketCommand({ Bucket: 'another' })))).toMatchObject({ status: 404 })
    expect(await failure(client.send(new PutObjectCommand({ Bucket: 'another', Key: 'k', Body: 'x' })))).toMatchObject({
      name: 'NoSuchBucket',
      status: 404,
    })
  })

  test('created again they answer as their region does', async () => {
    await client.send(new CreateBucketCommand({ Bucket }))
    const elsewhere = clientOf(cloud, { region: 'eu-west-1' })
    expect(await failure(elsewhere.send(new CreateBucketCommand({ Bucket })))).toMatchObject({
      name: 'BucketAlreadyOwnedByYou',
      status: 409,
    })
    expect((await failure(client.send(new CreateBucketCommand({ Bucket: 'Bad_Name' })))).name).toBe('InvalidBucketName')
  })

  test('have no configurations here', async () => {
    const cors = new PutBucketCorsCommand({
      Bucket,
      CORSConfiguration: { CORSRules: [{ AllowedMethods: ['GET'], AllowedOrigins: ['*'] }] },
    })
    expect(await failure(client.send(cors))).toMatchObject({ name: 'NotImplemented', status: 501 })
    expect(await failure(client.send(new GetBucketVersioningCommand({ Bucket })))).toMatchObject({
      name: 'NotImplemented',
      status: 501,
    })
  })

  test('a browser may ask first, and may read what it needs', async () => {
    const asking = {
      origin: 'https://app.example',
      'access-control-request-method': 'PUT',
      'access-control-request-headers': 'content-type,x-amz-meta-a',
    }
    const allowed = await raw(cloud, { method: 'OPTIONS', path: `/${Bucket}/from-browser`, headers: asking })
    expect(allowed.status).toBe(200)
    expect(allowed.headers['access-control-allow-origin']).toBe('*')
    expect(allowed.headers['access-control-allow-methods']).toContain('PUT')
    expect(allowed.headers['access-control-allow-headers']).toBe('content-type,x-amz-meta-a')
    const sent = await signedRaw(cloud, 'PUT', `/${Bucket}/from-browser`, 'x', {
      headers: { origin: 'https://app.example' },
    })
    expect(sent.headers['access-control-expose-headers']).toContain('etag')
    expect(sent.headers['access-control-allow-origin']).toBe('*')
  })
})
