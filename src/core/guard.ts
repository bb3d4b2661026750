import { after } from './after.ts'
import { HoldfastError, type Outcome, shown } from './errors.ts'
import type { Clock } from './ports.ts'
import type { Source } from './source.ts'

/**
 * Time limits around what may hang for ever: all three cloud SDKs do so by default. What is limited is silence (no byte moved) and
 * the whole; both by the monotonic clock, and never all at once because this process itself stood still.
 */

export interface CallLimits {
  readonly clock: Clock
  /** Longest time without progress, ms. `Infinity` for none. */
  readonly idleMs: number
  /** Longest time in all, ms. `Infinity` for none. */
  readonly deadlineMs: number
  readonly signal: AbortSignal | undefined
  /** Its signal is the one that the work is given: for what the work opens, which is aborted by whoever has it from then on. */
  readonly connection?: AbortController
  /** What the error says it was about. */
  readonly about: About
}

export interface About {
  /** `put`, `first byte`: what took too long. */
  readonly what: string
  readonly provider?: string
  readonly key?: string
  /** 'unknown' for writes: a request that was given up may still be applied. */
  readonly outcome?: Outcome
}

/**
 * Settles as `work` does, or rejects at once with UNAVAILABLE, reason TIMEOUT, when a limit is passed, or with the reason of the
 * caller's signal; then the signal that `work` was given aborts with the same reason. Also if the work takes no notice: what
 * it yields later goes to `discard`, what it rejects with later is dropped.
 *
 * `progress` is to be called whenever a byte moved. When a limit ends while this process was blocked or suspended, what came
 * meanwhile was not looked at yet: the limit is extended, once per silence, by the time that was lost, at most by itself.
 */
export function withLimits<T>(
  limits: CallLimits,
  work: (signal: AbortSignal, progress: () => void) => Promise<T>,
  discard: (late: T) => void = () => {},
): Promise<T> {
  const { clock, idleMs, deadlineMs, signal, about, connection: inner = new AbortController() } = limits
  return new Promise((resolve, reject) => {
    let isSettled = false
    const settle = (): void => {
      isSettled = true
      idle.end()
      total.end()
      signal?.removeEventListener('abort', abort)
    }
    const stop = (reason: unknown): void => {
      if (isSettled) return
      settle()
      reject(reason)
      inner.abort(reason)
    }
    const abort = (): void => stop(signal?.reason)
    // Where the whole is to take less time than a silence may, the whole ends first.
    const silenceMs = idleMs > deadlineMs ? Number.POSITIVE_INFINITY : idleMs
    const idle = watch(clock, silenceMs, () => stop(timeout(about, `made no progress for ${idleMs} ms`)))
    const total = watch(clock, deadlineMs, () => stop(timeout(about, `took more than ${deadlineMs} ms`)))

    if (signal?.aborted === true) {
      abort()
      return
    }
    signal?.addEventListener('abort', abort, { once: true })
    idle.touch()
    total.touch()
    const progress = (): void => {
      if (!isSettled) idle.touch()
    }
    const begun = async (): Promise<T> => await work(inner.signal, progress)
    begun().then(
      value => {
        if (isSettled) {
          discard(value)
          return
        }
        settle()
        resolve(value)
      },
      error => {
        if (isSettled) return
        settle()
        reject(error)
      },
    )
  })
}

/** The error of a limit that was passed. `message` ends the sentence that `about` begins. */
export function timeout({ what, provider, key, outcome }: About, message: string): HoldfastError {
  const subject = `${provider === undefined ? '' : `${provider}: `}${what}${key === undefined ? '' : ` of ${shown(key)}`}`
  return new HoldfastError('UNAVAILABLE', `${subject} ${message}`, {
    reason: 'TIMEOUT',
    ...(provider === undefined ? {} : { provider }),
    ...(key === undefined ? {} : { key }),
    ...(outcome === undefined ? {} : { outcome }),
  })
}

/** The same source; `progress` is called when a chunk is asked for and when it came. */
export function guardedSource(source: Source, progress: () => void): Source {
  return {
    size: source.size,
    crc32c: source.crc32c,
    md5: source.md5,
    async *open(start, end) {
      progress()
      for await (const chunk of source.open(start, end)) {
        progress()
        yield chunk
        progress()
      }
    },
  }
}

export interface ItemLimits<T> {
  readonly clock: Clock
  /** From asking for an item until it is there, ms. Time in which nobody asks does not count. */
  readonly idleMs: number
  readonly signal: AbortSignal | undefined
  readonly about: About
  /** Looks at every item before it is given on, and at the end; what it throws ends the iteration. `waitedMs`: for this one, at most `idleMs`. */
  accept?(step: IteratorResult<T, undefined>, waitedMs: number): void
  /** Lets go of where the items come from: called once, when the iteration ends in any way but its own end. */
  leave(reason: unknown): void
}

/**
 * The same items, each within `idleMs`, until the signal aborts. A step that is late or aborted rejects at once, also if the inner
 * iterator never answers; every step after a failure rejects with it again, so that no broken sequence looks like one that ended.
 */
export function guardedItems<T>(items: AsyncIterable<T>, limits: ItemLimits<T>): AsyncIterableIterator<T, undefined> {
  const { clock, idleMs, signal, about, accept, leave } = limits
  let inner: AsyncIterator<T> | undefined
  let end: { readonly error?: unknown } | undefined
  let refuse: ((reason: unknown) => void) | undefined

  const finish = (how: { readonly error?: unknown }): void => {
    end = how
    idle.end()
    signal?.removeEventListener('abort', abort)
  }
  const letGo = (reason: unknown): void => {
    // Not waited for: an iterator whose step hangs never answers this either.
    inner?.return?.().catch(() => {})
    leave(reason)
  }
  const fail = (error: unknown): void => {
    if (end !== undefined) return
    finish({ error })
    refuse?.(error)
    letGo(error)
  }
  const abort = (): void => fail(signal?.reason)
  const idle = watch(clock, idleMs, () => fail(timeout(about, `made no progress for ${idleMs} ms`)))
  if (signal?.aborted === true) abort()
  else signal?.addEventListener('abort', abort, { once: true })

  const take = (step: IteratorResult<T, undefined>, asked: number): void => {
    accept?.(step, Math.min(idleMs, clock.monotonic() - asked))
    if (step.done === true) finish({})
  }

  return {
    [Symbol.asyncIterator]() {
      return this
    },
    next: () =>
      new Promise((resolve, reject) => {
        if (end !== undefined) {
          if ('error' in end) reject(end.error)
          else resolve({ done: true, value: undefined })
          return
        }
        // Looking at the clock is most of what a step costs, where there are a million.
        const asked = accept === undefined ? 0 : clock.monotonic()
        refuse = reject
        idle.touch()
        inner ??= items[Symbol.asyncIterator]()
        inner.next().then(step => {
          if (end !== undefined) return
          refuse = undefined
          idle.rest()
          try {
            take(step, asked)
            resolve(step)
          } catch (error) {
            reject(error)
            fail(error)
          }
        }, fail)
      }),
    async return() {
      if (end === undefined) {
        finish({})
        refuse?.(new DOMException('the iteration was left', 'AbortError'))
        letGo(undefined)
      }
      return { done: true, value: undefined }
    },
  }
}

/** Counts down in silence. Touching it costs no timer: it looks at the clock again when its sleep is over. */
export interface Watch {
  /** Counts from now. */
  touch(): void
  /** Does not count until the next touch. */
  rest(): void
  /** For good, and nothing is left that sleeps. */
  end(): void
}

const longestSleepMs = 2 ** 30

/** Calls `expired` when `ms` have passed since the last touch, unless it rests; then it rests until the next touch. */
export function watch(clock: Clock, ms: number, expired: () => void): Watch {
  let due: number | undefined
  let wakeUp: (() => void) | undefined
  let isForgiven = false
  let isEnded = false

  function sleep(left: number): void {
    wakeUp = after(clock, Math.min(longestSleepMs, Math.ceil(left)), look)
  }

  function look(): void {
    wakeUp = undefined
    if (due === undefined) return
    const left = due - clock.monotonic()
    if (left > 0) {
      sleep(left)
    } else if (left < 0 && !isForgiven) {
      // The loop comes late, be it by a millisecond: bytes that arrived in the meantime are read after timers, so they get a turn.
      isForgiven = true
      const more = Math.min(ms, Math.max(1, -left))
      due = clock.monotonic() + more
      sleep(more)
    } else {
      due = undefined
      expired()
    }
  }

  return {
    touch() {
      if (isEnded || ms === Number.POSITIVE_INFINITY) return
      isForgiven = false
      due = clock.monotonic() + ms
      if (wakeUp === undefined) sleep(ms)
    },
    rest() {
      due = undefined
    },
    end() {
      isEnded = true
      due = undefined
      wakeUp?.()
      wakeUp = undefined
    },
  }
}
