import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { markerKey } from '../../src/core/key.ts'
import { versionTime } from '../../src/core/version.ts'
import { bytesSource } from '../../src/core/source.ts'
import { outage } from '../../src/testing/faulty/rules.ts'
import { cachedRow, localName, row, textOf, version, world } from './world.ts'

const key = 'photos/a.jpg'

async function failure(promise: Promise<unknown>): Promise<HoldfastError> {
  try {
    await promise
  } catch (error) {
    if (error instanceof HoldfastError) return error
    throw error
  }
  throw new Error('it did not fail')
}

// ---- local

test('I23: while no provider is known to have the write, the local bytes are served and nobody is asked', async () => {
  for (const state of ['waiting', 'sending', 'blocked'] as const) {
    const w = world()
    await w.store(w.first, key, 1, 'old')
    w.know(key, { open: row({ key, n: 2, body: 'new', at: { 1: state, 2: 'waiting' } }) })
    const found = await w.get(key)
    expect(found).toMatchObject({ from: 'local', stale: false, info: { version: version(2), size: 3 } })
    expect(await textOf(found)).toBe('new')
    expect((await w.head(key))?.version).toBe(version(2))
    expect(w.asked(w.first) + w.asked(w.second)).toBe(0)
  }
})

test('I23: while no provider is known to have the delete, the key is absent and nobody is asked', async () => {
  for (const absence of ['reachable', 'all'] as const) {
    const w = world({ absence })
    await w.store(w.first, key, 1, 'old')
    w.know(key, { open: row({ key, n: 2, kind: 'delete' }), deleted: version(2) })
    expect(await w.get(key)).toBeUndefined()
    expect(await w.head(key)).toBeUndefined()
    expect(w.asked(w.first)).toBe(0)
  }
})

test('an own delete is not the last word when a newer version is known to be at a provider', async () => {
  const w = world()
  await w.store(w.second, key, 5, 'by another node')
  w.know(key, { open: row({ key, n: 2, kind: 'delete' }), deleted: version(2), newest: version(5) })
  expect(await textOf(await w.get(key))).toBe('by another node')
})

test('a tentative write is not shown', async () => {
  const w = world()
  await w.store(w.first, key, 1, 'old')
  w.know(key, { tentative: { ...row({ key, n: 2, body: 'maybe' }), state: 'tentative' } })
  expect(await textOf(await w.get(key))).toBe('old')
})

test('once a provider has it, that one is asked before those that lag, and before local disk', async () => {
  const w = world()
  await w.store(w.first, key, 1, 'old')
  await w.store(w.second, key, 2, 'new')
  w.know(key, { open: row({ key, n: 2, body: 'new', at: { 1: 'waiting', 2: 'stored' } }) })
  const found = await w.get(key)
  expect(found?.from).toBe('second')
  expect(await textOf(found)).toBe('new')
  expect(w.asked(w.first)).toBe(0)
})

test('the local copy is the last resort while it is held, and it is not stale', async () => {
  const w = world()
  w.first.faults.rules = w.second.faults.rules = [{ fault: outage }]
  w.know(key, { open: row({ key, n: 2, body: 'new', at: { 1: 'stored', 2: 'verified' } }) })
  const found = await w.get(key)
  expect(found).toMatchObject({ from: 'local', stale: false })
  expect(await textOf(found)).toBe('new')
  expect(w.events.map(({ event }) => event)).toEqual(['failover', 'failover'])
})

test('an own delete that some provider has is believed when nobody can be asked, unless absence needs all', async () => {
  for (const absence of ['reachable', 'all'] as const) {
    const w = world({ absence })
    w.first.faults.rules = [{ fault: outage }]
    w.know(key, { open: row({ key, n: 2, kind: 'delete', at: { 1: 'waiting', 2: 'stored' } }), deleted: version(2) })
    if (absence === 'reachable') expect(await w.get(key)).toBeUndefined()
    else expect((await failure(w.get(key))).code).toBe('UNAVAILABLE')
  }
})

test('a local copy that turns out corrupt is read at a provider that has the version', async () => {
  const w = world()
  await w.store(w.second, key, 2, 'new')
  const open = row({ key, n: 2, body: 'new', at: { 1: 'waiting', 2: 'sending' } })
  w.know(key, { open })
  w.local.set(localName({ tree: 'stage', crc32c: open.crc32c }), bytesSource(Buffer.from('nex'), open))
  const found = await w.get(key)
  expect(found?.from).toBe('second')
  expect(await textOf(found)).toBe('new')
  expect(w.events.map(({ event }) => event)).toContain('corrupt')
})

test('I27: an accepted put whose only copy is corrupt is CORRUPT, and not absent, whatever the providers answer', async () => {
  const w = world()
  const open = row({ key, n: 2, body: 'new' })
  w.know(key, { open })
  w.local.set(localName({ tree: 'stage', crc32c: open.crc32c }), bytesSource(Buffer.from('nex'), open))
  expect(await failure(w.get(key))).toMatchObject({ code: 'CORRUPT', field: 'digest' })

  const damaged = world()
  damaged.know(key, { open: row({ key, n: 2, body: 'new', damaged: true }) })
  expect((await failure(damaged.get(key))).code).toBe('UNAVAILABLE')
})

test('a write that loses its body to a newer one while it is looked for is read as the newer one', async () => {
  const w = world()
  const older = row({ key, n: 2, body: 'older' })
  w.know(key, { open: older })
  w.local.set(localName({ tree: 'stage', crc32c: older.crc32c }), {
    ...bytesSource(Buffer.from('older'), older),
    async *open() {
      w.know(key, { open: row({ key, n: 3, body: 'newer' }) })
      yield await Promise.reject(new HoldfastError('CORRUPT', 'gone', { reason: 'LOCAL_CORRUPT', field: 'body' }))
    },
  })
  expect(await textOf(await w.get(key))).toBe('newer')
})

test('a damaged body in whose place another was fetched while it was looked for is read as that, with no provider there (D10)', async () => {
  const w = world()
  for (const place of w.places) place.faults.rules = [{ fault: outage }]
  const whole = row({ key, n: 2, body: 'whole', at: { 1: 'stored', 2: 'waiting' } })
  w.know(key, { open: { ...whole, body: { in: 'file', file: 'damaged' } } })
  const name = localName({ tree: 'stage', crc32c: whole.crc32c })
  w.local.set(name, {
    ...bytesSource(Buffer.from('whole'), whole),
    async *open() {
      w.know(key, { open: { ...whole, body: { in: 'file', file: 'fetched' } } })
      w.local.set(name, bytesSource(Buffer.from('whole'), whole))
      yield await Promise.reject(new HoldfastError('CORRUPT', 'gone', { reason: 'LOCAL_CORRUPT', field: 'body' }))
    },
  })
  expect(await textOf(await w.get(key))).toBe('whole')
})

// ---- one after the other

test('the primary answers first, and nobody else is asked', async () => {
  const w = world()
  for (const place of w.places) await w.store(place, key, 1, 'same')
  const found = await w.get(key)
  expect(found).toMatchObject({ from: 'first', stale: false })
  expect(await textOf(found)).toBe('same')
  expect(w.asked(w.second)).toBe(0)
  expect(w.first.open).toEqual({ now: 0, ever: 1 })
})

test('a provider that fails is left for the next, and the caller learns where the bytes came from', async () => {
  const w = world()
  for (const place of w.places) await w.store(place, key, 1, 'same')
  w.first.faults.rules = [{ fault: outage }]
  const found = await w.get(key)
  expect(found?.from).toBe('second')
  expect(await w.head(key)).toMatchObject({ version: version(1) })
  expect(w.events[0]).toMatchObject({ event: 'failover', from: 'first', to: 'second', atByte: 0 })
})

for (const kind of ['hang', 'stall'] as const) {
  test(`a provider whose first byte does not come in time (${kind}) is aborted, and the next one is asked`, async () => {
    const w = world({ firstByteMs: 2000 })
    for (const place of w.places) await w.store(place, key, 1, 'same')
    w.first.faults.rules = [{ on: 'get', fault: kind === 'hang' ? { kind } : { kind, after: 0 } }]
    const found = await w.passing(w.get(key))
    expect(found?.from).toBe('second')
    expect(await textOf(found)).toBe('same')
    expect(w.clock.monotonic()).toBe(2000)
    expect(w.first.open.now).toBe(0)
  })
}

test('a provider that is only slow is asked again, with patience, when nobody else can tell', async () => {
  const w = world({ firstByteMs: 2000 })
  await w.store(w.first, key, 1, 'slow')
  w.first.faults.rules = [{ fault: { kind: 'slow', ms: 5000 } }]
  w.second.faults.rules = [{ fault: outage }]
  const found = await w.passing(w.get(key))
  expect(await textOf(found)).toBe('slow')
  expect(w.clock.monotonic()).toBe(7000)
  expect(await w.passing(w.head(key))).toMatchObject({ version: version(1) })
})

test('the last provider is not hurried', async () => {
  const w = world({ firstByteMs: 2000 })
  await w.store(w.second, key, 1, 'slow')
  w.first.faults.rules = [{ fault: outage }]
  w.second.faults.rules = [{ fault: { kind: 'slow', ms: 5000 } }]
  expect(await textOf(await w.passing(w.get(key)))).toBe('slow')
  expect(w.clock.monotonic()).toBe(5000)
})

test('a provider whose breaker is open is not asked, and costs no time', async () => {
  const w = world({}, { breaker: { consecutive: 3 } })
  for (const place of w.places) await w.store(place, key, 1, 'same')
  w.first.faults.rules = [{ fault: { kind: 'hang' } }]
  for (let i = 0; i < 3; i++) await w.passing(w.head(key))
  expect(w.providers[0]?.breakers.read.state).toBe('down')
  const before = w.asked(w.first)
  const elapsed = w.clock.monotonic()
  expect((await w.get(key))?.from).toBe('second')
  expect(w.asked(w.first)).toBe(before)
  expect(w.clock.monotonic()).toBe(elapsed)
})

test('a bucket that is another one under the old name is not asked', async () => {
  const w = world()
  await w.store(w.second, key, 1, 'ours')
  const [primary] = w.rows
  if (primary !== undefined) w.rows[0] = { ...primary, health: { state: 'blocked', reason: 'IDENTITY', since: 0 } }
  expect((await w.get(key))?.from).toBe('second')
  expect(w.asked(w.first)).toBe(0)
  expect(await failure(w.get('other'))).toMatchObject({ code: 'UNAVAILABLE' })
})

test('nobody could answer: UNAVAILABLE with every reason, and all errors as the cause', async () => {
  const w = world()
  w.first.faults.rules = [
    { fault: { kind: 'fail', code: 'DENIED', reason: 'ACCOUNT', message: 'first: account closed' } },
  ]
  w.second.faults.rules = [{ fault: { kind: 'fail', code: 'UNAVAILABLE', reason: 'SERVER', message: 'second: 503' } }]
  for (const call of [w.get(key), w.head(key)]) {
    const error = await failure(call)
    expect(error).toMatchObject({ code: 'UNAVAILABLE', key, retryable: true })
    expect(error.message).toMatch(/account closed.*503/)
    expect((error.cause as AggregateError).errors).toHaveLength(2)
  }
})

test('an abort comes through with its own reason, at any point before the answer', async () => {
  const w = world()
  await w.store(w.first, key, 1, 'x')
  const reason = new Error('left')
  const before = AbortSignal.abort(reason)
  await expect(w.get(key, undefined, before)).rejects.toBe(reason)
  await expect(w.head(key, before)).rejects.toBe(reason)
  w.first.faults.rules = [{ fault: { kind: 'hang' } }]
  const controller = new AbortController()
  const hanging = [w.get(key, undefined, controller.signal), w.head(key, controller.signal)]
  controller.abort(reason)
  for (const call of hanging) await expect(call).rejects.toBe(reason)
  expect(w.asked(w.second)).toBe(0)
  expect(w.clock.sleeping).toBe(0)
  expect(w.providers[0]?.breakers.read.state).toBe('up')
})

// ---- old and deleted versions

test('I25: an older version than this directory knows is not served, unless allowed, and then it is marked', async () => {
  const w = world()
  await w.store(w.second, key, 1, 'old')
  w.first.faults.rules = [{ fault: outage }]
  w.know(key, { newest: version(2) })
  const error = await failure(w.get(key))
  expect(error.code).toBe('UNAVAILABLE')
  expect(error.message).toMatch(/older version/)

  const lenient = world({ allowStale: true })
  await lenient.store(lenient.second, key, 1, 'old')
  lenient.first.faults.rules = [{ fault: outage }]
  lenient.know(key, { newest: version(2) })
  const found = await lenient.get(key)
  expect(found).toMatchObject({ from: 'second', stale: true })
  expect(await textOf(found)).toBe('old')
  expect(lenient.events.some(({ event }) => event === 'stale')).toBe(true)
})

test('the cached copy is served, marked stale, when allowed and no provider answers', async () => {
  for (const allowStale of [true, false]) {
    const w = world({ allowStale })
    w.first.faults.rules = w.second.faults.rules = [{ fault: outage }]
    w.know(key, { newest: version(2), cached: cachedRow(key, 2, 'kept') })
    if (!allowStale) {
      expect((await failure(w.get(key))).code).toBe('UNAVAILABLE')
      continue
    }
    const found = await w.get(key)
    expect(found).toMatchObject({ from: 'local', stale: true, info: { version: version(2) } })
    expect(await textOf(found)).toBe('kept')
  }
})

test('the cached copy is not served where a provider answered that there is nothing', async () => {
  const w = world({ allowStale: true })
  w.second.faults.rules = [{ fault: outage }]
  w.know(key, { newest: version(2), cached: cachedRow(key, 2, 'kept') })
  expect((await failure(w.get(key))).code).toBe('UNAVAILABLE')
})

test('P4: nothing that this directory knows to be deleted is served, not even as stale', async () => {
  const w = world({ allowStale: true })
  for (const place of w.places) await w.store(place, key, 1, 'deleted')
  w.know(key, { deleted: version(2), cached: cachedRow(key, 1, 'deleted') })
  expect(await w.get(key)).toBeUndefined()
  expect(await w.head(key)).toBeUndefined()
  w.first.faults.rules = w.second.faults.rules = [{ fault: outage }]
  expect((await failure(w.get(key))).code).toBe('UNAVAILABLE')
})

test('what was written again after the delete is served', async () => {
  const w = world()
  await w.store(w.first, key, 3, 'again')
  w.know(key, { deleted: version(2) })
  expect(await textOf(await w.get(key))).toBe('again')
})

test('a newer version than this directory knew is served and moves its clock; one far ahead does not', async () => {
  const w = world()
  await w.store(w.first, key, 5, 'newer')
  w.know(key, { newest: version(2) })
  expect(await textOf(await w.get(key))).toBe('newer')
  expect(w.observed).toEqual([version(5)])
  w.know(key, { newest: version(5) })
  await w.get(key)
  expect(w.observed).toEqual([version(5)])
  await w.store(w.first, 'ahead', 3600 + 301, 'far')
  expect(await textOf(await w.get('ahead'))).toBe('far')
  expect(w.observed).toEqual([version(5)])
  expect(w.events).toContainEqual({ event: 'ahead', key: 'ahead', version: version(3901), provider: 'first' })
})

// ---- missing at one, found at another

test('what the primary lost is served from the secondary and queued for repair', async () => {
  const w = world()
  await w.store(w.second, key, 1, 'kept')
  const found = await w.get(key)
  expect(await textOf(found)).toBe('kept')
  expect(w.missing).toEqual([{ key, version: version(1), missingAt: [1], foundAt: 2 }])
})

test('a 404 of a provider that lags says nothing, and needs no repair', async () => {
  const w = world({}, { providers: 3 })
  await w.store(w.second, key, 1, 'kept')
  const open = row({ key, n: 1, body: 'kept', at: { 1: 'waiting', 2: 'stored', 3: 'stored' } })
  w.know(key, { open: { ...open, body: { in: 'none' } } })
  w.second.faults.rules = [{ times: 1, fault: { kind: 'hang' } }]
  const found = await w.passing(w.get(key))
  expect(await textOf(found)).toBe('kept')
  expect(w.missing).toEqual([{ key, version: version(1), missingAt: [3], foundAt: 2 }])
})

test('I13: a newer delete marker at the one that answered 404 means deleted; an older one means lost', async () => {
  const w = world()
  await w.store(w.second, key, 5, Buffer.alloc(500_000))
  await w.mark(w.first, key, 6)
  expect(await w.get(key)).toBeUndefined()
  expect(w.second.open).toEqual({ now: 0, ever: 1 })
  expect(await w.head(key)).toBeUndefined()
  expect(w.missing).toEqual([])
  expect(w.second.open.now).toBe(0)

  const lost = world()
  await lost.store(lost.second, key, 5, 'kept')
  await lost.mark(lost.first, key, 4)
  expect(await textOf(await lost.get(key))).toBe('kept')
  expect(lost.missing).toHaveLength(1)
})

test('a marker that cannot be read: neither served nor repaired', async () => {
  for (const fault of [outage, { kind: 'hang' }] as const) {
    const w = world()
    await w.store(w.second, key, 5, Buffer.alloc(500_000))
    w.first.faults.rules = [{ on: 'get', key: markerKey(key), fault }]
    expect(await failure(w.passing(w.get(key)))).toMatchObject({ code: 'UNAVAILABLE', key })
    expect(w.missing).toEqual([])
    expect(w.second.open).toEqual({ now: 0, ever: 1 })
  }
})

test('the local copy, too, is served past a 404 only after a look at the marker', async () => {
  const at = { 1: 'verified', 2: 'waiting' } as const
  const w = world()
  w.know(key, { open: row({ key, n: 5, body: 'held', at }) })
  expect(await textOf(await w.get(key))).toBe('held')
  expect(w.missing).toEqual([{ key, version: version(5), missingAt: [1], foundAt: 'local' }])

  const deleted = world()
  deleted.know(key, { open: row({ key, n: 5, body: 'held', at }) })
  await deleted.mark(deleted.first, key, 6)
  expect(await deleted.get(key)).toBeUndefined()
})

// ---- absence

test('I27: absent when all say so', async () => {
  for (const absence of ['reachable', 'all'] as const) {
    const w = world({ absence })
    expect(await w.get(key)).toBeUndefined()
    expect(await w.head(key)).toBeUndefined()
    expect(w.first.faults.calls?.map(({ operation }) => operation)).toEqual(['get', 'head'])
    expect(w.asked(w.second)).toBe(2)
  }
})

test('I27: the primary down and a 404 elsewhere is UNAVAILABLE', async () => {
  for (const fault of [outage, { kind: 'hang' }, { kind: 'fail', code: 'UNAVAILABLE', reason: 'BUCKET' }] as const) {
    const w = world()
    w.first.faults.rules = [{ fault }]
    expect((await failure(w.passing(w.get(key)))).code).toBe('UNAVAILABLE')
    expect((await failure(w.passing(w.head(key)))).code).toBe('UNAVAILABLE')
  }
})

test('the secondary down and a 404 of the primary is absent, unless absence needs all', async () => {
  const w = world()
  w.second.faults.rules = [{ fault: outage }]
  expect(await w.get(key)).toBeUndefined()
  const strict = world({ absence: 'all' })
  strict.second.faults.rules = [{ fault: outage }]
  expect((await failure(strict.get(key))).code).toBe('UNAVAILABLE')
})

test('I27: a 404 of the primary does not make absent what this directory knows to exist, while others cannot be asked', async () => {
  const w = world()
  w.second.faults.rules = [{ fault: outage }]
  w.know(key, { newest: version(3) })
  expect((await failure(w.get(key))).message).toContain(version(3))
  await w.mark(w.first, key, 4)
  expect(await w.get(key)).toBeUndefined()

  const everywhere = world()
  everywhere.know(key, { newest: version(3) })
  expect(await everywhere.get(key)).toBeUndefined()
})

// ---- ranges

test('a range in every form, from local disk and from a provider', async () => {
  const text = '0123456789'
  const w = world()
  await w.store(w.first, 'remote', 1, text)
  w.know('local', { open: row({ key: 'local', n: 1, body: text }) })
  for (const [range, start, end] of [
    [{ start: 2, end: 5 }, 2, 5],
    [{ start: 7 }, 7, 10],
    [{ start: 7, end: 99 }, 7, 10],
    [{ last: 3 }, 7, 10],
    [{ last: 99 }, 0, 10],
    [{ start: 0, end: 10 }, 0, 10],
  ] as const) {
    for (const name of ['local', 'remote']) {
      const found = await w.get(name, range)
      expect(found?.range).toEqual({ start, end })
      expect(found?.info.size).toBe(10)
      expect(await textOf(found)).toBe(text.slice(start, end))
    }
  }
  expect((await w.get('remote'))?.range).toBeUndefined()
})

test('a range that begins past the end is INVALID, whoever says so; of what is absent or too old it is not', async () => {
  const w = world()
  await w.store(w.first, 'remote', 1, 'abc')
  await w.store(w.first, 'empty', 1, '')
  w.know('local', { open: row({ key: 'local', n: 1, body: 'abc' }) })
  for (const [name, range] of [
    ['remote', { start: 3 }],
    ['local', { start: 3 }],
    ['empty', { start: 0 }],
    ['empty', { last: 1 }],
  ] as const) {
    expect(await failure(w.get(name, range))).toMatchObject({ code: 'INVALID', field: 'range', rule: 'end' })
  }
  expect(await w.get('absent', { start: 3 })).toBeUndefined()

  await w.store(w.first, key, 1, 'short')
  await w.store(w.second, key, 2, 'long enough')
  w.know(key, { newest: version(2) })
  expect(await textOf(await w.get(key, { start: 5 }))).toBe('enough')
})

// ---- what is said of an object

test('a provider that gives another range than was asked for is not believed', async () => {
  const w = world()
  for (const place of w.places) await w.store(place, key, 1, '0123456789')
  const { get } = w.first.inner
  w.first.inner.get = (request, signal) => get({ ...request, range: undefined }, signal)
  const found = await w.get(key, { start: 2, end: 5 })
  expect(found?.from).toBe('second')
  expect(await textOf(found)).toBe('234')
})

test('info is the same whoever answers, for our own objects', async () => {
  const body = 'hello'
  const expected = {
    key,
    version: version(1),
    size: 5,
    etag: '5d41402abc4b2a76b9719d911017c592',
    crc32c: '9a71bb4c',
    modifiedAt: new Date(versionTime(version(1))),
    contentType: 'text/plain',
    cacheControl: 'no-store',
    metadata: { owner: 'anna', __proto__x: 'data' },
  }
  const attributes = { contentType: 'text/plain', cacheControl: 'no-store', metadata: expected.metadata }
  const remote = world()
  await remote.store(remote.first, key, 1, body, attributes)
  const local = world()
  local.know(key, { open: { ...row({ key, n: 1, body }), attributes } })
  for (const w of [remote, local]) {
    expect((await w.get(key))?.info).toEqual(expected)
    expect(await w.head(key)).toEqual(expected)
  }
})

test("an object that Holdfast did not write has its provider's word for everything", async () => {
  const w = world()
  await w.storeForeign(w.first, key, 'hello')
  expect(await w.head(key)).toMatchObject({
    etag: '5d41402abc4b2a76b9719d911017c592',
    crc32c: '9a71bb4c',
    modifiedAt: new Date(w.clock.now()),
    metadata: {},
  })
  expect(await textOf(await w.get(key))).toBe('hello')
})

// ---- wrong bytes

test("I24: wrong bytes of a small object are nobody's trouble: the next provider is asked", async () => {
  const w = world()
  for (const place of w.places) await w.store(place, key, 1, 'right bytes')
  w.first.faults.rules = [{ on: 'get', fault: { kind: 'corrupt', atByte: 4 } }]
  const found = await w.get(key)
  expect(found?.from).toBe('second')
  expect(await textOf(found)).toBe('right bytes')
  expect(w.events).toContainEqual({ event: 'corrupt', key, version: version(1), from: 'first' })
  w.second.faults.rules = [{ on: 'get', fault: { kind: 'corrupt', atByte: 10 } }]
  expect(await failure(w.get(key))).toMatchObject({ code: 'CORRUPT', field: 'digest' })
})

test('a small object that breaks or ends early on the way comes whole from the next', async () => {
  for (const kind of ['cut', 'short', 'stall'] as const) {
    const w = world()
    for (const place of w.places) await w.store(place, key, 1, 'right bytes')
    w.first.faults.rules = [{ on: 'get', fault: { kind, after: 5 } }]
    expect(await textOf(await w.passing(w.get(key)))).toBe('right bytes')
    expect(w.first.open.now).toBe(0)
  }
})
