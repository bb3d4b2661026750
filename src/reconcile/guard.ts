import { HoldfastError, shown } from '../core/errors.ts'
import { identityAt } from '../core/identity.ts'
import { identityKey } from '../core/key.ts'
import type { Clock } from '../core/ports.ts'
import type { RemoteObject } from '../core/provider.ts'
import type { Journal } from '../journal/contract.ts'
import type { Row } from './join.ts'
import { patiently } from './patience.ts'
import type { GuardFinding, Side } from './types.ts'

/** How much may be repaired before a person looked. */
export interface GuardLimits {
  /** Keys. */
  readonly objects: number
  /** Of all keys; below `fewKeys` it stops nothing. */
  readonly percent: number
}

/** What the listings alone say. Counts only: constant memory. */
export interface Survey {
  /** Keys in all. */
  keys: number
  /** Keys that a provider does not list, or lists with another size. */
  unequal: number
  /** Keys, by provider. */
  readonly listed: number[]
}

/** So many keys are never a mass, whatever their part of all is. */
const fewKeys = 100
/** The identity is asked for again before so many repairs, and after so long. */
const repairsPerLook = 1_000
const lookEveryMs = 60_000
/** How much longer than its listing an object has to be there: where listings are exact, and where they lag by nature. */
const slackMs = 10_000
const lagMs = 3_600_000

export function emptySurvey(sides: number): Survey {
  return { keys: 0, unequal: 0, listed: Array.from({ length: sides }, () => 0) }
}

/** Counts one row. `isOpen` is asked where the listings differ: what replication does anyway is no repair. */
export function count(survey: Survey, { key, entries }: Row, isOpen: (key: string) => boolean): void {
  survey.keys++
  const [first] = entries
  let isUnequal = false
  for (let index = 0; index < entries.length; index++) {
    const entry = entries[index]
    if (entry !== undefined) survey.listed[index] = (survey.listed[index] ?? 0) + 1
    if (entry === undefined || entry.size !== first?.size) isUnequal = true
  }
  if (isUnequal && !isOpen(key)) survey.unequal++
}

/** What in the listings looks like a mass change, if anything does. */
export function surveyFinding(survey: Survey, sides: readonly Side[], limits: GuardLimits): GuardFinding | undefined {
  const { keys, unequal, listed } = survey
  const most = Math.max(...listed)
  const fullest = nameOf(sides, listed.indexOf(most))
  for (const [index, mine] of listed.entries()) {
    const provider = nameOf(sides, index)
    if (mine === 0 && most > 0) {
      const message = `${provider} lists no key, ${fullest} lists ${most}: see that it is the right bucket, prefix and account, and was not emptied`
      return { rule: 'empty', provider, message }
    }
  }
  for (const [index, mine] of listed.entries()) {
    const provider = nameOf(sides, index)
    if (most - mine > fewKeys && isOver(most - mine, most, limits.percent)) {
      const message = `${provider} lists ${mine} keys, ${fullest} lists ${most}: that is more than ${limits.percent} % fewer`
      return { rule: 'short', provider, message }
    }
  }
  return manyFinding(unequal, keys, limits, 'are missing somewhere or have another size')
}

/** `what` ends the sentence "so many of so many keys …". */
export function manyFinding(count: number, keys: number, limits: GuardLimits, what: string): GuardFinding | undefined {
  const { objects, percent } = limits
  const isMany = count > objects
  if (!isMany && !(count > fewKeys && isOver(count, keys, percent))) return undefined
  const limit = isMany ? `more than ${objects}` : `more than ${percent} %`
  return { rule: 'many', provider: undefined, message: `${count} of ${keys} keys ${what}: ${limit}` }
}

function isOver(part: number, whole: number, percent: number): boolean {
  return part * 100 > whole * percent
}

function nameOf(sides: readonly Side[], index: number): string {
  return sides[index]?.provider.name ?? ''
}

/**
 * What a head found that its provider's listing had left out, although it was there before the listing was begun. `listedAt`: when that was, by our
 * monotonic clock.
 */
export function listingFinding(
  { provider }: Side,
  object: RemoteObject,
  listedAt: number,
  clock: Clock,
): GuardFinding | undefined {
  const theirNow = object.serverTime ?? clock.now()
  const begun = theirNow - (clock.monotonic() - listedAt)
  // S3 counts the time of an upload in parts from its beginning, which may lie days before there was an object.
  if (object.etag?.includes('-') === true) return undefined
  const { listsAtOnce } = provider.capabilities
  if (object.modifiedAt.getTime() > begun - (listsAtOnce ? slackMs : lagMs)) return undefined
  const message = `${provider.name} does not list ${shown(object.key)}, and has had it since ${object.modifiedAt.toISOString()}: its listing cannot be believed`
  return { rule: 'listing', provider: provider.name, message }
}

/** Which buckets some work began with, by their providers' ids. */
export type Buckets = Map<number, string>

/**
 * Whether each bucket is still the one that this directory knows, and that the work began with: what was settled of one is not settled of another that
 * a person accepted meanwhile. Takes down in `begun` what it learns. Rejects with the provider's error where it cannot be asked.
 */
export async function identityFinding(
  {
    journal,
    clock,
    begun,
  }: { readonly journal: Pick<Journal, 'providers'>; readonly clock: Clock; readonly begun: Buckets },
  sides: readonly Side[],
  asked: () => void,
  signal: AbortSignal,
): Promise<GuardFinding | undefined> {
  const replaced = replacedFinding(journal, begun, sides)
  if (replaced !== undefined) return replaced
  const rows = new Map(journal.providers().map(row => [row.id, row]))
  for (const { id, provider } of sides) {
    const remembered = rows.get(id)?.identity
    if (remembered === undefined) continue
    begun.set(id, remembered)
    const found = await patiently(clock, signal, () => {
      asked()
      return identityAt(provider, signal)
    })
    if (found?.identity === remembered) continue
    const what =
      found === undefined
        ? `${provider.name} has lost ${identityKey}: it was emptied, made anew, or is another bucket or account`
        : `${provider.name} has identity ${found.identity ?? 'of another form'}, and ${remembered} is remembered: it is another bucket`
    return { rule: 'identity', provider: provider.name, message: what }
  }
  return undefined
}

/** Whether another bucket was accepted since the work began, as far as the journal tells. Asks nobody: for the end of it. */
export function replacedFinding(
  journal: Pick<Journal, 'providers'>,
  begun: Buckets,
  sides: readonly Side[],
): GuardFinding | undefined {
  const rows = new Map(journal.providers().map(row => [row.id, row]))
  for (const { id, provider } of sides) {
    const before = begun.get(id)
    if (before === undefined || rows.get(id)?.identity === before) continue
    const message = `${provider.name} was given another bucket while this was under way: begin anew`
    return { rule: 'identity', provider: provider.name, message }
  }
  return undefined
}

/** Lets repairs through one by one, and looks every so often whether the buckets are still the same. */
export function identityGate(clock: Clock, look: () => Promise<void>): () => Promise<void> | undefined {
  let repairs = 0
  let lookedAt = clock.monotonic()
  let looking: Promise<void> | undefined

  return () => {
    const isDue = repairs++ % repairsPerLook === 0 || clock.monotonic() - lookedAt >= lookEveryMs
    if (isDue) {
      lookedAt = clock.monotonic()
      looking = look()
    }
    return looking
  }
}

/** What a repair rejects with that the guard stopped. */
export function stopped({ rule, provider, message }: GuardFinding): HoldfastError {
  const may = rule === 'identity' || rule === 'listing' ? '' : '; `confirm: true` goes on all the same'
  return new HoldfastError('BLOCKED', `the guard stopped the repair: ${message}${may}`, {
    field: 'guard',
    rule,
    ...(provider === undefined ? {} : { provider }),
    outcome: 'rejected',
    retryable: false,
  })
}
