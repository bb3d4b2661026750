import type { Clock } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import type { Journal } from '../journal/contract.ts'
import { lastVisit, visit } from '../replicate/attended.ts'

/** The journal is asked again after so long: reads ask all the time. */
const freshMs = 100

/** Whom to doubt: providers that were away for longer than delete markers are trusted to live. */
export interface Doubt {
  /**
   * `undefined`: the provider is believed. Else: what it alone has, and has had since before this time (ms since 1970), may have been deleted
   * while it was away. Also of one that this directory has not been to for as long, until a replicator has looked.
   */
  until(provider: number): number | undefined
  /** Something changed just now. */
  forget(): void
  /**
   * Asks every provider for its mark, for work that would take from it what others lack: this directory may never have been there. One that does not
   * answer is doubted as far as it was.
   */
  look(signal: AbortSignal): Promise<void>
  /** Whether others may be repaired from it: never from one that this directory has not been to, and whose mark cannot be read now. */
  mayGive(provider: number, signal: AbortSignal): Promise<boolean>
}

export function doubtOf(
  journal: Journal,
  providers: readonly { readonly id: number; readonly provider: Provider }[],
  clock: Clock,
  trustedMs: number,
): Doubt {
  let stale = new Set<number>()
  let visits = new Map<number, number>()
  let readAt = Number.NEGATIVE_INFINITY

  function read(): void {
    const rows = journal.providers()
    stale = new Set(rows.filter(({ isStale }) => isStale).map(({ id }) => id))
    visits = new Map()
    for (const { id } of rows) {
      const at = lastVisit(journal, id)
      if (at !== undefined) visits.set(id, at)
    }
    readAt = clock.monotonic()
  }

  function forget(): void {
    readAt = Number.NEGATIVE_INFINITY
  }

  function until(provider: number): number | undefined {
    if (clock.monotonic() - readAt >= freshMs) read()
    const trustedFrom = clock.now() - trustedMs
    const visitedAt = visits.get(provider) ?? Number.POSITIVE_INFINITY
    return stale.has(provider) || visitedAt < trustedFrom ? trustedFrom : undefined
  }

  async function look(signal: AbortSignal): Promise<void> {
    const asked = providers.map(each => visit({ journal, ...each, maxAgeMs: trustedMs, now: clock.now }, signal))
    await Promise.allSettled(asked)
    signal.throwIfAborted()
    forget()
  }

  return {
    until,
    forget,
    look,
    async mayGive(provider, signal) {
      if (lastVisit(journal, provider) === undefined) await look(signal)
      return until(provider) === undefined && lastVisit(journal, provider) !== undefined
    },
  }
}
