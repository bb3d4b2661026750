import { HoldfastError } from '../core/errors.ts'
import { isLate } from '../core/late.ts'
import type { RemoteObject } from '../core/provider.ts'
import { maxClockLeadMs, type Version, versionTime } from '../core/version.ts'
import type { CachedBody, KeyView, WriteRow } from '../journal/contract.ts'
import { type Asking, asking, besides, type Hedges, type Outcome, type RemotePlace } from './hedge.ts'
import { knowledgeOf } from './knowledge.ts'
import { markersOf } from './marker.ts'
import { nobody } from './nobody.ts'
import type { ReadDeps, ReadProvider } from './types.ts'

/** What is wanted of a key: its body, or only what is said of it. Rejections are HoldfastErrors, or the reason of the signal. */
export interface Question<T> {
  /** `undefined`: it proved that there is none. The signal aborts the asking; of the value that came whoever has it lets go. */
  remote(at: ReadProvider, patienceMs: number, signal: AbortSignal): Promise<Answer<T> | undefined>
  local(held: WriteRow | CachedBody): Promise<T>
  /** The answer is not used: lets go of its connection. */
  drop(value: T): void
}

export interface Answer<T> {
  readonly object: RemoteObject
  readonly version: Version
  readonly value: T
}

export interface Hit<T> {
  readonly value: T
  readonly stale: boolean
}

/** What a search stands on. */
export interface SearchDeps extends ReadDeps {
  /** `undefined`: one is asked at a time. */
  readonly hedges: Hedges | undefined
}

/** Found, but older than what this directory knows of. */
interface Older<T> {
  readonly version: Version
  readonly from: string
  again(): Promise<Hit<T> | undefined>
}

/**
 * Asks one after the other until somebody may be believed. `undefined`: the key is absent, by the rule of `Reader.get`.
 *
 * Whoever is slower than `firstByteMs` is left for the next, and asked again with more patience only when nobody else could tell. What is
 * found at one while another answered 404 is served only after a look at the other's delete marker. With hedges, one that is slow is not left yet when the next is
 * asked too: what that one has is served as if the slow one had been left, what it lacks or fails with waits for its turn. What only one has that was away for longer
 * than markers live is not served.
 */
export async function search<T>(
  deps: SearchDeps,
  key: string,
  view: KeyView,
  question: Question<T>,
  signal: AbortSignal,
): Promise<Hit<T> | undefined> {
  const { options, providers, emit, hedges, clock } = deps
  const known = knowledgeOf(view, providers)
  const patientMs = Math.max(options.firstByteMs, options.idleMs)
  const markers = markersOf(deps, key, patientMs, signal)
  /** Answered 404. */
  const absent: RemotePlace[] = []
  /** Has only what is known, or marked elsewhere, to be deleted, or may well be: as good as a 404. */
  const gone: RemotePlace[] = []
  const older: Older<T>[] = []
  const failures = new Map<string, HoldfastError>()
  /** Asked before its turn. */
  let ahead: { readonly place: RemotePlace; readonly asked: Asking<Answer<T>> } | undefined
  /** Looked at before their turn. */
  const told = new Set<RemotePlace>()

  if (known.isDeletedHere) return undefined
  try {
    return (await askAll()) ?? (await absenceOrLastResort())
  } finally {
    ahead?.asked.cancel()
  }

  async function askAll(): Promise<Hit<T> | undefined> {
    const slow: RemotePlace[] = []
    hedges?.earn()
    for (const [index, place] of known.places.entries()) {
      if (place.is === 'provider' && told.has(place)) continue
      // Nobody is left to go to, and nobody was given up: then there is no reason to hurry the last one.
      const isLast = index === known.places.length - 1 && slow.length === 0
      const patienceMs = isLast ? patientMs : options.firstByteMs
      const wasAhead = ahead?.place === place
      const hit = place.is === 'local' ? await askLocal(place.held) : await askInTurn(place, index, patienceMs)
      if (hit !== undefined) return hit
      if (place.is === 'provider' && (!isLast || wasAhead) && failures.get(nameOf(place))?.reason === 'TIMEOUT')
        slow.push(place)
    }
    for (const place of slow) {
      const hit = await askRemote(place, patientMs)
      if (hit !== undefined) return hit
    }
    return undefined
  }

  async function askLocal(held: WriteRow): Promise<Hit<T> | undefined> {
    const { version } = held
    if (isTooOld(version)) {
      older.push({ version, from: 'local', again: () => localAgain(held) })
      return undefined
    }
    let value: T
    try {
      value = await question.local(held)
    } catch (error) {
      return noteFailure('local', error)
    }
    return (await isDeletedWhereAbsent(version, value)) ? undefined : served(value, version, undefined)
  }

  async function askInTurn(place: RemotePlace, index: number, patienceMs: number): Promise<Hit<T> | undefined> {
    if (ahead?.place === place) {
      const { asked } = ahead
      ahead = undefined
      return await consider(place, await asked.outcome)
    }
    const other = hedges === undefined || ahead !== undefined ? undefined : besides(known.places, index)
    if (hedges === undefined || other === undefined) return await askRemote(place, patienceMs)
    return await askBoth(hedges, place, other, patienceMs)
  }

  /** Asks one, and the other too where the first is late and a hedge is left. */
  async function askBoth(
    budget: Hedges,
    place: RemotePlace,
    other: RemotePlace,
    patienceMs: number,
  ): Promise<Hit<T> | undefined> {
    const ask = ({ at }: RemotePlace, ms: number): Asking<Answer<T>> =>
      asking(
        { clock, at, hedges: budget },
        signal,
        inner => question.remote(at, ms, inner),
        ({ value }) => question.drop(value),
      )
    const first = ask(place, patienceMs)
    if (!(await isLate(first.outcome, budget.delayMs(place.at), clock)) || !budget.spend()) {
      return await consider(place, await first.outcome)
    }
    const second = ask(other, options.firstByteMs)
    ahead = { place: other, asked: second }
    let isFirstWanted = false
    let won = false
    try {
      await Promise.race([first.outcome, second.outcome])
      const early = first.ended === undefined ? second.ended : undefined
      if (early !== undefined && mayBeServed(early)) {
        ahead = undefined
        told.add(other)
        const hit = await consider(other, early)
        won = hit !== undefined
        if (won) return hit
      }
      isFirstWanted = true
      return await consider(place, await first.outcome)
    } finally {
      if (!isFirstWanted) first.cancel()
      emit('hedge', { key, from: nameOf(place), to: nameOf(other), won })
    }
  }

  /** An object that is as new as what is known, and not known to be deleted. Delete markers are not looked at yet. */
  function mayBeServed(outcome: Outcome<Answer<T>>): boolean {
    if ('error' in outcome || outcome.answer === undefined) return false
    const { version } = outcome.answer
    return version > (known.deleted ?? '') && !isTooOld(version)
  }

  async function askRemote(place: RemotePlace, patienceMs: number): Promise<Hit<T> | undefined> {
    let outcome: Outcome<Answer<T>>
    const asked = clock.monotonic()
    try {
      outcome = { answer: await question.remote(place.at, patienceMs, signal) }
      hedges?.took(place.at, clock.monotonic() - asked)
    } catch (error) {
      outcome = { error }
    }
    return await consider(place, outcome)
  }

  /** Takes down what a provider said; serves it where it may be believed. */
  async function consider(place: RemotePlace, outcome: Outcome<Answer<T>>): Promise<Hit<T> | undefined> {
    if ('error' in outcome) return noteFailure(nameOf(place), outcome.error)
    const { answer } = outcome
    failures.delete(nameOf(place))
    if (answer === undefined) {
      absent.push(place)
      return undefined
    }
    const { version, value } = answer
    if ((known.deleted ?? '') >= version || isDoubted(place, version)) {
      question.drop(value)
      gone.push(place)
    } else if (await isDeletedWhereAbsent(version, value)) {
      gone.push(place)
    } else if (isTooOld(version)) {
      question.drop(value)
      older.push({ version, from: nameOf(place), again: () => askAgain(place, version) })
    } else {
      noteVersion(place, answer)
      return served(value, version, place)
    }
    return undefined
  }

  function served(value: T, version: Version, place: RemotePlace | undefined): Hit<T> {
    const missingAt = absent.filter(({ lags }) => !lags).map(({ at }) => at.id)
    const isSource = place?.at.doubtedUntil() === undefined
    if (isSource && missingAt.length > 0) deps.onMissing({ key, version, missingAt, foundAt: place?.at.id ?? 'local' })
    const to = place === undefined ? 'local' : nameOf(place)
    for (const [from, error] of failures) emit('failover', { key, from, to, atByte: 0, error })
    return { value, stale: false }
  }

  /**
   * Whether it may have been deleted while its provider was away, with no marker left to say so: old, not owed by this directory, and another one
   * that was not away proves the key absent.
   */
  function isDoubted({ at }: RemotePlace, version: Version): boolean {
    const until = at.doubtedUntil()
    if (until === undefined || versionTime(version) >= until || view.open?.version === version) return false
    return absent.some(other => other.at.doubtedUntil() === undefined)
  }

  function isTooOld(version: Version): boolean {
    return known.floor !== undefined && version < known.floor
  }

  function noteFailure(from: string, error: unknown): undefined {
    if (signal.aborted || !(error instanceof HoldfastError)) throw error
    failures.set(from, error)
  }

  /** Drops the value where it is, or where nobody can tell. */
  async function isDeletedWhereAbsent(version: Version, value: T): Promise<boolean> {
    if (absent.length === 0) return false
    let isKept = false
    try {
      isKept = !(await tellDeleted(version))
    } finally {
      if (!isKept) question.drop(value)
    }
    return !isKept
  }

  function tellDeleted(version: Version): Promise<boolean> {
    return markers.tellDeleted(
      version,
      absent.map(({ at }) => at.provider),
    )
  }

  async function absenceOrLastResort(): Promise<Hit<T> | undefined> {
    if (await isAbsent()) return undefined
    const hit = options.allowStale && absent.length === 0 ? await tryOlder() : undefined
    if (hit !== undefined) return hit
    throw nobody(key, known.floor, [...failures.values()], older)
  }

  async function isAbsent(): Promise<boolean> {
    const proven = new Set([...absent, ...gone].map(({ at }) => at))
    const isUnanimous = proven.size === providers.length
    // What is known to exist is gone where a marker says so, or where it is missing everywhere and nothing of it is owed.
    if (known.isExpected && known.floor !== undefined) {
      const isLost = isUnanimous && !known.isOwed
      if (!isLost && !(await tellDeleted(known.floor))) return false
    }
    if (isUnanimous) return true
    if (options.absence === 'all') return false
    const [primary] = providers
    return known.isOpenDelete || (primary !== undefined && proven.has(primary) && isFilled(primary))
  }

  /** One that was added, or whose bucket was made anew, lacks what it was not given yet. */
  function isFilled({ id }: ReadProvider): boolean {
    return deps.journal.providers().find(row => row.id === id)?.isFilled !== false
  }

  /** The newest of what is older, or was kept for this; nothing that is known to be deleted. */
  async function tryOlder(): Promise<Hit<T> | undefined> {
    const { cached } = view
    const found = [...older]
    if (cached !== undefined && cached.version > (known.deleted ?? '')) {
      found.push({ version: cached.version, from: 'local', again: () => localAgain(cached) })
    }
    for (const { version, from, again } of found.sort((a, b) => (a.version > b.version ? -1 : 1))) {
      try {
        const hit = await again()
        if (hit === undefined) continue
        emit('stale', { key, version, from })
        return hit
      } catch (error) {
        noteFailure(from, error)
      }
    }
    return undefined
  }

  async function localAgain(held: WriteRow | CachedBody): Promise<Hit<T>> {
    return { value: await question.local(held), stale: true }
  }

  async function askAgain(place: RemotePlace, version: Version): Promise<Hit<T> | undefined> {
    const answer = await question.remote(place.at, patientMs, signal)
    if (answer !== undefined && answer.version >= version) return { value: answer.value, stale: true }
    if (answer !== undefined) question.drop(answer.value)
    return undefined
  }

  function noteVersion({ at }: RemotePlace, { object, version }: Answer<T>): void {
    if (version <= (view.newest ?? '')) return
    const theirNow = object.serverTime ?? clock.now()
    if (versionTime(version) <= theirNow + maxClockLeadMs) deps.observe(version)
    else emit('ahead', { key, version, provider: at.provider.name })
  }
}

function nameOf({ at }: RemotePlace): string {
  return at.provider.name
}
