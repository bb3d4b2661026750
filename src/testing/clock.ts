import type { Clock, Random } from '../core/ports.ts'

/** A clock that only the test moves. */
export interface ManualClock extends Clock {
  /**
   * Lets this much time pass: wakes sleepers in the order of their times (of the same time: in the order in which they lay down), each at
   * its own time, and lets what they started run on before the next one wakes, so that they may sleep again within the time that passes.
   */
  advance(ms: number): Promise<void>
  /** Sets the wall clock: a jump. No sleeper notices, and `monotonic` goes on as before. */
  jump(toMs: number): void
  /** How many sleep now. */
  readonly sleeping: number
  /** Milliseconds until the next one wakes; `undefined` when nobody sleeps. */
  readonly nextMs: number | undefined
}

interface Sleeper {
  readonly at: number
  wake(): void
}

/**
 * A clock that stands still until the test turns it: a day of outage in a millisecond. `startMs` is the wall clock's first time,
 * default 2026-01-01.
 *
 * What wakes may do real work on disk or on loopback, which takes turns of the event loop: `settle` waits for one before and after each
 * sleeper that is woken; default three turns of the event loop.
 */
export function manualClock(
  startMs: number = Date.UTC(2026, 0, 1),
  options: { readonly settle?: () => Promise<void> } = {},
): ManualClock {
  const settle = options.settle ?? turns
  let elapsed = 0
  let wallOffset = startMs
  let sleepers: Sleeper[] = []

  function lieDown(sleeper: Sleeper): void {
    const after = sleepers.findIndex(other => other.at > sleeper.at)
    sleepers.splice(after < 0 ? sleepers.length : after, 0, sleeper)
  }

  return {
    now: () => wallOffset + elapsed,
    monotonic: () => elapsed,
    get sleeping() {
      return sleepers.length
    },
    get nextMs() {
      const [next] = sleepers
      return next && Math.max(0, next.at - elapsed)
    },

    sleep(ms, signal) {
      return new Promise((resolve, reject) => {
        if (signal?.aborted) return reject(signal.reason)
        const abort = (): void => {
          sleepers = sleepers.filter(other => other !== sleeper)
          reject(signal?.reason)
        }
        const sleeper: Sleeper = {
          at: elapsed + Math.max(0, ms),
          wake() {
            signal?.removeEventListener('abort', abort)
            resolve()
          },
        }
        signal?.addEventListener('abort', abort, { once: true })
        lieDown(sleeper)
      })
    },

    async advance(ms) {
      const end = elapsed + ms
      await settle()
      for (let next = sleepers[0]; next !== undefined && next.at <= end; next = sleepers[0]) {
        sleepers.shift()
        elapsed = Math.max(elapsed, next.at)
        next.wake()
        await settle()
      }
      elapsed = Math.max(elapsed, end)
      await settle()
    },

    jump(toMs) {
      wallOffset = toMs - elapsed
    },
  }
}

async function turns(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await new Promise(resolve => setImmediate(resolve))
}

/** The same numbers for the same seed, on every machine. A test prints its seed. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  // The mixing step of splitmix32: a counter, and a hash of it. Good enough for tests, useless for secrets.
  const next = (): number => {
    state = (state + 0x9e3779b9) >>> 0
    let mixed = Math.imul(state ^ (state >>> 16), 0x21f0aaad)
    mixed = Math.imul(mixed ^ (mixed >>> 15), 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }
  return {
    number: () => next() / 2 ** 32,
    hex: bytes => Array.from({ length: bytes }, () => (next() & 0xff).toString(16).padStart(2, '0')).join(''),
  }
}
