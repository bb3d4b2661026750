import { after } from '../core/after.ts'
import type { Clock } from '../core/ports.ts'

/** Something to wait for that many may ring: a ring while nobody waits is not lost. */
export interface Bell {
  ring(): void
  /**
   * Resolves at the next ring, or after `ms`, or when the signal aborts; never rejects. Rings that come together are one, and by the machine's own clock so are those
   * that come within `restMs` after whoever waits was last let go. Does not keep the process alive.
   */
  wait(ms: number, signal: AbortSignal, restMs?: number): Promise<void>
}

export function bell(clock: Clock): Bell {
  let rung = false
  let wake: (() => void) | undefined
  let wokenAt = Number.NEGATIVE_INFINITY
  return {
    ring() {
      rung = true
      wake?.()
    },
    async wait(ms, signal, restMs = 0) {
      if (!rung && !signal.aborted && ms > 0) {
        const { promise, resolve } = Promise.withResolvers<void>()
        wake = resolve
        await elapsed(clock, ms, signal, promise)
        wake = undefined
      }
      // A commit answers many at once: whoever is woken looks once for all of them, and lets others have their turn first.
      if (clock.turn !== undefined) {
        const rest = wokenAt + restMs - clock.monotonic()
        if (rest > 0 && !signal.aborted) await elapsed(clock, rest, signal)
        else await clock.turn()
        wokenAt = clock.monotonic()
      }
      rung = false
    },
  }
}

/** Until so long has passed, the signal aborts, or `sooner` resolves. */
function elapsed(clock: Clock, ms: number, signal: AbortSignal, sooner?: Promise<void>): Promise<void> {
  return new Promise(resolve => {
    const stop = Number.isFinite(ms) ? after(clock, ms, end) : undefined
    signal.addEventListener('abort', end, { once: true })
    void sooner?.then(end)
    function end(): void {
      stop?.()
      signal.removeEventListener('abort', end)
      resolve()
    }
  })
}
