/** One key of sorted work. */
interface Pending<T> {
  /** When it is settled, everything up to this key is. */
  upTo: string
  isDone: boolean
  readonly outcome: Promise<T | undefined>
}

export interface InOrder<Row, T> {
  /** Some at a time. */
  readonly rows: { next(): Promise<readonly Row[] | undefined> }
  /** What there is to do for a row; nothing for most. It may begin before what was begun earlier has ended. */
  readonly work: (row: Row) => Promise<T | undefined> | undefined
  /** Everything up to this key is settled, what came of it was taken. Awaited where it answers a promise. */
  readonly settled: (key: string) => Promise<void> | undefined
  /** Pieces of work at a time. */
  readonly most: number
  /** Aborted when the iteration is left: ends work that is under way. */
  readonly stop: AbortController
  /** Ends it with its reason. */
  readonly signal: AbortSignal
}

/**
 * Works through sorted rows, several at a time, and gives what comes of them in the order of the rows. What is settled never runs ahead of work that
 * is under way, nor of an outcome that nobody has taken yet.
 */
export async function* inOrder<Row extends { readonly key: string }, T>(
  options: InOrder<Row, T>,
): AsyncGenerator<T, void, undefined> {
  const { rows, work, settled, most, stop, signal } = options
  const queue: Pending<T>[] = []

  try {
    for (let part = await rows.next(); part !== undefined; part = await rows.next()) {
      let passed: string | undefined
      for (const row of part) {
        const outcome = work(row)
        const last = queue.at(-1)
        if (outcome !== undefined) queue.push(pending(row.key, outcome))
        else if (last !== undefined) last.upTo = row.key
        else passed = row.key
        while (queue[0]?.isDone === true || queue.length >= most) yield* first()
      }
      if (queue.length === 0 && passed !== undefined) await settled(passed)
    }
    while (queue.length > 0) yield* first()
  } finally {
    stop.abort()
    await Promise.allSettled(queue.map(({ outcome }) => outcome))
  }

  async function* first(): AsyncGenerator<T, void, undefined> {
    const [head] = queue
    if (head === undefined) return
    const outcome = await head.outcome
    if (outcome !== undefined) yield outcome
    queue.shift()
    await settled(head.upTo)
    // Also where the rest was begun before: whoever aborts wants no more of it.
    signal.throwIfAborted()
  }
}

function pending<T>(key: string, outcome: Promise<T | undefined>): Pending<T> {
  const made = { upTo: key, isDone: false, outcome }
  const done = (): void => {
    made.isDone = true
  }
  // Also so that a failure that is not waited for yet is nobody's unhandled rejection.
  outcome.finally(done).catch(() => {})
  return made
}
