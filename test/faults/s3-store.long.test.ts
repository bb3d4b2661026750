import {
  AbortMultipartUploadCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { memory } from '../../src/providers/memory.ts'
import { s3 } from '../../src/providers/s3.ts'
import type { LocalCloud, SeenRequest } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'
import { type FaultProxy, s3Refusal, startProxy, type Treatment } from './proxy.ts'

const mebibyte = 2 ** 20
const identity = '.holdfast/identity'
let cloud: LocalCloud
let proxy: FaultProxy
let raw: S3Client
let Bucket = ''
let count = 0

beforeAll(async () => {
  cloud = await startLocalS3()
  proxy = await startProxy(cloud.endpoint)
  const { id: accessKeyId, secret: secretAccessKey } = cloud.credentials
  raw = new S3Client({
    endpoint: cloud.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  })
})
beforeEach(async () => {
  Bucket = `bucket-${++count}`
  await raw.send(new CreateBucketCommand({ Bucket }))
})
afterEach(async () => {
  await cloud.heal()
  proxy.rule = () => undefined
})
afterAll(async () => {
  raw.destroy()
  await proxy[Symbol.asyncDispose]()
  await cloud.stop()
})

/** In parts of 5 MiB from there on. */
function amazon(): Provider {
  const { id: accessKeyId, secret: secretAccessKey } = cloud.credentials
  return s3({
    bucket: Bucket,
    name: 's3',
    endpoint: proxy.endpoint,
    credentials: { accessKeyId, secretAccessKey },
    partSize: 5 * mebibyte,
    multipartThreshold: 5 * mebibyte,
  })
}

const large = Buffer.alloc(6 * mebibyte, 'holdfast')
const openUploads = async (): Promise<string[]> =>
  ((await raw.send(new ListMultipartUploadsCommand({ Bucket }))).Uploads ?? []).map(({ Key = '' }) => Key)
const seen = async (operation: string, key?: string): Promise<SeenRequest[]> =>
  (await cloud.requests()).filter(
    each => each.bucket === Bucket && each.operation === operation && (key === undefined || each.key === key),
  )
const isUp = (store: Holdfast) => eventually(async () => (await store.status()).providers[0]?.state === 'up', 20_000)
const becomes = (store: Holdfast, reason: string) =>
  eventually(async () => (await store.status()).providers[0]?.reason === reason, 20_000)

describe('the end of an upload in parts', () => {
  const ok = { 'x-amz-request-id': 'TX1', 'content-type': 'application/xml' }
  const failed = '<Error><Code>InternalError</Code><Message>We encountered an internal error.</Message></Error>'
  const answers: readonly [string, Treatment][] = [
    ['a 200 with an error in it, nothing done', { passes: false, tells: { status: 200, headers: ok, body: failed } }],
    ['a 200 with an error in it, all done', { tells: { status: 200, headers: ok, body: failed } }],
    [
      'a 200 with blanks, then an error',
      { passes: false, tells: { status: 200, headers: ok, body: `   \n  ${failed}` } },
    ],
    ['a 200 without a body, nothing done', { passes: false, tells: { status: 200, headers: ok } }],
    ['a 200 without a body, all done', { tells: { status: 200, headers: ok } }],
    ['a page of a portal', { passes: false, tells: { status: 200, body: '<html>Sign in</html>' } }],
    ['nothing: the answer is lost', { tells: 'nothing' }],
    ['NoSuchUpload, all done', { tells: s3Refusal(404, 'NoSuchUpload') }],
    ['503, all done', { tells: s3Refusal(503, 'SlowDown') }],
  ]
  test('that is answered with an error in a 200 (at once, after blanks, after all was done), an empty 200, a page of a portal, nothing, NoSuchUpload or 503: one object each, no part sent twice, nothing left over (S2, S3, I15)', async () => {
    await using directory = await testDirectory()
    const provider = amazon()
    const store = await directory.open([provider, memory({ name: 'other' })])
    await isUp(store)
    const keys = answers.map((_answer, index) => `large-${index}`)
    const told = new Map<string, number>()
    proxy.rule = ({ method, url }) => {
      const { pathname, searchParams } = new URL(url, 'http://x')
      const key = pathname.slice(pathname.lastIndexOf('/') + 1)
      const index = keys.indexOf(key)
      if (index < 0 || method !== 'POST' || !searchParams.has('uploadId')) return undefined
      const times = (told.get(key) ?? 0) + 1
      told.set(key, times)
      return times === 1 ? answers[index]?.[1] : undefined
    }
    for (const key of keys) await store.put(key, large)
    await store.drain({ until: 'verified' })
    for (const [index, key] of keys.entries()) {
      const what = answers[index]?.[0]
      expect(told.get(key), what).toBeGreaterThan(0)
      expect((await seen('UploadPart', key)).length, what).toBe(2)
      expect((await bodyAt(provider, key))?.equals(large), what).toBe(true)
    }
    expect(await openUploads()).toEqual([])
    expect((await store.status()).done).toBe(keys.length)
  })
})

test('a bucket that is deleted, and made again by somebody else, is given nothing and asks for a person; with its mark back all goes on (S7, S8, I14, I28)', async () => {
  await using directory = await testDirectory()
  const provider = amazon()
  const other = memory({ name: 'other' })
  const store = await directory.open([provider, other])
  await store.put('before', 'was there')
  await store.drain({ until: 'verified' })
  const mark = await raw.send(new GetObjectCommand({ Bucket, Key: identity }))
  const Body = Buffer.from((await mark.Body?.transformToByteArray()) ?? [])
  const { Contents = [] } = await raw.send(new ListObjectsV2Command({ Bucket }))
  for (const { Key } of Contents) await raw.send(new DeleteObjectCommand({ Bucket, Key }))
  await raw.send(new DeleteBucketCommand({ Bucket }))
  await cloud.requests({ reset: true })
  const changes = async () =>
    (await cloud.requests()).filter(
      ({ bucket, method, status }) => bucket === Bucket && method !== 'GET' && method !== 'HEAD' && status !== 404,
    )

  await store.put('k', 'body')
  await becomes(store, 'BUCKET')
  // 404s of a bucket that is not there prove nothing of what was in it.
  expect(await (await store.get('before'))?.text()).toBe('was there')
  await expect(store.get('never was')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(await changes()).toEqual([])

  const theirs = JSON.stringify({ format: 1, identity: '11111111-2222-3333-4444-555555555555' })
  await raw.send(new CreateBucketCommand({ Bucket }))
  await raw.send(new PutObjectCommand({ Bucket, Key: identity, Body: theirs }))
  await cloud.requests({ reset: true })
  await becomes(store, 'IDENTITY')
  expect(await (await store.get('before'))?.text()).toBe('was there')
  await expect(store.get('never was')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(await changes()).toEqual([])
  expect((await store.status()).blocked.reasons).toEqual([{ provider: 's3', reason: 'IDENTITY', writes: 1 }])
  expect(await keysOf(other)).toEqual(['before', 'k'])
  await store.close()

  // Emptied, and nobody's yet: no more to be believed.
  await raw.send(new DeleteObjectCommand({ Bucket, Key: identity }))
  await cloud.requests({ reset: true })
  const empty = await directory.open([provider, other])
  await becomes(empty, 'IDENTITY')
  await expect(empty.get('never was')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(await changes()).toEqual([])
  await empty.close()

  await raw.send(new PutObjectCommand({ Bucket, Key: identity, Body }))
  const again = await directory.open([provider, other])
  await isUp(again)
  await again.drain({ until: 'verified' })
  expect((await bodyAt(provider, 'k'))?.toString()).toBe('body')
  // What was lost is served from where it is, and brought back.
  expect(await (await again.get('before'))?.text()).toBe('was there')
  await eventually(async () => (await keysOf(provider)).includes('before'))
}, 90_000)

test('what a lifecycle rule took away is served from the other cloud and brought back; nothing is deleted for it (S17, I14)', async () => {
  await using directory = await testDirectory()
  const provider = amazon()
  const other = memory({ name: 'other' })
  const store = await directory.open([provider, other])
  for (const key of ['a', 'b', 'c']) await store.put(key, `body of ${key}`)
  await store.drain({ until: 'verified' })
  for (const Key of ['a', 'b']) await raw.send(new DeleteObjectCommand({ Bucket, Key }))
  for (const key of ['a', 'b', 'c']) expect(await (await store.get(key))?.text()).toBe(`body of ${key}`)
  await eventually(async () => (await keysOf(provider)).length === 3)
  await store.drain({ until: 'verified' })
  expect(await keysOf(other)).toEqual(['a', 'b', 'c'])
})

test('an upload that a lifecycle rule aborted half-way begins again by itself (S17)', async () => {
  await using directory = await testDirectory()
  const provider = amazon()
  const store = await directory.open([provider, memory({ name: 'other' })])
  await isUp(store)
  const slow = { kind: 'status', status: 503, code: 'SlowDown' } as const
  const id = await cloud.fault({
    match: { operation: 'UploadPart', bucket: Bucket, key: 'large' },
    skip: 1,
    fault: slow,
  })
  await store.put('large', large)
  await eventually(async () => (await seen('UploadPart', 'large')).length > 1)
  const { Uploads = [] } = await raw.send(new ListMultipartUploadsCommand({ Bucket }))
  for (const { Key, UploadId } of Uploads) await raw.send(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }))
  await cloud.heal(id)
  await store.drain({ until: 'verified' })
  expect((await seen('CreateMultipartUpload', 'large')).length).toBe(2)
  expect(await openUploads()).toEqual([])
  expect((await bodyAt(provider, 'large'))?.equals(large)).toBe(true)
})

test("of uploads that were left half-way our own is aborted when a newer write makes it superfluous, also after a restart, and nobody else's is (S21, I16)", async () => {
  await using directory = await testDirectory()
  const provider = amazon()
  const other = memory({ name: 'other' })
  const store = await directory.open([provider, other])
  await isUp(store)
  await raw.send(new CreateMultipartUploadCommand({ Bucket, Key: 'large' }))
  await raw.send(new CreateMultipartUploadCommand({ Bucket, Key: 'somebody else' }))
  const slow = { kind: 'status', status: 503, code: 'SlowDown' } as const
  const id = await cloud.fault({
    match: { operation: 'UploadPart', bucket: Bucket, key: 'large' },
    skip: 1,
    fault: slow,
  })
  await store.put('large', large)
  await eventually(async () => (await seen('UploadPart', 'large')).length > 1)
  await store.close()
  expect(await openUploads()).toEqual(['large', 'large', 'somebody else'])
  await cloud.heal(id)
  const stop = await cloud.fault({ match: { bucket: Bucket, key: 'large' }, fault: slow })
  const again = await directory.open([provider, other])
  await again.put('large', 'small now')
  await cloud.heal(stop)
  await again.drain({ until: 'verified' })
  await eventually(async () => (await openUploads()).length === 2)
  expect(await openUploads()).toEqual(['large', 'somebody else'])
  expect((await bodyAt(provider, 'large'))?.toString()).toBe('small now')
})

test('a service that lags behind its own answers is looked at again, and given at most the same again (S18, I12, I33)', async () => {
  await using directory = await testDirectory()
  const provider = amazon()
  const store = await directory.open([provider, memory({ name: 'other' })])
  await store.put('k', 'first')
  await store.drain({ until: 'verified' })
  const lost: unknown[] = []
  store.on('lost', ({ key }) => lost.push(key))
  let lags = 2
  proxy.rule = ({ method, url }) =>
    (method === 'HEAD' || method === 'GET') && url.includes('/k') && lags-- > 0
      ? { passes: false, tells: s3Refusal(404, 'NoSuchKey') }
      : undefined
  await store.put('k', 'second')
  await store.put('new', 'body')
  await store.drain({ until: 'verified' })
  expect(lost.length).toBeLessThanOrEqual(2)
  expect((await bodyAt(provider, 'k'))?.toString()).toBe('second')
  expect((await store.status()).blocked.writes).toBe(0)
}, 60_000)

test('a listing that lags hides nothing that was written, and nothing is deleted for it (S18, S20, I14)', async () => {
  await using directory = await testDirectory()
  const provider = amazon()
  const other = memory({ name: 'other' })
  const store = await directory.open([provider, other])
  for (const key of ['a', 'b', 'c']) await store.put(key, key)
  await store.drain({ until: 'verified' })
  await cloud.fault({ match: { bucket: Bucket }, fault: { kind: 'empty-list' } })
  await expect(store.reconcile({ repair: true })).rejects.toMatchObject({ code: 'BLOCKED', field: 'guard' })
  for (const key of ['a', 'b', 'c']) expect(await (await store.get(key))?.text()).toBe(key)
  await cloud.heal()
  expect(await keysOf(provider)).toEqual(['a', 'b', 'c'])
  expect(await keysOf(other)).toEqual(['a', 'b', 'c'])
})

test('a delete that Object Lock forbids is said to be blocked, its marker stays, and nobody reads what it deletes; later it goes (S11, I13)', async () => {
  await using directory = await testDirectory()
  const provider = amazon()
  const store = await directory.open([provider, memory({ name: 'other' })])
  await store.put('k', 'body')
  await store.drain({ until: 'verified' })
  const message = 'Access Denied because object protected by object lock.'
  const locked = { kind: 'status', status: 403, code: 'AccessDenied', message } as const
  await cloud.fault({ match: { operation: 'DeleteObject', bucket: Bucket, key: 'k' }, fault: locked })
  await store.delete('k')
  await expect(store.drain()).rejects.toMatchObject({ code: 'BLOCKED', provider: 's3', reason: 'RETENTION' })
  expect((await store.status()).providers[0]?.state).toBe('up')
  expect(await keysOf(provider)).toEqual(['k'])
  expect(await store.get('k')).toBeUndefined()
  expect(await Array.fromAsync(store.list())).toEqual([])
  expect((await provider.head('.holdfast/deleted/k', AbortSignal.timeout(5_000)))?.size).toBeDefined()
  await cloud.heal()
  expect(await store.blocked.retry({ reason: 'RETENTION' })).toBe(1)
  await store.drain({ until: 'verified' })
  expect(await keysOf(provider)).toEqual([])
})

test('a region that is another one is named in status and in check, and no key goes to another host (S9, I46)', async () => {
  await using directory = await testDirectory()
  await using elsewhere = await startProxy(cloud.endpoint)
  const to = { 'x-amz-bucket-region': 'eu-west-3', location: `${elsewhere.endpoint}/${Bucket}` }
  proxy.rule = () => ({ passes: false, tells: s3Refusal(301, 'PermanentRedirect', to) })
  const store = await directory.open([amazon(), memory({ name: 'other' })])
  await store.put('k', 'body')
  await becomes(store, 'REGION')
  expect((await store.status()).providers[0]?.message).toContain('eu-west-3')
  const [found] = await store.check()
  expect(found?.findings.join()).toMatch(/eu-west-3.*correct region or endpoint/)
  expect(elsewhere.requests).toEqual([])
  proxy.rule = () => undefined
  await isUp(store)
  await store.drain({ until: 'verified' })
})
