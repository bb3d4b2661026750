import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Contender, Finding, Median, Sample, Samples } from './contract.ts'

/**
 * Runs the contenders in turn, round by round, each round beginning with the next one of them, so that whatever else the machine does meets all of them alike. The
 * first round is not counted.
 */
export async function inTurn(
  contenders: readonly Contender[],
  rounds: number,
  say: (text: string) => void,
): Promise<Samples> {
  const samples = new Map<string, Sample[]>(contenders.map(({ name }) => [name, []]))
  for (let round = 0; round <= rounds; round++) {
    for (let i = 0; i < contenders.length; i++) {
      const contender = contenders[(i + round) % contenders.length] as Contender
      const sample = await measured(contender)
      if (round > 0) samples.get(contender.name)?.push(sample)
      say(`${round === 0 ? 'warm-up' : `round ${round}`}: ${contender.name} ${Math.round(sample.opsPerSecond)}/s`)
    }
  }
  return samples
}

/** One round of one contender. */
export async function measured(contender: Contender): Promise<Sample> {
  await contender.before?.()
  // What the one before left for the collector is not for this one to pay.
  globalThis.gc?.()
  const loop = monitorEventLoopDelay({ resolution: loopResolutionMs })
  loop.enable()
  // It counts from its first turn on.
  await sleep(2 * loopResolutionMs)
  const cpu = process.cpuUsage()
  const started = performance.now()
  const { ops, latenciesMs } = await contender.round()
  const seconds = (performance.now() - started) / 1000
  const { user, system } = process.cpuUsage(cpu)
  // A round that never let the loop turn is seen only when it does.
  await sleep(2 * loopResolutionMs)
  loop.disable()
  await contender.after?.()
  return {
    seconds,
    opsPerSecond: ops / seconds,
    cpuUsPerOp: (user + system) / ops,
    // It measures the sleep of its own timer too.
    loopP99Ms: Math.max(0, loop.percentile(99) / 1e6 - loopResolutionMs),
    ...(latenciesMs === undefined ? {} : { p50Ms: quantile(latenciesMs, 0.5), p99Ms: quantile(latenciesMs, 0.99) }),
  }
}

const loopResolutionMs = 1

/** 0 <= q <= 1; NaN of nothing. */
export function quantile(values: readonly number[], q: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN
}

export const median = (values: readonly number[]): number => {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1
    ? (sorted[middle] as number)
    : ((sorted[middle - 1] ?? Number.NaN) + (sorted[middle] ?? Number.NaN)) / 2
}

export function medianOf(samples: readonly Sample[]): Median {
  const of = (pick: (sample: Sample) => number | undefined) => {
    const values = samples.map(pick).filter(value => value !== undefined)
    return values.length === 0 ? undefined : median(values)
  }
  const p50Ms = of(sample => sample.p50Ms)
  const p99Ms = of(sample => sample.p99Ms)
  return {
    opsPerSecond: of(sample => sample.opsPerSecond) ?? Number.NaN,
    cpuUsPerOp: of(sample => sample.cpuUsPerOp) ?? Number.NaN,
    loopP99Ms: of(sample => sample.loopP99Ms) ?? Number.NaN,
    ...(p50Ms === undefined ? {} : { p50Ms }),
    ...(p99Ms === undefined ? {} : { p99Ms }),
  }
}

/** The median over the rounds of what `one` is to `other` in the same round. */
export function ratioOf(
  samples: Samples,
  one: string,
  other: string,
  pick: (sample: Sample) => number = sample => sample.opsPerSecond,
): number {
  const [ours, theirs] = [samples.get(one) ?? [], samples.get(other) ?? []]
  return median(ours.map((sample, round) => pick(sample) / pick(theirs[round] as Sample)))
}

/** A finding that is a ratio of two contenders. */
export function comparison(
  samples: Samples,
  [one, other]: readonly [string, string],
  target: Finding['target'],
  { name = `${one} / ${other}`, pick }: { readonly name?: string; readonly pick?: (sample: Sample) => number } = {},
): Finding {
  return { name, value: ratioOf(samples, one, other, pick), unit: '', target, from: mediansOf(samples, [one, other]) }
}

export function mediansOf(samples: Samples, names: readonly string[] = [...samples.keys()]): Record<string, Median> {
  return Object.fromEntries(names.map(name => [name, medianOf(samples.get(name) ?? [])]))
}

/** Runs `task` for 0, 1, … `count` - 1, so many at a time. Answers how long each took, milliseconds. */
export async function manyAtATime(
  count: number,
  atATime: number,
  task: (i: number) => Promise<unknown>,
): Promise<number[]> {
  const latencies: number[] = []
  let next = 0
  const one = async () => {
    while (next < count) {
      const i = next++
      const started = performance.now()
      await task(i)
      latencies.push(performance.now() - started)
    }
  }
  await Promise.all(Array.from({ length: Math.min(atATime, count) }, one))
  return latencies
}
