import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { reactionTo, waitBefore, waitBeforeProbe, worthAnotherTry } from '../../src/replicate/policy.ts'

const least = { number: () => 0, hex: () => '' }
const most = { number: () => 0.999_999, hex: () => '' }

test('waits double with full jitter up to two minutes, and honour what the service asks for, within reason (I29)', () => {
  expect([0, 1, 2, 3].map(attempt => waitBefore(attempt, most, undefined))).toEqual([500, 1_000, 2_000, 4_000])
  expect(waitBefore(100, most, undefined)).toBe(120_000)
  expect(waitBefore(3, least, undefined)).toBe(0)
  expect(waitBefore(0, least, 7_000)).toBe(7_000)
  expect(waitBefore(0, most, 999_999_999_000)).toBe(900_000)
})

test('a blocked provider is probed less and less often, and at least every five minutes, or as seldom as it asks, within reason (S1, I29, I33)', () => {
  expect(waitBeforeProbe(0, least)).toBe(1_000)
  expect(waitBeforeProbe(50, most)).toBeLessThanOrEqual(300_000)
  expect(waitBeforeProbe(50, least)).toBe(150_000)
  expect(waitBeforeProbe(0, least, 30_000)).toBe(30_000)
  // A date in the next year, by mistake or by malice.
  expect(waitBeforeProbe(0, most, 31_536_000_000)).toBe(900_000)
})

test('each kind of error has its own reaction', () => {
  const reaction = (
    code: 'DENIED' | 'BLOCKED' | 'UNAVAILABLE' | 'CHECKSUM' | 'CORRUPT' | 'CLOSED' | 'INVALID',
    reason?: 'ACCOUNT' | 'CLOCK' | 'NETWORK' | 'DIGEST' | 'FORBIDDEN' | 'LOCAL_CORRUPT' | 'UPLOAD_GONE',
  ) => reactionTo(new HoldfastError(code, '', reason === undefined ? {} : { reason }))
  expect(reaction('DENIED', 'ACCOUNT')).toBe('block-provider')
  expect(reaction('DENIED', 'CLOCK')).toBe('block-provider')
  expect(reaction('BLOCKED', 'CLOCK')).toBe('block-replica')
  expect(reaction('DENIED', 'FORBIDDEN')).toBe('ask-canary')
  expect(reaction('UNAVAILABLE', 'NETWORK')).toBe('retry')
  expect(reaction('UNAVAILABLE', 'UPLOAD_GONE')).toBe('restart-upload')
  expect(reaction('CHECKSUM', 'DIGEST')).toBe('check-local')
  expect(reaction('CORRUPT', 'LOCAL_CORRUPT')).toBe('block-replica')
  expect(reaction('CORRUPT')).toBe('stop')
  expect(reaction('CLOSED')).toBe('stop')
  expect(reaction('INVALID')).toBe('block-replica')
  expect(worthAnotherTry(new HoldfastError('UNAVAILABLE', '', { reason: 'TIMEOUT' }))).toBe(false)
})
