/** What was started or made, to be put away in reverse order: however the demo ends. */
export interface Things {
  /** From now on, also while it is still being made. Resolves as `made` does. */
  keep<T>(made: Promise<T>, away: (thing: T) => Promise<void>): Promise<T>
  defer(away: () => Promise<void>): void
  /** Resolves when all is put away. What cannot be is left, and does not keep the rest. */
  putAway(): Promise<void>
}

export function things(): Things {
  const kept: (() => Promise<void>)[] = []
  let isClosed = false

  function defer(away: () => Promise<void>): void {
    // Whoever starts something while everything is being put away is too late.
    if (isClosed) away().catch(() => {})
    else kept.push(away)
  }

  return {
    defer,
    keep(made, away) {
      defer(async () => {
        const thing = await made.catch(() => undefined)
        if (thing !== undefined) await away(thing)
      })
      return made
    },
    async putAway() {
      isClosed = true
      for (let next = kept.pop(); next !== undefined; next = kept.pop()) {
        await next().catch(() => {})
      }
    },
  }
}
