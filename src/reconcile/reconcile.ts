import type { Counting } from './counters.ts'
import { isProvenEqual } from './equal.ts'
import { type Buckets, count, emptySurvey, identityFinding, replacedFinding, stopped, surveyFinding } from './guard.ts'
import { inOrder } from './in-order.ts'
import { joined, type Row, type Rows } from './join.ts'
import { judge } from './judge.ts'
import { positionOf } from './position.ts'
import type { ReconcileDeps, ReconcileTerms } from './terms.ts'
import type { Drift, ReconcileCounters } from './types.ts'
import { settleSides } from './whole.ts'

/** Keys that are asked for, or mended, at a time. */
const atATime = 16

/**
 * Compares what the providers have, key by key, and yields where they differ; with `repair` it queues what makes them equal. `counting` is kept up to
 * date. Keys about which the listings agree cost nothing else.
 *
 * Rejects with BLOCKED, field `guard`, where a repair looks like a mass change; with a provider's error where it cannot be listed; with the signal's
 * reason. The position is kept then, as it is where the iteration is left.
 */
export async function* reconcile(
  deps: ReconcileDeps,
  terms: ReconcileTerms,
  counting: Counting,
  signal: AbortSignal,
): AsyncGenerator<Drift, ReconcileCounters, undefined> {
  const { journal, clock } = deps
  const { sides, prefix, repair } = terms
  const position = positionOf(journal, `reconcile/${prefix}`, kindOf(terms), clock)
  const range = { prefix, startAfter: terms.resume ? position.saved : terms.startAfter }
  const stop = new AbortController()
  const inner = AbortSignal.any([signal, stop.signal])
  const begun: Buckets = new Map()
  const identity = () => identityFinding({ journal, clock, begun }, sides, () => counting.asked++, inner)
  const list = () =>
    joined(
      sides.map(({ provider }) => provider),
      range,
      clock,
      inner,
    )
  counting.cursor = range.startAfter
  let isClean: boolean

  try {
    inner.throwIfAborted()
    // What an earlier run settled is no part of one that begins anew.
    if (!terms.resume && position.saved !== '') await position.forget()
    counting.guard = await identity()
    if (repair) await survey()
    isClean = yield* compare()
    const replaced = repair ? replacedFinding(journal, begun, sides) : undefined
    if (replaced !== undefined) throw stopped(replaced)
  } finally {
    stop.abort()
    // Nothing is lost with it: the next run compares a little more than it had to.
    await keep().catch(() => {})
  }
  await position.forget()
  const isWhole = terms.isEverybody && prefix === '' && range.startAfter === ''
  if (repair && isWhole && isClean) await settleSides(deps, sides, signal)
  return { ...counting, listed: { ...counting.listed } }

  /** Of a bucket that another one was accepted for nothing is settled. Rejects where the journal is closed. */
  async function keep(): Promise<void> {
    const isReplaced = replacedFinding(journal, begun, sides) !== undefined
    await (isReplaced ? position.forget() : position.keep())
  }

  /** The listings alone, before anything is done. */
  async function survey(): Promise<void> {
    if (counting.guard !== undefined) throw stopped(counting.guard)
    const seen = emptySurvey(sides.length)
    await using rows: Rows = list()
    for (let part = await rows.next(); part !== undefined; part = await rows.next()) {
      for (const row of part) count(seen, row, journal.isOpen)
      counting.surveyed = seen.keys
    }
    counting.guard = surveyFinding(seen, sides, terms.guard)
    if (counting.guard !== undefined && !terms.confirm) throw stopped(counting.guard)
  }

  /** Whether nothing was left as it is. */
  async function* compare(): AsyncGenerator<Drift, boolean, undefined> {
    const seen = emptySurvey(sides.length)
    const names = sides.map(({ provider }) => provider.name)
    const listedAt = clock.monotonic()
    const judging = judge(deps, { ...terms, keys: counting.surveyed, listedAt, identity }, counting, stop, inner)
    await using rows: Rows = list()

    const work = (row: Row): Promise<Drift | undefined> | undefined => {
      count(seen, row, journal.isOpen)
      for (let index = 0; index < names.length; index++)
        counting.listed[names[index] as string] = seen.listed[index] ?? 0
      const mayDiffer = terms.attributes || terms.deep || !isProvenEqual(row.entries)
      if (mayDiffer) return judging.suspect(row)
      counting.compared++
      return undefined
    }
    const settled = (key: string) => {
      counting.cursor = key
      return position.reached(key)
    }
    yield* inOrder({ rows, work, settled, most: atATime, stop, signal: inner })
    // What would have stopped a repair.
    if (!repair) counting.guard ??= surveyFinding(seen, sides, terms.guard)
    return judging.isClean()
  }
}

/** What two runs have to have in common for one to go on where the other was. */
function kindOf({ sides, repair, attributes, deep, leftovers }: ReconcileTerms): string {
  const ids = sides.map(({ id }) => id).join()
  return [repair ? 'repair' : 'look', attributes ? 'attributes' : '', deep ? 'deep' : '', leftovers, ids].join(' ')
}
