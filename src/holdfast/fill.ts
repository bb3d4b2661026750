import { type Run, run } from '../core/run.ts'
import { estimate, type FillEstimate } from '../reconcile/fill-estimate.ts'
import { fill, ordered } from '../reconcile/fill.ts'
import type { FillProgress, FillResult } from '../reconcile/fill-types.ts'
import type { Side } from '../reconcile/types.ts'
import { checkBackfill, type CheckedFill, checkEstimate, checkEvacuate } from './input/fill.ts'
import { type Begin, type CompareDeps, sidesOf, stepwise } from './reconcile.ts'
import type { Waiting } from './waiting.ts'

/** What filling a provider stands on. */
export interface FillingDeps extends CompareDeps {
  readonly waiting: Waiting
  /** Bytes of `maxStageBytes` that repairs may take. */
  readonly roomBytes: number
  readonly holdMs: number
}

/** See `Holdfast.backfill`. */
export function backfillRun(deps: FillingDeps, begin: Begin, options: unknown): Run<FillProgress, FillResult> {
  return run(() => stepwise(begin, () => work(deps, checkBackfill(options, providersOf(deps)))))
}

/** See `Holdfast.evacuate`. */
export function evacuateRun(deps: FillingDeps, begin: Begin, options: unknown): Run<FillProgress, FillResult> {
  return run(() => stepwise(begin, () => work(deps, checkEvacuate(options, providersOf(deps), namesOf(deps)))))
}

/** See `Holdfast.estimate`. */
export async function estimated(deps: FillingDeps, options: unknown): Promise<FillEstimate> {
  const { prices, ...checked } = checkEstimate(options, providersOf(deps), namesOf(deps))
  const { prefix, pace } = checked
  const { roomBytes, holdMs, clock } = deps
  await deps.doubt.look(signalOf(deps, checked))
  return estimate(
    { ...partsOf(deps, checked), prefix, prices, ...pace, roomBytes, holdMs },
    clock,
    signalOf(deps, checked),
  )
}

async function* work(deps: FillingDeps, checked: CheckedFill): AsyncGenerator<FillProgress, FillResult, undefined> {
  const { journal, clock, mendWith, waiting } = deps
  const { prefix, resume, deep } = checked
  await deps.doubt.look(signalOf(deps, checked))
  const parts = partsOf(deps, checked)
  const mend = mendWith([...parts.sources, parts.to], true)
  const done = new AbortController()
  // Somebody waits for the end: the process is to live as long. Where the directory takes nothing more, what is waited for would never come.
  const broken = new AbortController()
  const alive = waiting.until(() => undefined, done.signal).catch((error: unknown) => broken.abort(error))
  const signal = AbortSignal.any([signalOf(deps, checked), broken.signal])
  try {
    return yield* fill({ journal, clock, mend }, { ...parts, prefix, resume, deep }, signal)
  } finally {
    done.abort()
    await alive
  }
}

/** Who is filled, from whom, and who is left out from the beginning: whoever left the options, or lets nobody in. */
function partsOf(deps: FillingDeps, { to: target, from: leaving, pace }: CheckedFill) {
  const sides = sidesOf(deps, providersOf(deps), pace)
  const to = sides.find(({ provider }) => provider.name === target.name) as Side
  const isBlocked = deps.journal
    .providers()
    .some(({ id, health }) => health?.state === 'blocked' && sideNamed(sides, leaving)?.id === id)
  const from = isBlocked ? undefined : sideNamed(sides, leaving)
  const sources = ordered(
    sides.filter(({ provider }) => provider.name !== leaving || from !== undefined),
    to,
    from,
  )
  return { to, from, sources, without: leaving !== undefined && from === undefined ? [leaving] : [] }
}

function sideNamed(sides: readonly Side[], name: string | undefined): Side | undefined {
  return sides.find(({ provider }) => provider.name === name)
}

function providersOf({ providers }: FillingDeps) {
  return providers.map(({ provider }) => provider)
}

/** Also of providers that left the options. */
function namesOf(deps: FillingDeps): readonly string[] {
  return [...new Set([...providersOf(deps), ...deps.journal.providers()].map(({ name }) => name))]
}

function signalOf({ closing }: FillingDeps, { signal }: CheckedFill): AbortSignal {
  return signal === undefined ? closing : AbortSignal.any([closing, signal])
}
