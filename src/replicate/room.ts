import { HoldfastError } from '../core/errors.ts'
import type { Clock } from '../core/ports.ts'
import type { Journal, ProviderRow } from '../journal/contract.ts'
import { bit } from '../journal/masks.ts'
import { bell } from './wake.ts'

/** Of `maxStageBytes`: the rest is for what the app puts. */
export const repairShare: number = 1 / 4
/** Another process may make room without this one being told in time. */
const atLeastEveryMs = 1_000
/** A blocked provider may be let in again in a moment: so long it is waited for. */
const patienceMs = 5_000

/** How much of the stage repairs may take. One for all that repair in a store. */
export interface Room {
  /** All of it. */
  readonly bytes: number
  /**
   * Resolves when bodies of repairs, and the stage as a whole, leave room for so many bytes more; a body that is larger than the whole room has it
   * alone. One that is larger than the stage waits for ever. Whoever asked first is first. The answer gives it back: once the journal counts
   * the body, or nothing became of it. Rejects with the signal's reason; with BLOCKED, field `room`, where all that fills it waits for providers
   * that take nothing until somebody does something.
   */
  take(bytes: number, signal: AbortSignal): Promise<() => void>
}

export interface RoomDeps {
  readonly journal: Pick<Journal, 'counts' | 'onChange' | 'providers'>
  readonly clock: Clock
  readonly maxStageBytes: number
}

export function openRoom({ journal, clock, maxStageBytes }: RoomDeps): Room {
  const most = maxStageBytes * repairShare
  const queue: object[] = []
  const rings = new Set<() => void>()
  let reserved = 0

  /** Of repairs alone, and of everything in the stage. */
  const held = (): { readonly repairs: number; readonly all: number } => {
    let repairs = reserved
    let all = reserved
    for (const { origin, bytes } of journal.counts().groups) {
      all += bytes
      if (origin === 'repair') repairs += bytes
    }
    return { repairs, all }
  }

  const ringAll = (): void => {
    for (const ring of rings) ring()
  }

  /** Calls back with a bell that rings when something changed. */
  async function listening<T>(wait: (changed: () => Promise<void>) => Promise<T>, signal: AbortSignal): Promise<T> {
    const waiting = bell(clock)
    const stopListening = journal.onChange(waiting.ring)
    rings.add(waiting.ring)
    try {
      return await wait(async () => {
        await waiting.wait(atLeastEveryMs, signal)
        signal.throwIfAborted()
      })
    } finally {
      stopListening()
      rings.delete(waiting.ring)
    }
  }

  /** A provider that all repairs wait for that there are, and that takes nothing. */
  function stuckAt(): ProviderRow | undefined {
    let waitedFor = 0
    for (const { origin, state, waiting, blocked, writes } of journal.counts().groups) {
      if (origin !== 'repair' || state !== 'open' || writes === 0) continue
      // A second look is what it waits for.
      if ((waiting | blocked) === 0) return undefined
      waitedFor |= waiting
    }
    const rows = journal.providers().filter(({ id }) => (waitedFor & bit(id)) !== 0)
    return rows.every(({ health }) => health?.state === 'blocked') ? rows[0] : undefined
  }

  function demandMoving(since: number): void {
    const row = clock.monotonic() - since < patienceMs ? undefined : stuckAt()
    if (row === undefined) return
    const { name, health } = row
    throw new HoldfastError(
      'BLOCKED',
      `repairs for ${name} fill the room that repairs have, and it takes nothing: ${health?.message ?? ''}`,
      {
        field: 'room',
        rule: 'full',
        provider: name,
        retryable: true,
        ...(health?.reason === undefined ? {} : { reason: health.reason }),
      },
    )
  }

  function giveBack(bytes: number): () => void {
    let isBack = false
    return () => {
      if (isBack) return
      isBack = true
      reserved -= bytes
      ringAll()
    }
  }

  return {
    bytes: most,
    async take(bytes, signal) {
      const place = {}
      queue.push(place)
      const fits = (): boolean => {
        if (queue[0] !== place) return false
        const { repairs, all } = held()
        // Nothing is fetched that the journal would refuse: a body costs what its provider takes for reading it.
        return all + bytes <= maxStageBytes && (repairs === 0 || repairs + bytes <= most)
      }
      try {
        signal.throwIfAborted()
        if (!fits())
          await listening(async changed => {
            const since = clock.monotonic()
            while (!fits()) {
              demandMoving(since)
              await changed()
            }
          }, signal)
        reserved += bytes
      } finally {
        queue.splice(queue.indexOf(place), 1)
        ringAll()
      }
      return giveBack(bytes)
    },
  }
}
