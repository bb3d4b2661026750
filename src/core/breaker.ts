import { HoldfastError, type Reason } from './errors.ts'
import type { Clock, Random } from './ports.ts'

/** Reads may work where writes do not, and the reverse: each class of operation has its own breaker, per provider. */
export type OperationClass = 'read' | 'write' | 'list'

/** `down`: nothing is sent. `probing`: one call at a time is let through, to find out. */
export type BreakerState = 'up' | 'probing' | 'down'

export interface BreakerOptions {
  readonly clock: Clock
  readonly random: Random
  /** Opens after so many failures in a row. Default 3. */
  readonly consecutive?: number
  /** Opens when this part of the calls of the window failed. Default 0.5. */
  readonly failureRate?: number
  /** The failure rate means something from so many calls in the window on. Default 20. */
  readonly leastCalls?: number
  /** How long outcomes are remembered, ms. Default 30,000. */
  readonly windowMs?: number
  /** A success that took longer is as good as a failure, ms. Default 10,000. */
  readonly slowMs?: number
  /** How long nothing is sent the first time; doubles each time after, with full jitter, ms. Default 2,000. */
  readonly openMs?: number
  /** And at most, ms. Default 60,000. */
  readonly mostOpenMs?: number
  /** A probe that has not ended by then no longer keeps others out, ms. Default 60,000. */
  readonly probeMs?: number
  /** After being up for so long, the next outage begins small again, ms. Default 120,000. */
  readonly steadyMs?: number
  /** Called after each change of state; must not throw. */
  readonly changed?: (state: BreakerState, because: unknown) => void
}

export interface Breaker {
  readonly state: BreakerState
  /** Milliseconds until a probe may be sent; 0 when one may now, and while `up`. */
  readonly retryInMs: number
  /** What opened it last, or kept it open. */
  readonly lastError: HoldfastError | undefined
  /** `undefined`: not now; go elsewhere, nobody waits here. A ticket says how the call ended, exactly once: later words are ignored. */
  tryEnter(): Ticket | undefined
}

/** To be settled at the end of the body, not when it began. */
export interface Ticket {
  /** This is the call that finds out whether the provider is back. */
  readonly isProbe: boolean
  /** `latencyMs`: until the first byte. */
  succeeded(latencyMs: number): void
  failed(error: unknown): void
  /** Nothing is known of how it would have ended: aborted, or left by its reader. */
  abandoned(): void
}

/** The breakers of one provider. */
export type Breakers = Readonly<Record<OperationClass, Breaker>>

export function createBreakers(options: BreakerOptions): Breakers {
  return { read: createBreaker(options), write: createBreaker(options), list: createBreaker(options) }
}

/** As one word, for status: `down` if any class is, `up` if all are. */
export function overallState(breakers: Breakers): BreakerState {
  const states = Object.values(breakers).map(({ state }) => state)
  if (states.includes('down')) return 'down'
  return states.includes('probing') ? 'probing' : 'up'
}

const failingReasons: ReadonlySet<Reason> = new Set([
  'NETWORK',
  'TIMEOUT',
  'SERVER',
  'NOT_PROVIDER',
  'PROTOCOL',
  'TLS',
  'CREDENTIALS',
  'ACCOUNT',
  'BUCKET',
  'REGION',
  'IDENTITY',
])

/**
 * What an error says of the provider. `failing`: it cannot be used. `throttled`: it is there and asks for less, which is the limiter's
 * business; a service that is being probed is not ready for more, though. `answered`: it did its part (a refused condition, one
 * forbidden key). `silent`: nothing, for it is not the provider's error.
 */
export function verdictOn(error: unknown): 'failing' | 'throttled' | 'answered' | 'silent' {
  if (!(error instanceof HoldfastError)) return 'silent'
  const { reason, code } = error
  if (reason === undefined) return code === 'UNAVAILABLE' ? 'failing' : 'silent'
  if (failingReasons.has(reason)) return 'failing'
  if (reason === 'THROTTLED') return 'throttled'
  return reason === 'LOCAL_CORRUPT' ? 'silent' : 'answered'
}

type Probe = { readonly since: number }
type State =
  | { readonly is: 'up'; readonly since: number }
  | { readonly is: 'down'; readonly until: number }
  /** `passed`: probes in a row that were answered. */
  | { readonly is: 'probing'; readonly passed: number; readonly probe: Probe | undefined }

const mostProbes = 3

/**
 * Keeps calls away from a provider that does not answer, by the monotonic clock.
 *
 * Opens on failures in a row or on the failure rate of a sliding window. After the open time one call is let through, and nobody
 * waits for it. Each outage that follows soon on another lasts longer and needs more probes (up to 3, one after the other) to end, so
 * that a provider that comes and goes is used less and less until it stays.
 */
export function createBreaker(options: BreakerOptions): Breaker {
  const { clock, random, changed } = options
  const { consecutive = 3, failureRate = 0.5, leastCalls = 20, windowMs = 30_000 } = options
  const { slowMs = 10_000, openMs = 2_000, mostOpenMs = 60_000, probeMs = 60_000, steadyMs = 120_000 } = options

  let state: State = { is: 'up', since: Number.NEGATIVE_INFINITY }
  let lastError: HoldfastError | undefined
  let window = slidingWindow(windowMs)
  let failedInRow = 0
  let lastFailedAt = Number.NEGATIVE_INFINITY
  /** Outages that followed soon on each other. */
  let outages = 0

  function open(because: unknown): void {
    const now = clock.monotonic()
    if (state.is === 'up') outages = now - state.since > steadyMs ? 1 : outages + 1
    else outages++
    const longest = Math.min(mostOpenMs, openMs * 2 ** Math.min(30, outages - 1))
    state = { is: 'down', until: now + Math.max(openMs / 8, random.number() * longest) }
    if (because instanceof HoldfastError) lastError = because
    changed?.('down', because)
  }

  function close(): void {
    state = { is: 'up', since: clock.monotonic() }
    window = slidingWindow(windowMs)
    failedInRow = 0
    changed?.('up', undefined)
  }

  function noteWhileUp(isFailure: boolean, because: unknown): void {
    const now = clock.monotonic()
    window.note(now, isFailure)
    if (!isFailure) {
      failedInRow = 0
      return
    }
    failedInRow = now - lastFailedAt > windowMs ? 1 : failedInRow + 1
    lastFailedAt = now
    if (because instanceof HoldfastError) lastError = because
    const { calls, failures } = window.sum(now)
    if (failedInRow >= consecutive || (calls >= leastCalls && failures >= calls * failureRate)) open(because)
  }

  function noteProbe(probe: Probe, verdict: 'good' | 'bad' | 'none', because: unknown): void {
    if (state.is !== 'probing' || state.probe !== probe) return
    if (verdict === 'bad') {
      open(because)
      return
    }
    const passed = state.passed + (verdict === 'good' ? 1 : 0)
    if (passed >= Math.min(outages, mostProbes)) close()
    else state = { is: 'probing', passed, probe: undefined }
  }

  function ticket(probe: Probe | undefined): Ticket {
    const entered = state
    let isSettled = false
    const settle = (verdict: 'good' | 'bad' | 'none', because?: unknown): void => {
      if (isSettled) return
      isSettled = true
      if (probe !== undefined) noteProbe(probe, verdict, because)
      // What began before the breaker last opened says nothing of the time after.
      else if (state === entered && verdict !== 'none') noteWhileUp(verdict === 'bad', because)
    }
    return {
      isProbe: probe !== undefined,
      succeeded: latencyMs => settle(latencyMs > slowMs ? 'bad' : 'good', 'slow'),
      failed(error) {
        const verdict = verdictOn(error)
        if (verdict === 'failing') settle('bad', error)
        else if (verdict === 'throttled') settle(probe === undefined ? 'none' : 'bad', error)
        else settle(verdict === 'answered' ? 'good' : 'none')
      },
      abandoned: () => settle('none'),
    }
  }

  return {
    get state() {
      return state.is === 'down' && state.until <= clock.monotonic() ? 'probing' : state.is
    },
    get retryInMs() {
      const now = clock.monotonic()
      if (state.is === 'down') return Math.max(0, state.until - now)
      if (state.is === 'up' || state.probe === undefined) return 0
      return Math.max(0, state.probe.since + probeMs - now)
    },
    get lastError() {
      return lastError
    },
    tryEnter() {
      if (state.is === 'up') return ticket(undefined)
      const now = clock.monotonic()
      if (state.is === 'down') {
        if (now < state.until) return undefined
        state = { is: 'probing', passed: 0, probe: undefined }
        changed?.('probing', undefined)
      }
      if (state.probe !== undefined && now - state.probe.since < probeMs) return undefined
      const probe = { since: now }
      state = { ...state, probe }
      return ticket(probe)
    },
  }
}

const slices = 10

/** Counts by slices of time, so that what is old goes a slice at a time, however seldom anybody calls. */
function slidingWindow(windowMs: number) {
  const sliceMs = windowMs / slices
  let counts: { readonly slice: number; calls: number; failures: number }[] = []

  return {
    note(now: number, isFailure: boolean): void {
      const slice = Math.floor(now / sliceMs)
      let last = counts.at(-1)
      if (last?.slice !== slice) {
        last = { slice, calls: 0, failures: 0 }
        counts = [...counts.filter(old => old.slice > slice - slices), last]
      }
      last.calls++
      if (isFailure) last.failures++
    },
    sum(now: number): { calls: number; failures: number } {
      const oldest = Math.floor(now / sliceMs) - slices
      let calls = 0
      let failures = 0
      for (const count of counts) {
        if (count.slice <= oldest) continue
        calls += count.calls
        failures += count.failures
      }
      return { calls, failures }
    },
  }
}
