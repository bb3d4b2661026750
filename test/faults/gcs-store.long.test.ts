import { Storage } from '@google-cloud/storage'
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import { memory } from '../../src/providers/memory.ts'
import { gcs, type GcsOptions } from '../../src/providers/gcs.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { bearer, noise, small, unit } from '../providers/gcs-support.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'

const bucket = 'main'

function google(cloud: LocalCloud, more: Partial<GcsOptions> = {}): Provider {
  return gcs({ bucket, name: 'gcs', apiEndpoint: cloud.endpoint, projectId: 'any', ...small, ...more })
}

const raw = (cloud: LocalCloud): Storage => new Storage({ apiEndpoint: cloud.endpoint, projectId: 'any' })

test('an object that is written faster than Google lets one be changed ends with its newest version, in about a request a write, and holds up no other (G1, I12, I29, I30)', async () => {
  await using cloud = await startLocalGcs({ buckets: [bucket], oneMutationPerSecond: true })
  await using directory = await testDirectory()
  const provider = google(cloud)
  const store = await directory.open([provider, memory({ name: 'other' })])
  await eventually(async () => (await store.status()).providers[0]?.state === 'up', 30_000)
  await cloud.requests({ reset: true })
  for (let i = 0; i < 60; i++) {
    await store.put('counter', `value ${i}`)
    await new Promise(resolve => setTimeout(resolve, 25))
  }
  const quiet = await store.put('quiet', 'body')
  await quiet.replicated()
  await store.drain({ until: 'verified' })
  expect((await bodyAt(provider, 'counter'))?.toString()).toBe('value 59')
  const sent = (await cloud.requests()).filter(
    ({ operation, key }) => operation === 'objects.insert' && key === 'counter',
  )
  expect(sent.length).toBeLessThan(90)
  const { accepted, done, superseded } = await store.status()
  expect(done + superseded).toBe(accepted)
}, 60_000)

test.each([
  ['gone (404)', { kind: 'status', status: 404 }],
  ['gone (410)', { kind: 'status', status: 410 }],
  ['answered with 503 in its middle', { kind: 'status', status: 503 }],
  ['cut off within a chunk', { kind: 'reset', of: 'request', afterBytes: 8_192 }],
  ['not answered at its end', { kind: 'lose-answer' }],
] as const)('an upload session that is %s ends as one object, byte for byte (G4, I15)', async (_what, fault) => {
  await using cloud = await startLocalGcs({ buckets: [bucket] })
  await using directory = await testDirectory()
  const provider = google(cloud)
  const store = await directory.open([provider, memory({ name: 'other' })])
  const body = noise(6 * unit + 77)
  const skip = fault.kind === 'lose-answer' ? 6 : 3
  await cloud.fault({ match: { operation: 'resumable.chunk' }, skip, times: 1, fault })
  await store.put('large', body)
  await store.drain({ until: 'verified' })
  expect((await bodyAt(provider, 'large'))?.equals(body)).toBe(true)
  expect((await cloud.requests()).filter(({ fault: done }) => done === fault.kind).length).toBe(1)
})

test('what is stored compressed comes back as it was put, from Google too, which would unpack it (G6, I24)', async () => {
  await using cloud = await startLocalGcs({ buckets: [bucket] })
  await using directory = await testDirectory()
  const store = await directory.open([google(cloud), memory({ name: 'other' })])
  const packed = gzipSync('text that was packed by the app '.repeat(100))
  await store.put('k', packed, { contentType: 'text/plain', contentEncoding: 'gzip' })
  await store.drain({ until: 'verified' })
  await eventually(async () => (await store.status()).stage.bytes === 0)
  const found = await store.get('k')
  expect(found?.from).toBe('gcs')
  expect(Buffer.from((await found?.bytes()) ?? []).equals(packed)).toBe(true)
  const part = await store.get('k', { range: { start: 10, end: 20 } })
  expect(Buffer.from((await part?.bytes()) ?? []).equals(packed.subarray(10, 20))).toBe(true)
})

test('a retention policy of the bucket blocks a delete, which nobody reads past; once it is over the object goes (G7, I13)', async () => {
  await using cloud = await startLocalGcs({ buckets: [bucket] })
  await using directory = await testDirectory()
  const provider = google(cloud)
  const store = await directory.open([provider, memory({ name: 'other' })])
  await store.put('k', 'body')
  await store.drain({ until: 'verified' })
  await raw(cloud).bucket(bucket).setRetentionPeriod(3_600)
  await store.delete('k')
  await expect(store.drain()).rejects.toMatchObject({ code: 'BLOCKED', provider: 'gcs', reason: 'RETENTION' })
  expect(await keysOf(provider)).toEqual(['k'])
  expect(await store.get('k')).toBeUndefined()
  await raw(cloud).bucket(bucket).removeRetentionPeriod()
  expect(await store.blocked.retry({ reason: 'RETENTION' })).toBe(1)
  await store.drain({ until: 'verified' })
  expect(await keysOf(provider)).toEqual([])
})

test('a token that is revoked before its time is refreshed once, and the store goes on by itself (G8, I33)', async () => {
  await using cloud = await startLocalGcs({ buckets: [bucket], auth: { token: 'of today' } })
  await using directory = await testDirectory()
  let token = 'of today'
  let refreshed = 0
  const authClient = Object.assign(
    bearer(async () => token),
    {
      credentials: { refresh_token: 'r' },
      async refreshAccessToken() {
        refreshed++
        token = 'of today'
      },
    },
  )
  const provider = google(cloud, { authClient })
  const store = await directory.open([provider, memory({ name: 'other' })])
  await store.put('before', 'was there')
  await store.drain({ until: 'verified' })
  const told: string[] = []
  store.on('provider', ({ state }) => told.push(state))
  token = 'revoked'
  await store.put('k', 'body')
  await eventually(() => told.length === 2)
  await store.drain({ until: 'verified' })
  expect((await bodyAt(provider, 'k'))?.toString()).toBe('body')
  expect(refreshed).toBe(1)
  expect(told).toEqual(['blocked', 'up'])
})

test('while no token can be had the provider is down and all else goes on, and it drains when there is one (G8, I11, I33)', async () => {
  await using cloud = await startLocalGcs({ buckets: [bucket], auth: { token: 'of today' } })
  await using directory = await testDirectory()
  let broken: Error | undefined
  const provider = google(cloud, {
    authClient: bearer(async () => {
      if (broken !== undefined) throw broken
      return 'of today'
    }),
  })
  const store = await directory.open([provider, memory({ name: 'other' })])
  await store.put('before', 'was there')
  await store.drain({ until: 'verified' })
  broken = Object.assign(new Error('the metadata server is unavailable'), { status: 503 })
  const receipt = await store.put('k', 'body', { ack: 'one' })
  expect(receipt.version).toBeDefined()
  expect(await (await store.get('before'))?.text()).toBe('was there')
  expect((await store.status()).blocked.writes).toBe(0)
  broken = undefined
  await store.drain({ until: 'verified' })
  expect((await bodyAt(provider, 'k'))?.toString()).toBe('body')
})

test('an object that another tool composed has no MD5, and is served, taken in and mirrored by its CRC32C (G10, I17, I24)', async () => {
  await using cloud = await startLocalGcs({ buckets: [bucket] })
  await using directory = await testDirectory()
  const other = memory({ name: 'other' })
  const store = await directory.open([google(cloud), other])
  await eventually(async () => (await store.status()).providers[0]?.state === 'up', 30_000)
  const theirs = raw(cloud).bucket(bucket)
  const names = ['part 1', 'part 2']
  for (const name of names) await theirs.file(name).save(`${name};`, { resumable: false, contentType: 'text/plain' })
  await theirs.combine(names, 'whole')
  expect((await theirs.file('whole').getMetadata())[0].md5Hash).toBeUndefined()
  expect(await (await store.get('whole'))?.text()).toBe('part 1;part 2;')
  await store.adopt('whole')
  await store.drain({ until: 'verified' })
  expect((await bodyAt(other, 'whole'))?.toString()).toBe('part 1;part 2;')
})

test('a bucket that was deleted is said to be gone, one that was made again is given nothing (G9, I14, I28)', async () => {
  await using cloud = await startLocalGcs({ buckets: [bucket] })
  await using directory = await testDirectory()
  const provider = google(cloud)
  const other = memory({ name: 'other' })
  const store = await directory.open([provider, other])
  await store.put('before', 'was there')
  await store.drain({ until: 'verified' })
  const theirs = raw(cloud).bucket(bucket)
  await theirs.deleteFiles({ force: true })
  await theirs.delete()
  await store.put('k', 'body')
  await eventually(async () => (await store.status()).providers[0]?.reason === 'BUCKET', 20_000)
  await expect(store.get('never was')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await raw(cloud).createBucket(bucket)
  await cloud.requests({ reset: true })
  await eventually(async () => (await store.status()).providers[0]?.reason === 'IDENTITY', 20_000)
  expect(await (await store.get('before'))?.text()).toBe('was there')
  expect((await cloud.requests()).filter(({ method }) => method !== 'GET')).toEqual([])
  expect(await keysOf(other)).toEqual(['before', 'k'])
}, 60_000)
