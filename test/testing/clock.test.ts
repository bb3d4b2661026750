import { expect, test } from 'vitest'
import { manualClock, seededRandom } from '../../src/testing/clock.ts'

test('sleepers wake in the order of their times, each at its own', async () => {
  const clock = manualClock(1000)
  const woken: string[] = []
  const sleep = (name: string, ms: number): Promise<unknown> =>
    clock.sleep(ms).then(() => woken.push(`${name} at ${clock.now()}`))
  const all = [
    sleep('late', 300),
    sleep('early', 100),
    sleep('also early', 100),
    sleep('never yet', 301),
    sleep('now', 0),
  ]
  expect(clock.sleeping).toBe(5)
  await clock.advance(300)
  expect(woken).toEqual(['now at 1000', 'early at 1100', 'also early at 1100', 'late at 1300'])
  expect(clock.nextMs).toBe(1)
  await clock.advance(10)
  await Promise.all(all)
  expect(clock.now()).toBe(1310)
  expect(clock.monotonic()).toBe(310)
  expect(clock.nextMs).toBeUndefined()
})

test('what wakes may sleep again within the time that passes', async () => {
  const clock = manualClock(0)
  const ticks: number[] = []
  const ticking = (async () => {
    for (let i = 0; i < 5; i++) {
      await clock.sleep(10)
      ticks.push(clock.now())
    }
  })()
  await clock.advance(35)
  expect(ticks).toEqual([10, 20, 30])
  await clock.advance(1000)
  await ticking
  expect(ticks).toEqual([10, 20, 30, 40, 50])
})

test('a sleeper that is aborted stops at once with the reason, and is forgotten', async () => {
  const clock = manualClock()
  const stop = new AbortController()
  const reason = new Error('stop')
  const asleep = clock.sleep(10, stop.signal).catch((error: unknown) => error)
  stop.abort(reason)
  expect(await asleep).toBe(reason)
  expect(clock.sleeping).toBe(0)
  await expect(clock.sleep(10, stop.signal)).rejects.toBe(reason)
})

test('a jump of the wall clock wakes nobody and moves no monotonic time', async () => {
  const clock = manualClock(0)
  let woken = false
  const asleep = clock.sleep(50).then(() => {
    woken = true
  })
  clock.jump(1_000_000)
  await clock.advance(49)
  expect([clock.now(), clock.monotonic(), woken]).toEqual([1_000_049, 49, false])
  clock.jump(-5)
  await clock.advance(1)
  await asleep
  expect(clock.now()).toBe(-4)
})

test('the same seed gives the same chance, another seed another', () => {
  const [a, b, c] = [seededRandom(7), seededRandom(7), seededRandom(8)]
  const numbers = Array.from({ length: 1000 }, () => a.number())
  expect(Array.from({ length: 1000 }, () => b.number())).toEqual(numbers)
  expect(c.number()).not.toBe(numbers[0])
  expect(numbers.every(number => number >= 0 && number < 1)).toBe(true)
  expect(numbers.reduce((sum, number) => sum + number) / 1000).toBeCloseTo(0.5, 1)
  expect(a.hex(16)).toMatch(/^[0-9a-f]{32}$/)
  expect(a.hex(8)).not.toBe(a.hex(8))
})
