import { generateKeyPairSync } from 'node:crypto'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { Bucket, GetSignedUrlConfig } from '@google-cloud/storage'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { clientOf, sums } from './local-gcs-support.ts'

let cloud: LocalCloud
let main: Bucket

beforeAll(async () => {
  // The client warns on the console that `credentials` will be called otherwise one day.
  vi.spyOn(console, 'warn').mockImplementation(() => {})
  cloud = await startLocalGcs({ buckets: ['main'], auth: { token: 'nobody knows' } })
  main = signer(cloud.credentials.id, cloud.credentials.secret)
})

afterAll(() => cloud.stop())

function signer(id: string, secret: string): Bucket {
  return clientOf(cloud, { credentials: { client_email: id, private_key: secret } }).bucket('main')
}

async function sign(
  key: string,
  action: GetSignedUrlConfig['action'],
  more: Partial<GetSignedUrlConfig> = {},
  bucket = main,
): Promise<string> {
  const config = { version: 'v4' as const, action, expires: Date.now() + 60_000, ...more }
  return (await bucket.file(key).getSignedUrl(config))[0]
}

async function upload(key: string, body: string, headers: Record<string, string> = {}): Promise<Response> {
  return await fetch(await sign(key, 'write', { extensionHeaders: headers }), { method: 'PUT', body, headers })
}

async function codeOf(answer: Response): Promise<string> {
  return `${answer.status} ${/<Code>(\w+)<\/Code>/.exec(await answer.text())?.[1]}`
}

test('signed URLs put, get, look at and delete an object, whatever its name', async () => {
  for (const key of ['plain', 'a b/é+%41#?&=', "it's (fine)*!", '😀/x']) {
    expect((await upload(key, `body of ${key}`)).status).toBe(200)
    const got = await fetch(await sign(key, 'read'))
    expect(await got.text()).toBe(`body of ${key}`)
    const { crc32c, md5Hash } = sums(`body of ${key}`)
    expect(got.headers.get('x-goog-hash')).toBe(`crc32c=${crc32c},md5=${md5Hash}`)
    expect(got.headers.get('etag')).toBe(`"${Buffer.from(md5Hash, 'base64').toString('hex')}"`)
    expect((await fetch(await sign(key, 'delete'), { method: 'DELETE' })).status).toBe(204)
    expect(await codeOf(await fetch(await sign(key, 'read')))).toBe('404 NoSuchKey')
  }
})

test('an uploader sends what was signed, headers and metadata with it', async () => {
  const headers = { 'content-type': 'image/png', 'x-goog-meta-owner': 'me' }
  expect((await upload('typed', 'png', headers)).status).toBe(200)
  const got = await fetch(await sign('typed', 'read'))
  expect(got.headers.get('content-type')).toBe('image/png')
  expect(got.headers.get('x-goog-meta-owner')).toBe('me')
  const url = await sign('typed', 'write', { contentType: 'image/png' })
  const other = await fetch(url, { method: 'PUT', body: 'x', headers: { 'content-type': 'image/jpeg' } })
  expect(await codeOf(other)).toBe('403 SignatureDoesNotMatch')
})

test('a reader may be told another type and disposition', async () => {
  await upload('shown', 'x')
  const url = await sign('shown', 'read', {
    responseType: 'text/x-other',
    responseDisposition: 'attachment; filename="é"',
  })
  const got = await fetch(url)
  expect(got.headers.get('content-type')).toBe('text/x-other')
  expect((await fetch(url, { headers: { range: 'bytes=0-0' } })).status).toBe(206)
})

test('a create-only URL does not replace', async () => {
  const once = { 'x-goog-if-generation-match': '0' }
  expect((await upload('once', 'first', once)).status).toBe(200)
  expect(await codeOf(await upload('once', 'second', once))).toBe('412 PreconditionFailed')
  const url = await sign('once', 'write', { extensionHeaders: once })
  expect((await fetch(url, { method: 'PUT', body: 'x' })).status).toBe(403)
  const loose = await fetch(await sign('once', 'write'), { method: 'PUT', body: 'x', headers: once })
  expect(await codeOf(loose)).toBe('400 MalformedSecurityHeader')
})

test('wrong digests are refused', async () => {
  const answer = await upload('digest', 'right', { 'content-md5': sums('wrong').md5Hash })
  expect(await codeOf(answer)).toBe('400 BadDigest')
})

test('what is tampered with, expired, for another method or by another key opens nothing', async () => {
  await upload('secret', 'x')
  await upload('other', 'x')
  const url = await sign('secret', 'read')
  const tampered = [
    url.replace('/secret?', '/other?'),
    url.replace('X-Goog-Expires=', 'X-Goog-Expires=9'),
    url.replace(/.$/, last => (last === '0' ? '1' : '0')),
    `${url}&response-content-type=text/html`,
    url.replace(/X-Goog-Credential=[^%]+/, 'X-Goog-Credential=somebody'),
  ]
  for (const each of tampered) expect(await codeOf(await fetch(each)), each).toBe('403 SignatureDoesNotMatch')
  expect(await codeOf(await fetch(url, { method: 'DELETE' }))).toBe('403 SignatureDoesNotMatch')

  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  const stranger = signer(cloud.credentials.id, privateKey.export({ type: 'pkcs8', format: 'pem' }) as string)
  expect(await codeOf(await fetch(await sign('secret', 'read', {}, stranger)))).toBe('403 SignatureDoesNotMatch')

  const past = new Date(Date.now() - 120_000)
  const old = await sign('secret', 'read', { accessibleAt: past, expires: Date.now() + 1000 })
  const expired = old.replace(/X-Goog-Expires=\d+/, 'X-Goog-Expires=60')
  expect(await codeOf(await fetch(expired))).toBe('400 ExpiredToken')
  expect((await fetch(`${cloud.endpoint}/main/secret`)).status).toBe(401)
})

test('a browser may ask first, and may read what it needs, of an error too', async () => {
  const origin = 'https://app.example'
  const asking = {
    origin,
    'access-control-request-method': 'PUT',
    'access-control-request-headers': 'content-type,x-goog-if-generation-match',
  }
  const url = await sign('from a page', 'write', { extensionHeaders: { 'x-goog-if-generation-match': '0' } })
  const allowed = await fetch(url, { method: 'OPTIONS', headers: asking })
  expect(allowed.status).toBe(200)
  expect(allowed.headers.get('access-control-allow-origin')).toBe('*')
  expect(allowed.headers.get('access-control-allow-methods')).toContain('PUT')
  expect(allowed.headers.get('access-control-allow-headers')).toBe('content-type,x-goog-if-generation-match')
  const headers = { origin, 'x-goog-if-generation-match': '0' }
  const put = (): Promise<Response> => fetch(url, { method: 'PUT', body: 'x', headers })
  await cloud.fault({ match: { method: 'PUT' }, times: 1, fault: { kind: 'status', status: 503 } })
  for (const status of [503, 200, 412]) {
    const answer = await put()
    expect(answer.status).toBe(status)
    expect(answer.headers.get('access-control-allow-origin')).toBe('*')
    expect(answer.headers.get('access-control-expose-headers')).toContain('etag')
  }
})
