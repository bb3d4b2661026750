import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import { memory } from '../../src/providers/memory.ts'
import { s3 } from '../../src/providers/s3.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { eventually, keysOf, testDirectory } from '../support/store.ts'

let cloud: LocalCloud
beforeAll(async () => {
  cloud = await startLocalS3({ buckets: ['main'] })
})
afterEach(() => cloud.heal())
afterAll(() => cloud.stop())

function amazon(prefix: string): Provider {
  const { id: accessKeyId, secret: secretAccessKey } = cloud.credentials
  const credentials = { accessKeyId, secretAccessKey }
  return s3({ bucket: 'main', prefix, name: 's3', endpoint: cloud.endpoint, credentials })
}

test('an object that was archived is looked at a second time without being read, and read from the other cloud (S16, P4)', async () => {
  await using directory = await testDirectory()
  const archived = { kind: 'status', status: 403, code: 'InvalidObjectState' } as const
  await cloud.fault({ match: { operation: 'GetObject', bucket: 'main', key: 'archived/k' }, fault: archived })
  const store = await directory.open([amazon('archived/'), memory({ name: 'other' })])
  await store.put('k', 'body')
  await store.drain({ until: 'verified' })
  await eventually(async () => (await store.status()).stage.bytes === 0)
  await cloud.requests({ reset: true })
  const found = await store.get('k')
  expect([await found?.text(), found?.from]).toEqual(['body', 'other'])
  // Neither restored nor written anew: it is there.
  const asked = (await cloud.requests()).filter(({ key }) => key === 'archived/k').map(({ operation }) => operation)
  expect(new Set(asked)).toEqual(new Set(['GetObject']))
})

test('a 403 for what is not there, as of who may not list the bucket, is never absence, and deletes nothing (S5, I14, I27)', async () => {
  await using directory = await testDirectory()
  const other = memory({ name: 'other' })
  const store = await directory.open([amazon('unlisted/'), other])
  await store.put('k', 'body')
  await store.drain({ until: 'verified' })
  const denied = { kind: 'status', status: 403, code: 'AccessDenied' } as const
  for (const key of ['k', 'nothing'])
    await cloud.fault({ match: { bucket: 'main', key: `unlisted/${key}` }, fault: denied })
  expect(await (await store.get('k'))?.text()).toBe('body')
  await expect(store.get('nothing')).rejects.toMatchObject({ code: 'UNAVAILABLE', retryable: false })
  await expect(store.head('nothing')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  expect(await keysOf(other)).toEqual(['k'])
})

test('a bucket that is gone proves no key absent, by GET or by HEAD, whoever says that there was none (S7, I14, I27)', async () => {
  await using directory = await testDirectory()
  const other = memory({ name: 'other' })
  const store = await directory.open([amazon('gone/'), other])
  await store.put('k', 'body')
  await store.drain({ until: 'verified' })
  await cloud.fault({ match: { bucket: 'main' }, fault: { kind: 'status', status: 404, code: 'NoSuchBucket' } })
  expect(await (await store.get('k'))?.text()).toBe('body')
  for (const asked of [store.get('nothing'), store.head('nothing')])
    await expect(asked).rejects.toMatchObject({ code: 'UNAVAILABLE', cause: { errors: [{ reason: 'BUCKET' }] } })
  expect(await keysOf(other)).toEqual(['k'])
})
