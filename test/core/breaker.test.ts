import { expect, test } from 'vitest'
import {
  type BreakerOptions,
  type BreakerState,
  createBreaker,
  createBreakers,
  overallState,
  verdictOn,
} from '../../src/core/breaker.ts'
import { HoldfastError, type Reason } from '../../src/core/errors.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { fixedRandom } from './time.ts'

const down = new HoldfastError('UNAVAILABLE', 'connection refused', { reason: 'NETWORK' })
const busy = new HoldfastError('UNAVAILABLE', 'slow down', { reason: 'THROTTLED' })

function make(more: Partial<BreakerOptions> = {}) {
  const clock = manualClock()
  const states: BreakerState[] = []
  const breaker = createBreaker({
    clock,
    random: fixedRandom(0.999999),
    openMs: 1000,
    mostOpenMs: 8000,
    changed: state => states.push(state),
    ...more,
  })
  const enter = () => {
    const ticket = breaker.tryEnter()
    if (ticket === undefined) throw new Error('refused')
    return ticket
  }
  const fail = (times: number) => {
    for (let i = 0; i < times; i++) enter().failed(down)
  }
  return { clock, breaker, states, enter, fail }
}

test('opens after failures in a row, and refuses at once', () => {
  const { breaker, states, fail } = make()
  fail(2)
  expect(breaker.state).toBe('up')
  fail(1)
  expect(breaker.state).toBe('down')
  expect(breaker.tryEnter()).toBeUndefined()
  expect(breaker.lastError).toBe(down)
  expect(breaker.retryInMs).toBeCloseTo(1000, 1)
  expect(states).toEqual(['down'])
})

test('one success between keeps failures from being in a row; the rate of the window still opens it', () => {
  const { breaker, enter, fail } = make({ leastCalls: 20, failureRate: 0.5 })
  for (let i = 0; i < 9; i++) {
    fail(1)
    enter().succeeded(10)
  }
  expect(breaker.state).toBe('up')
  fail(1)
  expect(breaker.state).toBe('up')
  fail(1)
  expect(breaker.state).toBe('down')
})

test('what happened longer ago than the window counts no more, however few calls there were since', async () => {
  const { clock, breaker, enter, fail } = make({ windowMs: 10_000, leastCalls: 4 })
  for (let i = 0; i < 5; i++) enter().succeeded(1)
  fail(2)
  await clock.advance(600_000)
  fail(2)
  expect(breaker.state).toBe('up')
  fail(1)
  expect(breaker.state).toBe('down')
})

test('after the open time one probe goes through, and the others are refused, not made to wait', async () => {
  const { clock, breaker, states, enter, fail } = make()
  fail(3)
  await clock.advance(999)
  expect(breaker.tryEnter()).toBeUndefined()
  await clock.advance(1)
  expect(breaker.state).toBe('probing')
  const probe = enter()
  expect(probe.isProbe).toBe(true)
  for (let i = 0; i < 100; i++) expect(breaker.tryEnter()).toBeUndefined()
  probe.succeeded(10)
  expect(breaker.state).toBe('up')
  expect(enter().isProbe).toBe(false)
  expect(states).toEqual(['down', 'probing', 'up'])
})

test('a failed probe keeps it open for longer each time, up to the cap, with jitter', async () => {
  const { clock, breaker, enter, fail } = make()
  fail(3)
  const waits: number[] = []
  for (let i = 0; i < 5; i++) {
    waits.push(Math.round(breaker.retryInMs))
    await clock.advance(breaker.retryInMs)
    enter().failed(down)
  }
  expect(waits).toEqual([1000, 2000, 4000, 8000, 8000])

  const other = make({ random: fixedRandom(0.25) })
  other.fail(3)
  expect(other.breaker.retryInMs).toBe(250)
  const least = make({ random: fixedRandom(0) })
  least.fail(3)
  expect(least.breaker.retryInMs).toBe(125)
})

test('N16: a provider that comes and goes needs more probes each time, and is up only after all of them', async () => {
  const { clock, breaker, enter, fail } = make({ steadyMs: 60_000 })
  fail(3)
  await clock.advance(breaker.retryInMs)
  enter().succeeded(1)
  expect(breaker.state).toBe('up')

  await clock.advance(5000)
  fail(3)
  await clock.advance(breaker.retryInMs)
  enter().succeeded(1)
  expect(breaker.state).toBe('probing')
  enter().succeeded(1)
  expect(breaker.state).toBe('up')

  await clock.advance(60_001)
  fail(3)
  expect(breaker.retryInMs).toBeCloseTo(1000, 1)
  await clock.advance(breaker.retryInMs)
  enter().succeeded(1)
  expect(breaker.state).toBe('up')
})

test('a probe that is abandoned, or never heard of again, lets another one through', async () => {
  const { clock, breaker, enter, fail } = make({ probeMs: 30_000 })
  fail(3)
  await clock.advance(1000)
  enter().abandoned()
  const lost = enter()
  expect(breaker.tryEnter()).toBeUndefined()
  expect(breaker.retryInMs).toBe(30_000)
  await clock.advance(30_000)
  const probe = enter()
  lost.failed(down)
  expect(breaker.state).toBe('probing')
  probe.succeeded(1)
  expect(breaker.state).toBe('up')
})

test('what was in flight when it opened changes nothing when it ends', async () => {
  const { clock, breaker, enter, fail } = make()
  const early = [enter(), enter(), enter(), enter()]
  fail(3)
  const wait = breaker.retryInMs
  early[0]?.failed(down)
  early[1]?.succeeded(1)
  expect(breaker.retryInMs).toBe(wait)
  await clock.advance(wait)
  enter().succeeded(1)
  early[2]?.failed(down)
  early[3]?.failed(down)
  fail(2)
  expect(breaker.state).toBe('up')
})

test('a ticket counts once', () => {
  const { breaker, enter } = make()
  const ticket = enter()
  for (let i = 0; i < 10; i++) ticket.failed(down)
  ticket.succeeded(1)
  expect(breaker.state).toBe('up')
})

test('a success that took too long is as good as a failure', () => {
  const { breaker, enter } = make({ slowMs: 500 })
  for (let i = 0; i < 3; i++) enter().succeeded(501)
  expect(breaker.state).toBe('down')
})

test('throttling does not open it, and does not close it', async () => {
  const { clock, breaker, enter, fail } = make()
  for (let i = 0; i < 50; i++) enter().failed(busy)
  expect(breaker.state).toBe('up')
  fail(3)
  await clock.advance(breaker.retryInMs)
  enter().failed(busy)
  expect(breaker.state).toBe('down')
})

test('only what makes a provider useless counts as failing', () => {
  const failing: Reason[] = [
    'NETWORK',
    'TIMEOUT',
    'SERVER',
    'NOT_PROVIDER',
    'PROTOCOL',
    'TLS',
    'CREDENTIALS',
    'ACCOUNT',
  ]
  for (const reason of [...failing, 'BUCKET', 'REGION', 'IDENTITY'] as const) {
    expect(verdictOn(new HoldfastError('UNAVAILABLE', 'x', { reason })), reason).toBe('failing')
  }
  for (const [code, reason] of [
    ['PRECONDITION', 'CONDITION'],
    ['INVALID', 'RANGE'],
    ['DENIED', 'FORBIDDEN'],
    ['CHECKSUM', 'DIGEST'],
    ['BLOCKED', 'RETENTION'],
    ['BLOCKED', 'KMS'],
    ['UNAVAILABLE', 'UPLOAD_GONE'],
  ] as const) {
    expect(verdictOn(new HoldfastError(code, 'x', { reason })), reason).toBe('answered')
  }
  expect(verdictOn(new HoldfastError('UNAVAILABLE', 'x'))).toBe('failing')
  expect(verdictOn(new HoldfastError('CORRUPT', 'x', { reason: 'LOCAL_CORRUPT' }))).toBe('silent')
  expect(verdictOn(new DOMException('aborted', 'AbortError'))).toBe('silent')
  expect(verdictOn(undefined)).toBe('silent')
})

test('a refused condition shows a probe that the provider is back; an abort shows nothing', async () => {
  const { clock, breaker, enter, fail } = make()
  fail(3)
  await clock.advance(1000)
  enter().failed(new DOMException('aborted', 'AbortError'))
  expect(breaker.state).toBe('probing')
  enter().failed(new HoldfastError('PRECONDITION', 'x', { reason: 'CONDITION' }))
  expect(breaker.state).toBe('up')
})

test('N14: each class of operation has its own; status says the worst', () => {
  const breakers = createBreakers({ clock: manualClock(), random: fixedRandom(0.5) })
  expect(overallState(breakers)).toBe('up')
  for (let i = 0; i < 3; i++) breakers.write.tryEnter()?.failed(down)
  expect(breakers.write.state).toBe('down')
  expect(breakers.read.state).toBe('up')
  expect(overallState(breakers)).toBe('down')
})

test('I29: requests to a dead provider in an hour are few, whoever asks however often', async () => {
  const { clock, breaker } = make({ openMs: 2000, mostOpenMs: 60_000, random: fixedRandom(0.5) })
  let sent = 0
  for (let second = 0; second < 3600; second++) {
    for (let caller = 0; caller < 10; caller++) {
      const ticket = breaker.tryEnter()
      if (ticket !== undefined) sent++
      ticket?.failed(down)
    }
    await clock.advance(1000)
  }
  expect(sent).toBeLessThan(3 + 3600 / 29 + 8)
})
