import { createHash } from 'node:crypto'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { S3Features } from '../../src/core/features.ts'
import { type PartRun, pieces } from '../../src/core/layout.ts'
import type { Provider, UploadMemo } from '../../src/core/provider.ts'
import { s3 } from '../../src/providers/s3.ts'
import { featureHeaders } from '../../src/providers/s3/features.ts'
import { planOf } from '../../src/providers/s3/plan.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import {
  all,
  amazonAt,
  byMethod,
  errorOf,
  everything,
  named,
  ofObject,
  putOf,
  reply,
  startRecorder,
} from './s3-recorder.ts'
import { mebibyte, openS3 } from './s3-suite.ts'

const { signal } = new AbortController()
let cloud: LocalCloud
let provider: Provider
let keys = 0

beforeAll(async () => {
  cloud = await startLocalS3({ buckets: ['main'] })
  provider = openAt()
  await provider.learn(undefined, signal)
})

afterAll(() => cloud.stop())

const openAt = (): Provider =>
  openS3({
    endpoint: cloud.endpoint,
    credentials: { accessKeyId: cloud.credentials.id, secretAccessKey: cloud.credentials.secret },
  })

const newKey = (): string => `feature ${++keys}`

const everyFeature: Required<S3Features> = {
  ACL: 'bucket-owner-full-control',
  GrantFullControl: 'id="1"',
  GrantRead: 'id="2"',
  GrantReadACP: 'id="3"',
  GrantWriteACP: 'id="4"',
  StorageClass: 'STANDARD_IA',
  ServerSideEncryption: 'aws:kms',
  SSEKMSKeyId: 'arn:aws:kms:us-east-1:1:key/2',
  SSEKMSEncryptionContext: 'e30=',
  BucketKeyEnabled: true,
  Tagging: 'a=1&b=%202',
  WebsiteRedirectLocation: '/elsewhere',
  Expires: 'Wed, 21 Oct 2026 07:28:00 GMT',
  ObjectLockMode: 'GOVERNANCE',
  ObjectLockRetainUntilDate: '2027-01-01T00:00:00.123Z',
  ObjectLockLegalHoldStatus: 'ON',
}

function expectSent(headers: Readonly<Record<string, unknown>>): void {
  for (const [name, header] of Object.entries(featureHeaders)) {
    expect(headers[header], name).toBe(String(everyFeature[name as keyof S3Features]))
  }
}

describe('features', () => {
  test('are sent as they are given, all of them signed, with a put in one piece', async () => {
    await using recorder = await startRecorder(reply(200, ofObject))
    const amazon = await amazonAt(recorder.endpoint)
    expect(amazon.refuseFeatures?.({ s3: everyFeature, gcs: { storageClass: 'ARCHIVE' } })).toBeUndefined()
    // An ETag of an object under KMS is no digest, also where the answer does not say KMS again.
    const result = await amazon.put(putOf('k', 'other bytes', { features: { s3: everyFeature } }), signal)
    expect(result.token).toBe('5d41402abc4b2a76b9719d911017c592')
    const [seen] = recorder.requests
    expectSent(seen?.headers ?? {})
    const signed = /SignedHeaders=([^,]*)/.exec(seen?.headers.authorization ?? '')?.[1]?.split(';')
    expect(signed).toEqual(expect.arrayContaining(Object.values(featureHeaders)))
  })

  test('are sent when an upload in parts is begun, and not with the parts', async () => {
    const begun = '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>'
    const done = '<CompleteMultipartUploadResult><ETag>"abc-2"</ETag></CompleteMultipartUploadResult>'
    const post = (url: string): string => (url.includes('uploads') ? begun : done)
    await using recorder = await startRecorder(
      byMethod({
        POST: (request, response, seen) =>
          reply(200, { ...named, 'content-type': 'application/xml' }, post(seen.url))(request, response, seen),
        PUT: reply(200, { ...named, etag: '"0123456789abcdef0123456789abcdef"' }),
        HEAD: reply(200, { ...ofObject, etag: '"abc-2"', 'content-length': '6291456', 'x-amz-tagging-count': '2' }),
      }),
    )
    const amazon = await amazonAt(recorder.endpoint, { multipartThreshold: 0, partSize: 5 * mebibyte })
    await amazon.put(putOf('k', new Uint8Array(6 * mebibyte), { features: { s3: everyFeature } }), signal)
    const [create, ...more] = recorder.requests
    expect(create?.url).toContain('uploads')
    expectSent(create?.headers ?? {})
    for (const { headers } of more) expect(headers).not.toHaveProperty('x-amz-tagging')
    expect(more.map(({ url }) => url).filter(url => url.includes('tagging'))).toEqual([])
  })

  test.each([
    ['abc-2', 1],
    ['of somebody else', 0],
  ])('tags that a service forgot are put again, on no object but ours (it has ETag %s)', async (etag, puts) => {
    const begun = '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>'
    const done = '<CompleteMultipartUploadResult><ETag>"abc-2"</ETag></CompleteMultipartUploadResult>'
    const xml = { ...named, 'content-type': 'application/xml' }
    await using recorder = await startRecorder(
      byMethod({
        POST: (request, response, seen) =>
          reply(200, xml, seen.url.includes('uploads') ? begun : done)(request, response, seen),
        PUT: reply(200, { ...named, etag: '"0123456789abcdef0123456789abcdef"' }),
        HEAD: reply(200, { ...ofObject, etag: `"${etag}"`, 'content-length': '6291456' }),
      }),
    )
    const provider = await amazonAt(recorder.endpoint, { multipartThreshold: 0, partSize: 5 * mebibyte })
    // Under KMS, so that the ETags of this test need not be digests.
    const features = { s3: { Tagging: 'a=1&b=%202', ServerSideEncryption: 'aws:kms' } }
    await provider.put(putOf('k', new Uint8Array(6 * mebibyte), { features }), signal)
    const tagged = recorder.requests.filter(({ method, url }) => method === 'PUT' && url.includes('tagging'))
    expect(tagged).toHaveLength(puts)
    for (const { headers, body } of tagged) {
      expect(body?.toString()).toContain('<Tag><Key>b</Key><Value> 2</Value></Tag>')
      expect(headers['content-md5']).toBe(
        createHash('md5')
          .update(body ?? '')
          .digest('base64'),
      )
    }
  })

  test('are told by head and get, as far as the service tells them', async () => {
    const { ACL: _acl, Tagging: _tags, ...told } = everyFeature
    const headers = Object.fromEntries(
      Object.entries(told).map(([name, value]) => [featureHeaders[name as keyof S3Features], String(value)]),
    )
    await using recorder = await startRecorder(reply(200, { ...ofObject, ...headers }, 'hello'))
    const amazon = await amazonAt(recorder.endpoint)
    recorder.answer = reply(200, { ...ofObject, ...headers, 'content-length': '5' }, 'hello')
    const object = await amazon.head('k', signal)
    expect(object?.features).toEqual(told)
    expect(object?.attested).toEqual({})
    const found = await amazon.get({ key: 'k', range: undefined, token: undefined }, signal)
    expect(found?.object.features).toEqual(told)
    await found?.close()
    recorder.answer = reply(200, { ...ofObject, 'content-length': '5' }, 'hello')
    expect(await amazon.head('k', signal)).not.toHaveProperty('features')
  })

  test('a listing says the storage class', async () => {
    const key = newKey()
    await provider.put(putOf(key, 'x', { features: { s3: { StorageClass: 'GLACIER_IR' } } }), signal)
    const [entry] = await all(provider.list({ ...everything, prefix: key }, signal))
    expect(entry).toMatchObject({ type: 'object', storageClass: 'GLACIER_IR' })
  })
})

const bytes = new Uint8Array(17 * mebibyte + 5).map((_none, index) => (index * 29 + (index >>> 9)) & 0xff)

function etagOf(whole: Uint8Array, runs: readonly PartRun[]): string {
  const md5s = [...pieces(runs)].map(({ start, end }) => createHash('md5').update(whole.subarray(start, end)).digest())
  return `${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-${md5s.length}`
}

const operations = async (): Promise<string[]> =>
  (await cloud.requests({ reset: true })).map(({ operation }) => operation)

describe('the parts that the app had', () => {
  test.each<[string, number, readonly PartRun[]]>([
    [
      'equal ones and a shorter last',
      10 * mebibyte + 1,
      [
        { count: 2, bytes: 5 * mebibyte },
        { count: 1, bytes: 1 },
      ],
    ],
    ['equal ones', 10 * mebibyte, [{ count: 2, bytes: 5 * mebibyte }]],
    [
      'all different ones, the last the longest',
      17 * mebibyte + 5,
      [
        { count: 1, bytes: 6 * mebibyte },
        { count: 1, bytes: 5 * mebibyte },
        { count: 1, bytes: 6 * mebibyte + 5 },
      ],
    ],
  ])('%s are stored, and the service says their ETag', async (_what, size, parts) => {
    const key = newKey()
    const body = bytes.subarray(0, size)
    const result = await provider.put(putOf(key, body, { parts }), signal)
    expect(result).toMatchObject({ etag: etagOf(body, parts), proof: 'server-full' })
    expect(await provider.head(key, signal)).toMatchObject({ size, etag: etagOf(body, parts) })
  })

  test('one of one goes in one request, also over the threshold', async () => {
    const key = newKey()
    await operations()
    const put = putOf(key, bytes, { parts: [{ count: 1, bytes: bytes.byteLength }] })
    expect((await provider.put(put, signal)).etag).toBe(put.source.md5)
    expect(await operations()).toEqual(['PutObject'])
  })

  test('an upload in a single part is one here too: S3 says so in its ETag', async () => {
    const key = newKey()
    const body = bytes.subarray(0, 11)
    await operations()
    const parts = [{ count: 1, bytes: 11 }]
    const result = await provider.put(putOf(key, body, { parts, inParts: true }), signal)
    expect(result.etag).toBe(etagOf(body, parts))
    expect(await operations()).toEqual(['CreateMultipartUpload', 'UploadPart', 'CompleteMultipartUpload'])
    expect((await provider.head(key, signal))?.etag).toMatch(/-1$/)
  })

  test('an upload in them goes on where it was, and one in other parts or with other features is not mixed with it', async () => {
    const key = newKey()
    const parts = [
      { count: 2, bytes: 6 * mebibyte },
      { count: 1, bytes: 5 * mebibyte + 5 },
    ]
    const fail = { match: { operation: 'CompleteMultipartUpload', key }, times: 1 }
    await cloud.fault({ ...fail, fault: { kind: 'status', status: 503 } })
    const states: string[] = []
    const upload = (saved?: string): UploadMemo => ({ saved, save: async state => void states.push(state) })
    const put = putOf(key, bytes, { parts, upload: upload() })
    expect(await errorOf(provider.put(put, signal))).toMatchObject({ code: 'UNAVAILABLE' })
    const saved = states.at(-1) ?? ''
    await operations()
    expect((await openAt().put({ ...put, upload: upload(saved) }, signal)).etag).toBe(etagOf(bytes, parts))
    expect(await operations()).not.toContain('UploadPart')

    for (const other of [
      putOf(key, bytes),
      putOf(key, bytes, {
        parts: [
          { count: 3, bytes: 5 * mebibyte },
          { count: 1, bytes: 2 * mebibyte + 5 },
        ],
      }),
      putOf(key, bytes, { parts, features: { s3: { StorageClass: 'STANDARD_IA' } } }),
    ]) {
      await cloud.fault({ ...fail, fault: { kind: 'status', status: 503 } })
      await errorOf(provider.put({ ...put, upload: upload() }, signal))
      await operations()
      await provider.put({ ...other, upload: upload(states.at(-1)) }, signal)
      expect((await operations()).slice(0, 2)).toEqual(['AbortMultipartUpload', 'CreateMultipartUpload'])
    }
  })
})

describe('which parts are taken', () => {
  const gibibyte = 2 ** 30
  const sizes = { threshold: 64 * mebibyte, partSize: 8 * mebibyte, equalParts: false }
  const plan = (size: number, parts: readonly PartRun[], more: Partial<typeof sizes> = {}): string => {
    const request = putOf('k', '', { parts })
    return planOf({ ...request, source: { ...request.source, size } }, { ...sizes, ...more }).in
  }

  test('those that S3 takes', () => {
    expect(
      plan(5 * mebibyte + 1, [
        { count: 1, bytes: 5 * mebibyte },
        { count: 1, bytes: 1 },
      ]),
    ).toBe('given parts')
    expect(plan(50_000 * mebibyte, [{ count: 10_000, bytes: 5 * mebibyte }])).toBe('given parts')
    expect(plan(10 * gibibyte, [{ count: 2, bytes: 5 * gibibyte }])).toBe('given parts')
    expect(plan(5 * gibibyte, [{ count: 1, bytes: 5 * gibibyte }])).toBe('one')
    expect(plan(0, [{ count: 1, bytes: 0 }])).toBe('one')
  })

  test('no others: then the driver has a plan of its own', () => {
    expect(plan(50_005 * mebibyte, [{ count: 10_001, bytes: 5 * mebibyte }])).toBe('parts')
    expect(
      plan(70 * mebibyte, [
        { count: 1, bytes: 5 * mebibyte - 1 },
        { count: 1, bytes: 65 * mebibyte + 1 },
      ]),
    ).toBe('parts')
    expect(plan(2 * mebibyte, [{ count: 2, bytes: mebibyte }])).toBe('one')
    expect(plan(6 * gibibyte, [{ count: 1, bytes: 6 * gibibyte }])).toBe('parts')
    expect(plan(10 * mebibyte, [{ count: 1, bytes: 5 * mebibyte }])).toBe('one')
    expect(plan(70 * mebibyte, [])).toBe('parts')
  })

  test('only equal ones where the service wants that', () => {
    const r2 = { equalParts: true }
    const first = { count: 2, bytes: 6 * mebibyte }
    expect(plan(12 * mebibyte + 1, [first, { count: 1, bytes: 1 }], r2)).toBe('given parts')
    expect(plan(12 * mebibyte, [first], r2)).toBe('given parts')
    expect(plan(19 * mebibyte, [first, { count: 1, bytes: 7 * mebibyte }], r2)).toBe('one')
    expect(plan(19 * mebibyte, [first, { count: 1, bytes: 7 * mebibyte }])).toBe('given parts')
    expect(plan(22 * mebibyte, [first, { count: 2, bytes: 5 * mebibyte }], r2)).toBe('one')
  })
})

test('of an upload that was remembered before there were features, the name has not changed', async () => {
  const seen: string[] = []
  await using recorder = await startRecorder(
    byMethod({
      POST: reply(
        200,
        { ...named, 'content-type': 'application/xml' },
        '<InitiateMultipartUploadResult><UploadId>u</UploadId></InitiateMultipartUploadResult>',
      ),
      PUT: reply(503, named),
    }),
  )
  const options = {
    bucket: 'main',
    endpoint: recorder.endpoint,
    credentials: { accessKeyId: 'a', secretAccessKey: 'b' },
  }
  const put = putOf('k', new Uint8Array(6 * mebibyte), {
    metadata: { b: '2', a: '1' },
    upload: { saved: undefined, save: async state => void seen.push(state) },
  })
  await errorOf(s3({ ...options, multipartThreshold: 0, partSize: 5 * mebibyte }).put(put, signal))
  expect(JSON.parse(seen[0] ?? '')).toEqual({
    format: 1,
    id: 'u',
    partSize: 5 * mebibyte,
    of: 'adeb7ba4e7206b97',
    hasCrc32c: false,
    etags: [],
  })
})
