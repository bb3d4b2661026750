import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import type { Provider } from '../../src/core/provider.ts'
import { bytesSource, type Source } from '../../src/core/source.ts'
import { azure } from '../../src/providers/azure.ts'
import { gcs } from '../../src/providers/gcs.ts'
import { memory } from '../../src/providers/memory.ts'
import { blobProof, proof, type Recorder, reply, startRecorder } from './azure-recorder.ts'
import { bearer } from './gcs-support.ts'
import { errorOf, putOf } from './s3-recorder.ts'

// Services whose answers do not fit what they were asked, clients that are not what they seem, and bodies that are not what they announce.

const { signal } = new AbortController()
let server: Recorder

beforeEach(async () => {
  server = await startRecorder(reply(200, blobProof))
})

afterEach(() => server[Symbol.asyncDispose]())

/** A body that gives other chunks than those of `announced`. */
function giving(announced: string, ...chunks: readonly string[]): Source {
  const bytes = Buffer.from(announced)
  return {
    ...bytesSource(bytes, digestsOf(bytes)),
    async *open() {
      for (const chunk of chunks) yield Buffer.from(chunk)
    },
  }
}

describe('a body', () => {
  test.each([
    ['gives more bytes than it announced', giving('body', 'bod', 'ies'), 'more than 4 bytes came'],
    ['gives fewer bytes than it announced', giving('body', 'bod'), '3 of 4 bytes came'],
    ['announces a CRC32C of other bytes', giving('body', 'BODY'), 'CRC32C'],
    ['announces an MD5 of other bytes', { ...giving('body', 'body'), md5: '0'.repeat(32) }, 'MD5'],
  ])('that %s is not stored (I7)', async (_what, source, words) => {
    const provider = memory()
    expect(await errorOf(provider.put({ ...putOf('k', ''), source }, signal))).toMatchObject({
      code: 'CHECKSUM',
      reason: 'DIGEST',
      outcome: 'rejected',
      message: expect.stringContaining(words),
    })
    expect(await provider.head('k', signal)).toBeUndefined()
  })
})

describe('Azure', () => {
  const accountKey = Buffer.from('a key of nobody').toString('base64')
  const account = new StorageSharedKeyCredential('account', accountKey)
  const at = (): Provider =>
    azure({ container: 'box', endpoint: server.endpoint, accountName: 'account', accountKey, singleShotBytes: 0 })
  const md5Of = (text: string): string => Buffer.from(digestsOf(Buffer.from(text)).md5, 'hex').toString('base64')

  test('that says another MD5 of a block than was sent has other bytes (I2, I24)', async () => {
    server.answer = reply(201, { ...proof, 'content-md5': md5Of('other') })
    expect(await errorOf(at().put(putOf('k', 'body'), signal))).toMatchObject({
      code: 'CHECKSUM',
      reason: 'DIGEST',
      outcome: 'rejected',
      message: expect.stringContaining('of a block'),
    })
    expect(server.requests.filter(({ url }) => url.includes('comp=blocklist'))).toEqual([])
  })

  test('that puts another length together than was sent holds other bytes, and nobody knows what is there (I2, I24)', async () => {
    server.answer = (request, response, seen) => {
      if (seen.method === 'HEAD') return reply(200, { ...blobProof, 'content-length': '3' })(request, response, seen)
      const said = seen.url.includes('comp=blocklist') ? blobProof : { ...proof, 'content-md5': md5Of('body') }
      return reply(201, said)(request, response, seen)
    }
    expect(await errorOf(at().put(putOf('k', 'body'), signal))).toMatchObject({
      code: 'CHECKSUM',
      reason: 'DIGEST',
      outcome: 'unknown',
      message: expect.stringContaining('3 bytes instead of 4'),
    })
  })

  test('is not asked for a range without bytes', async () => {
    const nothing = { key: 'k', range: { start: 2, end: 2 }, token: undefined }
    expect(await errorOf(at().get(nothing, signal))).toMatchObject({ code: 'INVALID', reason: 'RANGE', rule: 'end' })
    expect(server.requests).toEqual([])
  })

  test.each([
    ['a pipeline that cannot be read', { pipeline: {} }],
    ['credentials that its containers do not have', { credential: { accountName: 'account', create: () => account } }],
  ])('is not asked by a client with %s', (_what, strange) => {
    const client = Object.assign(new BlobServiceClient('https://account.blob.core.windows.net', account), strange)
    expect(() => azure({ container: 'box', client })).toThrow(
      expect.objectContaining({ code: 'UNSUPPORTED', field: 'client', rule: 'version', outcome: 'rejected' }),
    )
  })
})

describe('Google', () => {
  const mark = { 'x-guploader-uploadid': 'u' }
  const at = (): Provider => {
    const apiEndpoint = new URL(server.endpoint).origin
    return gcs({ bucket: 'main', apiEndpoint, authClient: bearer('token'), multipartThreshold: 2 })
  }
  const described = {
    kind: 'storage#object',
    bucket: 'main',
    name: 'k',
    generation: '1',
    size: '4',
    etag: 'e',
    updated: '2026-01-01T00:00:00.000Z',
    timeCreated: '2026-01-01T00:00:00.000Z',
    contentType: 'text/plain',
    crc32c: 'AAAAAA==',
    md5Hash: 'kAFQmDzST7DWlj99KOF/cg==',
  }

  test('that describes an object, and then has trouble with its bytes, is asked again later', async () => {
    server.answer = (request, response, seen) =>
      seen.url.includes('alt=media')
        ? reply(503, mark, 'Backend Error')(request, response, seen)
        : reply(200, mark, JSON.stringify(described))(request, response, seen)
    expect(await errorOf(at().get({ key: 'k', range: undefined, token: undefined }, signal))).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'SERVER',
      retryable: true,
      message: expect.stringContaining('503'),
    })
  })

  test('that has bytes of an upload that were never sent is not believed (I2)', async () => {
    server.answer = (request, response, seen) =>
      seen.method === 'POST'
        ? reply(200, { ...mark, location: `${server.endpoint}/upload?upload_id=u` })(request, response, seen)
        : reply(308, { ...mark, range: 'bytes=0-9' })(request, response, seen)
    expect(await errorOf(at().put(putOf('k', 'body'), signal))).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'PROTOCOL',
      outcome: 'unknown',
      message: expect.stringContaining('never sent'),
    })
  })

  test('whose page of a listing has no end is left at a limit (N13, I31)', async () => {
    const mebibyte = Buffer.alloc(2 ** 20, ' ')
    server.answer = (_request, response) => {
      response.writeHead(200, mark)
      const more = (): void => {
        while (!response.destroyed && response.write(mebibyte));
      }
      response.on('drain', more)
      more()
    }
    const listing = at().list({ prefix: '', delimiter: '', startAfter: '' }, signal)
    expect(await errorOf(Array.fromAsync(listing))).toMatchObject({
      code: 'UNAVAILABLE',
      reason: 'PROTOCOL',
      message: expect.stringContaining('more than'),
    })
    await expect.poll(() => server.open()).toBe(0)
  })

  test.each([
    ['more', giving('body', 'bodies'), 'more than 4 bytes came from byte 0 on'],
    ['fewer', giving('body', 'bod'), '3 of 4 bytes came from byte 0 on'],
  ])('is not given %s bytes than were announced (I7)', async (_what, source, words) => {
    server.answer = (request, response, seen) => {
      if (seen.method === 'POST')
        return reply(200, { ...mark, location: `${server.endpoint}/upload?upload_id=u` })(request, response, seen)
      request.resume()
      request.on('error', () => {})
    }
    expect(await errorOf(at().put({ ...putOf('k', ''), source }, signal))).toMatchObject({
      code: 'CHECKSUM',
      reason: 'DIGEST',
      outcome: 'rejected',
      message: expect.stringContaining(words),
    })
  })
})
