import { expect, test } from 'vitest'
import { markerAt } from '../../src/core/marker.ts'
import { recognise } from '../../src/core/entry.ts'
import { outage } from '../../src/testing/faulty/rules.ts'
import { filled, lose, mark, never, plant, reconciled, scene, textAt, version, writesAt } from './scene.ts'

const hourAgo = () => version(Date.now() - 3_600_000)

test('providers that are equal are compared by their listings alone, and nothing is written', async () => {
  await using s = await scene()
  await filled(s.store, ['a', 'b', 'c'])
  for (const { faults } of s.places) faults.calls = []
  const { drift, counters } = await reconciled(s.store, { repair: true })
  expect(drift).toEqual([])
  expect(counters).toMatchObject({ surveyed: 3, compared: 3, queued: 0, unknown: 0, cursor: 'c', guard: undefined })
  expect(Object.values(counters.listed)).toEqual([3, 3])
  const asked = s.places.flatMap(({ faults }) => faults.calls ?? []).map(({ operation }) => operation)
  expect(asked.filter(operation => operation === 'head')).toEqual([])
  expect(writesAt(s.places)).toEqual([])
})

test('I10: what a provider lost is reported, and with repair it has it again, with the version that it had', async () => {
  await using s = await scene()
  await filled(s.store, ['a', 'b', 'c'])
  await lose(s.second.inner, 'b')
  const seen = await reconciled(s.store)
  const name = s.second.provider.name
  expect(seen.drift).toMatchObject([{ kind: 'missing', key: 'b', repair: 'none' }])
  expect(seen.drift[0]?.providers).toMatchObject([{ has: 'this' }, { provider: name, has: 'nothing' }])
  expect(await textAt(s.second, 'b')).toBeUndefined()
  const { drift, counters } = await reconciled(s.store, { repair: true })
  expect(drift).toMatchObject([{ kind: 'missing', key: 'b', repair: 'queued' }])
  expect(counters).toMatchObject({ missing: 1, queued: 1, compared: 3 })
  await s.store.drain({ until: 'verified' })
  expect(await textAt(s.second, 'b')).toBe('body of b')
  const [here, there] = await Promise.all(s.places.map(({ inner }) => inner.head('b', never)))
  expect(there && recognise(there).version).toBe(here && recognise(here).version)
  expect((await reconciled(s.store, { attributes: true, deep: true })).drift).toEqual([])
})

test('I12: an older version is replaced by the newer one, whichever provider has it', async () => {
  await using s = await scene()
  await filled(s.store, ['a', 'b'])
  await plant(s.first.inner, 'a', { body: 'old', version: hourAgo() })
  await plant(s.second.inner, 'b', { body: 'old', version: hourAgo() })
  const { drift } = await reconciled(s.store, { repair: true })
  expect(drift).toMatchObject([
    { kind: 'different', key: 'a', repair: 'queued', providers: [{ has: 'older' }, { has: 'this' }] },
    { kind: 'different', key: 'b', repair: 'queued', providers: [{ has: 'this' }, { has: 'older' }] },
  ])
  await s.store.drain()
  for (const at of s.places) expect([await textAt(at, 'a'), await textAt(at, 'b')]).toEqual(['body of a', 'body of b'])
})

test('I14: a key that all but one lost is restored everywhere; a 404 never deletes', async () => {
  await using s = await scene({ count: 3 })
  await filled(s.store, ['a', 'b'])
  await lose(s.first.inner, 'a')
  await lose(s.second.inner, 'a')
  for (const { faults } of s.places) faults.calls = []
  const { drift } = await reconciled(s.store, { repair: true })
  expect(drift).toMatchObject([{ kind: 'missing', key: 'a', repair: 'queued' }])
  await s.store.drain()
  for (const at of s.places) expect(await textAt(at, 'a')).toBe('body of a')
  expect(writesAt(s.places).filter(({ operation }) => operation === 'delete')).toEqual([])
})

test('I13: a deleted key that lingers is deleted, and only because there is a marker', async () => {
  await using s = await scene()
  await filled(s.store, ['deleted', 'kept', 'lost'])
  for (const key of ['deleted', 'lost']) await lose(s.first.inner, key)
  await mark(s.first.inner, 'deleted', version(Date.now()))
  const { drift } = await reconciled(s.store, { repair: true })
  expect(drift).toMatchObject([
    { kind: 'deleted', key: 'deleted', repair: 'queued', providers: [{ has: 'nothing' }, { has: 'older' }] },
    { kind: 'missing', key: 'lost', repair: 'queued' },
  ])
  await s.store.drain()
  for (const at of s.places) {
    expect(await textAt(at, 'deleted')).toBeUndefined()
    expect(await textAt(at, 'lost')).toBe('body of lost')
  }
  expect(await markerAt(s.second.inner, 'deleted', never)).toBeDefined()
})

test('I13: a marker beside an object that came back late wins over it, also where another provider has neither', async () => {
  await using s = await scene()
  await filled(s.store, ['kept'])
  await plant(s.first.inner, 'zombie', { version: hourAgo() })
  await mark(s.first.inner, 'zombie', version(Date.now()))
  const { drift } = await reconciled(s.store, { repair: true })
  expect(drift).toMatchObject([{ kind: 'deleted', key: 'zombie', repair: 'queued' }])
  await s.store.drain()
  for (const at of s.places) expect(await textAt(at, 'zombie')).toBeUndefined()
})

test('I22: a damaged copy is repaired from one that is whole, and is never a source', async () => {
  await using s = await scene()
  await filled(s.store, ['a', 'b'])
  const object = await s.second.inner.head('a', never)
  const was = object && recognise(object).version
  await plant(s.second.inner, 'a', { body: 'bit rot!!', version: was ?? '', claims: { crc32c: '00000000' } })
  await plant(s.first.inner, 'only', { body: 'damaged', version: hourAgo(), claims: { crc32c: '00000000' } })
  const { drift } = await reconciled(s.store, { repair: true })
  expect(drift).toMatchObject([
    { kind: 'different', key: 'a', repair: 'queued' },
    { kind: 'missing', key: 'only', repair: 'impossible', version: undefined, providers: [{ has: 'damaged' }, {}] },
  ])
  await s.store.drain()
  expect(await textAt(s.second, 'a')).toBe('body of a')
  expect(await textAt(s.second, 'only')).toBeUndefined()
})

test('I22: bytes that are wrong only when they are read are found by deep, and are no source', async () => {
  await using s = await scene()
  await filled(s.store, ['a', 'kept'])
  await lose(s.second.inner, 'a')
  s.first.faults.rules = [{ on: 'get', key: 'a', fault: { kind: 'corrupt', atByte: 0 } }]
  for (const options of [{ repair: true }, { repair: true, deep: true }])
    expect((await reconciled(s.store, options)).drift).toMatchObject([{ key: 'a', repair: 'impossible' }])
  expect(await textAt(s.second, 'a')).toBeUndefined()
  s.first.faults.rules = []
  const { counters } = await reconciled(s.store, { repair: true, deep: true })
  expect(counters.bytesRead).toBeGreaterThanOrEqual(9)
  await s.store.drain()
  expect(await textAt(s.second, 'a')).toBe('body of a')
})

test('forged entries: one under another key, and one that contradicts another of the same version, are not followed', async () => {
  await using s = await scene()
  const forged = version(Date.now() + 600)
  await filled(s.store, ['a'])
  await plant(s.second.inner, 'a', { body: 'forged', version: forged, claims: { key: 'other' } })
  await plant(s.first.inner, 'twice', { body: 'one', version: hourAgo() })
  await plant(s.second.inner, 'twice', { body: 'two', version: hourAgo().slice(0, 12) + hourAgo().slice(12) })
  const { drift } = await reconciled(s.store)
  // Not under this key: foreign, and newer.
  expect(drift[0]).toMatchObject({ kind: 'foreign', key: 'a' })
  expect(drift[0]?.version).not.toBe(forged)
})

test('two objects that claim to be the same write and are not settle nothing', async () => {
  await using s = await scene()
  const same = hourAgo()
  await plant(s.first.inner, 'twice', { body: 'one', version: same })
  await plant(s.second.inner, 'twice', { body: 'two', version: same })
  const { drift } = await reconciled(s.store, { repair: true })
  expect(drift).toMatchObject([
    { kind: 'different', repair: 'impossible', why: expect.stringContaining('same version') },
  ])
  expect([await textAt(s.first, 'twice'), await textAt(s.second, 'twice')]).toEqual(['one', 'two'])
})

test('a version or a marker from a clock more than 5 minutes ahead settles nothing', async () => {
  await using s = await scene()
  const ahead = version(Date.now() + 1_800_000)
  await filled(s.store, ['marked', 'put'])
  await lose(s.first.inner, 'marked')
  await mark(s.first.inner, 'marked', ahead)
  await plant(s.first.inner, 'put', { body: 'from the future', version: ahead })
  const { drift } = await reconciled(s.store, { repair: true })
  expect(drift).toMatchObject([
    { kind: 'deleted', key: 'marked', repair: 'impossible', why: expect.stringContaining('5 minutes ahead') },
    { kind: 'different', key: 'put', repair: 'impossible', why: expect.stringContaining('5 minutes ahead') },
  ])
  expect(await textAt(s.second, 'marked')).toBe('body of marked')
  expect(await textAt(s.second, 'put')).toBe('body of put')
})

test('I17: a foreign object is mirrored under its own time, and its source is not touched', async () => {
  await using s = await scene()
  await filled(s.store, ['kept'])
  await plant(s.second.inner, 'photo', { body: 'of others', contentType: 'image/png', metadata: { by: 'anna' } })
  const before = await s.second.inner.head('photo', never)
  const { drift } = await reconciled(s.store, { repair: true })
  expect(drift).toMatchObject([{ kind: 'foreign', key: 'photo', repair: 'queued' }])
  await s.store.drain({ until: 'verified' })
  const there = await s.first.inner.head('photo', never)
  expect(there).toMatchObject({ headers: { contentType: 'image/png' }, metadata: { by: 'anna' } })
  expect(there && recognise(there).version).toBe(before && recognise(before).version)
  expect((await s.second.inner.head('photo', never))?.token).toBe(before?.token)
  for (const options of [{}, { attributes: true }, { deep: true }])
    expect((await reconciled(s.store, options)).drift).toEqual([])
})

test('I17: under foreign: report a foreign object is reported and stays where it is', async () => {
  await using s = await scene({ foreign: 'report' })
  await filled(s.store, ['kept'])
  await plant(s.second.inner, 'photo', { body: 'of others' })
  const { drift, counters } = await reconciled(s.store, { repair: true })
  expect(drift).toMatchObject([
    { kind: 'foreign', key: 'photo', repair: 'none', why: expect.stringContaining('report') },
  ])
  expect(counters).toMatchObject({ foreign: 1, queued: 0 })
  expect(await textAt(s.first, 'photo')).toBeUndefined()
})

test('the same foreign object at two providers is no difference, whenever each came', async () => {
  await using s = await scene()
  await plant(s.first.inner, 'photo', { body: 'same' })
  await new Promise(resolve => setTimeout(resolve, 5))
  await filled(s.store, ['kept'])
  await plant(s.second.inner, 'photo', { body: 'same' })
  for (const options of [{}, { attributes: true }, { deep: true }])
    expect((await reconciled(s.store, options)).drift).toEqual([])
})

test('other headers under the same version are found with attributes: true, and the first provider is right', async () => {
  await using s = await scene()
  const same = hourAgo()
  await plant(s.first.inner, 'a', { version: same, contentType: 'text/plain' })
  await plant(s.second.inner, 'a', { version: same, contentType: 'text/html' })
  expect((await reconciled(s.store)).drift).toEqual([])
  const { drift } = await reconciled(s.store, { attributes: true, repair: true })
  expect(drift).toMatchObject([{ kind: 'different', providers: [{ has: 'this' }, { has: 'other' }], repair: 'queued' }])
  await s.store.drain()
  expect((await s.second.inner.head('a', never))?.headers.contentType).toBe('text/plain')
})

test('a key with work that is open is left to replication, and counted', async () => {
  await using s = await scene()
  await filled(s.store, ['a'])
  s.second.faults.rules = [{ on: ['put', 'head'], key: /^(a|b)$/, fault: outage }]
  await s.store.put('a', 'newer')
  await s.store.put('b', 'new')
  await new Promise(resolve => setTimeout(resolve, 100))
  const { drift, counters } = await reconciled(s.store, { repair: true })
  expect(drift).toEqual([])
  expect(counters).toMatchObject({ skipped: 2, queued: 0, unknown: 0 })
})

test('I27: a key that a provider cannot be asked for is unknown, and not repaired', async () => {
  await using s = await scene()
  await filled(s.store, ['a', 'b'])
  await lose(s.second.inner, 'a')
  s.second.faults.rules = [{ on: 'head', key: 'a', fault: { kind: 'fail', code: 'DENIED', reason: 'FORBIDDEN' } }]
  const { drift, counters } = await reconciled(s.store, { repair: true })
  expect(drift).toMatchObject([
    { kind: 'missing', key: 'a', repair: 'impossible', version: undefined, providers: [{}, { has: 'unknown' }] },
  ])
  expect(counters).toMatchObject({ unknown: 1, missing: 0, queued: 0 })
})

test('I27: a marker that cannot be read leaves the key unknown', async () => {
  await using s = await scene()
  await filled(s.store, ['a', 'kept'])
  await lose(s.second.inner, 'a')
  s.second.faults.rules = [
    { on: 'head', key: /^\.holdfast\/deleted\//, fault: { kind: 'fail', code: 'DENIED', reason: 'FORBIDDEN' } },
  ]
  const { counters } = await reconciled(s.store, { repair: true })
  expect(counters).toMatchObject({ unknown: 1, queued: 0 })
})

test('I14: a provider that cannot be listed ends it with its error: nothing is compared with half a listing', async () => {
  await using s = await scene()
  await filled(s.store, ['a', 'b', 'c', 'd'])
  for (const { faults } of s.places) faults.calls = []
  s.second.faults.rules = [{ on: 'list', fault: { kind: 'fail', code: 'DENIED', reason: 'FORBIDDEN' } }]
  for (const repair of [false, true])
    await expect(s.store.reconcile({ repair })).rejects.toMatchObject({ code: 'DENIED' })
  expect(writesAt(s.places)).toEqual([])
})

test('a listing that breaks off in the middle is gone on with where it was', async () => {
  await using s = await scene()
  await filled(s.store, ['a', 'b', 'c', 'd'])
  s.second.faults.rules = [{ on: 'list', times: 1, fault: { kind: 'cut', after: 2 } }]
  const { drift, counters } = await reconciled(s.store)
  expect(drift).toEqual([])
  expect(counters.compared).toBe(4)
})

test('a listing that lags: what a head finds is no difference', async () => {
  await using s = await scene()
  await filled(s.store, ['a', 'b', 'c'])
  s.second.faults.rules = [{ on: 'list', fault: { kind: 'short', after: 2 } }]
  const { drift, counters } = await reconciled(s.store, { repair: true })
  expect(drift).toEqual([])
  expect(counters).toMatchObject({ compared: 3, queued: 0, guard: undefined })
})
