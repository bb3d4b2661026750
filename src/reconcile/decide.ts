import { maxClockLeadMs, type Version, versionTime } from '../core/version.ts'
import type { Answer } from './ask.ts'
import { type Copy, isSameCopy, sameBytes } from './equal.ts'
import type { Drift, Found, Mending } from './types.ts'

/** What a key's answers come to. */
export type Verdict =
  | { readonly is: 'equal' }
  /** Somebody could not be asked. */
  | { readonly is: 'unknown'; readonly drift: Drift }
  /** `mending`: what would make it good; `drift.why` says what stands in the way where there is none. */
  | { readonly is: 'drift'; readonly drift: Drift; readonly mending: Mending | undefined }

export interface Policy {
  /** Our clock, ms since 1970: for providers that do not say theirs. */
  readonly now: number
  /** What becomes of objects that only stale providers have. */
  readonly leftovers: 'report' | 'restore' | 'delete'
}

type Held = Answer & { readonly copy: Copy }

/**
 * What every provider should have: the newest version, a delete of the same version before it. Never a copy that is damaged; never one of a provider that was
 * away for too long, unless a person said so; nothing that is stamped ahead of its provider's clock.
 *
 * Of objects with the same version that a foreign one is among, that one is the original: its version is its own time, the others are made
 * after it. Of our own with other attributes, the one whose provider comes first in the options.
 */
export function decide(key: string, answers: readonly Answer[], policy: Policy): Verdict {
  const failed = answers.find(({ error }) => error !== undefined)
  const held = answers.filter((answer): answer is Held => answer.copy !== undefined)
  if (failed !== undefined) {
    const why = `${failed.side.provider.name} could not be asked: ${failed.error?.message ?? ''}`
    return {
      is: 'unknown',
      drift: driftOf(key, answers, undefined, held.length < answers.length ? 'missing' : 'different', why),
    }
  }
  if (held.length === 0) return { is: 'equal' }

  const isSource = ({ side, copy }: Held) => !copy.isDamaged && (!side.isStale || policy.leftovers === 'restore')
  const best = held.filter(isSource).reduce<Held | undefined>(newer, undefined)
  const marker = newestMarker(answers)
  const wanted: Wanted =
    marker !== undefined && marker >= (best?.copy.version ?? '')
      ? { is: 'delete', version: marker, best: undefined }
      : best === undefined
        ? undefined
        : { is: 'object', version: best.copy.version, best }
  const lacking = answers.filter(answer => !has(answer, wanted))
  if (lacking.length === 0) return { is: 'equal' }

  const kind = kindOf(answers, lacking, wanted)
  const why = obstacle(answers, held, wanted, policy)
  const drift = driftOf(key, answers, wanted, kind, why)
  if (why === undefined && wanted !== undefined) {
    const targets = lacking.map(({ side }) => side.id)
    const looked = wanted.best === undefined ? {} : { looked: wanted.best.copy.object }
    return { is: 'drift', drift, mending: { key, wanted: asked(wanted), targets, ...damagedOf(lacking), ...looked } }
  }
  const leftover = wanted === undefined && policy.leftovers === 'delete' ? leftoverOf(key, held) : undefined
  if (leftover === undefined) return { is: 'drift', drift, mending: undefined }
  const { why: _, ...explained } = drift
  return { is: 'drift', drift: { ...explained, repair: 'none' }, mending: leftover }
}

/** Copies whose bytes were read and are wrong: what their providers say of them is not to be believed either. */
function damagedOf(lacking: readonly Answer[]): Pick<Mending, 'damaged'> {
  const damaged = lacking.flatMap(({ side, copy }) =>
    copy?.read !== undefined && copy.isDamaged ? [{ provider: side.id, token: copy.object.token }] : [],
  )
  return damaged.length === 0 ? {} : { damaged }
}

type Wanted =
  | { readonly is: 'object'; readonly version: Version; readonly best: Held }
  | { readonly is: 'delete'; readonly version: Version; readonly best: undefined }
  | undefined

function asked(wanted: NonNullable<Wanted>): Mending['wanted'] {
  if (wanted.is === 'delete') return { is: 'delete', version: wanted.version }
  return { is: 'object', version: wanted.version, source: wanted.best.side.id }
}

function newer(best: Held | undefined, next: Held): Held {
  if (best === undefined || next.copy.version > best.copy.version) return next
  const isOriginal = next.copy.entry === undefined && best.copy.entry !== undefined
  return next.copy.version === best.copy.version && isOriginal ? next : best
}

function newestMarker(answers: readonly Answer[]): Version | undefined {
  let newest: Version | undefined
  for (const { marker } of answers) {
    if (marker !== undefined && (newest === undefined || marker.version > newest)) newest = marker.version
  }
  return newest
}

function has({ copy }: Answer, wanted: Wanted): boolean {
  if (wanted?.is !== 'object') return copy === undefined
  return copy !== undefined && !copy.isDamaged && (copy === wanted.best.copy || isSameCopy(wanted.best.copy, copy))
}

function kindOf(answers: readonly Answer[], lacking: readonly Answer[], wanted: Wanted): Drift['kind'] {
  if (wanted?.is === 'delete') return 'deleted'
  if (wanted !== undefined && wanted.best.copy.entry === undefined) return 'foreign'
  const without = wanted === undefined ? answers : lacking
  return without.some(({ copy }) => copy === undefined) ? 'missing' : 'different'
}

/** Why nothing may be written, if so: a sentence for a person. */
function obstacle(
  answers: readonly Answer[],
  held: readonly Held[],
  wanted: Wanted,
  policy: Policy,
): string | undefined {
  const floor = wanted?.version ?? ''
  for (const answer of answers) {
    const ahead = aheadOf(answer, policy.now)
    if (ahead === undefined || ahead.version < floor) continue
    return `${answer.side.provider.name} has ${ahead.what} from a clock more than 5 minutes ahead of its own: which is newest cannot be told`
  }
  for (const { side, copy } of held) {
    const { name } = side.provider
    if (copy.isDamaged) {
      const { claims } = copy
      // What was read is wrong, whatever its provider says; what only has another size may be somebody's edit, and he may have no other copy of it.
      const isRead = copy.read !== undefined && copy.entry !== undefined
      if (wanted?.is === 'object' && claims === wanted.version && (isRead || copy.version <= floor)) continue
      const isOlder = (claims === undefined || claims < floor) && copy.version < floor
      if (!isOlder)
        return `what ${name} has is not what its entry says, and no provider has what it says: put the key again, or adopt it`
    } else if (side.isStale && copy.version > floor) {
      return `only ${name} has it, which was away for so long that it may have been deleted meanwhile: say which with leftovers`
    } else if (contradicts(copy, wanted)) {
      return `${name} and ${wanted?.best?.side.provider.name ?? ''} have other bytes under the same version: put the key again`
    }
  }
  return undefined
}

/** Two objects of ours that claim to be the same write, and cannot both be. */
function contradicts(copy: Copy, wanted: Wanted): boolean {
  const best = wanted?.best?.copy
  if (best === undefined || best.entry === undefined || copy.entry === undefined) return false
  return copy.version === best.version && sameBytes(copy, best) === false
}

function aheadOf({ copy, marker }: Answer, now: number): { version: Version; what: string } | undefined {
  const isAhead = (version: Version, serverTime: number | undefined) =>
    versionTime(version) > (serverTime ?? now) + maxClockLeadMs
  if (marker !== undefined && isAhead(marker.version, marker.serverTime))
    return { version: marker.version, what: 'a delete' }
  if (copy !== undefined && isAhead(copy.version, copy.object.serverTime))
    return { version: copy.version, what: 'a version' }
  return undefined
}

/** What a person confirmed to be deleted: with the version of the newest that is there. */
function leftoverOf(key: string, held: readonly Held[]): Mending | undefined {
  if (!held.every(({ side, copy }) => side.isStale && !copy.isDamaged)) return undefined
  const version = held.reduce((newest, { copy }) => (copy.version > newest ? copy.version : newest), '')
  return { key, wanted: { is: 'delete', version }, targets: held.map(({ side }) => side.id) }
}

function driftOf(
  key: string,
  answers: readonly Answer[],
  wanted: Wanted,
  kind: Drift['kind'],
  why: string | undefined,
): Drift {
  const providers = answers.map(answer => foundAt(answer, wanted))
  const drift = { kind, key, version: wanted?.version, providers }
  return why === undefined ? { ...drift, repair: 'none' } : { ...drift, repair: 'impossible', why }
}

function foundAt(answer: Answer, wanted: Wanted): Found {
  const { side, copy, error } = answer
  const provider = side.provider.name
  if (error !== undefined) return { provider, has: 'unknown' }
  if (copy === undefined) return { provider, has: 'nothing' }
  const { version, isDamaged, object } = copy
  const about = { provider, version: copy.claims ?? version, size: object.size }
  if (isDamaged) return { ...about, has: 'damaged' }
  if (has(answer, wanted)) return { ...about, has: 'this' }
  return { ...about, has: version < (wanted?.version ?? '') ? 'older' : 'other' }
}
