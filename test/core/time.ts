import type { Clock, Random } from '../../src/core/ports.ts'
import { type ManualClock, manualClock } from '../../src/testing/clock.ts'

/** Lets everything run that can run without time passing. */
export async function settle(): Promise<void> {
  for (let turn = 0; turn < 5; turn++) await new Promise(resolve => setImmediate(resolve))
}

/** A manual clock whose process can stand still (blocked, suspended): who is due in that time wakes after it, all at once and late. */
export function stoppableClock(): ManualClock & { standStill(ms: number): Promise<void> } {
  const inner = manualClock()
  let lost = 0
  const clock: Clock = {
    now: () => inner.now() + lost,
    monotonic: () => inner.monotonic() + lost,
    sleep: (ms, signal) => inner.sleep(ms, signal),
  }
  return {
    ...clock,
    advance: inner.advance,
    jump: inner.jump,
    get sleeping() {
      return inner.sleeping
    },
    get nextMs() {
      return inner.nextMs
    },
    async standStill(ms) {
      await settle()
      const due = inner.nextMs
      if (due === undefined || due > ms) throw new Error(`nobody is due within ${ms} ms`)
      lost += ms - due
      await inner.advance(due)
    },
  }
}

/** Chance that always says the same. */
export function fixedRandom(value: number): Random {
  return { number: () => value, hex: bytes => 'ab'.repeat(bytes) }
}
