import type { HoldfastError } from '../core/errors.ts'
import type { Clock } from '../core/ports.ts'
import type { Task } from '../journal/contract.ts'

/** At least this long between the two looks by the clock of this process that never jumps, or the whole hold where that is shorter. */
const leastHoldMs = 60_000
/** How often a copy that comes out wrong is sent again before somebody has to look at it. */
export const mostMismatches = 3
/** Writes whose mismatches are remembered: an older one may be sent again a few times more. */
const mostRemembered = 10_000

/** What this process saw of the attempts at one provider: no promise rests on it, and a restart begins anew. */
export interface Attempts {
  /** The provider has it, as of now. */
  stored(seq: number): void
  /** Looked at twice. */
  verified(seq: number): void
  /** Whether the second look may come: a jump of the wall clock ends no hold. */
  isHeldLongEnough(seq: number): boolean
  /** A copy came out wrong: counts one more, and says whether that is once too often. Attempts would also count what the network did. */
  isOnceTooOften(seq: number): boolean
  /** A try failed. Of a conditional write that may have been applied, it can no longer be said that it did not happen. */
  failed(task: Task, fault: HoldfastError): void
  /** The provider did its part: what goes wrong from here on, such as a commit of the journal, says nothing of whether the write happened. */
  arrived(task: Task): void
  mayHaveHappened(task: Task): boolean
  /** Nothing of it is in flight any more. */
  ended(seq: number): void
}

export function attempts(clock: Clock, holdMs: number): Attempts {
  const begun = clock.monotonic()
  /** When a replica was stored, by the clock that never jumps: kept until the least hold is over. */
  const storedHere = new Map<number, number>()
  const mismatches = new Map<number, number>()
  const unsettled = new Set<number>()
  return {
    stored(seq) {
      const now = clock.monotonic()
      storedHere.set(seq, now)
      // In order of time: what is older than the least hold needs no remembering.
      for (const [old, at] of storedHere) {
        if (now - at < leastHoldMs) break
        storedHere.delete(old)
      }
    },
    verified(seq) {
      storedHere.delete(seq)
      mismatches.delete(seq)
    },
    isHeldLongEnough: seq => clock.monotonic() - (storedHere.get(seq) ?? begun) >= Math.min(leastHoldMs, holdMs),
    isOnceTooOften(seq) {
      const count = (mismatches.get(seq) ?? 0) + 1
      mismatches.set(seq, count)
      const [oldest] = mismatches.keys()
      if (mismatches.size > mostRemembered && oldest !== undefined) mismatches.delete(oldest)
      return count > mostMismatches
    },
    failed({ write }, fault) {
      if (write.state === 'tentative' && fault.outcome === 'unknown') unsettled.add(write.seq)
    },
    arrived({ write }) {
      if (write.state === 'tentative') unsettled.add(write.seq)
    },
    mayHaveHappened: ({ write, replica }) => replica.attempt > 0 || unsettled.has(write.seq),
    ended: seq => {
      unsettled.delete(seq)
    },
  }
}
