import { HoldfastError } from '../core/errors.ts'
import { isLate } from '../core/late.ts'
import type { Clock } from '../core/ports.ts'
import type { Journal } from '../journal/contract.ts'
import { bit } from '../journal/masks.ts'
import { isProvenEqual } from './equal.ts'
import { bringing, LeftOut } from './fill-bring.ts'
import { fillState, teller } from './fill-state.ts'
import type { FillProgress, FillResult, FillTerms } from './fill-types.ts'
import { type Buckets, identityFinding, replacedFinding, stopped } from './guard.ts'
import { inOrder } from './in-order.ts'
import { isBreak, joined, type Row, type Rows } from './join.ts'
import type { Mend, Side } from './types.ts'

/** Keys that are asked for, or mended, at a time. */
const atATime = 16
/** How often it is said how far it is, ms. */
const tellEveryMs = 1_000
/** So often in a row it may be said that it got no further while nothing goes to the provider. */
const mostStuck = 3
/** How often it is looked whether everything arrived, ms. */
const lookEveryMs = 200
/** A provider that cannot be asked is asked again after a second, then after two, up to a minute: so many times without getting on, a quarter of an hour. */
const mostPauses = 20
const longestPauseMs = 60_000
const page = 1_000

export interface FillDeps {
  readonly journal: Pick<
    Journal,
    'isOpenFor' | 'include' | 'providers' | 'job' | 'saveJob' | 'counts' | 'blockedReplicas' | 'filled'
  >
  readonly clock: Clock
  /** Asks paced providers, as the comparison does; also mirrors what was written past Holdfast. */
  readonly mend: Mend
}

/**
 * Brings everything to one provider that the others have and it has not: what it lacks, has older, or has although it was deleted. What it alone has, and
 * what differs elsewhere, is left as it is. Yields every second how far it is; ends when everything that was queued is stored there, or blocked.
 *
 * Rejects with BLOCKED, field `guard`, where a bucket is not the one that it was, or a listing leaves out what is there; BLOCKED where nothing goes to the
 * provider; with a provider's error where one cannot be asked for a quarter of an hour; with the signal's reason. The position is kept then, as it is
 * where the iteration is left.
 */
export async function* fill(
  deps: FillDeps,
  terms: FillTerms,
  signal: AbortSignal,
): AsyncGenerator<FillProgress, FillResult, undefined> {
  const { journal, clock } = deps
  const { to, from, prefix } = terms
  const stop = new AbortController()
  const inner = AbortSignal.any([signal, stop.signal])
  const state = fillState(journal, terms, clock)
  const tell = teller(state, clock, () => waitingAt(journal, to.id))
  let sources = terms.sources
  const listed = () => [...sources, to].map(({ provider }) => provider)
  const begun: Buckets = new Map()
  const identity = () => identityFinding({ journal, clock, begun }, [...sources, to], () => {}, inner)
  const { bring } = bringing({ ...deps, ...terms, state, identity })

  const working = work()
  // Its failure is thrown below, when it is waited for.
  working.catch(() => {})
  let isOver = false
  let stuck = 0
  try {
    while (!isOver) {
      const { objects, cursor } = state
      isOver = !(await isLate(working, tellEveryMs, clock))
      yield tell()
      // The room for repairs is full of what waits for it.
      stuck = state.objects === objects && state.cursor === cursor && !isOver ? stuck + 1 : 0
      if (stuck >= mostStuck) demandUp()
    }
    return await working
  } finally {
    stop.abort(new Error('the run was left before its end'))
    await working.catch(() => {})
  }

  async function work(): Promise<FillResult> {
    try {
      inner.throwIfAborted()
      // What was accepted before the provider was there, and is not finished, is on local disk: it goes there like any other write.
      const included = await journal.include(to.id)
      state.objects += included.objects
      state.bytes += included.bytes
      await persevere()
      await arrived()
      const replaced = replacedFinding(journal, begun, [...sources, to])
      if (replaced !== undefined) throw stopped(replaced)
    } catch (error) {
      // Nothing is lost with it: the next run compares a little more than it had to.
      await keep().catch(() => {})
      throw error
    }
    const { objects, bytes, queued, failed, impossible, without } = state
    const filled = prefix === '' && impossible === 0 && (without.length === 0 || isVouchedFor())
    if (filled) await journal.filled(to.id)
    await state.forget()
    return { objects, bytes, queued, stored: queued - waitingAt(journal, to.id), impossible, failed, without, filled }
  }

  /** Of a bucket that another one was accepted for nothing is settled. Rejects where the journal is closed. */
  async function keep(): Promise<void> {
    const isReplaced = replacedFinding(journal, begun, [...sources, to]) !== undefined
    await (isReplaced ? state.forget() : state.keep())
  }

  /** Whether somebody who was asked has all that those have who were left out, as far as anybody knows. */
  function isVouchedFor(): boolean {
    const whole = new Set(journal.providers().flatMap(({ id, isFilled }) => (isFilled ? [id] : [])))
    return sources.some(({ id, isStale }) => whole.has(id) && !isStale)
  }

  /** Goes through the listings, from the beginning of what is not settled, until their end is reached. */
  async function persevere(): Promise<void> {
    let pauses = 0
    for (let reached = state.cursor; ; reached = state.cursor) {
      try {
        return await pass()
      } catch (error) {
        if (inner.aborted) throw error
        if (isOfFrom(error)) {
          state.leaveOut(from?.provider.name ?? '')
          sources = sources.filter(side => side !== from)
          continue
        }
        if (state.cursor !== reached) pauses = 0
        if (!isBreak(error) || pauses >= mostPauses) throw error
        await clock.sleep(Math.min(longestPauseMs, 1_000 * 2 ** pauses++), inner)
      }
    }
  }

  function isOfFrom(error: unknown): boolean {
    if (from === undefined || !sources.includes(from)) return false
    if (error instanceof LeftOut) return true
    // Of one that answers, and whose listing leaves things out, nobody knows what would be left behind.
    return error instanceof HoldfastError && error.provider === from.provider.name && error.rule !== 'listing'
  }

  async function pass(): Promise<void> {
    const finding = await identity()
    if (finding !== undefined) throw stopped(finding)
    const ending = new AbortController()
    const passing = AbortSignal.any([inner, ending.signal])
    const listedAt = clock.monotonic()
    const range = { prefix, startAfter: state.cursor }
    const counting = state.lacking === undefined ? count(passing) : undefined
    const asked = sources
    await using rows: Rows = joined(listed(), range, clock, passing)

    const work = (row: Row): Promise<undefined> | undefined => {
      if (!terms.deep && !lacks(row)) return undefined
      return deal(row)
    }
    const deal = async (row: Row): Promise<undefined> => {
      // On its way anyhow: counted above, or written since.
      if (journal.isOpenFor(row.key, to.id)) return
      await bring(row, asked, listedAt, passing)
      state.objects++
      state.bytes += sizeOf(row)
    }
    try {
      // Nothing comes out: what there is to say is counted.
      for await (const _ of inOrder({
        rows,
        work,
        settled: state.reached,
        most: atATime,
        stop: ending,
        signal: passing,
      }));
      const { objects, bytes, before } = state
      state.lacking = { objects: objects - before.objects, bytes: bytes - before.bytes }
    } finally {
      ending.abort()
      await counting
    }
  }

  /** What the listings show to be lacking, beside the work. Without it nobody knows how much is left; nothing else depends on it. */
  async function count(passing: AbortSignal): Promise<void> {
    const lacking = { objects: 0, bytes: 0 }
    const before = { objects: state.objects, bytes: state.bytes }
    try {
      await using rows: Rows = joined(listed(), { prefix, startAfter: state.cursor }, clock, passing)
      for (let part = await rows.next(); part !== undefined; part = await rows.next()) {
        for (const row of part) {
          if (!terms.deep && !lacks(row)) continue
          lacking.objects++
          lacking.bytes += sizeOf(row)
        }
      }
      state.lacking ??= {
        objects: before.objects - state.before.objects + lacking.objects,
        bytes: before.bytes - state.before.bytes + lacking.bytes,
      }
    } catch {
      // The work lists the same, and says what is wrong.
    }
  }

  /** Rejects where nothing goes to the provider until somebody does something about it. */
  function demandUp(): void {
    const health = journal.providers().find(({ id }) => id === to.id)?.health
    if (health?.state !== 'blocked') return
    throw new HoldfastError('BLOCKED', `nothing goes to ${to.provider.name}: ${health.message ?? health.reason}`, {
      provider: to.provider.name,
      ...(health.reason === undefined ? {} : { reason: health.reason }),
      retryable: false,
    })
  }

  /** Resolves when everything that was queued for the provider is there; what is blocked is said to be impossible. */
  async function arrived(): Promise<void> {
    while (waitingAt(journal, to.id) > 0) {
      demandUp()
      await clock.sleep(lookEveryMs, inner)
    }
    for (let after = 0, isMore = true; isMore; ) {
      const blocked = journal.blockedReplicas({ after, limit: page, owed: [], provider: to.id })
      for (const { key, message = '', reason } of blocked)
        if (key.startsWith(prefix)) state.fail(key, `blocked (${reason}): ${message}`)
      after = blocked.at(-1)?.seq ?? after
      isMore = blocked.length > 0
    }
  }
}

/** Whether the listings leave it open whether the last of the providers has what the others have. */
export function lacks({ entries }: Row): boolean {
  const there = entries.filter(entry => entry !== undefined)
  return entries.at(-1) === undefined || there.length === 1 || !isProvenEqual(there)
}

/** Of what is to be brought: the first of the others that lists it is as good a guess as any. */
export function sizeOf({ entries }: Row): number {
  return entries.find(entry => entry !== undefined)?.size ?? 0
}

/** Repairs that wait to go to a provider. */
function waitingAt(journal: Pick<Journal, 'counts'>, id: number): number {
  let writes = 0
  for (const group of journal.counts().groups)
    if (group.origin === 'repair' && group.state === 'open' && (group.waiting & bit(id)) !== 0) writes += group.writes
  return writes
}

/** The sides of a fill, in the order in which they are believed: who is to be left comes last. */
export function ordered(sides: readonly Side[], to: Side, from: Side | undefined): readonly Side[] {
  const others = sides.filter(side => side !== to && side !== from)
  return from === undefined ? others : [...others, from]
}
