import { expect, test } from 'vitest'
import { recognise } from '../../src/core/entry.ts'
import { markerKey } from '../../src/core/key.ts'
import { foreignVersion } from '../../src/core/version.ts'
import type { Provider } from '../../src/core/provider.ts'
import type { FillProgress } from '../../src/reconcile/fill-types.ts'
import { memory } from '../../src/providers/memory.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { headAt, putAt } from '../replicate/mending.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'

const banned = [{ fault: { kind: 'fail', code: 'DENIED', reason: 'ACCOUNT', message: 'account closed' } }] as const
const keys = (count: number, begin = 'k') =>
  Array.from({ length: count }, (_, n) => `${begin}/${String(n).padStart(4, '0')}`)

function faultyMemory(name: string) {
  const faults: Faults = {}
  const inner = memory({ name })
  return { faults, inner, provider: faulty(inner, faults) }
}

/** Bytes, headers and metadata of every key, without what differs by nature. */
async function contentOf(provider: Provider) {
  const content: Record<string, unknown> = {}
  for (const key of await keysOf(provider)) {
    const found = await headAt(provider, key)
    const { holdfast: _, ...metadata } = found?.metadata ?? {}
    content[key] = { headers: found?.headers, metadata, body: String(await bodyAt(provider, key)) }
  }
  return content
}

test('a provider that was added is unfilled until it was filled, then takes the place of one that is left; retire settles what that was owed', async () => {
  await using directory = await testDirectory()
  const [a, b, c] = [faultyMemory('a'), faultyMemory('b'), faultyMemory('c')]
  {
    const store = await directory.open([a.provider, b.provider])
    for (const key of keys(30)) await store.put(key, `body of ${key}`, { metadata: { n: key } })
    await store.delete('k/0003')
    await store.drain({ until: 'verified' })
    a.faults.rules = banned
    // Accepted before the third provider was there, and owed to the banned one for ever.
    for (const key of keys(10, 'late')) await store.put(key, `body of ${key}`)
    await eventually(async () => (await store.status()).providers[0]?.state === 'blocked')
    await store.close()
  }
  {
    const store = await directory.open([a.provider, b.provider], { mirrors: [c.provider] })
    const filledOf = async () => (await store.status()).providers.map(({ filled }) => filled)
    expect(await filledOf()).toEqual([true, true, false])
    const result = await store.evacuate({ from: 'a', to: 'c' })
    expect(result).toMatchObject({ impossible: 0, failed: [], without: ['a'], filled: true })
    expect(await filledOf()).toEqual([true, true, true])
    await store.put('after', 'x')
    await eventually(async () => (await bodyAt(c.inner, 'after')) !== undefined)
    // Late ones go there as any other write.
    await eventually(async () => (await keysOf(c.inner)).length === 40)
    expect(await contentOf(c.inner)).toEqual(await contentOf(b.inner))
    await store.close()
  }
  const store = await directory.open([c.provider, b.provider])
  expect((await store.status()).left).toMatchObject([{ name: 'a' }])
  expect((await store.status()).blocked.reasons[0]).toMatchObject({ provider: 'a', reason: 'NOT_CONFIGURED' })
  // From one that left already it is the same: it is simply not asked.
  await expect(store.evacuate({ from: 'a', to: 'c' })).resolves.toMatchObject({
    queued: 0,
    without: ['a'],
    filled: true,
  })
  await expect(store.retire('a', { why: 'banned' })).resolves.toMatchObject({ kept: 0 })
  await store.drain({ until: 'verified' })
  expect(await store.status()).toMatchObject({ left: [], blocked: { writes: 0 } })
  expect(await (await store.get('late/0001'))?.text()).toBe('body of late/0001')
})

test('objects that Holdfast never saw are mirrored as they are, and their source is only read (I17, I22)', async () => {
  await using directory = await testDirectory()
  const [a, b] = [faultyMemory('a'), faultyMemory('b')]
  for (const key of keys(20)) await putAt(a.inner, key, `theirs ${key}`, { metadata: { owner: key } })
  const before = await Promise.all(keys(20).map(key => headAt(a.inner, key)))
  const store = await directory.open([a.provider, b.provider])
  await expect(store.backfill({ to: 'b' })).resolves.toMatchObject({
    objects: 20,
    queued: 20,
    stored: 20,
    filled: true,
  })
  const after = await Promise.all(keys(20).map(key => headAt(a.inner, key)))
  expect(after.map(found => found?.token)).toEqual(before.map(found => found?.token))
  const written = a.faults.calls?.filter(
    ({ operation, key }) => ['put', 'delete'].includes(operation) && !key?.startsWith('.holdfast/'),
  )
  expect(written).toEqual([])
  expect(await contentOf(b.inner)).toEqual(await contentOf(a.inner))
  for (const [index, key] of keys(20).entries()) {
    const mirror = await headAt(b.inner, key)
    expect(mirror && recognise(mirror)).toMatchObject({
      whose: 'ours',
      version: foreignVersion(before[index]?.modifiedAt ?? new Date(0)),
    })
  }
  // Nothing is left to do, and nobody is asked for an object to find out.
  a.faults.calls = []
  await expect(store.backfill({ to: 'b' })).resolves.toMatchObject({ objects: 0, queued: 0, filled: true })
  expect(a.faults.calls.filter(({ operation, key }) => operation === 'head' && key?.startsWith('k/'))).toEqual([])
})

test('older copies and what was deleted are brought too; what the provider alone has, and differences elsewhere, are left alone', async () => {
  await using directory = await testDirectory()
  const [a, b, c] = [memory({ name: 'a' }), memory({ name: 'b' }), memory({ name: 'c' })]
  const store = await directory.open([a, b])
  for (const key of ['older', 'gone', 'elsewhere']) await store.put(key, `old ${key}`)
  await store.drain({ until: 'verified' })
  for (const key of ['older', 'gone', 'elsewhere']) {
    const found = await headAt(a, key)
    const version = found === undefined ? '' : recognise(found).version
    await putAt(c, key, `old ${key}`, { version })
  }
  await putAt(c, 'alone', 'x')
  await store.put('older', 'new')
  await store.delete('gone')
  await store.drain({ until: 'verified' })
  await b.delete('elsewhere', undefined, AbortSignal.timeout(1_000))
  await store.close()
  const more = await directory.open([a, b], { mirrors: [c] })
  await expect(more.backfill({ to: 'c' })).resolves.toMatchObject({ queued: 2, impossible: 0, filled: true })
  expect(await keysOf(c)).toEqual(['alone', 'elsewhere', 'older'])
  expect(String(await bodyAt(c, 'older'))).toBe('new')
  expect(await headAt(c, markerKey('gone'))).toBeDefined()
  expect(await bodyAt(b, 'elsewhere')).toBeUndefined()
  expect(await bodyAt(a, 'alone')).toBeUndefined()
})

test('a run that was left goes on where it was, with its counts; resume: false begins anew', async () => {
  await using directory = await testDirectory()
  const [a, b] = [faultyMemory('a'), faultyMemory('b')]
  for (const key of keys(200)) await putAt(a.inner, key, 'x'.repeat(100))
  const store = await directory.open([a.provider, b.provider])
  const stop = new AbortController()
  const seen: FillProgress[] = []
  const left = (async () => {
    for await (const progress of store.backfill({ to: 'b', maxRequestsPerSecond: 100, signal: stop.signal })) {
      seen.push(progress)
      if (progress.objects > 40) stop.abort(new Error('enough'))
    }
  })()
  await expect(left).rejects.toThrow('enough')
  const last = seen.at(-1)
  expect(last?.cursor).not.toBe('')
  expect(last).toMatchObject({ ofObjects: 200, without: [] })
  expect(last?.leftMs).toBeGreaterThan(0)
  a.faults.calls = []
  const result = await store.backfill({ to: 'b' })
  expect(result).toMatchObject({ queued: 200, stored: 200, filled: true })
  // Nothing up to the position is asked for again.
  const asked = a.faults.calls.flatMap(({ operation, key }) => (operation === 'get' && key !== undefined ? [key] : []))
  expect(asked.filter(key => key.startsWith('k/') && key <= (last?.cursor ?? ''))).toEqual([])
  expect(await keysOf(b.inner)).toHaveLength(200)
  await b.inner.delete('k/0000', undefined, AbortSignal.timeout(1_000))
  await expect(store.backfill({ to: 'b', resume: false })).resolves.toMatchObject({ objects: 1, queued: 1, stored: 1 })
})

test('what cannot be brought is named, and the provider stays unfilled', async () => {
  await using directory = await testDirectory()
  const [a, b] = [faultyMemory('a'), faultyMemory('b')]
  for (const key of keys(10)) await putAt(a.inner, key, 'x'.repeat(1_000))
  const store = await directory.open([a.provider, b.provider])
  await eventually(async () => (await store.status()).providers.every(({ state }) => state === 'up'))
  a.faults.rules = [{ on: 'get', key: 'k/0004', fault: { kind: 'corrupt', atByte: 5 } }]
  b.faults.rules = [{ on: 'put', key: 'k/0006', fault: { kind: 'fail', code: 'INVALID', reason: 'REFUSED' } }]
  const result = await store.backfill({ to: 'b' })
  expect(result).toMatchObject({ queued: 9, stored: 9, impossible: 2, filled: false })
  expect(result.failed).toEqual([
    { key: 'k/0004', why: expect.stringContaining('not the bytes') },
    { key: 'k/0006', why: expect.stringContaining('REFUSED') },
  ])
  expect((await store.status()).blocked.reasons).toMatchObject([{ provider: 'b', reason: 'REFUSED' }])
})

test('a bucket that is not the one that it was fills nobody, and a blocked one is not waited for (I28)', async () => {
  await using directory = await testDirectory()
  const [a, b] = [faultyMemory('a'), faultyMemory('b')]
  const store = await directory.open([a.provider, b.provider])
  await eventually(async () => (await store.status()).providers.every(({ state }) => state === 'up'))
  await putAt(a.inner, 'k', 'x')
  // The fill looks twice whose bucket it is, before it has queued anything.
  b.faults.rules = [
    { on: 'put', fault: banned[0].fault },
    { on: 'get', key: '.holdfast/identity', skip: 2, fault: banned[0].fault },
  ]
  await expect(store.backfill({ to: 'b' })).rejects.toMatchObject({ code: 'BLOCKED', provider: 'b', reason: 'ACCOUNT' })
  await a.inner.delete('.holdfast/identity', undefined, AbortSignal.timeout(1_000))
  await expect(store.backfill({ to: 'b' })).rejects.toMatchObject({ code: 'BLOCKED', field: 'guard', rule: 'identity' })
})

test('a bucket that is exchanged while a fill is under way stops it before the first copy is queued (I28)', async () => {
  await using directory = await testDirectory()
  const [a, b] = [faultyMemory('a'), faultyMemory('b')]
  const store = await directory.open([a.provider, b.provider])
  await eventually(async () => (await store.status()).providers.every(({ state }) => state === 'up'))
  await putAt(a.inner, 'k', 'x')
  const run = async () => void (await b.inner.delete('.holdfast/identity', undefined, AbortSignal.timeout(1_000)))
  // The first look is at its beginning.
  b.faults.rules = [{ on: 'get', key: '.holdfast/identity', skip: 1, times: 1, fault: { kind: 'before', run } }]
  await expect(store.backfill({ to: 'b' })).rejects.toMatchObject({ code: 'BLOCKED', field: 'guard', rule: 'identity' })
  expect(b.faults.calls?.filter(({ fault }) => fault === 'before')).toHaveLength(1)
  expect((await store.status()).pending.writes).toBe(0)
  expect(await headAt(b.inner, 'k')).toBeUndefined()
})

test('a source that does not list what it has had for long is not believed: the fill stops (I28)', async () => {
  await using directory = await testDirectory()
  const clock = manualClock(Date.UTC(2026, 0, 1))
  const [a, b] = [faultyMemory('a'), faultyMemory('b')]
  const faults: Faults = {}
  const inner = memory({ name: 'c', clock })
  for (const provider of [a.inner, inner]) await putAt(provider, 'k', 'x')
  await clock.advance(60_000)
  const store = await directory.open([a.provider, b.provider], { mirrors: [faulty(inner, faults)] })
  await eventually(async () => (await store.status()).providers.every(({ state }) => state === 'up'))
  faults.rules = [{ on: 'list', fault: { kind: 'empty-list' } }]
  await expect(store.backfill({ to: 'b' })).rejects.toMatchObject({
    code: 'BLOCKED',
    field: 'guard',
    rule: 'listing',
    provider: 'c',
  })
  expect(await headAt(b.inner, 'k')).toBeUndefined()
})

test('an estimate says what it would take, by list prices or those that are given, and writes nothing', async () => {
  await using directory = await testDirectory()
  const [a, b] = [faultyMemory('a'), faultyMemory('b')]
  for (const key of keys(50)) await putAt(a.inner, key, 'x'.repeat(1_000))
  for (const key of keys(10)) await putAt(b.inner, key, 'x'.repeat(1_000))
  const store = await directory.open([a.provider, b.provider], { replication: { run: 'external' } })
  const asked = { to: 'b', prices: { a: { egressPerGB: 1e6, getPer1000: 1 } } }
  const estimate = await store.estimate(asked)
  expect(estimate).toMatchObject({
    objects: 40,
    bytes: 40_000,
    listed: { a: 50, b: 10 },
    requests: { a: { get: 40, put: 0 }, b: { get: 0, put: 40 } },
    egressBytes: { a: 40_000, b: 0 },
    money: { egress: 40 },
    without: [],
  })
  expect(estimate.money.requests).toBeCloseTo((40 + (estimate.requests['a']?.head ?? 0)) / 1_000)
  expect((await store.estimate({ to: 'b' })).money.total).toBe(0)
  expect((await store.estimate({ to: 'b', maxRequestsPerSecond: 0.5 })).seconds).toBeGreaterThan(200)
  for (const { calls = [] } of [a.faults, b.faults])
    expect(calls.filter(({ operation, key }) => operation !== 'list' && !key?.startsWith('.holdfast/'))).toEqual([])
  for (const { calls = [] } of [a.faults, b.faults])
    expect(calls.filter(({ operation }) => operation === 'put' || operation === 'delete')).toEqual([])
  a.faults.rules = banned
  await expect(store.estimate({ to: 'b' })).rejects.toMatchObject({ reason: 'ACCOUNT' })
})

test('with encoded keys it speaks of keys, and a prefix is one of keys', async () => {
  await using directory = await testDirectory()
  const [a, b] = [faultyMemory('a'), faultyMemory('b')]
  const store = await directory.open([a.provider, b.provider], { keys: 'encode' })
  for (const key of ['dir//x', 'dir/./y', 'other/ü']) await store.put(key, key, { metadata: { of: 'us' } })
  await store.drain({ until: 'verified' })
  for (const key of await keysOf(b.inner)) await b.inner.delete(key, undefined, AbortSignal.timeout(1_000))
  a.faults.rules = [
    { on: 'get', key: key => key.startsWith('dir') && key.includes('y'), fault: { kind: 'corrupt', atByte: 2 } },
  ]
  await expect(store.estimate({ to: 'b', prefix: 'dir/' })).resolves.toMatchObject({ objects: 2 })
  await expect(store.backfill({ to: 'b', prefix: 'dir/' })).resolves.toMatchObject({
    queued: 1,
    failed: [{ key: 'dir/./y' }],
    filled: false,
  })
  a.faults.rules = []
  await expect(store.backfill({ to: 'b' })).resolves.toMatchObject({ queued: 2, failed: [], filled: true })
  expect(await contentOf(b.inner)).toEqual(await contentOf(a.inner))
})

test('bad options are refused, each with its field', async () => {
  await using directory = await testDirectory()
  const store = await directory.open([memory({ name: 'a' }), memory({ name: 'b' })])
  const bad: readonly [() => PromiseLike<unknown>, string, string][] = [
    [() => store.backfill({} as never), 'to', 'missing'],
    [() => store.backfill({ to: 'c' }), 'to', 'value'],
    [() => store.backfill({ to: 1 } as never), 'to', 'type'],
    [() => store.backfill({ to: 'a', form: 'b' } as never), 'options', 'unknown'],
    [() => store.backfill({ to: 'a', prefix: '.holdfast/' }), 'prefix', 'reserved'],
    [() => store.backfill({ to: 'a', maxRequestsPerSecond: 0 }), 'maxRequestsPerSecond', 'range'],
    [() => store.backfill({ to: 'a', resume: 1 } as never), 'resume', 'type'],
    [() => store.evacuate({ to: 'a' } as never), 'from', 'missing'],
    [() => store.evacuate({ to: 'a', from: 'a' }), 'from', 'same'],
    [() => store.estimate({ to: 'a', prices: { s33: {} } as never }), 'prices', 'unknown'],
    [() => store.estimate({ to: 'a', prices: { s3: { egressPerGB: -1 } } }), 'prices.s3.egressPerGB', 'range'],
  ]
  for (const [call, field, rule] of bad)
    await expect((async () => call())(), `${field} ${rule}`).rejects.toMatchObject({ code: 'INVALID', rule })
})
