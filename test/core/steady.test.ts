import { expect, test } from 'vitest'
import { steadyWall } from '../../src/core/steady.ts'
import { manualClock } from '../../src/testing/clock.ts'

const dayMs = 86_400_000

test('time that passes is followed, a wall clock that is set ahead is not, whoever looks for the first time after it (P12, I41)', async () => {
  const clock = manualClock(1_000_000)
  const steady = steadyWall(clock)
  clock.jump(clock.now() + 30 * dayMs)
  await clock.advance(5_000)
  expect(steady()).toBe(1_005_000)
})

test('a wall clock that is set back is followed: nothing is taken for older than it is (P12, I41)', async () => {
  const clock = manualClock(30 * dayMs)
  const steady = steadyWall(clock)
  clock.jump(dayMs)
  expect(steady()).toBe(dayMs)
  await clock.advance(5_000)
  clock.jump(40 * dayMs)
  expect(steady()).toBe(dayMs + 5_000)
})
