import { invalid, shown } from '../../core/errors.ts'
import type { ProviderFeatures } from '../../core/features.ts'
import type { PartRun } from '../../core/layout.ts'
import type { ByteRange, Provider } from '../../core/provider.ts'
import { suggestion } from '../../core/suggest.ts'
import type { Version } from '../../core/version.ts'
import { checkFeatures } from './features.ts'
import { checkHeader } from './headers.ts'
import { checkParts } from './parts.ts'
import { type AckLevel, type CallOptions, checkAck, checkVersionCondition } from './put.ts'
import { checkRange } from './range.ts'
import { checkSignal, flag, oneOf, take, whole } from './take.ts'

/** Longest time that a timer can be set to, in milliseconds: 24 days. */
export const longestTimerMs = 2_147_483_647

/** Of `get`. */
export interface GetOptions extends CallOptions {
  /** Half-open, in bytes: start <= byte < end; or the last n bytes. */
  readonly range?: { readonly start: number; readonly end?: number } | { readonly last: number }
}

/** Of `delete`. */
export interface DeleteOptions extends CallOptions {
  /** Only that version; else PRECONDITION. */
  readonly if?: { readonly version: string }
  /** Default: that of the store. */
  readonly ack?: AckLevel
}

/** Of `list`. */
export interface ListOptions extends CallOptions {
  /** Default: everything. */
  readonly prefix?: string
  /** Keys that share the part up to and including its first occurrence after the prefix become one `prefix` entry. Default: none. */
  readonly delimiter?: string
  /** Entries after it, in UTF-8 byte order. Default: from the beginning. */
  readonly startAfter?: string
  /**
   * When no provider can begin the listing: 'fail' (default) rejects with UNAVAILABLE. 'local' lists what this directory has not seen on every provider
   * yet, each entry marked `partial`, with a `partial` event; where it has nothing of that kind, it rejects too.
   */
  readonly whenUnreachable?: 'fail' | 'local'
}

/** PUT: create-only unless overwrite; the uploader must send `headers`; then `adopt`. GET: from an up provider that holds the newest version. */
export interface SignOptions {
  /** What the bearer may do: read the object, or upload it. */
  readonly method: 'GET' | 'PUT'
  /** 1 to 604,800 (7 days). */
  readonly expiresInSeconds: number
  /** PUT: the uploader must send it. GET: overrides what is stored. */
  readonly contentType?: string
  /** GET: overrides what is stored. INVALID for PUT. */
  readonly contentDisposition?: string
  /** PUT: also over an object that is there. Default false. INVALID for GET. */
  readonly overwrite?: boolean
  /** Names of providers that are left out: the one that the bearer of an earlier URL could not reach, before anybody here knows. Default: none. */
  readonly except?: readonly string[]
}

/** Of `adopt`. */
export interface AdoptOptions extends CallOptions {
  /** A provider's name. Default: all are asked. */
  readonly from?: string
  /**
   * The parts that it was uploaded in, in order, where the caller knows: then its ETag stays what the provider said, and its parts can be read by
   * number. Taken for nothing where the ETag is not that of these parts. Default: as far as the ETag is the MD5 of the whole, one piece.
   */
  readonly parts?: readonly PartRun[]
  /** As of `put`. It is stored anew at its provider too. Default: its storage class, redirection and `Expires`, where its provider says them. */
  readonly features?: ProviderFeatures
}

/** Of `drain` and `replicated`: how much is enough. */
export interface UntilOptions extends CallOptions {
  /** 'stored' (default): on every provider. 'verified': looked at twice. */
  readonly until?: 'stored' | 'verified'
}

/** Of `close`. */
export interface CloseOptions {
  /** Waits so long, in milliseconds, for what is in flight. Default 0. */
  readonly drainMs?: number
}

/** For calls that take nothing but a signal. `of` is the call's name, for the message. */
export function checkCall(options: unknown, of: string): { signal: AbortSignal | undefined } {
  return { signal: checkSignal(take(options, ['signal'], of).signal) }
}

export function checkGet(options: unknown): { range: ByteRange | undefined; signal: AbortSignal | undefined } {
  const given = take(options, ['range', 'signal'], 'get')
  return { range: checkRange(given.range), signal: checkSignal(given.signal) }
}

export interface CheckedDelete {
  readonly condition: { readonly version: Version } | undefined
  readonly ack: AckLevel | undefined
  readonly signal: AbortSignal | undefined
}

export function checkDelete(options: unknown): CheckedDelete {
  const given = take(options, ['if', 'ack', 'signal'], 'delete')
  const signal = checkSignal(given.signal)
  return { condition: checkVersionCondition(given.if), ack: checkAck(given.ack), signal }
}

export interface CheckedList {
  /** '' for what was not given. */
  readonly prefix: string
  readonly delimiter: string
  readonly startAfter: string
  readonly whenUnreachable: 'fail' | 'local'
  readonly signal: AbortSignal | undefined
}

/** INVALID, field the option's name: rule `type`, `unicode` (unpaired surrogates), `length` (over 4,096 bytes) or `value`. */
export function checkList(options: unknown): CheckedList {
  const given = take(options, ['prefix', 'delimiter', 'startAfter', 'whenUnreachable', 'signal'], 'list')
  return {
    prefix: checkText('prefix', given.prefix),
    delimiter: checkText('delimiter', given.delimiter),
    startAfter: checkText('startAfter', given.startAfter),
    whenUnreachable: oneOf('whenUnreachable', given.whenUnreachable, ['fail', 'local'], 'fail'),
    signal: checkSignal(given.signal),
  }
}

/** A text that keys are compared with; '' where none is given. INVALID, rule `type`, `unicode` or `length` (over 4,096 bytes). */
export function checkText(field: string, value: unknown): string {
  if (value === undefined) return ''
  if (typeof value !== 'string') throw invalid(field, 'type', `${field} must be a string, got ${shown(value)}`)
  if (!value.isWellFormed()) throw invalid(field, 'unicode', `${field} has an unpaired surrogate: ${shown(value)}`)
  if (value.length > 4096 || Buffer.byteLength(value) > 4096) {
    throw invalid(field, 'length', `${field} is longer than 4096 bytes: ${shown(value)}`)
  }
  return value
}

export interface CheckedSign {
  readonly method: 'GET' | 'PUT'
  readonly expiresInSeconds: number
  readonly contentType: string | undefined
  readonly contentDisposition: string | undefined
  /** PUT: refuse when there is an object. */
  readonly createOnly: boolean
  readonly except: readonly Provider[]
}

/**
 * INVALID, field the option's name: rule `missing`, `type`, `value`, `range`, `method` (no use for this method), `unknown` (no such provider), or
 * that of the header.
 */
export function checkSign(options: unknown, providers: readonly Provider[]): CheckedSign {
  if (options === undefined) throw new TypeError('the options of signedUrl must be an object, got undefined')
  const names = ['method', 'expiresInSeconds', 'contentType', 'contentDisposition', 'overwrite', 'except'] as const
  const given = take(options, names, 'signedUrl')
  const method = oneOf('method', given.method, ['GET', 'PUT'], undefined)
  if (method === undefined) throw invalid('method', 'missing', "method is missing: 'GET' or 'PUT'")
  const overwrite = flag('overwrite', given.overwrite, false)
  if (method === 'GET' && overwrite) throw invalid('overwrite', 'method', 'overwrite is for PUT')
  if (method === 'PUT' && given.contentDisposition !== undefined) {
    throw invalid('contentDisposition', 'method', 'contentDisposition is for GET')
  }
  const { contentType, contentDisposition } = given
  return {
    method,
    expiresInSeconds: whole('expiresInSeconds', given.expiresInSeconds, 1, 604_800),
    contentType: contentType === undefined ? undefined : checkHeader('contentType', contentType),
    contentDisposition:
      contentDisposition === undefined ? undefined : checkHeader('contentDisposition', contentDisposition),
    createOnly: method === 'PUT' && !overwrite,
    except: checkExcept(given.except, providers),
  }
}

function checkExcept(except: unknown, providers: readonly Provider[]): readonly Provider[] {
  if (except === undefined) return []
  if (Array.isArray(except)) return except.map(name => called('except', name, providers))
  throw invalid('except', 'type', `except must be a list of providers' names, got ${shown(except)}`)
}

export interface CheckedAdopt {
  readonly from: Provider | undefined
  readonly parts: readonly PartRun[] | undefined
  readonly features: ProviderFeatures | undefined
  readonly signal: AbortSignal | undefined
}

/** INVALID, field `from`, rule `type`, or `unknown` for a name that no provider has; fields `parts` and `features` as `checkParts` and `checkFeatures` say. */
export function checkAdopt(options: unknown, providers: readonly Provider[]): CheckedAdopt {
  const given = take(options, ['from', 'parts', 'features', 'signal'], 'adopt')
  const signal = checkSignal(given.signal)
  const from = given.from === undefined ? undefined : called('from', given.from, providers)
  return { from, parts: checkParts(given.parts), features: checkFeatures(given.features, providers), signal }
}

function called(field: string, name: unknown, providers: readonly Provider[]): Provider {
  const found = providers.find(provider => provider.name === name)
  if (found !== undefined) return found
  if (typeof name !== 'string') throw invalid(field, 'type', `${field} takes a provider's name, got ${shown(name)}`)
  const names = providers.map(provider => provider.name)
  throw invalid(field, 'unknown', `no provider is called ${shown(name)}${suggestion(name, names)}`)
}

/** For `drain` and `replicated`. INVALID, field `until`. */
export function checkUntil(
  options: unknown,
  of: string,
): { until: 'stored' | 'verified'; signal: AbortSignal | undefined } {
  const given = take(options, ['until', 'signal'], of)
  const signal = checkSignal(given.signal)
  return { until: oneOf('until', given.until, ['stored', 'verified'], 'stored'), signal }
}

/** INVALID, field `drainMs`. */
export function checkClose(options: unknown): { drainMs: number } {
  const { drainMs } = take(options, ['drainMs'], 'close')
  return { drainMs: drainMs === undefined ? 0 : whole('drainMs', drainMs, 0, longestTimerMs) }
}

/** INVALID, field `event`, rule `type` or `unknown`; TypeError for a listener that is no function. */
export function checkListener<Name extends string>(event: unknown, listener: unknown, names: readonly Name[]): Name {
  if (typeof listener !== 'function') throw new TypeError(`the listener must be a function, got ${shown(listener)}`)
  const known = names.find(name => name === event)
  if (known !== undefined) return known
  if (typeof event !== 'string') throw invalid('event', 'type', `event must be a name, got ${shown(event)}`)
  throw invalid('event', 'unknown', `there is no event ${shown(event)}${suggestion(event, names)}`)
}
