import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { memory } from '../../src/providers/memory.ts'
import { prefixed } from '../../src/providers/prefixed.ts'
import { bytesOf, collect, shape, sourceOf } from '../../src/testing/conformance/bench.ts'
import { faulty } from '../../src/testing/faulty.ts'

const { signal } = new AbortController()
const everything = { prefix: '', delimiter: '', startAfter: '' }

function put(provider: Provider, key: string, body = key) {
  const headers = { contentType: 'text/plain' }
  return provider.put(
    { key, source: sourceOf(body), headers, metadata: {}, condition: undefined, upload: noMemo },
    signal,
  )
}

test('keys go in and come out without the prefix, and lie under it', async () => {
  const bucket = memory({ name: 'bucket' })
  const photos = prefixed(bucket, 'photos/')
  await put(bucket, 'other')
  await put(bucket, 'photos')
  await put(bucket, 'photos/')
  await put(photos, 'cat')
  await put(photos, '.holdfast/identity')
  expect(shape(await collect(bucket.list(everything, signal)))).toEqual([
    'object other',
    'object photos',
    'object photos/',
    'object photos/.holdfast/identity',
    'object photos/cat',
  ])
  expect(shape(await collect(photos.list(everything, signal)))).toEqual(['object .holdfast/identity', 'object cat'])
  expect(shape(await collect(photos.list({ ...everything, delimiter: '/' }, signal)))).toEqual([
    'prefix .holdfast/',
    'object cat',
  ])
  expect(shape(await collect(photos.list({ ...everything, startAfter: '.holdfast/identity' }, signal)))).toEqual([
    'object cat',
  ])
  expect(await photos.head('other', signal)).toBeUndefined()
  const found = await photos.get({ key: 'cat', range: undefined, token: undefined }, signal)
  expect(found?.object.key).toBe('cat')
  expect(found && (await bytesOf(found)).toString()).toBe('cat')
  await photos.delete('cat', undefined, signal)
  expect(await bucket.head('photos/cat', signal)).toBeUndefined()
})

test('it says where it is, and what is left of the limits', () => {
  const bucket = memory({ name: 'bucket' })
  const inside = prefixed(bucket, 'é/')
  expect(inside).toMatchObject({ name: 'bucket/é/', kind: 'memory', location: 'memory:named:bucket/é/' })
  expect(prefixed(bucket, 'é/', { name: 'mine' }).name).toBe('mine')
  expect(inside.limits.keyBytes).toBe(1021)
  expect(inside.refuseKey('k'.repeat(1021))).toBeUndefined()
  expect(inside.refuseKey('k'.repeat(1022))?.message).toMatch(/1025 bytes, limit 1024, with the prefix "é\/"/)
  expect(inside.refuseKey('')).toMatchObject({ rule: 'length' })
  expect(inside.refuseKey('ab\ud800')).toMatchObject({ rule: 'unicode', index: 2 })
})

test('an empty prefix is the bucket itself', () => {
  const bucket = memory()
  expect(prefixed(bucket, '')).toBe(bucket)
  expect(prefixed(bucket, '', { name: 'mine' })).toMatchObject({ name: 'mine', location: bucket.location })
})

test('errors name this provider and its key', async () => {
  const bucket = faulty(memory({ name: 'bucket' }), {
    rules: [
      { fault: { kind: 'fail', code: 'UNAVAILABLE', reason: 'THROTTLED', retryAfterMs: 7 }, on: ['head', 'list'] },
    ],
  })
  const inside = prefixed(bucket, 'p/', { name: 'mine' })
  const expected = { code: 'UNAVAILABLE', reason: 'THROTTLED', retryAfterMs: 7, retryable: true, provider: 'mine' }
  await expect(inside.head('k', signal)).rejects.toMatchObject({ ...expected, key: 'k' })
  await expect(collect(inside.list(everything, signal))).rejects.toMatchObject({ ...expected })
  const cause = new Error('cause')
  expect(inside.classify(cause)).toMatchObject({ provider: 'mine', cause })
  const ours = new HoldfastError('CORRUPT', 'of the source', { key: 'p/k' })
  expect(inside.classify(ours)).toBe(ours)
})

test.each([
  ['/a', 'slash'],
  ['a//b', 'slash'],
  ['a//', 'slash'],
  ['/', 'slash'],
  ['.', 'segment'],
  ['../a/', 'segment'],
  ['a/./b/', 'segment'],
  ['a/..', 'segment'],
  ['a\n', 'control'],
  ['a\0/', 'control'],
  ['a\u0085', 'control'],
  ['\ud800', 'unicode'],
  ['é'.repeat(129), 'length'],
  ['.holdfast/', 'reserved'],
  ['.holdfast/x', 'reserved'],
  ['.holdfast', 'reserved'],
  ['.hold', 'reserved'],
])('the prefix %j is refused for its %s', (prefix, rule) => {
  expect(() => prefixed(memory(), prefix)).toThrow(expect.objectContaining({ code: 'INVALID', field: 'prefix', rule }))
})

test.each(['a', 'a/', 'a/b-', 'é/', '.a/', 'a../', '...', '.holdfasts/', 'a b/', 'x'.repeat(256)])(
  'the prefix %j is taken as it is',
  async prefix => {
    const bucket = memory()
    await put(prefixed(bucket, prefix), 'k')
    expect(shape(await collect(bucket.list(everything, signal)))).toEqual([`object ${prefix}k`])
  },
)
