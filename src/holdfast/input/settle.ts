import { invalid, type Reason, reasons, shown } from '../../core/errors.ts'
import { suggestion } from '../../core/suggest.ts'
import { checkSignal, flag, oneOf, take } from './take.ts'

/** Which blocked writes are meant: all that are given have to fit. Nothing given: all. */
export interface BlockedSelection {
  /** Default: any. */
  readonly key?: string
  /** A provider's name; also of one that left the options. Default: any. */
  readonly provider?: string
  /** Why it is blocked, or its provider is. Default: any. */
  readonly reason?: Reason
}

/** Of `blocked.list`. */
export interface BlockedListOptions extends BlockedSelection {
  /** Ends the listing, with its reason. */
  readonly signal?: AbortSignal
}

/** Of `blocked.abandon`. */
export interface AbandonOptions {
  /** Kept with each write that is given up, for whoever asks later. */
  readonly why: string
  /** Also where nothing of the write is left then. Default false. */
  readonly lastCopy?: boolean
}

/** Of `retire`. */
export interface RetireOptions {
  /** Kept with each write that is given up, for whoever asks later. */
  readonly why: string
}

/** Of `acceptBucket`. */
export interface AcceptBucketOptions {
  /** Told with the event, for whoever asks later. */
  readonly why: string
  /** Ends it, with its reason, as long as the bucket is asked. */
  readonly signal?: AbortSignal
}

export interface CheckedSelection {
  readonly key: string | undefined
  /** One of the names that were given. */
  readonly provider: string | undefined
  readonly reason: Reason | undefined
}

/** INVALID, field the option's name: rule `type`, `value`, or `unknown` for a name that no provider has, or had. */
export function checkBlockedList(
  options: unknown,
  names: readonly string[],
): CheckedSelection & { readonly signal: AbortSignal | undefined } {
  const given = take(options, ['key', 'provider', 'reason', 'signal'], 'blocked.list')
  return { ...selected(given, names), signal: checkSignal(given.signal) }
}

/** For `blocked.retry`. INVALID as `checkBlockedList`. */
export function checkRetry(which: unknown, names: readonly string[]): CheckedSelection {
  return selected(take(which, ['key', 'provider', 'reason'], 'blocked.retry'), names)
}

/** INVALID as `checkBlockedList`; field `why`, rule `missing`, `type` or `length`; TypeError where `which` or the options are no objects. */
export function checkAbandon(
  which: unknown,
  options: unknown,
  names: readonly string[],
): CheckedSelection & { readonly why: string; readonly lastCopy: boolean } {
  if (which === undefined) throw new TypeError('which writes to abandon must be said by an object, got undefined')
  const selection = selected(take(which, ['key', 'provider', 'reason'], 'blocked.abandon'), names)
  const given = take(options, ['why', 'lastCopy'], 'blocked.abandon')
  return { ...selection, why: checkWhy(given.why), lastCopy: flag('lastCopy', given.lastCopy, false) }
}

/** INVALID, field `provider`, rule `type`, and `why` as `checkAbandon`. Whether there is such a provider the journal knows. */
export function checkRetire(provider: unknown, options: unknown): { readonly provider: string; readonly why: string } {
  if (typeof provider !== 'string')
    throw invalid('provider', 'type', `retire takes a provider's name, got ${shown(provider)}`)
  return { provider, why: checkWhy(take(options, ['why'], 'retire').why) }
}

/** INVALID as `checkRetire`; TypeError where the signal is none. */
export function checkAcceptBucket(
  provider: unknown,
  options: unknown,
): { readonly provider: string; readonly why: string; readonly signal: AbortSignal | undefined } {
  if (typeof provider !== 'string')
    throw invalid('provider', 'type', `acceptBucket takes a provider's name, got ${shown(provider)}`)
  const { why, signal } = take(options, ['why', 'signal'], 'acceptBucket')
  return { provider, why: checkWhy(why), signal: checkSignal(signal) }
}

function selected(
  given: { readonly key: unknown; readonly provider: unknown; readonly reason: unknown },
  names: readonly string[],
): CheckedSelection {
  const { key, provider } = given
  if (key !== undefined && typeof key !== 'string')
    throw invalid('key', 'type', `key must be a string, got ${shown(key)}`)
  if (provider !== undefined && typeof provider !== 'string')
    throw invalid('provider', 'type', `provider takes a provider's name, got ${shown(provider)}`)
  if (provider !== undefined && !names.includes(provider))
    throw invalid('provider', 'unknown', `no provider is called ${shown(provider)}${suggestion(provider, names)}`)
  return { key, provider, reason: oneOf('reason', given.reason, reasons, undefined) }
}

const longestWhy = 1_000

function checkWhy(why: unknown): string {
  if (why === undefined) throw invalid('why', 'missing', 'why is missing: a sentence for whoever asks later')
  if (typeof why !== 'string') throw invalid('why', 'type', `why must be a string, got ${shown(why)}`)
  if (why.trim() !== '' && why.length <= longestWhy) return why.toWellFormed()
  throw invalid('why', 'length', `why must be a sentence of at most ${longestWhy} characters, got ${shown(why)}`)
}
