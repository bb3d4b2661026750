import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { S3Client } from '@aws-sdk/client-s3'
import { expect, onTestFinished, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { s3 } from '../../src/providers/s3.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { errorOf, putOf, whole } from '../providers/s3-recorder.ts'
import { bodyAt, eventually, testDirectory } from '../support/store.ts'

const bucket = 'photos'
const [old, renewed] = [
  { id: 'AKIAOLD', secret: 'old secret' },
  { id: 'AKIANEW', secret: 'new secret' },
]
const signal = (): AbortSignal => AbortSignal.timeout(15_000)
const keysOf = ({ id, secret }: typeof old) => ({ accessKeyId: id, secretAccessKey: secret })

/** A service whose keys can be changed under its clients, and a function that fetches the keys of the day. */
async function changing() {
  const directory = await mkdtemp(join(tmpdir(), 'holdfast-keys-'))
  let cloud: LocalCloud = await startLocalS3({ buckets: [bucket], directory, credentials: old })
  onTestFinished(async () => {
    await cloud.stop()
    await rm(directory, { recursive: true, force: true })
  })
  const { endpoint, port } = cloud
  let keys = old
  let asked = 0
  return {
    endpoint,
    asked: () => asked,
    requests: () => cloud.requests(),
    async fetchKeys() {
      asked++
      return keysOf(keys)
    },
    /** The old ones are revoked; the function gives the new ones from now on. */
    async change() {
      await cloud.stop()
      cloud = await startLocalS3({ port, directory, credentials: renewed })
      keys = renewed
      // Until clients have noticed that their connections are closed.
      await new Promise(resolve => setTimeout(resolve, 100))
    },
  }
}

const openers = {
  'fetched by the function that was given': (at: Awaited<ReturnType<typeof changing>>) =>
    s3({ bucket, endpoint: at.endpoint, credentials: () => at.fetchKeys() }),
  "of the app's own client": (at: Awaited<ReturnType<typeof changing>>) =>
    s3({
      bucket,
      client: new S3Client({
        endpoint: at.endpoint,
        region: 'us-east-1',
        forcePathStyle: true,
        credentials: () => at.fetchKeys(),
      }),
    }),
}

for (const [which, open] of Object.entries(openers)) {
  test(`credentials ${which}, which did not say when they end, are fetched once more when the service refuses them, and no more often (S5)`, async () => {
    const at = await changing()
    const provider = open(at)
    await provider.put(putOf('k', 'body'), signal())
    expect((await provider.head('k', signal()))?.size).toBe(4)
    expect(at.asked()).toBe(1)
    await at.change()
    // One that is refused says so: what was signed with is not tried twice.
    expect(await errorOf(provider.head('k', signal()))).toMatchObject({ code: 'DENIED', reason: 'CREDENTIALS' })
    expect((await provider.head('k', signal()))?.size).toBe(4)
    expect(at.asked()).toBe(2)
    const read = await provider.get(whole('k'), signal())
    await read?.close()
    await provider.put(putOf('k', 'other'), signal())
    expect(at.asked()).toBe(2)
  })
}

test('keys that stay wrong are asked for once a request, not more', async () => {
  const at = await changing()
  let asked = 0
  const provider = s3({
    bucket,
    endpoint: at.endpoint,
    credentials: async () => {
      asked++
      return keysOf(renewed)
    },
  })
  for (let i = 0; i < 3; i++)
    expect(await errorOf(provider.put(putOf('k', 'body'), signal()))).toMatchObject({ reason: 'CREDENTIALS' })
  expect(asked).toBe(3)
  expect((await at.requests()).length).toBe(3)
})

test('a store whose key was replaced goes on by itself, with nobody restarting it (S5, P3, I33)', async () => {
  const at = await changing()
  await using directory = await testDirectory()
  const provider = s3({ bucket, endpoint: at.endpoint, credentials: () => at.fetchKeys() })
  const store = await directory.open([provider, memory({ name: 'other' })])
  const before = await store.put('before', 'was there')
  await before.replicated({ until: 'verified' })
  const told: unknown[] = []
  store.on('provider', ({ provider: name, state, reason }) => name === provider.name && told.push([state, reason]))
  await at.change()
  await store.put('k', 'body')
  await eventually(() => told.length === 2)
  await store.drain({ until: 'verified' })
  expect((await bodyAt(provider, 'k'))?.toString()).toBe('body')
  expect(told).toEqual([
    ['blocked', 'CREDENTIALS'],
    ['up', undefined],
  ])
  expect(at.asked()).toBe(2)
})

test('a clock that jumps blocks the provider, not one write after the other, and the next probe is signed by the time of the service (S5, I41)', async () => {
  await using cloud = await startLocalS3({ buckets: [bucket] })
  await using directory = await testDirectory()
  const client = new S3Client({
    endpoint: cloud.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: keysOf(cloud.credentials),
  })
  const provider = s3({ bucket, client })
  const store = await directory.open([provider, memory({ name: 'other' })])
  const before = await store.put('before', 'was there')
  await before.replicated({ until: 'verified' })
  const blocked: unknown[] = []
  store.on('blocked', ({ reason }) => blocked.push(reason))
  const told: unknown[] = []
  store.on('provider', ({ state, reason }) => told.push([state, reason]))
  // By this the SDK signs: as after a jump of the clock by an hour, 15 minutes are allowed.
  client.config.systemClockOffset = 3_600_000
  await store.put('k', 'body')
  await eventually(() => told.length === 2)
  await store.drain({ until: 'verified' })
  expect(told[0]).toEqual(['blocked', 'CLOCK'])
  expect(blocked).toEqual([])
  expect((await bodyAt(provider, 'k'))?.toString()).toBe('body')
  expect(Math.abs(client.config.systemClockOffset)).toBeLessThan(60_000)
})
