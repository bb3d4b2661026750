import { expect, test } from 'vitest'
import { withHoldfast } from '../../src/s3-client/index.ts'
import { bucket, startWorld } from './world.ts'

test('what only the bucket knows of an object is found right after a write too, once it is there', async () => {
  await using world = await startWorld()
  const { s3, first } = world
  await world.store.check()
  const slow = await first.fault({ match: { method: 'PUT', key: 'a' }, fault: { kind: 'slow', ms: 400 } })
  await s3.putObject({ Bucket: bucket, Key: 'a', Body: 'x', Tagging: 'kind=cat' })
  const { TagSet } = await s3.getObjectTagging({ Bucket: bucket, Key: 'a' })
  expect(TagSet).toEqual([{ Key: 'kind', Value: 'cat' }])
  await first.heal(slow)
  expect((await s3.getObjectAcl({ Bucket: bucket, Key: 'a' })).Grants?.length).toBeGreaterThan(0)
})

test('a key that Holdfast has not either is missing at once, and one that stays away is missing in the end', async () => {
  await using world = await startWorld()
  const { s3, first } = world
  await world.store.check()
  const began = performance.now()
  const missing = { name: 'NoSuchKey', $metadata: { httpStatusCode: 404 } }
  await expect(s3.getObjectTagging({ Bucket: bucket, Key: 'absent' })).rejects.toMatchObject(missing)
  expect(performance.now() - began).toBeLessThan(2000)
  await first.fault({ match: { method: 'PUT', key: 'a' }, fault: { kind: 'status', status: 503 } })
  await s3.putObject({ Bucket: bucket, Key: 'a', Body: 'x' })
  await expect(s3.getObjectTagging({ Bucket: bucket, Key: 'a' })).rejects.toMatchObject(missing)
  const stop = new AbortController()
  const asked = s3.getObjectTagging({ Bucket: bucket, Key: 'a' }, { abortSignal: stop.signal })
  setTimeout(() => stop.abort(), 100)
  await expect(asked).rejects.toMatchObject({ name: 'AbortError' })
  await first.heal()
}, 30_000)

test('an abort that comes while Holdfast is asked for the key is an abort, and not a missing key', async () => {
  await using world = await startWorld()
  const { client, first, store } = world
  await store.check()
  await first.fault({ match: { method: 'PUT', key: 'a' }, fault: { kind: 'status', status: 503 } })
  await store.put('a', 'x')
  const stop = new AbortController()
  const asked = new Proxy(store, {
    get(target, name) {
      if (name === 'head') stop.abort()
      const value: unknown = Reflect.get(target, name)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
  const s3 = withHoldfast(client(), { [bucket]: asked })
  const tags = s3.getObjectTagging({ Bucket: bucket, Key: 'a' }, { abortSignal: stop.signal })
  await expect(tags).rejects.toMatchObject({ name: 'AbortError' })
  expect(stop.signal.aborted).toBe(true)
  await first.heal()
})
