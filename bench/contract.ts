/** What a row of the benchmark is made of. A row runs in a process of its own; what it is compared with runs in the same one, in turn with it. */

/** One way of doing something, measured again and again. */
export interface Contender {
  readonly name: string
  /** One round: does it, and says how much was done. What is not to be measured belongs before or after (`before`, `after`). */
  round(): Promise<Work>
  before?(): Promise<void>
  after?(): Promise<void>
}

export interface Work {
  /** Operations done; whatever the row counts. */
  readonly ops: number
  /** How long single ones took, milliseconds, where the row looks at that. */
  readonly latenciesMs?: readonly number[]
}

/** What was seen of one contender in one round. */
export interface Sample {
  readonly seconds: number
  readonly opsPerSecond: number
  /** Of this whole process, worker threads with it, user and system, microseconds. */
  readonly cpuUsPerOp: number
  /** Of the main thread, milliseconds; what it is held up for at most in 99 of 100 turns. */
  readonly loopP99Ms: number
  readonly p50Ms?: number
  readonly p99Ms?: number
}

/** The samples of all rounds, one per round, in order. */
export type Samples = ReadonlyMap<string, readonly Sample[]>

/** A number that the row is about, and what it should be. */
export interface Finding {
  readonly name: string
  readonly value: number
  /** '' for a ratio. */
  readonly unit: '' | 'ms' | 's' | 'MiB'
  readonly target: { readonly atLeast: number } | { readonly atMost: number }
  /** What it was made of: medians over the rounds, by name. */
  readonly from: Readonly<Record<string, Median>>
}

export interface Median {
  readonly opsPerSecond: number
  readonly cpuUsPerOp: number
  readonly loopP99Ms: number
  readonly p50Ms?: number
  readonly p99Ms?: number
}

export interface Row {
  /** As in docs/performance.md. */
  readonly id: number
  readonly name: string
  /** Rounds of each contender, after one that does not count. */
  readonly rounds: number
  run(place: Place, rounds: number): Promise<readonly Finding[]>
}

/** Where a row may work. */
export interface Place {
  /** An empty directory of its own on a real disk; removed afterwards. */
  readonly directory: string
  /** One line for whoever waits. */
  say(text: string): void
}

/** One row as it is printed and kept. */
export interface Outcome {
  readonly id: number
  readonly name: string
  /** Of the finding that is furthest from its target. */
  readonly ratio: number
  /** In words: ≥ 0.25. */
  readonly target: string
  readonly met: boolean
  readonly findings: readonly (Finding & { readonly met: boolean })[]
}
