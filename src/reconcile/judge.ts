import { HoldfastError } from '../core/errors.ts'
import type { Journal } from '../journal/contract.ts'
import { type Answer, type AskDeps, askAll, withMarkers } from './ask.ts'
import type { Counting } from './counters.ts'
import { decide, type Verdict } from './decide.ts'
import { type GuardLimits, identityGate, listingFinding, manyFinding, stopped } from './guard.ts'
import type { Row } from './join.ts'
import type { ReconcileDeps, ReconcileTerms } from './terms.ts'
import type { Drift, GuardFinding, Mended, Mending } from './types.ts'

export interface JudgeDeps extends Pick<ReconcileDeps, 'clock' | 'mend'> {
  readonly journal: Pick<Journal, 'isOpen' | 'view'>
}

export interface JudgeTerms
  extends Pick<ReconcileTerms, 'sides' | 'repair' | 'deep' | 'leftovers' | 'mirrorsForeign' | 'confirm'> {
  readonly guard: GuardLimits
  /** Keys in all, as the survey counted them. */
  readonly keys: number
  /** When the listings were begun, by our monotonic clock. */
  readonly listedAt: number
  /** Looks whether the buckets are still the same. */
  readonly identity: () => Promise<GuardFinding | undefined>
}

/** Finds out about keys of which the listings prove nothing, and has them mended. */
export interface Judge {
  /** What there is to do about the key, if anything is; else it is counted at once. Rejects where the guard stops everything. */
  suspect(row: Row): Promise<Drift | undefined> | undefined
  /** Nothing was left as it is: everything that was found is the same everywhere, or on its way to be. */
  isClean(): boolean
}

/** `stop` is aborted, with the error as its reason, where the guard finds something. */
export function judge(
  { journal, clock, mend }: JudgeDeps,
  terms: JudgeTerms,
  counting: Counting,
  stop: AbortController,
  signal: AbortSignal,
): Judge {
  const { sides, repair, deep, leftovers, guard, keys, listedAt } = terms
  const asking: AskDeps = {
    clock,
    deep,
    asked: () => {
      counting.asked++
    },
    bytesRead: bytes => {
      counting.bytesRead += bytes
    },
  }
  const gate = identityGate(clock, async () => note(await terms.identity()))
  let isClean = true
  let begun = 0

  /** A repair ends with it; a look goes on, and says so. */
  function note(finding: GuardFinding | undefined): void {
    if (finding === undefined) return
    counting.guard ??= finding
    if (!repair) return
    const error = stopped(finding)
    stop.abort(error)
    throw error
  }

  function skip(key: string): undefined {
    counting.skipped++
    const open = journal.view(key).open?.replicas
    // A write that was accepted before a provider was added does not go there.
    if (!sides.every(({ id }) => open?.some(({ provider }) => provider === id) === true)) isClean = false
    return undefined
  }

  async function look(row: Row): Promise<Drift | undefined> {
    const { key } = row
    const verdict = await verdictOf(row)
    if (journal.isOpen(key)) return skip(key)
    if (verdict.is === 'unknown') {
      counting.unknown++
      isClean = false
      return verdict.drift
    }
    if (verdict.is === 'drift') {
      const drift = repair ? await mended(verdict.drift, verdict.mending) : verdict.drift
      return drift && told(drift)
    }
    counting.compared++
    return undefined
  }

  async function verdictOf({ key, entries }: Row): Promise<Verdict> {
    const answers = await askAll(asking, key, sides, signal)
    for (const [index, { side, copy }] of answers.entries()) {
      if (copy !== undefined && entries[index] === undefined) note(listingFinding(side, copy.object, listedAt, clock))
    }
    const policy = { now: clock.now(), leftovers }
    const first = decide(key, answers, policy)
    if (first.is !== 'drift') return first
    // Also where there is an object: it may be what a delete is about to take away.
    const marked: readonly Answer[] = await withMarkers(asking, key, answers, signal)
    return decide(key, marked, policy)
  }

  function told(drift: Drift): Drift {
    counting.compared++
    counting[drift.kind]++
    if (drift.repair === 'queued') counting.queued++
    else isClean = false
    if (drift.repair === 'impossible') counting.impossible++
    return drift
  }

  /** `undefined`: there is nothing to do any more, or replication does it. */
  async function mended(drift: Drift, mending: Mending | undefined): Promise<Drift | undefined> {
    if (mending === undefined) return drift
    if (drift.kind === 'foreign' && !terms.mirrorsForeign)
      return { ...drift, repair: 'none', why: 'it was written past Holdfast, and `foreign` is "report"' }
    begun++
    if (!terms.confirm) note(manyFinding(begun, keys, guard, 'are to be repaired'))
    await gate()
    if (journal.isOpen(mending.key)) return skip(mending.key)
    const outcome = await mendOr(mending)
    if (outcome.is === 'impossible') return { ...drift, repair: 'impossible', why: outcome.why }
    if (outcome.is === 'settled') return skip(mending.key)
    counting.bytesRead += outcome.bytes
    return { ...drift, repair: 'queued' }
  }

  /** A provider that fails stands in the way of this key; a journal that does, of everything. */
  async function mendOr(mending: Mending): Promise<Mended> {
    try {
      return await mend(mending, signal)
    } catch (error) {
      if (signal.aborted || !(error instanceof HoldfastError) || error.provider === undefined) throw error
      // Of all that are still to come the same would be said.
      if (error.field === 'room') throw error
      return { is: 'impossible', why: error.message }
    }
  }

  return {
    suspect: row => (journal.isOpen(row.key) ? skip(row.key) : look(row)),
    isClean: () => isClean,
  }
}
