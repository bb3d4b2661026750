import { keyOfName } from '../../core/encode.ts'
import type { Run } from '../../core/run.ts'
import type { FillEstimate } from '../../reconcile/fill-estimate.ts'
import type { FillProgress, FillResult } from '../../reconcile/fill-types.ts'
import type { EstimateOptions } from '../input/fill.ts'
import { keyed, told } from './names.ts'
import { inTurn, rangesOf } from './ranges.ts'

/** One range of names after the other, as one run. The progress is that of the range; the result is of all, with keys. */
export function encodedFill<Options extends { readonly prefix?: string }>(
  options: Options,
  begin: (options: Options) => Run<FillProgress, FillResult>,
): Run<FillProgress, FillResult> {
  // What is no options object is passed on, to be refused.
  const runs = rangesOf(options).map(each => begin(each as Options))
  return inTurn<FillProgress, FillResult, FillResult>(
    runs,
    progress => ({ ...progress, cursor: keyOfName(progress.cursor) }),
    results => results.reduce(sum, nothing),
  )
}

const nothing: FillResult = {
  objects: 0,
  bytes: 0,
  queued: 0,
  stored: 0,
  impossible: 0,
  failed: [],
  without: [],
  filled: true,
}

function sum(a: FillResult, b: FillResult): FillResult {
  return {
    objects: a.objects + b.objects,
    bytes: a.bytes + b.bytes,
    queued: a.queued + b.queued,
    stored: a.stored + b.stored,
    impossible: a.impossible + b.impossible,
    failed: [...a.failed, ...b.failed.map(keyed)],
    without: [...new Set([...a.without, ...b.without])],
    filled: a.filled && b.filled,
  }
}

/** Of all ranges together: an estimate is a sum, but for the prices. */
export async function encodedEstimate(
  options: EstimateOptions,
  ask: (options: EstimateOptions) => Promise<FillEstimate>,
): Promise<FillEstimate> {
  const estimates: FillEstimate[] = []
  for (const each of rangesOf(options)) estimates.push(await told(ask(each as EstimateOptions)))
  return estimates.reduce(both)
}

function both(a: FillEstimate, b: FillEstimate): FillEstimate {
  return {
    objects: a.objects + b.objects,
    bytes: a.bytes + b.bytes,
    listed: counted(a.listed, b.listed),
    requests: Object.fromEntries(
      Object.entries(a.requests).map(([name, counts]) => [name, counted(counts, b.requests[name] ?? counts)]),
    ),
    egressBytes: counted(a.egressBytes, b.egressBytes),
    seconds: a.seconds + b.seconds,
    money: {
      egress: a.money.egress + b.money.egress,
      requests: a.money.requests + b.money.requests,
      total: a.money.total + b.money.total,
    },
    prices: a.prices,
    without: [...new Set([...a.without, ...b.without])],
  }
}

/** What is counted under the same name, added up. */
function counted<Counts extends object>(x: Counts, y: Counts): Counts {
  const others = new Map<string, number>(Object.entries(y))
  const sums = Object.entries(x).map(([name, count]: [string, number]) => [name, count + (others.get(name) ?? 0)])
  return Object.fromEntries(sums) as Counts
}
