import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { createLimiter, type Lane, type Limiter, type LimiterOptions, type Slot } from '../../src/core/limiter.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { settle } from './time.ts'

const never = new AbortController().signal
/** By chance, always the middle: a pause is three quarters of its span. */
const half = { number: () => 0.5, hex: () => '' }
const throttled = (retryAfterMs?: number) =>
  new HoldfastError('UNAVAILABLE', 'slow down', {
    reason: 'THROTTLED',
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })

function make(more: Partial<LimiterOptions> = {}) {
  const clock = manualClock()
  const limiter = createLimiter({ clock, random: half, most: 16, ...more })
  const take = (lane: Lane = 'fresh') => {
    const slot = limiter.take(lane)
    if (slot === undefined) throw new Error('no slot')
    return slot
  }
  return { clock, limiter, take }
}

function takeAll(limiter: Limiter, lane: Lane = 'fresh'): Slot[] {
  const slots: Slot[] = []
  for (let slot = limiter.take(lane); slot !== undefined; slot = limiter.take(lane)) slots.push(slot)
  return slots
}

/** One round: as much as may be in flight, all of it successful. */
function round(limiter: Limiter): number {
  const slots = takeAll(limiter)
  for (const slot of slots) slot.succeeded()
  return slots.length
}

test('no more than the limit is in flight', () => {
  const { limiter } = make({ start: 3 })
  expect(limiter.free('fresh')).toBe(3)
  const slots = takeAll(limiter)
  expect(slots).toHaveLength(3)
  expect(limiter.free('fresh')).toBe(0)
  slots[0]?.released()
  slots[0]?.released()
  expect(limiter.inUse).toBe(2)
  expect(limiter.free('backlog')).toBe(1)
})

test('throttling halves it once per round, however many of the round it hits, and never below one', async () => {
  const { clock, limiter } = make({ start: 16 })
  const wholeRound = async (fault: HoldfastError) => {
    for (const slot of takeAll(limiter)) slot.failed(fault)
    await clock.advance(limiter.pausedMs)
  }
  await wholeRound(throttled())
  expect(limiter.limit).toBe(8)
  await wholeRound(new HoldfastError('UNAVAILABLE', 'x', { reason: 'TIMEOUT' }))
  expect(limiter.limit).toBe(4)
  for (let i = 0; i < 10; i++) await wholeRound(throttled())
  expect(limiter.limit).toBe(1)
  expect(limiter.free('fresh')).toBe(1)
})

test('a service that throttles and does not say for how long gets a pause, twice as long with each round, until something succeeds (I29)', async () => {
  const { clock, limiter, take } = make({ start: 16 })
  const pauses: number[] = []
  for (let i = 0; i < 9; i++) {
    for (const slot of takeAll(limiter)) slot.failed(throttled())
    pauses.push(limiter.pausedMs)
    expect(limiter.free('fresh')).toBe(0)
    await clock.advance(limiter.pausedMs)
  }
  expect(pauses).toEqual([75, 150, 300, 600, 1200, 2400, 4800, 7500, 7500])
  take().succeeded()
  take().failed(throttled())
  expect(limiter.pausedMs).toBe(75)
  await clock.advance(75)
  take().succeeded()
  take().failed(throttled(0))
  expect(limiter.pausedMs, 'a wait of no time is no word for how long').toBe(75)
})

test('a slot tells how long its requests waited for their turns', async () => {
  const { clock, take } = make({ maxRequestsPerSecond: 2 })
  const [slot, other] = [take(), take()]
  await slot.request(never)
  expect(slot.waitedMs).toBe(0)
  other.failed(throttled(3_000))
  const requests = slot.request(never).then(() => slot.request(never))
  await clock.advance(10_000)
  await requests
  // The pause, and half a second after the one before less the tenth that was saved up.
  expect(slot.waitedMs).toBe(3_400)
})

test('a service that is only slow gets no pause', () => {
  const { limiter, take } = make()
  take().failed(new HoldfastError('UNAVAILABLE', 'x', { reason: 'TIMEOUT' }))
  expect(limiter.pausedMs).toBe(0)
})

test('other failures do not halve it', () => {
  const { limiter } = make({ start: 16 })
  for (const slot of takeAll(limiter)) slot.failed(new HoldfastError('PRECONDITION', 'x', { reason: 'CONDITION' }))
  expect(limiter.limit).toBe(16)
})

test('after a halving it rises by about one per round while it is used to the full, and not while it is not', async () => {
  const { clock, limiter, take } = make({ start: 16 })
  take().failed(throttled())
  await clock.advance(limiter.pausedMs)
  expect(limiter.limit).toBe(8)
  for (let i = 0; i < 100; i++) take().succeeded()
  expect(limiter.limit).toBe(8)
  for (let i = 0; i < 5; i++) refill(limiter)
  expect(limiter.limit).toBeGreaterThanOrEqual(11)
  expect(limiter.limit).toBeLessThanOrEqual(13)
  for (let i = 0; i < 50; i++) refill(limiter)
  expect(limiter.limit).toBe(16)
})

/** One round in which each slot that is given back is taken again at once. */
function refill(limiter: Limiter): void {
  const slots = takeAll(limiter)
  const before = slots.length
  for (let i = 0; i < before; i++) {
    slots.shift()?.succeeded()
    slots.push(...takeAll(limiter))
  }
  for (const slot of slots) slot.released()
}

test('P7: after an outage it begins with one, doubles to half of what it was, then rises by one', () => {
  const { limiter } = make({ start: 16 })
  const before = takeAll(limiter)
  limiter.restart()
  for (const slot of before) slot.failed(throttled())
  expect(limiter.limit).toBe(1)
  const limits: number[] = []
  for (let i = 0; i < 10; i++) {
    refill(limiter)
    limits.push(limiter.limit)
  }
  expect(limits[0]).toBe(2)
  expect(limits[1]).toBeLessThanOrEqual(4)
  expect(limits.findIndex(limit => limit >= 8)).toBeLessThanOrEqual(4)
  expect(limits.at(-1)).toBeGreaterThanOrEqual(11)
  expect(limits.at(-1)).toBeLessThanOrEqual(16)
})

test('Retry-After pauses the whole provider, for so long and no longer, and at most as long as we say', async () => {
  const { clock, limiter, take } = make({ longestPauseMs: 60_000 })
  const other = take()
  take().failed(throttled(5000))
  expect(limiter.free('fresh')).toBe(0)
  expect(limiter.take('backlog')).toBeUndefined()
  let sent = false
  void other.request(never).then(() => (sent = true))
  let isFree = false
  void limiter.whenFree('fresh', never).then(() => (isFree = true))
  await clock.advance(4999)
  expect([sent, isFree]).toEqual([false, false])
  await clock.advance(1)
  expect([sent, isFree]).toEqual([true, true])
  take().failed(throttled(3_600_000))
  expect(limiter.pausedMs).toBe(60_000)
})

test('who waits while all slots are taken learns of a pause that begins then, and is woken after it', async () => {
  const { clock, limiter, take } = make({ start: 1 })
  const slot = take()
  let isFree = false
  void limiter.whenFree('backlog', never).then(() => (isFree = true))
  await settle()
  slot.failed(throttled(2000))
  await clock.advance(1999)
  expect(isFree).toBe(false)
  await clock.advance(1)
  expect(isFree).toBe(true)
})

test('requests keep to the rate, together, after a little that was saved up', async () => {
  const { clock, limiter } = make({ start: 8, maxRequestsPerSecond: 100 })
  const sent: number[] = []
  const slots = takeAll(limiter)
  for (let i = 0; i < 300; i++) {
    void slots[i % slots.length]?.request(never).then(() => sent.push(clock.monotonic()))
  }
  await clock.advance(1000)
  expect(sent.length).toBeGreaterThanOrEqual(100)
  expect(sent.length).toBeLessThanOrEqual(112)
  await clock.advance(1000)
  expect(sent.length).toBeLessThanOrEqual(212)
  for (const slot of slots) slot.released()
  expect(limiter.free('fresh')).toBe(0)
})

test('fresh goes before backlog, and the backlog still gets its turn', async () => {
  const { limiter } = make({ most: 1 })
  const taken: Lane[] = []
  let held = limiter.take('backlog')
  const leave = new AbortController()
  const worker = async (lane: Lane) => {
    while (taken.length < 40) {
      await limiter.whenFree(lane, leave.signal)
      const slot = limiter.take(lane)
      if (slot === undefined) continue
      taken.push(lane)
      await settle()
      slot.succeeded()
    }
  }
  const workers = [worker('backlog'), worker('fresh'), worker('fresh')]
  await settle()
  held?.released()
  held = undefined
  while (taken.length < 40) await settle()
  leave.abort()
  await Promise.allSettled(workers)
  expect(taken[0]).toBe('fresh')
  const backlog = taken.filter(lane => lane === 'backlog').length
  expect(backlog).toBeGreaterThanOrEqual(3)
  expect(backlog).toBeLessThanOrEqual(8)
})

test('waiting is left at once by an abort, with its reason, and wakes whoever stood aside', async () => {
  const { limiter, take } = make({ start: 1 })
  const slot = take()
  const controller = new AbortController()
  const fresh = limiter.whenFree('fresh', controller.signal)
  const reason = new Error('left')
  let isFree = false
  void limiter.whenFree('backlog', never).then(() => (isFree = true))
  await settle()
  slot.released()
  controller.abort(reason)
  await settle()
  expect(isFree).toBe(true)
  await fresh.catch(error => expect(error).toBe(reason))
  await expect(limiter.whenFree('fresh', controller.signal)).rejects.toBe(reason)
  await expect(take().request(controller.signal)).rejects.toBe(reason)
})

test('round after round without trouble it reaches the most and stays there', () => {
  const { limiter } = make({ most: 16 })
  for (let i = 0; i < 100; i++) round(limiter)
  expect(limiter.limit).toBe(16)
})
