import type { Clock } from '../core/ports.ts'

/** Something to wait for that many may ring: a ring while nobody waits is not lost. */
export interface Bell {
  ring(): void
  /** Resolves at the next ring, or after `ms`, or when the signal aborts; never rejects. Rings that come together are one. Does not keep the process alive. */
  wait(ms: number, signal: AbortSignal): Promise<void>
}

export function bell(clock: Clock): Bell {
  let rung = false
  let wake: (() => void) | undefined
  return {
    ring() {
      rung = true
      wake?.()
    },
    async wait(ms, signal) {
      if (!rung && !signal.aborted && ms > 0) {
        const stop = new AbortController()
        const woken = new Promise<void>(resolve => {
          wake = resolve
        })
        const slept = Number.isFinite(ms)
          ? clock.sleep(ms, AbortSignal.any([stop.signal, signal]))
          : aborted(AbortSignal.any([stop.signal, signal]))
        // A sleep that is cut short rejects with the reason of the cut; here any end of waiting is as good as another.
        await Promise.race([woken, slept.catch(() => {})])
        // With a reason that costs nothing: without one, an error with a stack is made for nobody, at each turn of each lane.
        stop.abort('woken')
        wake = undefined
      }
      // A commit answers many at once: whoever is woken looks once for all of them, and lets others have their turn first.
      await clock.turn?.()
      rung = false
    },
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
