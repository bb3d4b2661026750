import type { Clock } from '../../src/core/ports.ts'

/** Turns of the event loop without anything going on: then everything has come as far as it comes without more time. */
const quietTurns = 3
/** A journal that answers nothing for so many turns hangs. */
const mostTurns = 2_000_000

/** The time of a world: stands still until the test turns it, and waits for real disks at each step, so that a run is the same each time. */
export interface WorldClock extends Clock {
  /** Sleeps that begin now end at whole ticks, in ms, so that many share a wake-up. Default 1,000. */
  tickMs: number
  /** Lets time pass, waking sleepers as it does; between two ticks everything that can go on has gone on. */
  advance(ms: number): Promise<void>
}

export function worldClock(startMs: number = Date.UTC(2026, 0, 1)): WorldClock {
  let elapsed = 0
  const sleepers = new Map<number, Set<() => void>>()

  /** Wakes everybody of the earliest tick up to `end`. */
  async function wakeNext(end: number): Promise<boolean> {
    let next = Number.POSITIVE_INFINITY
    for (const at of sleepers.keys()) next = Math.min(next, at)
    if (next > end) return false
    elapsed = Math.max(elapsed, next)
    const due = sleepers.get(next) ?? []
    sleepers.delete(next)
    for (const wake of due) wake()
    await quiet()
    return true
  }

  return {
    tickMs: 1_000,
    now: () => startMs + elapsed,
    monotonic: () => elapsed,
    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const at = Math.ceil((elapsed + Math.max(1, ms)) / this.tickMs) * this.tickMs
        const wake = () => {
          signal?.removeEventListener('abort', abort)
          resolve()
        }
        const abort = () => {
          sleepers.get(at)?.delete(wake)
          reject(signal?.reason)
        }
        signal?.addEventListener('abort', abort, { once: true })
        sleepers.set(at, (sleepers.get(at) ?? new Set()).add(wake))
      })
    },
    async advance(ms) {
      const end = elapsed + ms
      await quiet()
      while (await wakeNext(end));
      elapsed = Math.max(elapsed, end)
      await quiet()
    },
  }
}

/** The same time on a machine whose wall clock is wrong. */
export function skewed(clock: Clock, byMs: number): Clock {
  return { ...clock, now: () => clock.now() + byMs, sleep: (ms, signal) => clock.sleep(ms, signal) }
}

/** Until no journal's thread has anything to do and nobody has anything to go on with. */
async function quiet(): Promise<void> {
  let calm = 0
  for (let turn = 0; calm < quietTurns; turn++) {
    if (turn > mostTurns) throw new Error('a journal does not come to rest')
    // Turning on the spot for long would take the processor from the thread that is waited for.
    await new Promise(resolve => (turn % 16 === 15 ? setTimeout(resolve, 1) : setImmediate(resolve)))
    // The thread of a journal keeps the process alive exactly while somebody waits for its answer; a file, while it is read or written.
    const isBusy = process.getActiveResourcesInfo().some(kind => kind === 'MessagePort' || kind === 'FSReqPromise')
    calm = isBusy ? 0 : calm + 1
  }
}
