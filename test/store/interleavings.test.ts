import { expect, test } from 'vitest'
import { markerKey } from '../../src/core/key.ts'
import { makeVersion } from '../../src/core/version.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { weak } from '../converge/weak.ts'
import { bodyAt, keysOf } from '../support/store.ts'
import { copier, dayMs, holdMs, nodes, putPast } from './nodes.ts'

const external = { replication: { run: 'external' } } as const

test('a put claimed before, and sent after, another node deleted the key and looked at that twice: the key does not come back (I13)', async () => {
  await using world = await nodes()
  const { clock } = world
  const faults: Faults = {}
  const [a, b] = [memory({ name: 'a', clock }), memory({ name: 'b', clock })]
  const [here, there] = [world.node(), world.node()]
  await here.open([faulty(a, faults, { clock }), b])
  await there.open([a, b])
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  faults.rules = [{ on: 'put', key: 'k', times: 1, fault: { kind: 'before', run: () => gate } }]
  await here.store.put('k', 'zombie')
  await world.pass(1_000, here)
  expect(await bodyAt(b, 'k')).toBeDefined()
  // From here on the process of the first node stands still, in the middle of its request.
  await there.store.delete('k')
  await world.pass(2 * holdMs, there)
  expect(await there.store.status()).toMatchObject({ done: 1 })
  open()
  await world.pass(1_000, here, there)
  for (const provider of [a, b]) expect(await bodyAt(provider, 'k')).toBeUndefined()
  await world.pass(2 * holdMs, here, there)
  for (const { store } of [here, there]) {
    expect(await store.get('k')).toBeUndefined()
    expect(await Array.fromAsync(store.list())).toEqual([])
    expect(await store.status()).toMatchObject({ pending: { writes: 0 }, held: { writes: 0 }, blocked: { writes: 0 } })
  }
  for (const provider of [a, b]) expect(await keysOf(provider)).toEqual([])
}, 60_000)

test('an answer that was lost, of a put that arrived after another node deleted the key: whoever sent it takes it away (I13, I15)', async () => {
  await using world = await nodes()
  const { clock } = world
  const faults: Faults = {}
  const late = world.node()
  const [a, b] = [memory({ name: 'a', clock }), memory({ name: 'b', clock })]
  const [here, there] = [world.node(), world.node()]
  await here.open([faulty(a, faults, { clock: late.clock }), b])
  await there.open([a, b])
  faults.rules = [{ on: 'put', key: 'k', times: 1, fault: { kind: 'late', ms: 1_000 } }]
  await here.store.put('k', 'zombie')
  await here.advance(1)
  expect(faults.calls?.filter(({ fault }) => fault === 'late')).toHaveLength(1)
  await there.store.delete('k')
  await world.pass(2 * holdMs, there)
  // The request was on its way all the time.
  await late.advance(2_000)
  expect((await bodyAt(a, 'k'))?.toString()).toBe('zombie')
  await world.pass(60_000, here)
  for (const provider of [a, b]) expect(await keysOf(provider)).toEqual([])
  expect(await here.store.status()).toMatchObject({ superseded: 1, pending: { writes: 0 } })
}, 60_000)

test('a late request that arrives when nobody is left to look is not served by who knows of the delete, and goes before its marker does (I13)', async () => {
  await using world = await nodes()
  const { clock } = world
  const faults: Faults = {}
  const late = world.node()
  const [a, b] = [memory({ name: 'a', clock }), memory({ name: 'b', clock })]
  const [here, there] = [world.node(), world.node()]
  await here.open([faulty(a, faults, { clock: late.clock }), b])
  await there.open([a, b], { tombstoneDays: 30 })
  faults.rules = [{ on: 'put', key: 'k', fault: { kind: 'late', ms: 1_000 } }]
  await here.store.put('k', 'zombie')
  await here.advance(1)
  await here.close()
  await there.store.delete('k')
  await world.pass(2 * holdMs, there)
  await late.advance(2_000)
  expect((await bodyAt(a, 'k'))?.toString()).toBe('zombie')
  expect(await there.store.get('k')).toBeUndefined()
  await world.passDays(14, there)
  expect(await bodyAt(a, markerKey('k'))).toBeDefined()
  expect(await there.store.get('k')).toBeUndefined()
  await world.passDays(14, there)
  await world.passDays(4, there)
  expect(await keysOf(a)).toEqual([])
  expect(await bodyAt(a, markerKey('k'))).toBeDefined()
  await world.passDays(2, there)
  for (const provider of [a, b]) expect(await bodyAt(provider, markerKey('k'))).toBeUndefined()
}, 60_000)

test('If-Match that would pass over a newer write of the same bytes: the newer write stays (I12)', async () => {
  await using world = await nodes()
  const { clock } = world
  const lacks = new Set(['uniqueTokens'] as const)
  const [a, b] = [weak(memory({ name: 'a', clock }), lacks), weak(memory({ name: 'b', clock }), lacks)]
  const [here, there] = [world.node(), world.node()]
  await here.open([a, b])
  await here.store.put('k', 'same bytes')
  await world.pass(2 * holdMs, here)
  expect(await here.store.status()).toMatchObject({ done: 1 })
  await here.close()
  await here.open([a, b], external)
  await here.store.put('k', 'older')
  await here.close()
  await world.pass(1_000)
  await there.open([a, b])
  const newest = await there.store.put('k', 'same bytes')
  await world.pass(2 * holdMs, there)
  expect(await there.store.status()).toMatchObject({ done: 1 })
  await here.open([a, b])
  await world.pass(2 * holdMs, here, there)
  expect(await here.store.status()).toMatchObject({ superseded: 1, pending: { writes: 0 } })
  for (const node of [here, there])
    expect(await node.store.head('k')).toMatchObject({ version: newest.version, etag: newest.etag })
  for (const provider of [a, b]) expect((await bodyAt(provider, 'k'))?.toString()).toBe('same bytes')
}, 60_000)

test('If-Match that passes over a newer write of the same bytes in the same moment: its second look brings it again (I12)', async () => {
  await using world = await nodes()
  const { clock } = world
  const faults: Faults = {}
  const a = weak(memory({ name: 'a', clock }), new Set(['uniqueTokens'] as const))
  const b = memory({ name: 'b', clock })
  const [here, there] = [world.node(), world.node()]
  await here.open([faulty(a, faults, { clock }), b])
  await there.open([a, b])
  await here.store.put('k', 'same bytes')
  await world.pass(2 * holdMs, here)
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  faults.rules = [{ on: 'put', key: 'k', times: 1, fault: { kind: 'before', run: () => gate } }]
  await here.store.put('k', 'older')
  await here.advance(1)
  await world.pass(1_000)
  const newest = await there.store.put('k', 'same bytes')
  await world.pass(5_000, there)
  open()
  await world.pass(1_000, here)
  expect((await bodyAt(a, 'k'))?.toString()).toBe('older')
  await world.pass(3 * holdMs, here, there)
  for (const provider of [a, b]) expect((await bodyAt(provider, 'k'))?.toString()).toBe('same bytes')
  expect(await there.store.head('k')).toMatchObject({ version: newest.version })
}, 60_000)

test('a delete stamped by a clock 30 minutes ahead is not issued, and deletes nothing (CLOCK)', async () => {
  await using world = await nodes()
  const { clock } = world
  const [a, b] = [memory({ name: 'a', clock }), memory({ name: 'b', clock })]
  const [here, ahead] = [world.node(), world.node({ aheadMs: 30 * 60_000 })]
  await here.open([a, b])
  await here.store.put('k', 'body')
  await world.pass(2 * holdMs, here)
  // It has not met a provider yet, and knows no better.
  await ahead.open([a, b], external)
  await ahead.store.delete('k')
  await ahead.close()
  await ahead.open([a, b])
  await world.pass(60_000, here, ahead)
  expect((await ahead.store.status()).blocked.reasons).toEqual(
    ['a', 'b'].map(provider => ({ provider, reason: 'CLOCK', writes: 1 })),
  )
  for (const provider of [a, b]) {
    expect(await keysOf(provider)).toEqual(['k'])
    expect(await bodyAt(provider, markerKey('k'))).toBeUndefined()
  }
  // Versions of a directory only increase: what it writes now waits too, until the time that it took has come.
  await ahead.store.put('other', 'body')
  await world.pass(60_000, ahead)
  expect((await ahead.store.status()).blocked).toMatchObject({ writes: 2 })
  await ahead.close()
  await world.pass(30 * 60_000)
  await ahead.open([a, b])
  await world.pass(2 * holdMs, ahead)
  for (const provider of [a, b]) expect(await keysOf(provider)).toEqual(['other'])
  expect(await ahead.store.status()).toMatchObject({ blocked: { writes: 0 }, pending: { writes: 0 } })
}, 60_000)

test('a marker from a clock 30 minutes ahead drops nothing silently: what waited is blocked, what is new goes through (CONFLICT)', async () => {
  await using world = await nodes()
  const { clock } = world
  const [a, b] = [memory({ name: 'a', clock }), memory({ name: 'b', clock })]
  const here = world.node()
  await here.open([a, b])
  await here.store.put('deleted', 'body')
  await world.pass(2 * holdMs, here)
  await here.close()
  await here.open([a, b], external)
  await here.store.put('waiting', 'body')
  await here.store.delete('deleted')
  await here.close()
  const version = makeVersion(clock.now() + 30 * 60_000, 0, '00000000000000aa')
  for (const provider of [a, b])
    for (const key of ['waiting', 'deleted', 'fresh'])
      await putPast(provider, markerKey(key), JSON.stringify({ format: 1, key, version }), version)
  await world.pass(61_000)
  await here.open([a, b])
  await here.store.put('fresh', 'body')
  await world.pass(2 * holdMs, here)
  const { blocked, superseded } = await here.store.status()
  expect(blocked).toMatchObject({ writes: 2 })
  expect(new Set(blocked.reasons.map(({ reason }) => reason))).toEqual(new Set(['CONFLICT']))
  expect(superseded).toBe(0)
  expect(await (await here.store.get('waiting'))?.text()).toBe('body')
  expect(await (await here.store.get('fresh'))?.text()).toBe('body')
}, 60_000)

test('a node that returns after 100 days overwrites, deletes and brings back nothing until a person confirms it (I12, I13, TOO_OLD)', async () => {
  await using world = await nodes()
  const { clock } = world
  const [a, b] = [memory({ name: 'a', clock }), memory({ name: 'b', clock })]
  const [away, here] = [world.node(), world.node()]
  await here.open([a, b])
  await here.store.put('rewritten', 'old')
  await world.pass(2 * holdMs, here)
  await away.open([a, b], external)
  await away.store.put('put', 'of long ago')
  await away.store.delete('rewritten')
  await away.close()
  await world.pass(1_000, here)
  await here.store.delete('put')
  await here.store.put('rewritten', 'new')
  await world.pass(2 * holdMs, here)
  await world.passDays(60, here)
  expect(await bodyAt(a, markerKey('put'))).toBeDefined()
  await world.passDays(40, here)
  for (const provider of [a, b]) expect(await bodyAt(provider, markerKey('put'))).toBeUndefined()
  const stale: string[] = []
  await away.open([a, b])
  away.store.on('stale-provider', ({ provider }) => stale.push(provider))
  await world.pass(2 * holdMs, away, here)
  expect(stale).toEqual([])
  const blocked = await Array.fromAsync(away.store.blocked.list())
  expect(new Set(blocked.map(({ reason }) => reason))).toEqual(new Set(['TOO_OLD']))
  expect(blocked.map(({ key }) => key).toSorted()).toEqual(['put', 'put', 'rewritten', 'rewritten'])
  for (const provider of [a, b]) expect(await keysOf(provider)).toEqual(['rewritten'])
  // Whoever takes the directory over looks at it anew, and it is as old.
  await away.close()
  await away.open([a, b])
  await world.pass(60_000, away)
  expect((await away.store.status()).blocked.writes).toBe(2)
  expect(await away.store.blocked.retry({ key: 'rewritten' })).toBe(2)
  await world.pass(2 * holdMs, away, here)
  for (const provider of [a, b]) expect((await bodyAt(provider, 'rewritten'))?.toString()).toBe('new')
  expect(await away.store.blocked.retry({ key: 'put', provider: 'b' })).toBe(1)
  await world.pass(2 * holdMs, away, here)
  expect((await bodyAt(b, 'put'))?.toString()).toBe('of long ago')
  expect(await bodyAt(a, 'put')).toBeUndefined()
}, 120_000)

test('an object copied with our metadata to another key is foreign there: an older write does not overwrite it (I12, I17)', async () => {
  await using world = await nodes()
  const { clock } = world
  const [a, b] = [memory({ name: 'a', clock }), memory({ name: 'b', clock })]
  const here = world.node()
  await here.open([a, b])
  await here.store.put('k', 'original')
  await world.pass(2 * holdMs, here)
  await here.close()
  await here.open([a, b], external)
  const older = await here.store.put('copy', 'older')
  await here.close()
  await world.pass(1_000)
  await (await copier(a, 'k'))('copy')
  await here.open([a, b])
  await world.pass(3 * holdMs, here)
  expect(await here.store.status()).toMatchObject({ superseded: 1, pending: { writes: 0 }, held: { writes: 0 } })
  for (const provider of [a, b]) expect((await bodyAt(provider, 'copy'))?.toString()).toBe('original')
  const copy = await here.store.head('copy')
  expect(copy && copy.version > older.version).toBe(true)
  await here.store.delete('k')
  await world.pass(2 * holdMs, here)
  expect(await keysOf(a)).toEqual(['copy'])
  expect(await keysOf(b)).toEqual(['copy'])
}, 60_000)

test('an older version copied with our metadata over a newer one is older still: the second look brings the newer again, reads do not serve it (I12, I25)', async () => {
  await using world = await nodes()
  const { clock } = world
  const [a, b] = [memory({ name: 'a', clock }), memory({ name: 'b', clock })]
  const here = world.node()
  await here.open([a, b])
  await here.store.put('k', 'first')
  await world.pass(2 * holdMs, here)
  const restore = await copier(a, 'k')
  await here.store.put('k', 'second')
  await world.pass(1_000, here)
  await restore('k')
  expect(await (await here.store.get('k'))?.text()).toBe('second')
  await world.pass(3 * holdMs, here)
  expect((await bodyAt(a, 'k'))?.toString()).toBe('second')
  await restore('k')
  expect(await (await here.store.get('k'))?.text()).toBe('second')
}, 60_000)

test('a secondary attached again after its markers expired: what was deleted meanwhile comes back nowhere (I13, I22)', async () => {
  await using world = await nodes()
  const { clock } = world
  const [a, c] = [memory({ name: 'a', clock }), memory({ name: 'c', clock })]
  const faults: Faults = {}
  const inner = memory({ name: 'b', clock })
  const b = faulty(inner, faults, { clock })
  const here = world.node()
  await here.open([a, b])
  for (const key of ['x', 'y', 'z']) await here.store.put(key, key)
  await world.pass(2 * holdMs, here)
  await here.close()
  await here.open([a, c])
  await here.store.delete('x')
  await here.store.delete('y')
  await world.pass(2 * holdMs, here)
  await world.passDays(100, here)
  for (const key of ['x', 'y']) expect(await bodyAt(a, markerKey(key))).toBeUndefined()
  await here.close()

  faults.rules = [{ on: 'get', key: '.holdfast/identity', fault: { kind: 'hang' } }]
  await here.open([a, b])
  const stale: { provider: string; awaySince: Date }[] = []
  here.store.on('stale-provider', event => stale.push(event))
  const expectAbsent = async () => {
    for (const key of ['x', 'y']) {
      expect(await here.store.get(key)).toBeUndefined()
      expect(await here.store.head(key)).toBeUndefined()
      await expect(here.store.adopt(key)).rejects.toMatchObject({ code: 'INVALID', rule: 'absent' })
      await expect(here.store.copy(key, 'copy')).rejects.toMatchObject({ code: 'INVALID', field: 'from' })
    }
    expect((await Array.fromAsync(here.store.list())).map(entry => entry.type === 'object' && entry.key)).toEqual(['z'])
    expect(await keysOf(a)).toEqual(['z'])
  }
  // Nobody has looked at it yet: what this directory remembers of its last visit is enough.
  await expectAbsent()
  faults.rules = []
  await world.pass(10 * 60_000, here)
  expect(stale).toEqual([{ provider: 'b', awaySince: expect.any(Date) }])
  expect(clock.now() - (stale[0]?.awaySince.getTime() ?? 0)).toBeGreaterThan(99 * dayMs)
  await expectAbsent()
  // Day after day its mark is left alone, and nothing is forgotten by a restart.
  const mark = (await bodyAt(inner, '.holdfast/attended'))?.toString()
  await world.passDays(2, here)
  await here.close()
  await here.open([a, b])
  await world.pass(60_000, here)
  expect((await bodyAt(inner, '.holdfast/attended'))?.toString()).toBe(mark)
  await expectAbsent()
  // It is a target all the same.
  await here.store.put('new', 'body')
  await world.pass(2 * holdMs, here)
  expect(await keysOf(inner)).toEqual(['new', 'x', 'y', 'z'])
  await here.store.delete('new')
  await world.pass(2 * holdMs, here)

  // Another process, with a directory that has never been there, and that does not replicate: it looks at the mark before it compares.
  const stranger = world.node()
  await stranger.open([a, b], external)
  await stranger.store.get('x')
  await world.pass(5_000, stranger)
  expect((await stranger.store.status()).repairs.writes).toBe(0)
  const seen: string[] = []
  const comparing = (async () => {
    for await (const { key, repair } of stranger.store.reconcile({ repair: true })) seen.push(`${key} ${repair}`)
  })()
  await Promise.race([comparing, world.pass(60_000, stranger)])
  await comparing
  expect(seen).toEqual(['x impossible', 'y impossible'])
  expect(await stranger.store.get('x')).toBeUndefined()
  await stranger.close()

  // Reconcile shows what is left over, and takes nothing from there; a person says what becomes of it.
  const settled = async <T>(work: PromiseLike<T>): Promise<T> => {
    let isOver = false
    const end = Promise.resolve(work).finally(() => {
      isOver = true
    })
    end.catch(() => {})
    while (!isOver) await world.pass(1_000, here)
    return end
  }
  const leftovers: string[] = []
  const shown = here.store.reconcile({ repair: true })
  const reading = (async () => {
    for await (const { key, kind, repair } of shown) leftovers.push(`${key} ${kind} ${repair}`)
  })()
  await settled(reading)
  expect(leftovers).toEqual(['x missing impossible', 'y missing impossible'])
  await expectAbsent()
  expect(await keysOf(inner)).toEqual(['x', 'y', 'z'])
  expect(await settled(here.store.reconcile({ repair: true, leftovers: 'delete', confirm: true }))).toMatchObject({
    deleted: expect.any(Number),
  })
  await world.pass(2 * holdMs, here)
  for (const provider of [a, inner]) expect(await keysOf(provider)).toEqual(['z'])
  expect((await here.store.status()).providers[1]).toMatchObject({ stale: false })
  // Trusted again: the next day's visit marks it.
  await world.passDays(2, here)
  expect((await bodyAt(inner, '.holdfast/attended'))?.toString()).not.toBe(mark)
}, 120_000)

test('without conditional deletes, a delete that takes a newer put away with it: the second look of the put brings it again (I12)', async () => {
  await using world = await nodes()
  const { clock } = world
  const faults: Faults = {}
  const lacks = new Set(['deleteIf'] as const)
  const a = weak(memory({ name: 'a', clock }), lacks)
  const b = memory({ name: 'b', clock })
  const [here, there] = [world.node(), world.node()]
  await here.open([faulty(a, faults, { clock }), b])
  await there.open([a, b])
  await here.store.put('k', 'old')
  await world.pass(2 * holdMs, here)
  const { promise: gate, resolve: open } = Promise.withResolvers<void>()
  faults.rules = [{ on: 'delete', key: 'k', times: 1, fault: { kind: 'before', run: () => gate } }]
  await here.store.delete('k')
  await here.advance(1)
  await world.pass(1_000)
  await there.store.put('k', 'newer')
  await world.pass(5_000, there)
  open()
  await world.pass(1_000, here)
  expect(await bodyAt(a, 'k')).toBeUndefined()
  await world.pass(3 * holdMs, here, there)
  for (const provider of [a, b]) expect((await bodyAt(provider, 'k'))?.toString()).toBe('newer')
  for (const { store } of [here, there]) expect(await (await store.get('k'))?.text()).toBe('newer')
}, 60_000)
