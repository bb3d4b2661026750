import { expect, test } from 'vitest'
import { maxClockLeadMs, stampTime } from '../../src/core/version.ts'
import { manualClock } from '../../src/testing/clock.ts'

test('a write is stamped by the wall clock, held back to five minutes before the clock of any provider (I12, I41)', () => {
  const clock = manualClock(1_800_000_000_000)
  expect(stampTime(clock, [])).toBe(clock.now())
  expect(stampTime(clock, [0, 60_000, -maxClockLeadMs])).toBe(clock.now())
  expect(stampTime(clock, [60_000, -2 * maxClockLeadMs])).toBe(clock.now() - maxClockLeadMs)
})
