import type { Clock } from '../core/ports.ts'
import type { Version } from '../core/version.ts'
import type { Repair, Repaired } from './repair.ts'

/** What reads found missing at most remembers; more is found again by the next read. */
const mostQueued = 10_000
/** Repairs are work for the healthy side: not more than this often. */
const everyMs = 100

/** A copy that a read found missing, and where it was found. */
export interface Missing {
  readonly key: string
  readonly version: Version
  readonly missingAt: readonly number[]
  readonly foundAt: number
}

export interface HealingDeps {
  readonly mend: (repair: Repair, signal: AbortSignal) => Promise<Repaired>
  readonly clock: Clock
  /** It was found missing, and is on its way now. */
  readonly repaired: (missing: Missing) => void
  readonly signal: AbortSignal
}

/** Heals what reads found missing: as ordinary work, slowly, and only from a copy whose bytes have just been checked. */
export interface Healing {
  queue(missing: Missing): void
  /** Resolves after the signal was aborted and nothing is under way. */
  idle(): Promise<void>
}

export function healing({ mend, clock, repaired, signal }: HealingDeps): Healing {
  const queued = new Map<string, Missing>()
  let working: Promise<void> | undefined

  async function work(): Promise<void> {
    for (const [key, missing] of queued) {
      if (signal.aborted) break
      queued.delete(key)
      const { version, foundAt: source, missingAt: targets } = missing
      try {
        const { is } = await mend({ key, wanted: { is: 'object', version, source }, targets }, signal)
        if (is === 'queued') repaired(missing)
      } catch {
        // Nothing was promised: the next read that meets the gap queues it again, and reconcile finds all of them.
      }
      await clock.sleep(everyMs, signal).catch(() => {})
    }
    // In one step with the end of the loop: whoever comes next begins anew.
    working = undefined
  }

  return {
    queue(missing) {
      if (signal.aborted || queued.size >= mostQueued) return
      queued.set(missing.key, missing)
      working ??= work()
    },
    idle: async () => working,
  }
}
