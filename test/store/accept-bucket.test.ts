import { join } from 'node:path'
import { expect, test } from 'vitest'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { digestsOf } from '../../src/core/digest.ts'
import { bytesSource } from '../../src/core/source.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { fs } from '../../src/providers/fs.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { place } from '../cli/run.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'

const identityKey = '.holdfast/identity'
const signal = () => AbortSignal.timeout(10_000)
const why = 'somebody deleted it on Friday'

function world() {
  const faults = { a: {} as Faults, b: {} as Faults }
  const inner = { a: memory({ name: 'a' }), b: memory({ name: 'b' }) }
  return { faults, inner, a: faulty(inner.a, faults.a), b: faulty(inner.b, faults.b) }
}

async function empty(bucket: Provider): Promise<void> {
  const keys: string[] = []
  for await (const entry of bucket.list({ prefix: '', delimiter: '', startAfter: '' }, signal()))
    if (entry.type === 'object') keys.push(entry.key)
  for (const key of keys) await bucket.delete(key, undefined, signal())
}

async function mark(bucket: Provider, text: string): Promise<void> {
  const bytes = Buffer.from(text)
  const source = bytesSource(bytes, digestsOf(bytes))
  const rest = { headers: { contentType: 'application/json' }, metadata: {}, condition: undefined, upload: noMemo }
  await bucket.put({ key: identityKey, source, ...rest }, signal())
}

const putsAt = ({ calls = [] }: Faults) =>
  calls.filter(({ operation }) => operation === 'put' || operation === 'delete')

test('a bucket that was emptied gets nothing until a person accepts it, then all that is not finished, and the rest by a backfill (P6, I1, I28)', async () => {
  await using directory = await testDirectory()
  const { faults, inner, a, b } = world()
  const before = await directory.open([a, b])
  await before.put('done', 'body of done')
  await before.put('known', 'body of known')
  await before.put('deleted', 'body')
  await before.delete('deleted')
  await before.drain({ until: 'verified' })
  await before.close()

  const store = await directory.open([a, b], { holdMs: 400 })
  const told: unknown[] = []
  store.on('bucket-accepted', event => told.push(event))
  const verified = new Promise(resolve => {
    store.on('verified', ({ key, provider }) => key === 'verified' && provider === 'a' && resolve(undefined))
  })
  const slow = Promise.withResolvers<void>()
  faults.b.rules = [{ on: 'put', key: 'verified', fault: { kind: 'before', run: () => slow.promise } }]
  faults.a.rules = [{ on: 'put', key: 'blocked', fault: { kind: 'fail', code: 'DENIED', reason: 'RETENTION' } }]
  await store.put('verified', 'body of verified')
  await verified
  await store.put('blocked', 'body of blocked')
  await store.put('held', 'body of held')
  await eventually(async () => (await store.status()).blocked.writes === 1)
  await eventually(async () => (await bodyAt(inner.a, 'held')) !== undefined)
  await empty(inner.a)
  faults.a.rules = []
  await eventually(async () => (await store.status()).providers[0]?.reason === 'IDENTITY')
  expect((await store.status()).providers[0]?.message).toContain('acceptBucket')
  await store.put('pending', 'body of pending')

  // Nobody accepted it: the next probe lets it in no more than this one.
  faults.a.calls = []
  await eventually(() => faults.a.calls?.some(({ key }) => key === identityKey))
  expect((await store.status()).providers[0]).toMatchObject({ state: 'blocked', reason: 'IDENTITY', filled: true })
  expect(putsAt(faults.a)).toEqual([])

  slow.resolve()
  const accepted = await store.acceptBucket('a', { why })
  expect(accepted).toEqual({ identity: undefined, before: expect.stringMatching(/^[0-9a-f-]{36}$/) })
  expect(told).toEqual([{ provider: 'a', before: accepted.before, why }])
  expect((await store.status()).providers).toMatchObject([
    { name: 'a', filled: false, stale: false },
    { name: 'b', filled: true },
  ])
  await store.drain()
  expect(await keysOf(inner.a)).toEqual(['blocked', 'held', 'pending', 'verified'])
  expect((await bodyAt(inner.a, identityKey))?.toString()).not.toContain(accepted.before)
  await expect(store.acceptBucket('a', { why })).rejects.toMatchObject({ code: 'INVALID', rule: 'same' })

  // Until it is filled, what it lacks and does not list proves nothing.
  const listed: string[] = []
  for await (const entry of store.list()) if (entry.type === 'object') listed.push(entry.key)
  expect(listed).toEqual(['blocked', 'done', 'held', 'known', 'pending', 'verified'])
  faults.b.rules = [{ on: ['get', 'head'], fault: { kind: 'fail', code: 'UNAVAILABLE', reason: 'NETWORK' } }]
  await expect(store.get('of another directory')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  faults.b.rules = []

  expect(await store.backfill({ to: 'a' })).toMatchObject({ filled: true, queued: 2 })
  await store.drain({ until: 'verified' })
  expect(await keysOf(inner.a)).toEqual(['blocked', 'done', 'held', 'known', 'pending', 'verified'])
  expect(await keysOf(inner.b)).toEqual(await keysOf(inner.a))
  for (const key of await keysOf(inner.b)) expect((await bodyAt(inner.a, key))?.toString()).toBe(`body of ${key}`)
  expect((await store.status()).providers).toMatchObject([
    { state: 'up', filled: true },
    { state: 'up', filled: true },
  ])
  expect(faults.b.calls?.filter(({ operation }) => operation === 'delete')).toEqual(
    faults.b.calls?.filter(({ operation, key }) => operation === 'delete' && key === 'deleted'),
  )
}, 30_000)

test('where nobody noticed yet, accepting is noticed: the provider is let in anew, and marked', async () => {
  await using directory = await testDirectory()
  const { inner, a, b } = world()
  const store = await directory.open([a, b])
  await store.put('k', 'body')
  await store.drain({ until: 'verified' })
  await mark(inner.a, '{"format":1,"identity":"00000000-0000-4000-8000-000000000000"}')
  expect(await store.acceptBucket('a', { why })).toMatchObject({ identity: '00000000-0000-4000-8000-000000000000' })
  await eventually(async () => (await store.status()).providers[0]?.state === 'up')
  // Known to be this one from now on.
  await empty(inner.a)
  expect(await store.acceptBucket('a', { why })).toMatchObject({ before: '00000000-0000-4000-8000-000000000000' })
  await eventually(async () => (await bodyAt(inner.a, identityKey)) !== undefined)
})

test('a fill that was under way when another bucket was accepted says nothing of that one, and leaves no position', async () => {
  await using directory = await testDirectory()
  const { faults, inner, a, b } = world()
  const store = await directory.open([a, b])
  for (const key of ['1', '2']) await store.put(key, 'body')
  await store.drain({ until: 'verified' })
  await inner.a.delete('2', undefined, signal())
  const [reached, goOn] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const run = async () => {
    reached.resolve()
    await goOn.promise
  }
  faults.b.rules = [{ on: 'get', key: '2', fault: { kind: 'before', run } }]
  const filling = Promise.resolve(store.backfill({ to: 'a' }))
  const refused = expect(filling).rejects.toMatchObject({ code: 'BLOCKED', field: 'guard', rule: 'identity' })
  await reached.promise
  await empty(inner.a)
  await store.acceptBucket('a', { why })
  goOn.resolve()
  await refused
  expect((await store.status()).providers[0]).toMatchObject({ filled: false })
  faults.b.rules = []
  await store.drain()
  expect(await store.backfill({ to: 'a' })).toMatchObject({ filled: true })
  expect(await keysOf(inner.a)).toEqual(['1', '2'])
})

test('what there is nothing to accept of is refused, and changes nothing', async () => {
  await using directory = await testDirectory()
  const { faults, inner, a, b } = world()
  faults.b.rules = [{ fault: { kind: 'fail', code: 'UNAVAILABLE', reason: 'NETWORK' } }]
  const store = await directory.open([a, b])
  await store.put('k', 'body')
  await eventually(async () => (await bodyAt(inner.a, 'k')) !== undefined)
  const call = store.acceptBucket as unknown as (...args: readonly unknown[]) => Promise<unknown>
  const cases: readonly [readonly unknown[], object][] = [
    [['a', { why }], { field: 'provider', rule: 'same', message: expect.stringContaining('the bucket that it was') }],
    [['b', { why }], { field: 'provider', rule: 'same', message: expect.stringContaining('nothing was written') }],
    [['A', { why }], { field: 'provider', rule: 'unknown', message: expect.stringContaining('did you mean a?') }],
    [[1, { why }], { field: 'provider', rule: 'type' }],
    [['a', {}], { field: 'why', rule: 'missing' }],
    [['a', { why: ' ' }], { field: 'why', rule: 'length' }],
    [['a', { why, wy: 1 }], { message: expect.stringContaining('why') }],
  ]
  for (const [args, expected] of cases)
    await expect(call(...args), JSON.stringify(args)).rejects.toMatchObject({ code: 'INVALID', ...expected })
  await expect(store.acceptBucket('a', { why, signal: AbortSignal.abort(new Error('no')) })).rejects.toThrow('no')
  await mark(inner.a, 'something else')
  await expect(store.acceptBucket('a', { why })).rejects.toMatchObject({ code: 'DENIED', reason: 'IDENTITY' })
  faults.a.rules = [{ fault: { kind: 'fail', code: 'UNAVAILABLE', reason: 'NETWORK' } }]
  await expect(store.acceptBucket('a', { why })).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK' })
  expect((await store.status()).providers[0]).toMatchObject({ filled: true })
})

test('another process accepts the bucket while this one replicates', async () => {
  await using here = await place()
  const [primary, secondary] = [
    fs({ root: join(here.path, 'a'), name: 'a' }),
    fs({ root: join(here.path, 'b'), name: 'b' }),
  ]
  await using store = await openHoldfast({ directory: join(here.path, 'store'), primary, secondary, holdMs: 0 })
  await store.put('k', 'body')
  await store.drain({ until: 'verified' })
  await empty(primary)
  const { code, stdout, stderr } = await here.run(`accept-bucket a --why "${why}"`)
  expect([code, stderr]).toEqual([0, '`holdfast backfill --to a` brings everything that the others have\n'])
  expect(stdout).toMatch(/^a is a bucket without a mark now, [0-9a-f-]{36} before\n$/)
  await eventually(async () => (await bodyAt(primary, identityKey)) !== undefined)
  expect(await store.backfill({ to: 'a' })).toMatchObject({ queued: 1, filled: true })
})
