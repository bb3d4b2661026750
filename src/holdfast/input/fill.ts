import { invalid, shown } from '../../core/errors.ts'
import type { Provider } from '../../core/provider.ts'
import { suggestion } from '../../core/suggest.ts'
import type { PriceTable } from '../../reconcile/prices.ts'
import type { CallOptions } from './put.ts'
import { checkOpenPrefix, checkPacing, type Pacing } from './reconcile.ts'
import { checkSignal, flag, take, takeInner } from './take.ts'

/** Of `backfill`. */
export interface BackfillOptions extends CallOptions {
  /** Name of the provider that is to have what the others have. */
  readonly to: string
  /** Only keys that begin so. Default: all. */
  readonly prefix?: string
  /** Go on where the last run was, if it did not come to its end. Default true. */
  readonly resume?: boolean
  /** Read the bytes of every object at every provider, to compare them. Default false. */
  readonly deep?: boolean
  /** At each provider, for comparing and fetching; what is sent goes by `replication.maxRequestsPerSecond`. May be a fraction. Default 500. */
  readonly maxRequestsPerSecond?: number
  /** Of bodies, of all providers together. Default unlimited. */
  readonly maxBytesPerSecond?: number
}

/** Of `evacuate`. */
export interface EvacuateOptions extends BackfillOptions {
  /** Name of the provider that is to be left: asked last, and gone on without where it does not answer. May have left the options. */
  readonly from: string
}

/** Of `estimate`. */
export interface EstimateOptions extends Omit<BackfillOptions, 'resume' | 'deep'> {
  /** As of `evacuate`. */
  readonly from?: string
  /** Replaces list prices, by kind of provider or by name. */
  readonly prices?: PriceTable
}

export interface CheckedFill {
  readonly to: Provider
  readonly from: string | undefined
  readonly prefix: string
  readonly resume: boolean
  readonly deep: boolean
  readonly pace: Pacing
  readonly signal: AbortSignal | undefined
}

const fillNames = [
  'to',
  'prefix',
  'resume',
  'deep',
  'maxRequestsPerSecond',
  'maxBytesPerSecond',
  'signal',
] as const satisfies readonly (keyof BackfillOptions)[]

/**
 * `known`: names of all providers that ever were among the options. INVALID, field the option's name: rule `missing` (`to`, `from`), `type`, `value`
 * (no such provider), `same` (`from` is `to`), `range`, `unicode`, `length`, `reserved`, `unknown`.
 */
export function checkBackfill(options: unknown, all: readonly Provider[]): CheckedFill {
  const given = take(options, fillNames, 'backfill')
  return { ...filling(given, all), from: undefined }
}

/** As `checkBackfill`. */
export function checkEvacuate(options: unknown, all: readonly Provider[], known: readonly string[]): CheckedFill {
  const given = take(options, ['from', ...fillNames] as const, 'evacuate')
  const checked = filling(given, all)
  return { ...checked, from: checkFrom(given.from, checked.to, known) }
}

/** As `checkBackfill`, and field `prices`. */
export function checkEstimate(
  options: unknown,
  all: readonly Provider[],
  known: readonly string[],
): CheckedFill & { readonly prices: PriceTable | undefined } {
  const names = ['to', 'from', 'prefix', 'prices', 'maxRequestsPerSecond', 'maxBytesPerSecond', 'signal'] as const
  const given = take(options, names, 'estimate')
  const checked = filling({ ...given, resume: undefined, deep: undefined }, all)
  return {
    ...checked,
    from: given.from === undefined ? undefined : checkFrom(given.from, checked.to, known),
    prices: checkPrices(given.prices, all),
  }
}

function filling(
  given: Readonly<Record<(typeof fillNames)[number], unknown>>,
  all: readonly Provider[],
): Omit<CheckedFill, 'from'> {
  const signal = checkSignal(given.signal)
  const name = checkName(
    'to',
    given.to,
    all.map(each => each.name),
  )
  return {
    to: all.find(each => each.name === name) as Provider,
    prefix: checkOpenPrefix(given.prefix),
    resume: flag('resume', given.resume, true),
    deep: flag('deep', given.deep, false),
    pace: checkPacing(given),
    signal,
  }
}

function checkFrom(value: unknown, to: Provider, known: readonly string[]): string {
  const from = checkName('from', value, known)
  if (from !== to.name) return from
  throw invalid('from', 'same', `from and to are the same provider, ${shown(from)}`)
}

function checkName(field: string, value: unknown, names: readonly string[]): string {
  if (value === undefined)
    throw invalid(field, 'missing', `${field} must name a provider, one of ${names.map(shown).join(', ')}`)
  if (typeof value !== 'string') throw invalid(field, 'type', `${field} must be a provider's name, got ${shown(value)}`)
  if (names.includes(value)) return value
  throw invalid(field, 'value', `no provider is called ${shown(value)}${suggestion(value, names)}`)
}

/** Kinds that have prices without being among the options. */
const kinds = ['s3', 'gcs', 'azure', 'fs', 'memory']

function checkPrices(value: unknown, all: readonly Provider[]): PriceTable | undefined {
  if (value === undefined) return undefined
  const known = [...new Set([...kinds, ...all.flatMap(({ kind, name }) => [kind, name])])]
  const table: Record<string, Record<string, number>> = {}
  for (const [kind, price] of Object.entries(takeInner('prices', value, known)))
    if (price !== undefined) table[kind] = checkPrice(`prices.${kind}`, price)
  return table
}

function checkPrice(field: string, value: unknown): Record<string, number> {
  const price: Record<string, number> = {}
  for (const [name, amount] of Object.entries(takeInner(field, value, ['egressPerGB', 'putPer1000', 'getPer1000']))) {
    if (amount === undefined) continue
    if (typeof amount !== 'number')
      throw invalid(`${field}.${name}`, 'type', `${field}.${name} must be a number, got ${shown(amount)}`)
    if (!(amount >= 0 && amount < Number.POSITIVE_INFINITY))
      throw invalid(`${field}.${name}`, 'range', `${field}.${name} must be 0 or more, got ${shown(amount)}`)
    price[name] = amount
  }
  return price
}
