import { after } from '../core/after.ts'
import type { Clock } from '../core/ports.ts'

/**
 * Resolves for all who ask within `everyMs` at the same moment, and at once for whoever asks after a time of silence. What they do then shares a commit: a
 * journal that commits for each of them by itself writes the same pages again and again. Only the machine's own clock makes anybody wait.
 */
export function together(clock: Clock, everyMs: number): () => Promise<void> {
  let next: Promise<void> | undefined
  let lastAt = Number.NEGATIVE_INFINITY
  const at = (ms: number): Promise<void> =>
    new Promise(resolve => {
      after(clock, ms, () => {
        lastAt = clock.monotonic()
        next = undefined
        resolve()
      })
    })
  return async () => {
    if (clock.turn === undefined) return
    await (next ??= at(Math.max(0, lastAt + everyMs - clock.monotonic())))
  }
}
