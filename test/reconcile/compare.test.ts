import { describe, expect, test } from 'vitest'
import { recognise } from '../../src/core/entry.ts'
import { systemClock } from '../../src/core/system.ts'
import type { Drift } from '../../src/reconcile/types.ts'
import { lose, mark, never, plant, version, writesAt } from './scene.ts'
import { type World, world } from './world.ts'

const hourAgo = version(Date.now() - 3_600_000)
const now = version(Date.now())

/** A key that all have besides, so that no listing is empty. */
async function withOne(count = 2): Promise<World> {
  const w = world(count)
  await w.everywhere('zz', { version: hourAgo })
  return w
}

/** With and without repair: the first shows what would be done. */
async function found(w: World): Promise<readonly Drift[]> {
  const seen = await w.run().all()
  const repaired = await w.run({ repair: true }).all()
  const what = ({ key, kind, version: newest, providers }: Drift) => ({ key, kind, newest, providers })
  expect(repaired.drift.map(what)).toEqual(seen.drift.map(what))
  return repaired.drift
}

describe('what counts as equal', () => {
  test('the same size and digest in all listings needs no request for the object', async () => {
    const w = world()
    for (const key of ['a', 'b', 'c']) await w.everywhere(key, { version: hourAgo })
    for (const { faults } of w.places) faults.calls = []
    const { drift, counters } = await w.run({ repair: true }).all()
    expect(drift).toEqual([])
    expect(counters).toMatchObject({ surveyed: 3, compared: 3, asked: 0, cursor: 'c', guard: undefined })
    expect({ ...counters.listed }).toEqual({ first: 3, second: 3 })
    expect(
      w.places.flatMap(({ faults }) => faults.calls ?? []).filter(({ operation }) => operation !== 'list'),
    ).toEqual([])
  })

  test('what Holdfast keeps for itself is not compared', async () => {
    const w = await withOne()
    await mark(w.first.inner, 'gone', hourAgo)
    await plant(w.second.inner, '.holdfast/canary/x')
    await plant(w.second.inner, '!before')
    await w.everywhere('.holdfasz')
    expect((await w.run().all()).drift.map(({ key }) => key)).toEqual(['!before'])
  })

  test('the same foreign object, whenever it came to each provider', async () => {
    const w = world()
    await plant(w.first.inner, 'photo', { body: 'same' })
    await new Promise(resolve => setTimeout(resolve, 5))
    await plant(w.second.inner, 'photo', { body: 'same' })
    for (const terms of [{}, { attributes: true }, { deep: true }]) expect((await w.run(terms).all()).drift).toEqual([])
  })

  test('other headers or metadata are found with attributes: true, and the provider that comes first is right', async () => {
    const w = world()
    await plant(w.first.inner, 'a', { version: hourAgo, contentType: 'text/plain' })
    await plant(w.second.inner, 'a', { version: hourAgo, contentType: 'text/html' })
    expect((await w.run().all()).drift).toEqual([])
    const { drift } = await w.run({ attributes: true, repair: true }).all()
    expect(drift).toMatchObject([
      { kind: 'different', providers: [{ has: 'this' }, { has: 'other' }], repair: 'queued' },
    ])
    expect(w.mended).toEqual([{ key: 'a', wanted: { is: 'object', version: hourAgo, source: 1 }, targets: [2] }])
  })

  test('a key with open work is left to replication, before it is asked for and before it is mended', async () => {
    const w = await withOne()
    for (const key of ['a', 'b']) await plant(w.first.inner, key, { version: hourAgo })
    w.open.add('a')
    w.second.faults.rules = [{ on: 'head', key: 'b', fault: { kind: 'after', run: async () => void w.open.add('b') } }]
    const { drift, counters } = await w.run({ repair: true }).all()
    expect(drift).toEqual([])
    expect(counters).toMatchObject({ skipped: 2, compared: 1, missing: 0 })
    expect(w.mended).toEqual([])
  })
})

describe('what wins', () => {
  test('I14: what anybody has is restored to all who lost it; a 404 never deletes', async () => {
    const w = await withOne(3)
    await plant(w.places[2]?.inner ?? w.first.inner, 'a', { version: hourAgo })
    expect(await found(w)).toMatchObject([{ kind: 'missing', key: 'a', version: hourAgo, repair: 'queued' }])
    expect(w.mended).toEqual([{ key: 'a', wanted: { is: 'object', version: hourAgo, source: 3 }, targets: [1, 2] }])
  })

  test('I12: the newest version, whichever provider has it', async () => {
    const w = world()
    await plant(w.first.inner, 'a', { body: 'old', version: hourAgo })
    await plant(w.second.inner, 'a', { body: 'new', version: now })
    expect(await found(w)).toMatchObject([{ kind: 'different', providers: [{ has: 'older' }, { has: 'this' }] }])
    expect(w.mended).toEqual([{ key: 'a', wanted: { is: 'object', version: now, source: 2 }, targets: [1] }])
  })

  test('I13: a marker of a delete, over what it deletes; and only a marker', async () => {
    const w = await withOne()
    for (const key of ['deleted', 'lost']) await plant(w.second.inner, key, { version: hourAgo })
    await mark(w.first.inner, 'deleted', now)
    expect(await found(w)).toMatchObject([
      { kind: 'deleted', key: 'deleted', version: now },
      { kind: 'missing', key: 'lost', version: hourAgo },
    ])
    expect(w.mended.toSorted((one, other) => (one.key < other.key ? -1 : 1))).toMatchObject([
      { key: 'deleted', wanted: { is: 'delete', version: now }, targets: [2] },
      { key: 'lost', wanted: { is: 'object' }, targets: [1] },
    ])
  })

  test('I13: a marker of the same version wins, one of an older version does not', async () => {
    const w = await withOne()
    for (const key of ['same', 'older']) await plant(w.second.inner, key, { version: now })
    await mark(w.first.inner, 'same', now)
    await mark(w.first.inner, 'older', hourAgo)
    expect(await found(w)).toMatchObject([
      { kind: 'missing', key: 'older' },
      { kind: 'deleted', key: 'same' },
    ])
  })

  test('I13: a marker beside the object that it deletes is seen too: a late write may have brought the object back', async () => {
    const w = await withOne()
    await plant(w.first.inner, 'zombie', { version: hourAgo })
    await mark(w.first.inner, 'zombie', now)
    expect(await found(w)).toMatchObject([{ kind: 'deleted', key: 'zombie', repair: 'queued' }])
    expect(w.mended).toMatchObject([{ wanted: { is: 'delete' }, targets: [1] }])
  })

  test('I17: a foreign object that is the newest, under its own time', async () => {
    const w = await withOne()
    await w.everywhere('a', { version: hourAgo })
    await plant(w.second.inner, 'a', { body: 'of others' })
    const there = await w.second.inner.head('a', never)
    const own = there && recognise(there).version
    expect(await found(w)).toMatchObject([{ kind: 'foreign', version: own, repair: 'queued' }])
    expect(w.mended).toEqual([{ key: 'a', wanted: { is: 'object', version: own, source: 2 }, targets: [1] }])
  })

  test('I17: what mirrors a foreign object is the same as it; where the bytes differ, the foreign one is the original', async () => {
    const w = await withOne()
    for (const key of ['right', 'wrong']) await plant(w.second.inner, key, { body: 'theirs' })
    for (const [key, body] of [
      ['right', 'theirs'],
      ['wrong', 'others'],
    ] as const) {
      const there = await w.second.inner.head(key, never)
      await plant(w.first.inner, key, { body, version: (there && recognise(there).version) ?? '' })
    }
    for (const terms of [{}, { attributes: true }, { deep: true }])
      expect((await w.run(terms).all()).drift).toMatchObject([{ kind: 'foreign', key: 'wrong' }])
    await w.run({ repair: true }).all()
    expect(w.mended).toMatchObject([{ key: 'wrong', wanted: { source: 2 }, targets: [1] }])
  })

  test('I17: under foreign: report a foreign object is reported, and nothing is made of it', async () => {
    const w = await withOne()
    await plant(w.second.inner, 'photo')
    const { drift, counters } = await w.run({ repair: true, mirrorsForeign: false }).all()
    expect(drift).toMatchObject([{ kind: 'foreign', repair: 'none', why: expect.stringContaining('report') }])
    expect(counters).toMatchObject({ foreign: 1, queued: 0, impossible: 0 })
    expect(w.mended).toEqual([])
  })
})

describe('what settles nothing', () => {
  const impossible = (why: string) => ({ repair: 'impossible', why: expect.stringContaining(why) })

  test('I22: a copy that is not what its entry says, and that nobody vouches for, is never a source, and is not written over', async () => {
    const w = world(2, systemClock, false)
    await w.everywhere('zz', { version: hourAgo })
    await plant(w.first.inner, 'only', { version: hourAgo, claims: { size: 3 } })
    await plant(w.first.inner, 'newest', { version: now, claims: { size: 3 } })
    await plant(w.second.inner, 'newest', { body: 'old', version: hourAgo })
    await plant(w.first.inner, 'same', { body: 'edited, or cut?', version: hourAgo, claims: { size: 3 } })
    await plant(w.second.inner, 'same', { body: 'whole', version: hourAgo })
    const { drift } = await w.run({ attributes: true, repair: true }).all()
    expect(drift).toMatchObject([
      {
        kind: 'different',
        key: 'newest',
        ...impossible('not what its entry says'),
        providers: [{ has: 'damaged' }, {}],
      },
      { kind: 'missing', key: 'only', version: undefined, ...impossible('not what its entry says') },
      { kind: 'different', key: 'same', ...impossible('not what its entry says') },
    ])
    expect(w.mended).toEqual([])
  })

  test('I17: bytes that its provider vouches for under an old entry of ours are what somebody wrote since: newest, and mirrored', async () => {
    const w = await withOne()
    await plant(w.first.inner, 'a', { body: 'edited in place', version: hourAgo, claims: { crc32c: '00000000' } })
    await plant(w.second.inner, 'a', { body: 'as it was', version: hourAgo })
    expect(await found(w)).toMatchObject([{ kind: 'foreign', providers: [{ has: 'this' }, { has: 'older' }] }])
    expect(w.mended).toMatchObject([{ wanted: { source: 1 }, targets: [2] }])
  })

  test('I22: bytes that are wrong only where they are read are found by deep', async () => {
    const w = await withOne()
    await w.everywhere('a', { version: hourAgo })
    w.second.faults.rules = [{ on: 'get', key: 'a', fault: { kind: 'corrupt', atByte: 0 } }]
    expect((await w.run({ attributes: true }).all()).drift).toEqual([])
    const { drift, counters } = await w.run({ deep: true, repair: true }).all()
    expect(drift).toMatchObject([{ kind: 'different', key: 'a', providers: [{ has: 'this' }, { has: 'damaged' }] }])
    expect(w.mended).toMatchObject([{ wanted: { source: 1 }, targets: [2] }])
    expect(counters.bytesRead).toBe(2 * ('body of a'.length + 'body of zz'.length))
  })

  test('a forged entry: of another key it counts for nothing, and two of one version contradict each other', async () => {
    const w = world()
    await plant(w.first.inner, 'a', { version: hourAgo })
    await plant(w.second.inner, 'a', {
      body: 'forged',
      version: '00'.padEnd(32, 'f').replace('00', '01'),
      claims: { key: 'b' },
    })
    await plant(w.first.inner, 'twice', { body: 'one', version: hourAgo })
    await plant(w.second.inner, 'twice', { body: 'two', version: hourAgo })
    expect(await found(w)).toMatchObject([
      { kind: 'foreign', key: 'a', repair: 'queued' },
      { kind: 'different', key: 'twice', ...impossible('under the same version') },
    ])
  })

  test('a version, or a marker, from a clock more than 5 minutes ahead', async () => {
    const w = await withOne()
    const ahead = version(Date.now() + 1_800_000)
    await plant(w.second.inner, 'marked', { version: hourAgo })
    await mark(w.first.inner, 'marked', ahead)
    await w.everywhere('put', { version: hourAgo })
    await plant(w.first.inner, 'put', { body: 'from the future', version: ahead })
    expect(await found(w)).toMatchObject([
      { kind: 'deleted', key: 'marked', ...impossible('5 minutes ahead') },
      { kind: 'different', key: 'put', ...impossible('5 minutes ahead') },
    ])
    expect(w.mended).toEqual([])
  })

  test('I27: a key, or a marker, that a provider cannot be asked for', async () => {
    const w = await withOne()
    for (const key of ['head', 'marker']) await plant(w.first.inner, key, { version: hourAgo })
    const fault = { kind: 'fail', code: 'DENIED', reason: 'FORBIDDEN' } as const
    w.second.faults.rules = [
      { on: 'head', key: 'head', fault },
      { on: 'get', key: '.holdfast/deleted/marker', fault },
    ]
    const { drift, counters } = await w.run({ repair: true }).all()
    expect(drift).toMatchObject([
      { key: 'head', version: undefined, ...impossible('could not be asked'), providers: [{}, { has: 'unknown' }] },
      { key: 'marker', version: undefined, ...impossible('could not be asked') },
    ])
    expect(counters).toMatchObject({ unknown: 2, missing: 0, queued: 0, compared: 1 })
    expect(w.mended).toEqual([])
  })

  test('a repair that a provider stands in the way of is that key alone; one that the journal refuses ends it', async () => {
    const w = await withOne()
    for (const key of ['a', 'b']) await plant(w.first.inner, key, { version: hourAgo })
    w.mend = async ({ key }) => (key === 'a' ? { is: 'impossible', why: 'because' } : { is: 'settled' })
    const { drift, counters } = await w.run({ repair: true }).all()
    expect(drift).toMatchObject([{ key: 'a', repair: 'impossible', why: 'because' }])
    expect(counters).toMatchObject({ impossible: 1, skipped: 1, queued: 0 })
    const broken = new Error('the journal is closed')
    w.mend = () => Promise.reject(broken)
    await expect(w.run({ repair: true }).all()).rejects.toBe(broken)
  })
})

describe('providers that were away', () => {
  async function stale(): Promise<World> {
    const w = await withOne()
    const [, row] = w.rows
    if (row !== undefined) row.isStale = true
    await plant(w.second.inner, 'left', { version: hourAgo })
    return w
  }

  test('I13: what only they have is left as it is until a person says which', async () => {
    const w = await stale()
    const { drift, counters } = await w.run({ repair: true }).all()
    expect(drift).toMatchObject([
      { kind: 'missing', key: 'left', repair: 'impossible', why: expect.stringContaining('leftovers') },
    ])
    expect(counters).toMatchObject({ impossible: 1, queued: 0 })
    expect(w.mended).toEqual([])
    expect(w.said).toEqual([])
    await w.run({ repair: true, leftovers: 'restore' }).all()
    await w.run({ repair: true, leftovers: 'delete' }).all()
    expect(w.mended).toEqual([
      { key: 'left', wanted: { is: 'object', version: hourAgo, source: 2 }, targets: [1] },
      { key: 'left', wanted: { is: 'delete', version: hourAgo }, targets: [2] },
    ])
  })

  test('they are repaired from the others, deletes included, and trusted after a complete repair that left nothing open', async () => {
    const w = await stale()
    await mark(w.first.inner, 'left', now)
    await plant(w.first.inner, 'new', { version: now })
    await plant(w.second.inner, 'new', { body: 'old', version: hourAgo })
    await w.run({ repair: true, prefix: 'n' }).all()
    await w.run({ repair: true, startAfter: 'a' }).all()
    await w.run().all()
    expect(w.said).toEqual([])
    await w.run({ repair: true }).all()
    expect(w.said).toEqual(['trusted 2'])
  })

  test('a newer object of theirs is neither believed nor overwritten', async () => {
    const w = await stale()
    await plant(w.first.inner, 'left', { body: 'older', version: version(Date.now() - 7_200_000) })
    const { drift } = await w.run({ repair: true }).all()
    expect(drift).toMatchObject([{ kind: 'different', key: 'left', repair: 'impossible' }])
    expect(w.mended).toEqual([])
  })

  test('a provider that was added is filled after a complete repair', async () => {
    const w = await withOne()
    const [, row] = w.rows
    if (row !== undefined) row.isFilled = false
    await w.run({ repair: true }).all()
    expect(w.said).toEqual(['filled 2'])
  })
})

describe('listings', () => {
  test('I14: one that cannot be read ends it with its error, repair or not', async () => {
    const w = await withOne()
    await plant(w.first.inner, 'a', { version: hourAgo })
    for (const { faults } of w.places) faults.calls = []
    w.second.faults.rules = [{ on: 'list', fault: { kind: 'fail', code: 'DENIED', reason: 'FORBIDDEN' } }]
    for (const repair of [false, true]) await expect(w.run({ repair }).all()).rejects.toMatchObject({ code: 'DENIED' })
    expect(writesAt(w.places)).toEqual([])
    expect(w.mended).toEqual([])
  })

  test('one that breaks off in the middle is gone on with after its last key', async () => {
    const w = world()
    for (const key of ['a', 'b', 'c', 'd']) await w.everywhere(key, { version: hourAgo })
    w.second.faults.rules = [{ on: 'list', times: 1, fault: { kind: 'cut', after: 2 } }]
    const { drift, counters } = await w.run().all()
    expect(drift).toEqual([])
    expect({ ...counters.listed }).toEqual({ first: 4, second: 4 })
  })

  test('one that is out of order is PROTOCOL', async () => {
    const w = await withOne()
    const { inner } = w.second
    const list = inner.list.bind(inner)
    Object.assign(w.second.provider, {
      async *list(...given: Parameters<typeof list>) {
        const entries = await Array.fromAsync(list(...given))
        yield* entries.toReversed()
      },
    })
    await plant(inner, 'a')
    await expect(w.run().all()).rejects.toMatchObject({ code: 'UNAVAILABLE', reason: 'PROTOCOL' })
  })

  test('one that lags: what a head finds is no difference', async () => {
    const w = world()
    for (const key of ['a', 'b', 'c']) await w.everywhere(key, { version: hourAgo })
    w.second.faults.rules = [{ on: 'list', fault: { kind: 'short', after: 2 } }]
    const { drift, counters } = await w.run({ repair: true }).all()
    expect(drift).toEqual([])
    expect(counters).toMatchObject({ compared: 3, guard: undefined })
  })
})

describe('where it is', () => {
  test('leaving the loop keeps the position, and nothing beyond what was taken; another kind of run does not go on there', async () => {
    const w = await withOne()
    for (const key of ['a', 'b', 'c']) await plant(w.first.inner, key, { version: hourAgo })
    const first = w.run()
    await first.iterate.next()
    await first.iterate.next()
    await first.iterate.return({ ...first.counters })
    expect(first.counters.cursor).toBe('a')
    expect((await w.run({ resume: true, repair: true }).all()).drift.map(({ key }) => key)).toEqual(['a', 'b', 'c'])
    w.jobs.clear()
    const again = w.run()
    await again.iterate.next()
    await again.iterate.next()
    await again.iterate.return({ ...again.counters })
    const rest = await w.run({ resume: true }).all()
    expect(rest.drift.map(({ key }) => key)).toEqual(['b', 'c'])
    expect([...w.jobs.keys()]).toEqual([])
  })

  test('a run that begins anew leaves no older position to be gone on from', async () => {
    const w = await withOne()
    for (const key of ['a', 'b']) await plant(w.first.inner, key, { version: hourAgo })
    const first = w.run()
    for (let step = 0; step < 2; step++) await first.iterate.next()
    await first.iterate.return({ ...first.counters })
    expect(w.jobs.size).toBe(1)
    const second = w.run()
    await second.iterate.next()
    // As a kill leaves it: nothing was saved yet.
    expect(w.jobs.size).toBe(0)
    await second.iterate.return({ ...second.counters })
  })

  test('an abort rejects with its reason, and keeps the position', async () => {
    const w = await withOne()
    for (const key of ['a', 'b', 'c']) await plant(w.first.inner, key, { version: hourAgo })
    const stop = new AbortController()
    const run = w.run({}, stop.signal)
    await run.iterate.next()
    await run.iterate.next()
    const reason = new Error('enough')
    stop.abort(reason)
    await expect(run.all()).rejects.toBe(reason)
    expect(JSON.parse(w.jobs.get('reconcile/') ?? '{}')).toMatchObject({ cursor: 'b' })
  })

  test('a prefix and a first key limit it', async () => {
    const w = world()
    for (const key of ['a/1', 'a/2', 'b/1']) await plant(w.first.inner, key, { version: hourAgo })
    expect((await w.run({ prefix: 'a/' }).all()).drift.map(({ key }) => key)).toEqual(['a/1', 'a/2'])
    expect((await w.run({ startAfter: 'a/1' }).all()).drift.map(({ key }) => key)).toEqual(['a/2', 'b/1'])
  })

  test('what one provider lost after the other looked is found, not twice', async () => {
    const w = await withOne()
    await w.everywhere('a', { version: hourAgo })
    await lose(w.first.inner, 'a')
    expect(await found(w)).toMatchObject([{ key: 'a', kind: 'missing' }])
  })
})
