import { HoldfastError } from '../core/errors.ts'
import type { Clock } from '../core/ports.ts'
import type { Journal } from '../journal/contract.ts'
import { type Answer, type AskDeps, askAll, withMarkers } from './ask.ts'
import { decide, type Verdict } from './decide.ts'
import type { FillState } from './fill-state.ts'
import { identityGate, listingFinding, stopped } from './guard.ts'
import { isBreak, type Row } from './join.ts'
import type { GuardFinding, Mend, Mended, Side } from './types.ts'

/** How often a key is tried, with all the waiting in between, before it is said to be impossible. */
const mostTries = 5
/** A provider that is to be left anyway is asked no more after it could not answer so many times in a row. */
const mostFailures = 3

export interface BringDeps {
  readonly journal: Pick<Journal, 'isOpenFor'>
  readonly clock: Clock
  readonly mend: Mend
  readonly state: FillState
  readonly to: Side
  readonly from: Side | undefined
  readonly deep: boolean
  /** Looks whether the buckets are still the same. */
  readonly identity: () => Promise<GuardFinding | undefined>
}

/** What goes on at a provider that is to be left is no reason to stop: it is gone on without. */
export class LeftOut extends Error {
  override name = 'LeftOut'
}

/** Finds out what a provider lacks under one key, and has it brought there. */
export interface Bringing {
  /**
   * Resolves when the key is dealt with. Rejects where a provider cannot be asked now, and should be asked later: then the key is not dealt with. LeftOut
   * where the one that is to be left does not answer. `listedAt`: when the listings were begun, by the monotonic clock.
   */
  bring(row: Row, sources: readonly Side[], listedAt: number, signal: AbortSignal): Promise<void>
}

export function bringing({ journal, clock, mend, state, to, from, deep, identity }: BringDeps): Bringing {
  const asking: AskDeps = { clock, deep, asked: () => {}, bytesRead: () => {} }
  const gate = identityGate(clock, async () => {
    const finding = await identity()
    if (finding !== undefined) throw stopped(finding)
  })
  const tries = new Map<string, number>()
  let failures = 0

  /** Of all that can be asked. What the one that is to be left does not say is not waited for. */
  function heard(answers: readonly Answer[]): readonly Answer[] {
    const mute = answers.find(({ side, error }) => side.id === from?.id && error !== undefined)
    if (mute === undefined) {
      if (answers.some(({ side }) => side.id === from?.id)) failures = 0
      return answers
    }
    if (++failures >= mostFailures) throw new LeftOut(mute.error?.message)
    return answers.filter(answer => answer !== mute)
  }

  async function verdictOf(row: Row, sources: readonly Side[], listedAt: number, signal: AbortSignal) {
    const { key, entries } = row
    const answers = heard(await askAll(asking, key, [...sources, to], signal))
    for (const { side, copy } of answers) {
      const index = sources.indexOf(side)
      if (copy === undefined || index < 0 || entries[index] !== undefined) continue
      const finding = listingFinding(side, copy.object, listedAt, clock)
      if (finding !== undefined) throw stopped(finding)
    }
    const policy = { now: clock.now(), leftovers: 'report' as const }
    const first = decide(key, answers, policy)
    if (first.is !== 'drift') return { verdict: first, answers }
    const marked = heard(await withMarkers(asking, key, answers, signal))
    return { verdict: decide(key, marked, policy), answers: marked }
  }

  /** Now, or never: a rejection means later. */
  function trouble(key: string, error: HoldfastError | undefined, why: string): void {
    const tried = (tries.get(key) ?? 0) + 1
    tries.set(key, tried)
    if (error !== undefined && isBreak(error) && tried < mostTries) throw error
    tries.delete(key)
    state.fail(key, why)
  }

  async function mended(
    verdict: Verdict & { readonly is: 'drift' },
    answers: readonly Answer[],
    signal: AbortSignal,
  ): Promise<void> {
    const { drift, mending } = verdict
    const { key } = drift
    if (mending === undefined) {
      const isElsewhere = drift.providers.some(
        ({ provider, has }) => provider !== to.provider.name && has !== 'nothing',
      )
      const isThere = drift.providers.some(({ provider, has }) => provider === to.provider.name && has === 'this')
      // What it alone has is left alone.
      if (isElsewhere && !isThere) state.fail(key, drift.why ?? 'nobody can tell what it should have')
      return
    }
    if (!mending.targets.includes(to.id)) return
    await gate()
    if (journal.isOpenFor(key, to.id)) return
    let outcome: Mended
    try {
      const { wanted } = mending
      const source = wanted.is === 'object' ? answers.find(({ side }) => side.id === wanted.source) : undefined
      const looked = source?.copy === undefined ? {} : { looked: source.copy.object }
      outcome = await mend({ ...mending, targets: [to.id], ...looked }, signal)
    } catch (error) {
      if (signal.aborted || !(error instanceof HoldfastError) || error.provider === undefined) throw error
      if (error.field === 'room') throw error
      trouble(key, error, error.message)
      return
    }
    if (outcome.is === 'queued') state.queued++
    else if (outcome.is === 'impossible') state.fail(key, outcome.why)
  }

  return {
    async bring(row, sources, listedAt, signal) {
      const { verdict, answers } = await verdictOf(row, sources, listedAt, signal)
      if (verdict.is === 'drift') await mended(verdict, answers, signal)
      if (verdict.is === 'unknown') {
        const failed = answers.find(({ error }) => error !== undefined)
        trouble(row.key, failed?.error, verdict.drift.why ?? '')
      }
      tries.delete(row.key)
    },
  }
}
