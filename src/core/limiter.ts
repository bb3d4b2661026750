import { HoldfastError } from './errors.ts'
import type { Clock, Random } from './ports.ts'

/** Fresh traffic goes before the backlog, and never starves it. */
export type Lane = 'fresh' | 'backlog'

export interface LimiterOptions {
  readonly clock: Clock
  readonly random: Random
  /** In flight at most, whatever the provider bears. */
  readonly most: number
  /** All requests together. Default unlimited. */
  readonly maxRequestsPerSecond?: number
  /** Where it begins. Default 4, or `most` where that is less. */
  readonly start?: number
  /** What a service may ask us to wait at most, ms. Default 300,000. */
  readonly longestPauseMs?: number
}

/**
 * How much one provider is given to do at once. It holds no queue, only numbers: whoever has work takes a slot for it, and leaves the work
 * where it is durable when there is none.
 *
 * The limit rises by one per round of successes while it is used to the full, and halves when the provider throttles or times out, at
 * most once per round: what was in flight at that moment does not halve it again. A service that throttles gets a pause too: as long as it
 * asks for, or else one that doubles with each round that it throttles, until something succeeds.
 */
export interface Limiter {
  readonly limit: number
  readonly inUse: number
  /** Milliseconds until a pause is over that the service asked for, or that we give it because it throttles. */
  readonly pausedMs: number
  /** How many slots could be taken now. */
  free(lane: Lane): number
  take(lane: Lane): Slot | undefined
  /** Resolves when there may be a free slot; another may have been faster, so take, and wait again. Rejects with the signal's reason. */
  whenFree(lane: Lane, signal: AbortSignal): Promise<void>
  /** The provider was down: begin with 1 and double per round up to half of what it bore before, then by one. */
  restart(): void
}

/** To be settled once, later words are ignored. */
export interface Slot {
  /** Resolves when the next request may be sent under `maxRequestsPerSecond` and after any pause. One call per request. */
  request(signal: AbortSignal): Promise<void>
  /** Milliseconds that its requests waited in all for their turns: they say nothing of how fast the provider is. */
  readonly waitedMs: number
  succeeded(): void
  failed(error: unknown): void
  /** Gives the slot back; nothing is learned. */
  released(): void
}

/** So many fresh ones may go first while backlog waits. */
const freshInRow = 7
/** Requests not sent in so many milliseconds may be sent at once. */
const burstMs = 100
/** What a service gets that throttles and does not say for how long: this, half of it by chance. */
const firstPauseMs = 100
/** And at most, however often it throttles: one call in so long finds out that it is over. */
const longestUnaskedMs = 10_000

export function createLimiter(options: LimiterOptions): Limiter {
  const { clock, random, most, maxRequestsPerSecond = Number.POSITIVE_INFINITY, longestPauseMs = 300_000 } = options
  /** Fractions count up to the next whole one. */
  let limit = Math.min(most, options.start ?? 4)
  /** Below it the limit doubles per round, above it rises by one. */
  let threshold = most
  let inUse = 0
  /** Counts the halvings: a slot taken before the last one does not halve again. */
  let cuts = 0
  /** Counts how often the limit was reached: a success says something of the limit only if that happened while it ran. */
  let peaks = 0
  let pausedUntil = Number.NEGATIVE_INFINITY
  /** Rounds in a row that were throttled. */
  let throttledRounds = 0
  let freshTaken = 0
  const waiting: Record<Lane, Set<() => void>> = { fresh: new Set(), backlog: new Set() }
  const pace = pacer(clock, maxRequestsPerSecond)

  const pausedMs = (): number => Math.max(0, pausedUntil - clock.monotonic())
  const delayMs = (): number => Math.max(pausedMs(), pace.delayMs())
  const room = (): number => Math.max(0, Math.floor(limit) - inUse)

  function free(lane: Lane): number {
    if (delayMs() > 0) return 0
    return mustYield(lane) ? 0 : room()
  }

  /** Backlog yields to whoever waits with something fresh; after enough of those, the fresh ones yield once. */
  function mustYield(lane: Lane): boolean {
    const backlogIsDue = waiting.backlog.size > 0 && freshTaken >= freshInRow
    return lane === 'fresh' ? backlogIsDue && room() <= 1 : waiting.fresh.size > 0 && !backlogIsDue
  }

  /** Also at the beginning of a delay: who waits then learns until when. */
  function wake(): void {
    for (const lane of ['fresh', 'backlog'] as const) {
      if (free(lane) > 0 || delayMs() > 0) for (const call of waiting[lane]) call()
    }
  }

  function grow(): void {
    limit = Math.min(most, limit < threshold ? limit + 1 : limit + 1 / limit)
  }

  function cut(): void {
    cuts++
    limit = Math.max(1, Math.floor(limit) / 2)
    threshold = limit
  }

  function pause(ms: number): void {
    if (ms > 0) pausedUntil = Math.max(pausedUntil, clock.monotonic() + Math.min(longestPauseMs, ms))
  }

  function unaskedPauseMs(): number {
    const span = Math.min(longestUnaskedMs, firstPauseMs * 2 ** Math.min(throttledRounds++, 16))
    return span / 2 + (random.number() * span) / 2
  }

  function slot(): Slot {
    const cutsBefore = cuts
    const peaksBefore = peaks
    let isSettled = false
    let waitedMs = 0
    const settle = (learn: () => void): void => {
      if (isSettled) return
      isSettled = true
      inUse--
      learn()
      wake()
    }
    return {
      get waitedMs() {
        return waitedMs
      },
      async request(signal) {
        const asked = clock.monotonic()
        // A pause that begins while a turn is waited for ends that turn: else all that wait would go at once after it.
        do {
          await waitOut(pausedMs, signal)
          const turn = pace.reserve()
          await waitOut(() => turn - clock.monotonic(), signal)
        } while (pausedMs() > 0)
        waitedMs += clock.monotonic() - asked
        signal.throwIfAborted()
      },
      succeeded: () =>
        settle(() => {
          throttledRounds = 0
          if (peaks > peaksBefore) grow()
        }),
      failed: error =>
        settle(() => {
          if (!(error instanceof HoldfastError)) return
          const { reason, retryAfterMs = 0 } = error
          pause(retryAfterMs)
          if (cutsBefore !== cuts || (reason !== 'THROTTLED' && reason !== 'TIMEOUT')) return
          cut()
          // A wait of no time is no word for how long.
          if (reason === 'THROTTLED' && retryAfterMs === 0) pause(unaskedPauseMs())
        }),
      released: () => settle(() => {}),
    }
  }

  async function waitOut(leftMs: () => number, signal: AbortSignal): Promise<void> {
    for (let left = leftMs(); left > 0; left = leftMs()) await clock.sleep(Math.ceil(left), signal)
  }

  /** Until somebody gives a slot back, or the time is over for which none is given. */
  async function change(lane: Lane, signal: AbortSignal): Promise<void> {
    const ms = delayMs()
    const slept = new AbortController()
    const woken = Promise.withResolvers<void>()
    const abort = (): void => woken.reject(signal.reason)
    waiting[lane].add(woken.resolve)
    signal.addEventListener('abort', abort, { once: true })
    if (ms > 0) clock.sleep(Math.ceil(ms), slept.signal).then(woken.resolve, () => {})
    try {
      await woken.promise
    } finally {
      waiting[lane].delete(woken.resolve)
      signal.removeEventListener('abort', abort)
      slept.abort('woken')
    }
  }

  return {
    get limit() {
      return Math.floor(limit)
    },
    get inUse() {
      return inUse
    },
    get pausedMs() {
      return pausedMs()
    },
    free,
    take(lane) {
      if (free(lane) === 0) return undefined
      freshTaken = lane === 'fresh' ? freshTaken + 1 : 0
      const taken = slot()
      inUse++
      if (inUse >= Math.floor(limit)) peaks++
      return taken
    },
    async whenFree(lane, signal) {
      signal.throwIfAborted()
      // The other lane may have waited only for this one to stand aside.
      while (free(lane) === 0) await change(lane, signal).finally(wake)
    },
    restart() {
      threshold = Math.max(1, Math.floor(limit / 2))
      limit = 1
      cuts++
    },
  }
}

/** Gives each request its time: evenly, after a little that may be saved up. No queue: the next free time is all it knows. */
function pacer(clock: Clock, perSecond: number) {
  const intervalMs = 1000 / perSecond
  let next = Number.NEGATIVE_INFINITY
  return {
    /** Milliseconds until a request could go at once. */
    delayMs: (): number => Math.max(0, next - clock.monotonic()),
    /** The monotonic time at which the caller may go; to be used. */
    reserve(): number {
      const now = clock.monotonic()
      const from = Math.max(next, now - burstMs)
      next = from + intervalMs
      return Math.max(now, from)
    },
  }
}
