import { GetObjectCommand, HeadObjectCommand, ListObjectsV2Command, PutObjectCommand } from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { chunked, clientOf, failure, raw, sha256, sign, signedChunks, signedRaw } from './local-s3-tools.ts'

let cloud: LocalCloud
const Bucket = 'signed'
const object = `/${Bucket}/object`

beforeAll(async () => {
  cloud = await startLocalS3({ buckets: [Bucket] })
  await signedRaw(cloud, 'PUT', object, 'content')
})
afterAll(() => cloud.stop())

const presigning = () => clientOf(cloud, { requestChecksumCalculation: 'WHEN_REQUIRED' })
const codeOf = async (url: string, init?: RequestInit): Promise<[number, string | undefined]> => {
  const answer = await fetch(url, init)
  return [answer.status, /<Code>([^<]*)</.exec(await answer.text())?.[1]]
}

describe('a signature in a header', () => {
  test('of other credentials is refused as the service would', async () => {
    const { id, secret } = cloud.credentials
    const wrongSecret = clientOf({ endpoint: cloud.endpoint, credentials: { id, secret: 'wrong' } })
    const wrongId = clientOf({ endpoint: cloud.endpoint, credentials: { id: 'AKIAWRONG', secret } })
    const get = new GetObjectCommand({ Bucket, Key: 'object' })
    expect(await failure(wrongSecret.send(get))).toMatchObject({ name: 'SignatureDoesNotMatch', status: 403 })
    expect(await failure(wrongId.send(get))).toMatchObject({ name: 'InvalidAccessKeyId', status: 403 })
    expect(await failure(wrongSecret.send(new HeadObjectCommand({ Bucket, Key: 'object' })))).toMatchObject({
      status: 403,
    })
    const withToken = clientOf(cloud, {
      credentials: { accessKeyId: id, secretAccessKey: secret, sessionToken: 'a token' },
    })
    expect(await failure(withToken.send(get))).toMatchObject({ name: 'InvalidToken', status: 400 })
  })

  test('none at all: 403', async () => {
    for (const method of ['GET', 'PUT', 'DELETE'])
      expect(await raw(cloud, { method, path: object })).toMatchObject({ status: 403, code: 'AccessDenied' })
    expect(await raw(cloud, { method: 'GET', path: '/' })).toMatchObject({ status: 403, code: 'AccessDenied' })
  })

  test('a clock that is off by more than 15 minutes: 403; less: fine', async () => {
    const at = (minutes: number) => ({ at: new Date(Date.now() + minutes * 60_000) })
    expect(await signedRaw(cloud, 'GET', object, undefined, at(-14))).toMatchObject({ status: 200 })
    expect(await signedRaw(cloud, 'GET', object, undefined, at(14))).toMatchObject({ status: 200 })
    for (const minutes of [-16, 16]) {
      const answer = await signedRaw(cloud, 'GET', object, undefined, at(minutes))
      expect(answer).toMatchObject({ status: 403, code: 'RequestTimeTooSkewed' })
      expect(answer.text).toContain('<MaxAllowedSkewMilliseconds>900000<')
    }
  })

  test('what was signed is what counts: method, path, query, headers, payload', async () => {
    const { headers } = sign(cloud, 'GET', `${object}?partNumber=1`)
    const ask = (method: string, path: string, more: Record<string, string> = {}) =>
      raw(cloud, { method, path, headers: { ...headers, ...more } })
    expect((await ask('GET', `${object}?partNumber=1`)).status).toBe(206)
    for (const answer of [
      await ask('DELETE', `${object}?partNumber=1`),
      await ask('GET', `${object}x?partNumber=1`),
      await ask('GET', `${object}?partNumber=2`),
      await ask('GET', object),
      await ask('GET', `${object}?partNumber=1&more`),
      await ask('GET', `${object}?partNumber=1`, { host: 'elsewhere' }),
      await ask('GET', `${object}?partNumber=1`, { 'x-amz-content-sha256': sha256('') }),
    ])
      expect([answer.status, answer.code]).toEqual([403, 'SignatureDoesNotMatch'])
  })

  test('a header of the service that is not under the signature: 403', async () => {
    const { headers } = sign(cloud, 'PUT', object)
    const answer = await raw(cloud, {
      method: 'PUT',
      path: object,
      headers: { ...headers, 'x-amz-meta-sneaked': 'in', 'content-length': '1' },
      body: 'x',
    })
    expect(answer).toMatchObject({ status: 403, code: 'AccessDenied' })
    expect(answer.text).toContain('<HeadersNotSigned>x-amz-meta-sneaked<')
  })

  test('malformed ones are told apart', async () => {
    const good = sign(cloud, 'GET', object).headers
    const ask = async (headers: Record<string, string | undefined>) => {
      const given = Object.entries({ ...good, ...headers }).filter(([, value]) => value !== undefined)
      return (
        await raw(cloud, { method: 'GET', path: object, headers: Object.fromEntries(given) as Record<string, string> })
      ).code
    }
    expect(await ask({ authorization: 'AWS4-HMAC-SHA256 nonsense' })).toBe('AuthorizationHeaderMalformed')
    expect(await ask({ authorization: 'AWS key:signature' })).toBe('InvalidRequest')
    expect(await ask({ 'x-amz-date': undefined })).toBe('AccessDenied')
    expect(await ask({ 'x-amz-date': 'today' })).toBe('AccessDenied')
    expect(await ask({ 'x-amz-content-sha256': undefined })).toBe('InvalidRequest')
    expect((await signedRaw(cloud, 'GET', object, undefined, { service: 'ec2' })).code).toBe(
      'AuthorizationHeaderMalformed',
    )
    expect((await signedRaw(cloud, 'GET', object, undefined, { region: 'anywhere-1' })).status).toBe(200)
    expect((await signedRaw(cloud, 'PUT', object, 'x', { payload: 'abc' })).code).toBe('InvalidArgument')
    expect((await raw(cloud, { method: 'GET', path: '/%zz/x', headers: good })).code).toBe('InvalidURI')
  })

  test('keys and queries with every kind of character are signed as the SDK signs them', async () => {
    const client = clientOf(cloud)
    for (const Key of ["!'()*~ +%&=?#/ü😀", '%2F', 'a/../b', '//', 'a\tb']) {
      await client.send(new PutObjectCommand({ Bucket, Key, Body: 'x' }))
      await client.send(new GetObjectCommand({ Bucket, Key }))
      await client.send(new ListObjectsV2Command({ Bucket, Prefix: Key, Delimiter: Key }))
    }
    await client.send(new PutObjectCommand({ Bucket, Key: 'spaces', Body: 'x', Metadata: { wide: 'a   b' } }))
    await client.send(
      new PutObjectCommand({ Bucket, Key: 'umlaut', Body: Buffer.from('x'), Metadata: { umlaut: 'ü' } }),
    )
  })
})

describe('the digest of the payload', () => {
  test('a real one is checked', async () => {
    const path = `/${Bucket}/hashed`
    expect((await signedRaw(cloud, 'PUT', path, 'body', { payload: sha256('body') })).status).toBe(200)
    const answer = await signedRaw(cloud, 'PUT', path, 'other', { payload: sha256('body') })
    expect(answer).toMatchObject({ status: 400, code: 'XAmzContentSHA256Mismatch' })
    expect((await signedRaw(cloud, 'GET', path)).text).toBe('body')
  })

  const data = Buffer.alloc(200_000, 'abc')
  const headers = { 'x-amz-decoded-content-length': String(data.byteLength), 'content-encoding': 'aws-chunked' }

  test('signed chunks are decoded, and each must have its signature', async () => {
    const path = `/${Bucket}/chunks`
    const payload = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD'
    const seed = sign(cloud, 'PUT', path, { headers, payload })
    const send = (body: Buffer) =>
      raw(cloud, { method: 'PUT', path, headers: { ...seed.headers, 'content-length': String(body.byteLength) }, body })
    const good = signedChunks(seed, data, undefined)
    expect((await send(good)).status).toBe(200)
    expect((await signedRaw(cloud, 'GET', path)).body.equals(data)).toBe(true)
    for (const at of [30, 100, 70_000, good.byteLength - 10]) {
      const bad = Buffer.from(good)
      bad[at] = (bad[at] as number) ^ 1
      const { status, code } = await send(bad)
      expect([status, ['SignatureDoesNotMatch', 'InvalidRequest'].includes(code ?? '')]).toEqual([status, true])
    }
    expect((await send(good.subarray(0, -100))).status).toBe(400)
    expect((await send(chunked(data))).code).toBe('InvalidRequest')
  })

  test('so must the trailer', async () => {
    const path = `/${Bucket}/trailer`
    const payload = 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER'
    const trailer = { 'x-amz-checksum-sha256': Buffer.from(sha256(data), 'hex').toString('base64') }
    const seed = sign(cloud, 'PUT', path, {
      headers: { ...headers, 'x-amz-trailer': 'x-amz-checksum-sha256' },
      payload,
    })
    const send = (body: Buffer) =>
      raw(cloud, { method: 'PUT', path, headers: { ...seed.headers, 'content-length': String(body.byteLength) }, body })
    expect(await send(signedChunks(seed, data, trailer))).toMatchObject({
      status: 200,
      headers: { 'x-amz-checksum-sha256': trailer['x-amz-checksum-sha256'] },
    })
    const text = signedChunks(seed, data, trailer).toString('latin1')
    const forged = text.replace(/x-amz-trailer-signature:./, 'x-amz-trailer-signature:g')
    expect((await send(Buffer.from(forged, 'latin1'))).code).toBe('SignatureDoesNotMatch')
    expect((await send(signedChunks(seed, data, undefined))).code).toBe('SignatureDoesNotMatch')
  })

  test('chunks of less than 8 KiB are refused but for the last; so is framing that is none', async () => {
    const path = `/${Bucket}/framing`
    const payload = 'STREAMING-UNSIGNED-PAYLOAD-TRAILER'
    const send = (body: Uint8Array | string, length = data.byteLength) =>
      signedRaw(cloud, 'PUT', path, body, {
        payload,
        headers: { ...headers, 'x-amz-decoded-content-length': String(length) },
      })
    expect((await send(chunked(data, {}, 8_192))).status).toBe(200)
    expect((await send(chunked(data, {}, 8_191))).code).toBe('InvalidChunkSizeError')
    expect((await send(chunked(data), data.byteLength + 1)).code).toBe('IncompleteBody')
    expect((await send(chunked(data), data.byteLength - 1)).code).toBe('IncompleteBody')
    expect((await send(data)).code).toBe('InvalidRequest')
    expect((await send('5\r\nhello!\r\n0\r\n\r\n', 6)).code).toBe('InvalidRequest')
    expect((await send('5\r\nhello\r\n', 5)).code).toBe('IncompleteBody')
    expect((await send('5\r\nhello\r\n0\r\n\r\nmore', 5)).code).toBe('InvalidRequest')
    const bare = await signedRaw(cloud, 'PUT', path, chunked(data), { payload })
    expect(bare).toMatchObject({ status: 411, code: 'MissingContentLength' })
  })
})

describe('a presigned URL', () => {
  test('lets its bearer do what it says', async () => {
    const put = await getSignedUrl(
      presigning(),
      new PutObjectCommand({ Bucket, Key: 'pre signed', ContentType: 'text/a' }),
    )
    const headers = { 'content-type': 'text/a' }
    expect((await fetch(put, { method: 'PUT', body: 'by url', headers })).status).toBe(200)
    const get = await getSignedUrl(
      presigning(),
      new GetObjectCommand({ Bucket, Key: 'pre signed', ResponseContentType: 'text/b' }),
    )
    const answer = await fetch(get)
    expect([answer.headers.get('content-type'), await answer.text()]).toEqual(['text/b', 'by url'])
    const bodyless = await getSignedUrl(clientOf(cloud), new PutObjectCommand({ Bucket, Key: 'default-client' }))
    expect(bodyless).toContain('AAAAAA')
    // AWS ignores a checksum in the query: the SDK puts that of an empty body there.
    expect((await fetch(bodyless, { method: 'PUT', body: 'not empty' })).status).toBe(200)
  })

  test('keeps metadata and conditions that it was made with', async () => {
    const command = new PutObjectCommand({ Bucket, Key: 'once', IfNoneMatch: '*', Metadata: { by: 'url' } })
    const url = await getSignedUrl(presigning(), command, { unhoistableHeaders: new Set(['if-none-match']) })
    const init = { method: 'PUT', body: 'x', headers: { 'if-none-match': '*' } }
    expect((await fetch(url, init)).status).toBe(200)
    expect(await codeOf(url, init)).toEqual([412, 'PreconditionFailed'])
    expect((await clientOf(cloud).send(new HeadObjectCommand({ Bucket, Key: 'once' }))).Metadata).toEqual({ by: 'url' })
  })

  test('is worth nothing once it is tampered with', async () => {
    const url = await getSignedUrl(presigning(), new GetObjectCommand({ Bucket, Key: 'object' }))
    expect(await codeOf(url)).toEqual([200, undefined])
    expect(await codeOf(url.replace('/object?', '/other?'))).toEqual([403, 'SignatureDoesNotMatch'])
    expect(await codeOf(url, { method: 'DELETE' })).toEqual([403, 'SignatureDoesNotMatch'])
    expect(await codeOf(`${url}&response-content-type=text/html`)).toEqual([403, 'SignatureDoesNotMatch'])
    expect(await codeOf(url.replace('X-Amz-Expires=900', 'X-Amz-Expires=901'))).toEqual([403, 'SignatureDoesNotMatch'])
    expect(await codeOf(url, { headers: { 'x-amz-meta-a': 'b' } })).toEqual([403, 'AccessDenied'])
    expect(await codeOf(url.replace(/X-Amz-Credential=[^%]*/, 'X-Amz-Credential=AKIAOTHER'))).toEqual([
      403,
      'InvalidAccessKeyId',
    ])
    expect(await codeOf(url.replace(/&X-Amz-Signature=[^&]*/, ''))).toEqual([400, 'AuthorizationQueryParametersError'])
  })

  test('ends when it says, at most after a week', async () => {
    const command = new GetObjectCommand({ Bucket, Key: 'object' })
    const at = (secondsAgo: number, expiresIn: number) =>
      getSignedUrl(presigning(), command, { expiresIn, signingDate: new Date(Date.now() - secondsAgo * 1_000) })
    expect((await codeOf(await at(58, 60)))[0]).toBe(200)
    expect(await codeOf(await at(62, 60))).toEqual([403, 'AccessDenied'])
    expect(await (await fetch(await at(62, 60))).text()).toContain('Request has expired')
    expect(await codeOf(await at(-3_600, 60))).toEqual([403, 'AccessDenied'])
    const week = await at(0, 604_800)
    expect((await codeOf(week))[0]).toBe(200)
    expect(await codeOf(week.replace('604800', '604801'))).toEqual([400, 'AuthorizationQueryParametersError'])
  })

  test('of a wrong secret is refused', async () => {
    const wrong = clientOf({ endpoint: cloud.endpoint, credentials: { ...cloud.credentials, secret: 'wrong' } })
    expect(await codeOf(await getSignedUrl(wrong, new GetObjectCommand({ Bucket, Key: 'object' })))).toEqual([
      403,
      'SignatureDoesNotMatch',
    ])
  })
})
