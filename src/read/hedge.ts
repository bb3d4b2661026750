import type { Clock } from '../core/ports.ts'
import type { Place } from './knowledge.ts'
import type { ReadProvider } from './types.ts'

/** A place that is a provider. */
export type RemotePlace = Place & { readonly is: 'provider' }

/** When a second provider is asked beside one that is slow, and how often that may be. One for all reads of a store. */
export interface Hedges {
  /** How long this provider is waited for alone, ms: the 95th percentile of its own recent answers; between 20 ms and half of `firstByteMs`. */
  delayMs(at: Pick<ReadProvider, 'id'>): number
  /** It answered after so long; or was not waited for any longer than this. */
  took(at: Pick<ReadProvider, 'id'>, ms: number): void
  /** To be called once per read: it earns a tenth of a hedge. */
  earn(): void
  /** Whether there is one left; takes it. */
  spend(): boolean
}

/** Answers of one provider that are remembered, and from how many on they say something. */
const remembered = 64
const enough = 16
const leastDelayMs = 20
/** A tenth of all reads, and so many that may be saved up. */
const perRead = 0.1
const mostSaved = 5

export function createHedges(firstByteMs: number): Hedges {
  const half = firstByteMs / 2
  const recent = new Map<number, { readonly times: number[]; next: number; delayMs: number | undefined }>()
  let saved = mostSaved
  return {
    delayMs({ id }) {
      const known = recent.get(id)
      if (known === undefined || known.times.length < enough) return firstByteMs / 4
      known.delayMs ??= percentile95(known.times) ?? half
      return Math.min(half, Math.max(leastDelayMs, known.delayMs))
    },
    took({ id }, ms) {
      const known = recent.get(id) ?? { times: [], next: 0, delayMs: undefined }
      recent.set(id, known)
      known.times[known.next] = ms
      known.next = (known.next + 1) % remembered
      known.delayMs = undefined
    },
    earn() {
      saved = Math.min(mostSaved, saved + perRead)
    },
    spend() {
      if (saved < 1) return false
      saved--
      return true
    },
  }
}

/** Of a few numbers, without sorting all: it is asked after each answer. */
function percentile95(times: readonly number[]): number | undefined {
  const rank = times.length - Math.floor(times.length * 0.95)
  const largest: number[] = []
  for (const time of times) {
    if (largest.length === rank && time <= (largest[0] as number)) continue
    if (largest.length === rank) largest.shift()
    const at = largest.findIndex(other => other > time)
    largest.splice(at < 0 ? largest.length : at, 0, time)
  }
  return largest[0]
}

/** Whoever may be asked beside a provider that is slow: the next one, if it is up, has the newest write, and may be believed. */
export function besides(places: readonly Place[], index: number): RemotePlace | undefined {
  const next = places.slice(index + 1).find(place => place.is === 'provider')
  if (next === undefined || next.lags || next.at.doubtedUntil() !== undefined) return undefined
  return next.at.breakers.read.state === 'up' ? next : undefined
}

/** How asking one provider ended. */
export type Outcome<A> = { readonly answer: A | undefined } | { readonly error: unknown }

/** A provider that is being asked, or was. */
export interface Asking<A> {
  /** Never rejects. */
  readonly outcome: Promise<Outcome<A>>
  /** Set once it is there. */
  readonly ended: Outcome<A> | undefined
  /** The answer is not wanted any more: its connection is let go of, also when it is there already. */
  cancel(): void
}

/** Not a HoldfastError: who is left because another was faster is not to blame. Made once: it is the reason of many. */
const unwanted = new DOMException('another provider was faster', 'AbortError')

/** `drop` lets go of an answer that nobody wants. `signal` aborts the asking; of an answer that came whoever serves it takes care. */
export function asking<A>(
  { clock, at, hedges }: { readonly clock: Clock; readonly at: ReadProvider; readonly hedges: Hedges },
  signal: AbortSignal,
  ask: (signal: AbortSignal) => Promise<A | undefined>,
  drop: (answer: A) => void,
): Asking<A> {
  const own = new AbortController()
  const began = clock.monotonic()
  let ended: Outcome<A> | undefined
  let isCancelled = false
  const end = (outcome: Outcome<A>): Outcome<A> => {
    if (isCancelled) {
      if ('answer' in outcome && outcome.answer !== undefined) drop(outcome.answer)
      return outcome
    }
    ended = outcome
    if ('answer' in outcome) hedges.took(at, clock.monotonic() - began)
    return outcome
  }
  const abort = (): void => own.abort(signal.reason)
  if (signal.aborted) abort()
  else signal.addEventListener('abort', abort, { once: true })
  const settled = (how: Outcome<A>): Outcome<A> => {
    signal.removeEventListener('abort', abort)
    return end(how)
  }
  const outcome = ask(own.signal).then(
    answer => settled({ answer }),
    (error: unknown) => settled({ error }),
  )
  return {
    outcome,
    get ended() {
      return ended
    },
    cancel() {
      if (isCancelled) return
      isCancelled = true
      if (ended === undefined) hedges.took(at, clock.monotonic() - began)
      else if ('answer' in ended && ended.answer !== undefined) drop(ended.answer)
      own.abort(unwanted)
    },
  }
}
