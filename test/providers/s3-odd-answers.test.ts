import { createHash } from 'node:crypto'
import { S3Client } from '@aws-sdk/client-s3'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { etagOfParts } from '../../src/core/layout.ts'
import type { Provider, PutRequest } from '../../src/core/provider.ts'
import { s3 } from '../../src/providers/s3.ts'

import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import {
  all,
  type Answer,
  amazonAt,
  errorOf,
  everything,
  named,
  ofObject,
  putOf,
  type Recorder,
  reply,
  secrets,
  startRecorder,
} from './s3-recorder.ts'

// Answers that carry the headers of S3 and are none: of a proxy that repeats headers, of a service with a bug, of a client with ideas of its own.

const { signal } = new AbortController()
let server: Recorder
let provider: Provider

beforeEach(async () => {
  server = await startRecorder(reply(200, ofObject))
  provider = await amazonAt(server.endpoint)
})

afterEach(() => server[Symbol.asyncDispose]())

const xml = { ...named, 'content-type': 'application/xml' }
const page = '<!DOCTYPE html><html><body>Back soon.</body></html>'
const md5Of = (bytes: Uint8Array | undefined): string =>
  createHash('md5')
    .update(bytes ?? '')
    .digest('hex')

describe('an upload in parts', () => {
  const body = 'one part'
  const large = (): PutRequest => ({ ...putOf('k', body), parts: [{ count: 1, bytes: body.length }], inParts: true })
  const begun = '<InitiateMultipartUploadResult><UploadId>u1</UploadId></InitiateMultipartUploadResult>'
  const etag = etagOfParts([md5Of(Buffer.from(body))])
  const ended = (said: string): Answer =>
    reply(200, xml, `<CompleteMultipartUploadResult><ETag>&quot;${said}&quot;</ETag></CompleteMultipartUploadResult>`)

  /** Answers as S3 does, but for what is said here. */
  function answering(odd: Partial<Record<'begin' | 'part' | 'end', Answer>>): void {
    server.answer = async (request, response, seen) => {
      const query = new URL(seen.url, server.endpoint).searchParams
      if (seen.method === 'POST' && query.has('uploads'))
        return (odd.begin ?? reply(200, xml, begun))(request, response, seen)
      if (seen.method === 'POST') return (odd.end ?? ended(etag))(request, response, seen)
      if (seen.method === 'DELETE') return reply(204, named)(request, response, seen)
      if (seen.method === 'HEAD')
        return reply(200, { ...ofObject, 'content-length': String(body.length) })(request, response, seen)
      if (odd.part !== undefined) return odd.part(request, response, seen)
      const chunks: Buffer[] = []
      for await (const chunk of request) chunks.push(chunk as Buffer)
      response.writeHead(200, { ...named, etag: `"${md5Of(Buffer.concat(chunks))}"` }).end()
    }
  }

  test('that S3 answers as it does is stored, and its parts are proven', async () => {
    answering({})
    expect(await provider.put(large(), signal)).toMatchObject({ token: etag, proof: 'server-parts' })
  })

  test.each([
    ['a page', page],
    ['another result', '<CopyObjectResult><ETag>&quot;a&quot;</ETag></CopyObjectResult>'],
  ])(
    'that ends with a 200 and %s, request id and all, is not done as far as anybody knows (N12, I2, I15)',
    async (_what, text) => {
      answering({ end: reply(200, { ...named, 'content-type': 'text/html' }, text) })
      expect(await errorOf(provider.put(large(), signal))).toMatchObject({
        code: 'UNAVAILABLE',
        reason: 'NOT_PROVIDER',
        message: expect.stringContaining('no result'),
        outcome: 'unknown',
        retryable: true,
      })
    },
  )

  test('that ends as an object of other parts holds other bytes, and nobody knows what is there (I2, I24)', async () => {
    answering({ end: ended(etagOfParts([md5Of(Buffer.from('other'))])) })
    expect(await errorOf(provider.put(large(), signal))).toMatchObject({
      code: 'CHECKSUM',
      reason: 'DIGEST',
      outcome: 'unknown',
      retryable: true,
    })
  })

  test('that begins without an id was not begun by S3', async () => {
    answering({ begin: reply(200, xml, '<InitiateMultipartUploadResult></InitiateMultipartUploadResult>') })
    expect(await errorOf(provider.put(large(), signal))).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'NOT_PROVIDER',
      message: expect.stringContaining('without an upload id'),
    })
  })

  test('of which a part is answered without an ETag is not there', async () => {
    answering({ part: reply(200, named) })
    expect(await errorOf(provider.put(large(), signal))).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'NOT_PROVIDER',
      message: expect.stringContaining('without an ETag'),
    })
  })

  test('of which a part became other bytes never becomes an object (I2, I24)', async () => {
    answering({ part: reply(200, { ...named, etag: `"${md5Of(Buffer.from('other'))}"` }) })
    expect(await errorOf(provider.put(large(), signal))).toMatchObject({
      code: 'CHECKSUM',
      reason: 'DIGEST',
      outcome: 'rejected',
      retryable: true,
    })
    expect(server.requests.filter(({ method, url }) => method === 'POST' && !url.includes('uploads'))).toEqual([])
  })
})

describe('a body in pieces without a length', () => {
  const cut =
    (text: string): Answer =>
    (request, response) => {
      request.resume()
      response.writeHead(206, { ...ofObject, 'content-range': 'bytes 0-3/10', 'transfer-encoding': 'chunked' })
      response.end(text)
    }
  const four = { key: 'k', range: { start: 0, end: 4 }, token: undefined }

  test.each([
    ['more', 'bytes', 'PROTOCOL', 'sent more than the 4 bytes announced'],
    ['fewer', 'byt', 'NETWORK', 'ended after 3 of 4 bytes'],
  ])('that has %s bytes than its range is not one (I24)', async (_what, text, reason, words) => {
    server.answer = cut(text)
    const found = await provider.get(four, signal)
    expect(await errorOf(all(found?.body ?? []))).toMatchObject({
      code: 'UNAVAILABLE',
      reason,
      message: expect.stringContaining(words),
    })
  })
})

test('a listing with a prefix that has no name is an error of protocol (N13)', async () => {
  const text =
    '<ListBucketResult><Name>main</Name><IsTruncated>false</IsTruncated><CommonPrefixes><Other>a/</Other></CommonPrefixes></ListBucketResult>'
  server.answer = reply(200, xml, text)
  expect(await errorOf(all(provider.list({ ...everything, delimiter: '/' }, signal)))).toMatchObject({
    code: 'UNAVAILABLE',
    reason: 'PROTOCOL',
    message: expect.stringContaining('prefix without a name'),
  })
})

test('nothing is sent where a condition would not be held', async () => {
  await provider.learn({ ...provider.capabilities, replaceIf: false, createIfAbsent: false }, signal)
  const over = putOf('k', 'body', { condition: { token: 'e' } })
  expect(await errorOf(provider.put(over, signal))).toMatchObject({
    code: 'UNSUPPORTED',
    outcome: 'rejected',
    key: 'k',
  })
  const request = { method: 'PUT', key: 'k', expiresInSeconds: 60, createOnly: true } as Parameters<Provider['sign']>[0]
  expect(await errorOf(provider.sign(request, signal))).toMatchObject({ code: 'UNSUPPORTED', outcome: 'rejected' })
  expect(server.requests).toEqual([])
})

describe('a client of the user', () => {
  const own = (): S3Client =>
    new S3Client({ endpoint: server.endpoint, region: 'us-east-1', forcePathStyle: true, credentials: secrets })

  test('that answers by itself is not believed: nothing was stored (I2)', async () => {
    const client = own()
    client.middlewareStack.add(
      () => async () => ({ response: {}, output: { $metadata: {}, ETag: '"5d41402abc4b2a76b9719d911017c592"' } }),
      { name: 'cache', step: 'finalizeRequest', priority: 'high' },
    )
    const cached = s3({ bucket: 'main', client })
    await cached.learn(provider.capabilities, signal)
    expect(await errorOf(cached.put(putOf('k', 'hello'), signal))).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'NOT_PROVIDER',
      outcome: 'unknown',
      message: expect.stringContaining('something in the client'),
    })
    expect(server.requests).toEqual([])
  })

  test('whose retries are not where they can be switched off for a call is refused at once', () => {
    const client = own()
    client.middlewareStack.remove('retryMiddleware')
    client.middlewareStack.add(next => next, { name: 'retryMiddleware', step: 'build', priority: 'high' })
    expect(() => s3({ bucket: 'main', client })).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED', field: 'client', rule: 'retries', outcome: 'rejected' }),
    )
  })

  test('of an older release, which has no protocol, is refused at once', () => {
    const client = own()
    Object.assign(client.config, { protocol: undefined })
    expect(() => s3({ bucket: 'main', client })).toThrow(
      expect.objectContaining({ code: 'INVALID', field: 'client', rule: 'release' }),
    )
  })

  test('behind which keys are listed by other names than they were put has a service that is of no use', async () => {
    const cloud = await startLocalS3({ buckets: ['main'] })
    try {
      const { id: accessKeyId, secret: secretAccessKey } = cloud.credentials
      const client = new S3Client({
        endpoint: cloud.endpoint,
        region: 'us-east-1',
        forcePathStyle: true,
        credentials: { accessKeyId, secretAccessKey },
      })
      client.middlewareStack.add(
        next => async args => {
          const result = await next(args)
          const response = result.response as { body?: unknown }
          const chunks: Buffer[] = []
          for await (const chunk of response.body as AsyncIterable<Buffer>) chunks.push(chunk)
          const text = Buffer.concat(chunks).toString()
          response.body = Buffer.from(text.replaceAll(/(<Key>[^<]*)(?=<\/Key>)/g, '$1x'))
          return result
        },
        { name: 'renames', step: 'deserialize', priority: 'low' },
      )
      const renaming = s3({ bucket: 'main', client })
      expect(await errorOf(renaming.learn(undefined, signal))).toMatchObject({
        code: 'UNAVAILABLE',
        reason: 'PROTOCOL',
        message: expect.stringMatching(/lists ".*é" as ".*éx"/),
      })
    } finally {
      await cloud.stop()
    }
  })
})
