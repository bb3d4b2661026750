import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { outage } from '../../src/testing/faulty/rules.ts'
import { createHedges } from '../../src/read/hedge.ts'
import type { ReadProvider } from '../../src/read/types.ts'
import { type Place, row, textOf, version, type World, world } from './world.ts'

const key = 'photos/a.jpg'
const hang = (place: Place): void => void (place.faults.rules = [{ on: ['get', 'head'], fault: { kind: 'hang' } }])
const slow = (place: Place, ms: number): void =>
  void (place.faults.rules = [{ on: ['get', 'head'], fault: { kind: 'slow', ms } }])

/** The object at all of them, and how long a read takes by the clock. */
async function scene(providers = 2, more: Parameters<typeof world>[0] = {}) {
  const w = world({ hedge: true, firstByteMs: 2000, ...more }, { providers })
  for (const place of w.places) await w.store(place, key, 1, `of ${place.id}`)
  return w
}

async function timed<T>(w: World, read: () => Promise<T>): Promise<{ value: T; ms: number }> {
  const began = w.clock.monotonic()
  const value = await w.passing(read())
  return { value, ms: w.clock.monotonic() - began }
}

const hedgesOf = (w: World) => w.events.filter(({ event }) => event === 'hedge')

/** Nobody sleeps, no body is open, nobody is being asked. */
async function expectQuiet(w: World): Promise<void> {
  await new Promise(resolve => setTimeout(resolve, 5))
  expect(w.clock.sleeping).toBe(0)
  for (const place of w.places) expect(place.open.now, `open at ${place.id}`).toBe(0)
}

test('without the option one is asked at a time, however slow', async () => {
  const w = await scene(2, { hedge: false })
  slow(w.first, 1900)
  expect((await timed(w, () => w.head(key))).ms).toBe(1900)
  expect(w.asked(w.second)).toBe(0)
})

test('a provider that hangs costs a quarter of firstByteMs, and is let go of; so for get and head', async () => {
  for (const call of ['get', 'head'] as const) {
    const w = await scene()
    hang(w.first)
    const { value, ms } = await timed<unknown>(w, () => w[call](key))
    expect(ms).toBe(500)
    expect(value).toMatchObject(call === 'get' ? { from: 'second', stale: false } : { version: version(1) })
    expect(hedgesOf(w)).toEqual([{ event: 'hedge', key, from: 'first', to: 'second', won: true }])
    expect(w.events).toHaveLength(1)
    await expectQuiet(w)
  }
})

test('whoever was asked first and answers first is served; the other one is let go of', async () => {
  const w = await scene()
  slow(w.first, 700)
  slow(w.second, 700)
  const { value, ms } = await timed(w, () => w.get(key))
  expect([value?.from, ms, await textOf(value)]).toEqual(['first', 700, 'of 1'])
  expect(hedgesOf(w)).toMatchObject([{ won: false }])
  await expectQuiet(w)
})

test('a large body of the faster one is read to its end, after the slower one was let go of', async () => {
  const w = await scene()
  const body = Buffer.alloc(600_000, 'x')
  for (const place of w.places) await w.store(place, 'large', 1, body)
  hang(w.first)
  const { value } = await timed(w, () => w.get('large'))
  expect((await value?.bytes())?.byteLength).toBe(600_000)
  await expectQuiet(w)
})

test('an answer that comes after it was given up is dropped', async () => {
  const w = await scene()
  let answer = (): void => {}
  const waits = new Promise<void>(resolve => (answer = resolve))
  w.first.faults.rules = [{ on: 'get', fault: { kind: 'after', run: () => waits } }]
  const { value } = await timed(w, () => w.get(key))
  expect(value?.from).toBe('second')
  answer()
  await expectQuiet(w)
})

test('how long one is waited for is learned from its own answers: 20 ms at least, half of firstByteMs at most', async () => {
  const w = await scene()
  slow(w.first, 4)
  for (let i = 0; i < 20; i++) await timed(w, () => w.head(key))
  hang(w.first)
  expect((await timed(w, () => w.head(key))).ms).toBe(20)

  const lazy = await scene()
  slow(lazy.first, 300)
  for (let i = 0; i < 40; i++) expect((await timed(lazy, () => lazy.head(key))).ms).toBe(300)
  expect(hedgesOf(lazy)).toEqual([])
  hang(lazy.first)
  expect((await timed(lazy, () => lazy.head(key))).ms).toBe(300)

  const hedges = createHedges(2000)
  const at = w.providers[0] as Pick<ReadProvider, 'id'>
  for (let i = 0; i < 15; i++) hedges.took(at, 1)
  expect(hedges.delayMs(at)).toBe(500)
  for (let i = 0; i < 100; i++) hedges.took(at, i % 50 === 0 ? 1900 : 100)
  expect(hedges.delayMs(at)).toBe(100)
  for (let i = 0; i < 5; i++) hedges.took(at, 1900)
  expect(hedges.delayMs(at)).toBe(1000)
})

test('at most one read in ten costs a second request, but for five that were saved up', async () => {
  const w = await scene()
  // Half of the reads are slow, so that slow is never what is usual.
  let n = 0
  w.first.faults.rules = [{ on: 'head', fault: { kind: 'before', run: () => w.clock.sleep(n++ % 8 === 0 ? 1900 : 5) } }]
  let most = 0
  for (let reads = 1; reads <= 400; reads++) {
    await timed(w, () => w.head(key))
    most = Math.max(most, w.asked(w.second) - reads / 10)
  }
  expect(most).toBeLessThanOrEqual(5)
  expect(w.asked(w.second)).toBeGreaterThan(30)
  expect(hedgesOf(w)).toHaveLength(w.asked(w.second))
})

test('one whose breaker is open, or that is being probed, is not asked beside another', async () => {
  const w = await scene()
  w.second.faults.rules = [{ fault: outage }]
  const breaker = w.providers[1]?.breakers.read
  for (let i = 0; i < 3; i++)
    breaker?.tryEnter()?.failed(new HoldfastError('UNAVAILABLE', 'down', { reason: 'SERVER' }))
  slow(w.first, 1500)
  expect((await timed(w, () => w.head(key))).ms).toBe(1500)
  await w.clock.advance(100_000)
  expect(breaker?.state).toBe('probing')
  expect((await timed(w, () => w.head(key))).ms).toBe(1500)
  expect(w.asked(w.second)).toBe(0)
})

test('I25: one that is known not to have the newest write, or was away for too long, is not asked beside another', async () => {
  const w = await scene()
  w.know(key, { open: row({ key, n: 1, body: 'of 1', at: { 1: 'stored', 2: 'waiting' } }) })
  slow(w.first, 1500)
  expect((await timed(w, () => w.get(key))).value?.from).toBe('first')
  const away = await scene()
  away.second.doubtedUntil = Number.MAX_SAFE_INTEGER
  slow(away.first, 1500)
  expect((await timed(away, () => away.get(key))).value?.from).toBe('first')
  expect(w.asked(w.second) + away.asked(away.second)).toBe(0)
})

test('I25: what is older than what this directory knows, or what it knows to be deleted, is not served for being fast', async () => {
  const w = await scene()
  await w.store(w.first, key, 5, 'newest')
  w.know(key, { newest: version(5) })
  slow(w.first, 1500)
  const { value, ms } = await timed(w, () => w.get(key))
  expect([await textOf(value), ms]).toEqual(['newest', 1500])
  expect(w.asked(w.second)).toBe(1)

  const deleted = await scene()
  await deleted.store(deleted.first, key, 5, 'put again')
  deleted.know(key, { deleted: version(3) })
  slow(deleted.first, 1500)
  expect(await textOf((await timed(deleted, () => deleted.get(key))).value)).toBe('put again')
  await expectQuiet(deleted)
})

test('I27: a fast 404 ends nothing: the one asked first is waited for, and its object is served without another question', async () => {
  const w = world({ hedge: true })
  await w.store(w.first, key, 1, 'there')
  slow(w.first, 1500)
  const { value, ms } = await timed(w, () => w.get(key))
  expect([await textOf(value), ms, value?.from]).toEqual(['there', 1500, 'first'])
  expect(w.asked(w.second)).toBe(1)
  expect(w.missing).toEqual([])
})

test('I27: where both answer 404 the key is absent, each of them asked once', async () => {
  const w = world({ hedge: true })
  slow(w.first, 1500)
  expect(await timed(w, () => w.get(key))).toEqual({ value: undefined, ms: 1500 })
  expect([w.asked(w.first), w.asked(w.second)]).toEqual([1, 1])
})

test('I27: a 404 of the fast one is no absence while the slow one cannot be asked', async () => {
  const w = world({ hedge: true })
  hang(w.first)
  const error: unknown = (await timed(w, () => w.get(key).catch((caught: unknown) => caught))).value
  expect(error).toMatchObject({ code: 'UNAVAILABLE' })
  await expectQuiet(w)
})

test('I13: what a marker speaks against, at one that answered 404 before, is not served for being fast', async () => {
  const w = await scene(3)
  await w.first.inner.delete(key, undefined, new AbortController().signal)
  await w.mark(w.first, key, 3)
  await w.store(w.places[1] as Place, key, 5, 'put again')
  slow(w.places[1] as Place, 1500)
  const { value } = await timed(w, () => w.get(key))
  expect([value?.from, await textOf(value)]).toEqual(['second', 'put again'])
  expect(w.asked(w.places[2] as Place)).toBe(1)
  await expectQuiet(w)

  // Its answer was looked at, and counts: it is not asked again where the slow one has nothing.
  const gone = await scene(3)
  for (const place of [gone.first, gone.second]) await place.inner.delete(key, undefined, new AbortController().signal)
  await gone.mark(gone.first, key, 3)
  slow(gone.second, 1500)
  expect((await timed(gone, () => gone.get(key))).value).toBeUndefined()
  expect(gone.asked(gone.places[2] as Place)).toBe(1)
})

test('a fast one that fails is no answer; when the slow one fails too, what both said is said, and nothing is left running', async () => {
  const w = await scene()
  w.second.faults.rules = [{ fault: outage }]
  slow(w.first, 1500)
  expect((await timed(w, () => w.get(key))).value?.from).toBe('first')
  hang(w.first)
  hang(w.second)
  const error = (await timed(w, () => w.get(key).catch((caught: unknown) => caught))).value
  expect(error).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
  expect((error as Error).message).toMatch(/first.*second/)
  await expectQuiet(w)
})

test('a caller who leaves while both are asked leaves nothing behind', async () => {
  const w = await scene()
  hang(w.first)
  hang(w.second)
  const caller = new AbortController()
  const reading = w.get(key, undefined, caller.signal)
  reading.catch(() => {})
  await w.clock.advance(600)
  expect(w.asked(w.second)).toBe(1)
  caller.abort(new Error('enough'))
  await expect(reading).rejects.toThrow('enough')
  await expectQuiet(w)
})
