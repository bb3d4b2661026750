import { invalid, shown } from '../../core/errors.ts'
import { reservedPrefix } from '../../core/key.ts'
import type { Provider } from '../../core/provider.ts'
import { suggestion } from '../../core/suggest.ts'
import { checkText } from './calls.ts'
import type { CallOptions } from './put.ts'
import { checkSignal, flag, oneOf, takeInner, take, whole } from './take.ts'

/** Of `reconcile`. */
export interface ReconcileOptions extends CallOptions {
  /** Queue what makes the providers equal; without it nothing is written. Default false. */
  readonly repair?: boolean
  /** Only keys that begin so. Default: all. */
  readonly prefix?: string
  /** Only keys after it, in UTF-8 byte order (with `keys: 'encode'` that of names): a `cursor`. Default: from the beginning. */
  readonly startAfter?: string
  /** Go on where the last run with the same options was, if one did not come to its end. Default false. */
  readonly resume?: boolean
  /** Compare headers and metadata of every object too: a request each at every provider. Default false. */
  readonly attributes?: boolean
  /** Read the bytes of every object at every provider. Default false. */
  readonly deep?: boolean
  /** Names of the providers to compare, two at least. Default: all. */
  readonly providers?: readonly string[]
  /** At each provider. May be a fraction. Default 500. */
  readonly maxRequestsPerSecond?: number
  /** Of bodies, of all providers together. Default unlimited. */
  readonly maxBytesPerSecond?: number
  /** How much may be repaired before a person looked: keys (default 1,000), and percent of all keys (default 5; up to 100 keys are always let through). */
  readonly guard?: { readonly objects?: number; readonly percent?: number }
  /** A person looked: a mass change is made all the same. Never for another bucket than before, nor on a listing that leaves out what is there. Default false. */
  readonly confirm?: boolean
  /**
   * What becomes of objects that only providers have that were away for so long that their deletes may have been forgotten. Default 'report':
   * nothing, and they stay where they are.
   */
  readonly leftovers?: 'report' | 'restore' | 'delete'
}

export interface CheckedReconcile {
  readonly repair: boolean
  readonly prefix: string
  readonly startAfter: string
  readonly resume: boolean
  readonly attributes: boolean
  readonly deep: boolean
  /** In the order of the store's options. */
  readonly providers: readonly Provider[]
  readonly pace: Pacing
  readonly guard: { readonly objects: number; readonly percent: number }
  readonly confirm: boolean
  readonly leftovers: 'report' | 'restore' | 'delete'
  readonly signal: AbortSignal | undefined
}

/** How fast long work may ask providers. */
export interface Pacing {
  readonly requestsPerSecond: number
  /** `undefined`: unlimited. */
  readonly bytesPerSecond: number | undefined
}

const names = [
  'repair',
  'prefix',
  'startAfter',
  'resume',
  'attributes',
  'deep',
  'providers',
  'maxRequestsPerSecond',
  'maxBytesPerSecond',
  'guard',
  'confirm',
  'leftovers',
  'signal',
] as const satisfies readonly (keyof ReconcileOptions)[]

/**
 * INVALID, field the option's name (`guard.percent` for one inside another): rule `type`, `unknown`, `value`, `range`, `unicode`, `length`; `prefix` also
 * `reserved`; `startAfter` also `prefix` (it is past all keys of the prefix) and `resume` (the two do not go together); `providers` also `few` and `duplicate`.
 */
export function checkReconcile(options: unknown, all: readonly Provider[]): CheckedReconcile {
  const given = take(options, names, 'reconcile')
  const signal = checkSignal(given.signal)
  const prefix = checkOpenPrefix(given.prefix)
  const startAfter = checkText('startAfter', given.startAfter)
  const resume = flag('resume', given.resume, false)
  if (resume && startAfter !== '')
    throw invalid('startAfter', 'resume', 'startAfter says where to begin, resume too: give one of them')
  return {
    repair: flag('repair', given.repair, false),
    prefix,
    startAfter,
    resume,
    attributes: flag('attributes', given.attributes, false),
    deep: flag('deep', given.deep, false),
    providers: checkSides(given.providers, all),
    pace: checkPacing(given),
    guard: checkGuard(given.guard),
    confirm: flag('confirm', given.confirm, false),
    leftovers: oneOf('leftovers', given.leftovers, ['report', 'restore', 'delete'], 'report'),
    signal,
  }
}

/** A prefix of the app's own keys. INVALID, field `prefix`, rule `type`, `unicode`, `length` or `reserved`. */
export function checkOpenPrefix(value: unknown): string {
  const prefix = checkText('prefix', value)
  if (!prefix.startsWith(reservedPrefix)) return prefix
  throw invalid('prefix', 'reserved', `prefix ${shown(prefix)} is Holdfast's own`)
}

/** INVALID, fields `maxRequestsPerSecond` and `maxBytesPerSecond`, rule `type` or `range`. */
export function checkPacing(given: {
  readonly maxRequestsPerSecond: unknown
  readonly maxBytesPerSecond: unknown
}): Pacing {
  const { maxRequestsPerSecond = 500, maxBytesPerSecond } = given
  return {
    requestsPerSecond: rate('maxRequestsPerSecond', maxRequestsPerSecond, 1_000_000),
    bytesPerSecond:
      maxBytesPerSecond === undefined
        ? undefined
        : rate('maxBytesPerSecond', maxBytesPerSecond, Number.MAX_SAFE_INTEGER),
  }
}

function rate(field: string, value: unknown, most: number): number {
  if (typeof value !== 'number') throw invalid(field, 'type', `${field} must be a number, got ${shown(value)}`)
  if (value > 0 && value <= most) return value
  throw invalid(field, 'range', `${field} must be more than 0 and at most ${most}, got ${shown(value)}`)
}

function checkGuard(options: unknown): CheckedReconcile['guard'] {
  const { objects = 1_000, percent = 5 } = takeInner('guard', options, ['objects', 'percent'])
  if (typeof percent !== 'number')
    throw invalid('guard.percent', 'type', `guard.percent must be a number, got ${shown(percent)}`)
  if (!(percent >= 0 && percent <= 100))
    throw invalid('guard.percent', 'range', `guard.percent must be from 0 to 100, got ${shown(percent)}`)
  return { objects: whole('guard.objects', objects, 0, Number.MAX_SAFE_INTEGER), percent }
}

function checkSides(value: unknown, all: readonly Provider[]): readonly Provider[] {
  if (value === undefined) return all
  if (!Array.isArray(value))
    throw invalid('providers', 'type', `providers must be a list of providers' names, got ${shown(value)}`)
  const known = all.map(({ name }) => name)
  const wanted = new Set<unknown>()
  for (const name of value as unknown[]) {
    if (typeof name !== 'string')
      throw invalid('providers', 'type', `providers takes providers' names, got ${shown(name)}`)
    if (!known.includes(name))
      throw invalid('providers', 'unknown', `no provider is called ${shown(name)}${suggestion(name, known)}`)
    if (wanted.has(name)) throw invalid('providers', 'duplicate', `providers names ${shown(name)} twice`)
    wanted.add(name)
  }
  if (wanted.size < 2)
    throw invalid('providers', 'few', `providers must name two at least: one has nothing to be compared with`)
  return all.filter(({ name }) => wanted.has(name))
}
