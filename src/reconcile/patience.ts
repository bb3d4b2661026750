import type { Clock } from '../core/ports.ts'
import { isBreak } from './join.ts'

/** How long after a break the same is asked again, ms. */
const waitsMs: readonly number[] = [200, 1_000]

/** Asks, and where the answer did not come through, twice more: long work meets every connection that breaks. */
export async function patiently<T>(clock: Clock, signal: AbortSignal, ask: () => Promise<T>): Promise<T> {
  for (const waitMs of waitsMs) {
    try {
      return await ask()
    } catch (error) {
      if (signal.aborted || !isBreak(error)) throw error
      await clock.sleep(waitMs, signal)
    }
  }
  return ask()
}
