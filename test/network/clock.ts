import type { Clock } from '../../src/core/ports.ts'
import { systemClock } from '../../src/core/system.ts'

/** Real time, that can be made to go faster. */
export interface HurriedClock extends Clock {
  /**
   * How many times as fast as the real time: half a minute of a provider's silence passes in a second or two. Sockets and clouds keep to the
   * real one, so a test hurries while it waits for a limit, and by less than 5 minutes in all: what is stamped further ahead is refused.
   */
  times: number
}

/** What calls back without `after` sleeps by this clock. */
const { after: _inRealTime, ...realTime } = systemClock

/** So long a sleep may last before it looks whether the time goes faster now, ms. */
const sliceMs = 20

export function hurriedClock(): HurriedClock {
  const wall = Date.now() - systemClock.monotonic()
  let [since, before, times] = [systemClock.monotonic(), systemClock.monotonic(), 1]
  const elapsed = (): number => before + (systemClock.monotonic() - since) * times
  return {
    ...realTime,
    now: () => Math.floor(wall + elapsed()),
    monotonic: elapsed,
    async sleep(ms, signal) {
      const end = elapsed() + ms
      do await systemClock.sleep(Math.min(sliceMs, Math.max(0, end - elapsed()) / times), signal)
      while (elapsed() < end)
    },
    get times() {
      return times
    },
    set times(now) {
      ;[before, since, times] = [elapsed(), systemClock.monotonic(), now]
    },
  }
}
