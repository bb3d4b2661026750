import { keyOfName } from '../../core/encode.ts'
import type { Drift, ReconcileCounters } from '../../reconcile/types.ts'
import type { Holdfast } from '../holdfast.ts'
import type { ReconcileRun } from '../reconcile.ts'
import { keyed } from './names.ts'
import { inTurn, rangesOf } from './ranges.ts'

/** One range of names after the other, as one run. Differences and `cursor` have keys; `startAfter` takes a cursor back. */
export function encodedReconcile(inner: Holdfast, options: Parameters<Holdfast['reconcile']>[0]): ReconcileRun {
  const runs = rangesOf(options).map(each => inner.reconcile(each))
  const counters = (): ReconcileCounters => runs.map(each => each.counters).reduce(sum)
  const all = inTurn<Drift, ReconcileCounters, ReconcileCounters>(runs, keyed, () => keyedCounters(counters()))
  return {
    [Symbol.asyncIterator]: () => all[Symbol.asyncIterator](),
    // oxlint-disable-next-line unicorn/no-thenable -- a run is awaited for its result
    then: (onResult, onError) => all.then(onResult, onError),
    get counters() {
      return keyedCounters(counters())
    },
  }
}

function keyedCounters(counters: ReconcileCounters): ReconcileCounters {
  return { ...counters, cursor: keyOfName(counters.cursor) }
}

/** Counts of both; the position of the later one, where it has begun. */
function sum(a: ReconcileCounters, b: ReconcileCounters): ReconcileCounters {
  const added = Object.entries(b).map(([name, value]: [string, unknown]) => {
    const before: unknown = a[name as keyof ReconcileCounters]
    return [name, typeof value === 'number' && typeof before === 'number' ? value + before : value]
  })
  const listed = Object.entries(b.listed).map(([name, count]) => [name, count + (a.listed[name] ?? 0)])
  return {
    ...(Object.fromEntries(added) as unknown as ReconcileCounters),
    listed: Object.fromEntries(listed) as ReconcileCounters['listed'],
    cursor: b.cursor === '' ? a.cursor : b.cursor,
    guard: a.guard ?? b.guard,
  }
}
