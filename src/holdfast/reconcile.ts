import type { Clock } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import { type Run, run } from '../core/run.ts'
import type { Journal } from '../journal/contract.ts'
import { newCounting } from '../reconcile/counters.ts'
import { pacedProviders } from '../reconcile/pace.ts'
import { reconcile } from '../reconcile/reconcile.ts'
import { resumedScrub } from '../reconcile/scrub-state.ts'
import type { Drift, Mend, ReconcileCounters, Side } from '../reconcile/types.ts'
import type { Doubt } from './doubt.ts'
import { type CheckedReconcile, checkReconcile, type Pacing } from './input/reconcile.ts'

/** Of `reconcile`: iterate it for the differences, or await it for the counters at its end. */
export interface ReconcileRun extends Run<Drift, ReconcileCounters> {
  /** How far it is, at any moment. */
  readonly counters: ReconcileCounters
}

/** What comparing stands on. */
export interface CompareDeps {
  readonly journal: Journal
  readonly doubt: Pick<Doubt, 'until' | 'look'>
  readonly clock: Clock
  /** In the order of the options, guarded: no call of them hangs. */
  readonly providers: readonly { readonly id: number; readonly provider: Provider }[]
  readonly mirrorsForeign: boolean
  /** Queues repairs, asking these providers. `mirrorsForeign`: instead of what the options say. */
  readonly mendWith: (sides: readonly Side[], mirrorsForeign?: boolean) => Mend
  readonly closing: AbortSignal
}

/** Keeps `close` waiting until a step is over; rejects with CLOSED after `close`. */
export type Begin = <T>(call: () => Promise<T>) => Promise<T>

/** The options are looked at now; what is wrong with them rejects when the run is begun. */
export function reconcileRun(deps: CompareDeps, begin: Begin, options: unknown): ReconcileRun {
  const all = deps.providers.map(({ provider }) => provider)
  const checked = attempt(() => checkReconcile(options, all))
  const names = ('value' in checked ? checked.value.providers : all).map(({ name }) => name)
  const counting = newCounting(names, 'value' in checked ? checked.value.startAfter : '')
  const begun = run(() => stepwise(begin, () => work(deps, value(checked), counting)))
  return Object.assign(begun, { counters: counting })
}

async function* work(
  deps: CompareDeps,
  checked: CheckedReconcile,
  counting: ReturnType<typeof newCounting>,
): AsyncGenerator<Drift, ReconcileCounters, undefined> {
  const { journal, clock, mendWith, mirrorsForeign, closing } = deps
  const { signal: given, providers, pace, ...terms } = checked
  const signal = given === undefined ? closing : AbortSignal.any([closing, given])
  await deps.doubt.look(signal)
  const sides = sidesOf(deps, providers, pace)
  const isEverybody = sides.length === deps.providers.length
  const tools = { journal, clock, mend: mendWith(sides) }
  const result = yield* reconcile(tools, { ...terms, sides, isEverybody, mirrorsForeign }, counting, signal)
  // A repair of everything that went through to its end is what a scrub that was stopped waits for.
  const isWhole = isEverybody && terms.prefix === '' && (terms.resume || terms.startAfter === '')
  const resumed = terms.repair && isWhole ? resumedScrub(journal.job('scrub'), clock.now()) : undefined
  if (resumed !== undefined) await journal.saveJob('scrub', resumed)
  // Whom it made good again is believed at once, and not from the next day on.
  if (terms.repair) await deps.doubt.look(signal)
  return result
}

/** These providers, paced, with what the journal knows of them. */
export function sidesOf(
  { journal, doubt, clock, providers: all }: Pick<CompareDeps, 'journal' | 'doubt' | 'clock' | 'providers'>,
  wanted: readonly Provider[],
  pace: Pacing,
): readonly Side[] {
  const rows = new Map(journal.providers().map(row => [row.id, row]))
  const chosen = all.filter(({ provider }) => wanted.includes(provider))
  const paced = pacedProviders(
    chosen.map(({ provider }) => provider),
    { clock, ...pace },
  )
  return chosen.map(({ id, provider }, index) => ({
    id,
    provider: paced[index] ?? provider,
    isStale: rows.get(id)?.isStale === true || doubt.until(id) !== undefined,
  }))
}

/** The same work, each step of which `close` waits for; between steps nothing does. */
export async function* stepwise<P, R>(
  begin: Begin,
  start: () => AsyncGenerator<P, R, undefined>,
): AsyncGenerator<P, R, undefined> {
  let made: AsyncGenerator<P, R, undefined> | undefined
  const steps = async () => {
    made ??= start()
    return made.next()
  }
  try {
    let step = await begin(steps)
    while (step.done !== true) {
      yield step.value
      step = await begin(steps)
    }
    return step.value
  } finally {
    await made?.return(undefined as R)
  }
}

type Attempt<T> = { readonly value: T } | { readonly error: unknown }

function attempt<T>(call: () => T): Attempt<T> {
  try {
    return { value: call() }
  } catch (error) {
    return { error }
  }
}

function value<T>(attempted: Attempt<T>): T {
  if ('error' in attempted) throw attempted.error
  return attempted.value
}
