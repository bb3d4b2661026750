import { HoldfastError } from '../core/errors.ts'
import { withLimits } from '../core/guard.ts'
import { compareKeys } from '../core/key.ts'
import { pause } from '../core/pause.ts'
import type { ListRequest } from '../core/provider.ts'
import { listedAlone } from './alone.ts'
import { asError, enter } from './enter.ts'
import { merged } from './merge.ts'
import type { ListEntry, ListQuestion, ReadDeps, ReadProvider } from './types.ts'

/** How often one listing goes on elsewhere. */
const mostBreaks = 64
/** How often all providers are asked before the listing gives up, and the longest wait between. */
const rounds = 2
const longestWaitMs = 500

/**
 * The listing of the first provider that answers. When it breaks, the next one goes on after the last entry that was given; the break shows
 * only in time. UNAVAILABLE when nobody can go on: what was given is never ended as if it were all.
 */
export async function* list(deps: ReadDeps, question: ListQuestion, signal: AbortSignal): AsyncIterable<ListEntry> {
  const { options } = deps
  const { whenUnreachable, ...request } = question
  const candidates = wholeOf(deps)
  const patientMs = Math.max(options.firstByteMs, options.idleMs)
  let startAfter = request.startAfter
  let lastPrefix: string | undefined
  let breaksLeft = mostBreaks
  let failures = new Map<ReadProvider, HoldfastError>()
  let round = 0
  let hasBegun = false

  signal.throwIfAborted()
  while (true) {
    const left = candidates.filter(each => !failures.has(each))
    // One that was away may list what was deleted meanwhile.
    const at = left.find(each => each.doubtedUntil() === undefined) ?? left[0]
    if (at === undefined) {
      if (++round === rounds || breaksLeft <= 0) {
        const error = nobody(request, [...failures.values()])
        if (whenUnreachable !== 'local' || hasBegun) throw error
        return yield* aloneOr(deps, request, error)
      }
      await pause(deps.clock, deps.random.number() * longestWaitMs, signal)
      failures = new Map()
      continue
    }
    const isLast = failures.size === candidates.length - 1 || round > 0
    try {
      for await (const entry of listingOf(
        deps,
        at,
        { ...request, startAfter },
        isLast ? patientMs : options.firstByteMs,
        signal,
      )) {
        // A group that was given is not given again by whoever goes on within it.
        if (entry.type === 'prefix' && entry.prefix === lastPrefix) continue
        lastPrefix = entry.type === 'prefix' ? entry.prefix : undefined
        startAfter = later(startAfter, entry.type === 'prefix' ? entry.prefix : entry.key)
        round = 0
        hasBegun = true
        yield entry
      }
      return
    } catch (error) {
      if (signal.aborted || !(error instanceof HoldfastError)) throw error
      failures.set(at, error)
      breaksLeft--
    }
  }
}

/** Those that have everything: the listing of one that is not filled yet would look like all there is. */
function wholeOf({ journal, providers }: ReadDeps): readonly ReadProvider[] {
  const unfilled = new Set(journal.providers().flatMap(({ id, isFilled }) => (isFilled ? [] : [id])))
  const whole = providers.filter(({ id }) => !unfilled.has(id))
  return whole.length === 0 ? providers : whole
}

/** What this directory has of its own; the error, where that is nothing: an empty listing would be a lie. */
function* aloneOr(deps: ReadDeps, request: ListRequest, error: HoldfastError): Iterable<ListEntry> {
  let count = 0
  for (const entry of listedAlone(deps.journal, request)) {
    if (count++ === 0) deps.emit('partial', { prefix: request.prefix, error })
    yield entry
  }
  if (count === 0) throw error
}

/** One provider's part of the listing. The breaker hears of it at its end. */
async function* listingOf(
  deps: ReadDeps,
  at: ReadProvider,
  request: ListRequest,
  patienceMs: number,
  signal: AbortSignal,
): AsyncIterable<ListEntry> {
  const { clock } = deps
  const { provider } = at
  const ticket = enter(deps, at, 'list')
  const asked = clock.monotonic()
  const about = { what: 'the first entry of a listing', provider: provider.name }
  const own = new AbortController()
  const entries = merged(deps, at, request, AbortSignal.any([signal, own.signal]))[Symbol.asyncIterator]()
  try {
    let step = await withLimits({ clock, idleMs: patienceMs, deadlineMs: patienceMs, signal, about }, () =>
      entries.next(),
    )
    const latencyMs = clock.monotonic() - asked
    while (step.done !== true) {
      yield step.value
      step = await entries.next()
    }
    ticket.succeeded(latencyMs)
  } catch (error) {
    const known = signal.aborted ? error : asError(provider, error)
    ticket.failed(known)
    throw known
  } finally {
    ticket.abandoned()
    own.abort()
    // Not waited for: it may hang in the step that was given up.
    entries.return?.().catch(() => {})
  }
}

function later(a: string, b: string): string {
  return compareKeys(a, b) > 0 ? a : b
}

function nobody({ prefix }: ListRequest, failures: readonly HoldfastError[]): HoldfastError {
  const said = failures.map(({ message }) => message).join('; ')
  const message = `nobody could list ${prefix === '' ? 'the keys' : JSON.stringify(prefix)}: ${said}`
  const cause = new AggregateError(failures, message)
  return new HoldfastError('UNAVAILABLE', message, { cause, retryable: failures.some(each => each.retryable) })
}
