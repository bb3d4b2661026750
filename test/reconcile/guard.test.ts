import { describe, expect, test } from 'vitest'
import { identityKey } from '../../src/core/key.ts'
import type { RemoteObject } from '../../src/core/provider.ts'
import { systemClock } from '../../src/core/system.ts'
import { memory } from '../../src/providers/memory.ts'
import { listingFinding } from '../../src/reconcile/guard.ts'
import type { ReconcileTerms } from '../../src/reconcile/terms.ts'
import type { Side } from '../../src/reconcile/types.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { lose, never, plant, version, writesAt } from './scene.ts'
import { type World, world } from './world.ts'

const old = version(Date.UTC(2026, 0, 1))
const identities = ['0f0e0d0c-0000-4000-8000-000000000001', '0f0e0d0c-0000-4000-8000-000000000002']

/** Two buckets with identities that the journal remembers, and as many keys. */
async function attendedWorld(keys: number): Promise<World> {
  const w = world()
  for (const [index, { inner }] of w.places.entries()) {
    await plant(inner, identityKey, { body: JSON.stringify({ format: 1, identity: identities[index] }) })
    const row = w.rows[index]
    if (row !== undefined) row.identity = identities[index]
  }
  for (let index = 0; index < keys; index++) await w.everywhere(keyOf(index), { version: old })
  for (const { faults } of w.places) faults.calls = []
  return w
}

const keyOf = (index: number) => `key/${String(index).padStart(5, '0')}`

/** A repair is stopped by this rule, a look shows it; nobody was asked to write anything. */
async function expectStopped(
  w: World,
  rule: string,
  message: RegExp,
  terms: Partial<ReconcileTerms> = {},
): Promise<void> {
  await expect(w.run({ repair: true, ...terms }).all()).rejects.toMatchObject({
    code: 'BLOCKED',
    field: 'guard',
    rule,
    message: expect.stringMatching(message),
  })
  expect(w.mended).toEqual([])
  const { counters } = await w.run({ ...terms }).all()
  expect(counters.guard).toMatchObject({ rule, message: expect.stringMatching(message) })
  expect(writesAt(w.places)).toEqual([])
}

describe('P6, I14, I28: a mass change is not made before a person looked', () => {
  test('empty: a bucket that was emptied', async () => {
    const w = await attendedWorld(10)
    for (let index = 0; index < 10; index++) await lose(w.second.inner, keyOf(index))
    await expectStopped(w, 'empty', /second lists no key, first lists 10/)
    const { counters } = await w.run({ repair: true, confirm: true }).all()
    expect(counters).toMatchObject({ queued: 10, guard: { rule: 'empty' } })
    expect(w.mended.every(({ wanted, targets }) => wanted.is === 'object' && targets.join() === '2')).toBe(true)
  })

  test('empty: a listing that says nothing of a bucket that is full', async () => {
    const w = await attendedWorld(10)
    w.second.faults.rules = [{ on: 'list', fault: { kind: 'empty-list' } }]
    await expectStopped(w, 'empty', /second lists no key/)
  })

  test('short: a listing that is cut short as if that were all', async () => {
    const w = await attendedWorld(300)
    w.first.faults.rules = [{ on: 'list', fault: { kind: 'short', after: 150 } }]
    await expectStopped(w, 'short', /first lists 150 keys, second lists 300: that is more than 5 % fewer/)
  })

  test('many: more than 5 % and more than 100 keys, or more than 1,000, are missing or of another size', async () => {
    const w = await attendedWorld(300)
    for (let index = 0; index < 120; index++) {
      const { inner } = index % 2 === 0 ? w.first : w.second
      await plant(inner, keyOf(index), { body: 'another size', version: old })
    }
    await expectStopped(w, 'many', /120 of 300 keys are missing somewhere or have another size: more than 5 %/)
    await expectStopped(w, 'many', /: more than 100$|: more than 100;/, { guard: { objects: 100, percent: 50 } })
    const { counters } = await w.run({ repair: true, guard: { objects: 1_000, percent: 40 } }).all()
    expect(counters.guard).toBeUndefined()
  })

  test('many: what is really repaired is counted too, where the listings showed none of it', async () => {
    const w = await attendedWorld(300)
    for (let index = 0; index < 110; index++)
      await plant(w.second.inner, keyOf(index), { body: `ydob of ${keyOf(index)}`, version: old.replace(/aa$/, 'ab') })
    const run = w.run({ repair: true })
    await expect(run.all()).rejects.toMatchObject({
      field: 'guard',
      rule: 'many',
      message: expect.stringContaining('101 of 300'),
    })
    expect(w.mended.length).toBeLessThanOrEqual(100)
    expect(run.counters.guard).toMatchObject({ rule: 'many' })
  })

  test('up to 100 keys are no mass, whatever part of all they are', async () => {
    const w = await attendedWorld(101)
    for (let index = 1; index < 101; index++) await lose(w.second.inner, keyOf(index))
    expect((await w.run({ repair: true }).all()).counters).toMatchObject({ queued: 100, guard: undefined })
  })
})

describe('what nobody can confirm away', () => {
  test('identity: a bucket that was deleted and made again, or is that of another', async () => {
    const w = await attendedWorld(3)
    await lose(w.second.inner, identityKey)
    await expectStopped(w, 'identity', /second has lost \.holdfast\/identity/, { confirm: true })
    await plant(w.second.inner, identityKey, { body: JSON.stringify({ format: 1, identity: identities[0] }) })
    await expectStopped(w, 'identity', /second has identity 0f0e0d0c-0000-4000-8000-000000000001/, { confirm: true })
    await plant(w.second.inner, identityKey, { body: 'not even JSON' })
    await expectStopped(w, 'identity', /second has identity of another form/, { confirm: true })
  })

  test('identity: a bucket that was accepted in place of another before the end settles nothing of a whole run (I28)', async () => {
    const w = await attendedWorld(3)
    await lose(w.second.inner, keyOf(2))
    w.mend = async () => {
      const [, row] = w.rows
      if (row !== undefined) row.identity = identities[0]
      return { is: 'queued', bytes: 0 }
    }
    await expect(w.run({ repair: true }).all()).rejects.toMatchObject({
      code: 'BLOCKED',
      field: 'guard',
      rule: 'identity',
      message: expect.stringContaining('was given another bucket'),
    })
    expect(w.mended.map(({ key }) => key)).toEqual([keyOf(2)])
  })

  test('identity: asked for again before every thousandth repair', async () => {
    const w = await attendedWorld(2)
    for (let index = 2; index < 1_050; index++) await plant(w.first.inner, keyOf(index), { version: old })
    w.mend = async ({ key }) => {
      if (key === keyOf(500)) await lose(w.second.inner, identityKey)
      return { is: 'queued', bytes: 0 }
    }
    await expect(w.run({ repair: true, confirm: true }).all()).rejects.toMatchObject({
      field: 'guard',
      rule: 'identity',
    })
    expect(w.mended.length).toBeGreaterThan(500)
    expect(w.mended.length).toBeLessThanOrEqual(1_000)
  })

  test('listing: one that leaves out what a head finds, and has had for long', async () => {
    const clock = manualClock(Date.now() - 3_600_000)
    const w = world(2, clock)
    for (const key of ['a', 'b', 'c']) await w.everywhere(key, { version: old })
    clock.jump(Date.now())
    w.second.faults.rules = [{ on: 'list', fault: { kind: 'short', after: 2 } }]
    await expectStopped(w, 'listing', /second does not list "c", and has had it since/, { confirm: true })
  })

  test('listing: an object of parts may be younger than its time says, and stops nothing', async () => {
    const [side] = sidesOfOne()
    const object = await objectAt(Date.now() - 3_600_000)
    const found = (etag: string) => listingFinding(side, { ...object, etag }, systemClock.monotonic(), systemClock)
    expect(found('0'.repeat(32))).toMatchObject({ rule: 'listing' })
    expect(found(`${'0'.repeat(32)}-2`)).toBeUndefined()
  })
})

function sidesOfOne(): readonly [Side] {
  return [{ id: 1, provider: memory({ name: 'one' }), isStale: false }]
}

async function objectAt(modifiedMs: number): Promise<RemoteObject> {
  const provider = memory({ name: 'object' })
  await plant(provider, 'a')
  const object = await provider.head('a', never)
  if (object === undefined) throw new Error('it was just put')
  return { ...object, modifiedAt: new Date(modifiedMs) }
}
