import type { ReadEvents } from '../read/types.ts'
import type { Drift } from '../reconcile/types.ts'
import type { ReplicationEvents } from '../replicate/events.ts'
import type { ScrubStatus } from './scrubbing.ts'

/** Everything that `on` can tell of. Payloads are plain objects; listeners run after the fact. */
export interface HoldfastEvents extends ReplicationEvents, ReadEvents {
  /** A read found a copy missing at a provider, and it is on its way there again. */
  repair: { readonly key: string; readonly version: string; readonly providers: readonly string[] }
  /** A person gave up bringing a write to this provider. */
  abandoned: {
    readonly key: string
    readonly version: string
    readonly provider: string
    readonly reason: string
    readonly why: string
  }
  /** A person accepted that the bucket behind this provider is another one now. `before`: the identity of the old one. */
  'bucket-accepted': { readonly provider: string; readonly before: string; readonly why: string }
  /** The scrub looked at some more keys, or stopped. */
  scrub: ScrubStatus
  /** The scrub found that providers differ about a key; `repair` says what becomes of it. */
  drift: Drift
  /** A write to this directory failed: nothing more is accepted until all have closed it and one has opened it again. */
  poisoned: { readonly message: string }
}

export const eventNames: readonly (keyof HoldfastEvents)[] = [
  'provider',
  'stored',
  'verified',
  'released',
  'lost',
  'blocked',
  'restored',
  'superseded',
  'foreign',
  'retry',
  'stale-provider',
  'lease',
  'failover',
  'hedge',
  'corrupt',
  'stale',
  'partial',
  'ahead',
  'repair',
  'scrub',
  'drift',
  'abandoned',
  'bucket-accepted',
  'poisoned',
]

type Listeners = { [E in keyof HoldfastEvents]?: Set<(payload: HoldfastEvents[E]) => void> }

export interface Events {
  on<E extends keyof HoldfastEvents>(event: E, listener: (payload: HoldfastEvents[E]) => void): () => void
  emit<E extends keyof HoldfastEvents>(event: E, payload: HoldfastEvents[E]): void
}

export function events(): Events {
  const listeners: Listeners = {}
  return {
    on(event, listener) {
      const set = (listeners[event] ??= new Set() as NonNullable<Listeners[typeof event]>) as Set<typeof listener>
      set.add(listener)
      return () => set.delete(listener)
    },
    emit(event, payload) {
      for (const listener of (listeners[event] ?? []) as Iterable<(payload: unknown) => void>) {
        try {
          listener(payload)
        } catch (error) {
          // A listener's fault is the app's: it surfaces there as any uncaught error does, and stops nothing here.
          queueMicrotask(() => {
            throw error
          })
        }
      }
    },
  }
}
