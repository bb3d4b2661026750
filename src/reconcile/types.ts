import type { Provider, RemoteObject } from '../core/provider.ts'
import type { Version } from '../core/version.ts'

/** One provider to be compared. */
export interface Side {
  /** Its id in the journal. */
  readonly id: number
  /** Guarded: no call of it hangs. Every call is paced. */
  readonly provider: Provider
  /** It was away for longer than delete markers are trusted to live: a target, never a source. */
  readonly isStale: boolean
}

/** What one provider has under a key, as far as the comparison went. */
export interface Found {
  readonly provider: string
  /** `this`: what all should have. `unknown`: it could not be asked. */
  readonly has: 'this' | 'older' | 'other' | 'damaged' | 'nothing' | 'unknown'
  readonly version?: Version
  /** Bytes. */
  readonly size?: number
}

/** A key about which providers differ. */
export interface Drift {
  /**
   * `missing`: a provider has nothing, and no delete explains it. `different`: an older version, other bytes or attributes, a damaged copy.
   * `foreign`: the newest was written past Holdfast and is not everywhere. `deleted`: the app deleted the key, and a provider still has it.
   */
  readonly kind: 'missing' | 'different' | 'foreign' | 'deleted'
  readonly key: string
  /** What every provider should have, or the delete that all should know of; `undefined` where nobody can tell. */
  readonly version: Version | undefined
  readonly providers: readonly Found[]
  /** What becomes of it: `queued` as ordinary work, `none` (not asked for), `impossible` (`why` says what stands in the way). */
  readonly repair: 'queued' | 'none' | 'impossible'
  readonly why?: string
}

/** How far a comparison is. */
export interface ReconcileCounters {
  /** Keys that the guard's first pass over the listings saw. 0 without `repair`. */
  readonly surveyed: number
  /** Keys compared, at however many providers each is. */
  readonly compared: number
  /** Keys left to replication: a write or a repair of theirs is open. */
  readonly skipped: number
  /** Keys of which some provider could not be asked. */
  readonly unknown: number
  /** Keys listed, by provider. */
  readonly listed: Readonly<Record<string, number>>
  /** Keys that differ so: see `Drift`. */
  readonly missing: number
  /** Keys; see `Drift`. */
  readonly different: number
  /** Keys; see `Drift`. */
  readonly foreign: number
  /** Keys; see `Drift`. */
  readonly deleted: number
  /** Keys whose repair is on its way. */
  readonly queued: number
  /** Keys that differ and cannot be repaired; each `Drift` says why. */
  readonly impossible: number
  /** Heads and marker looks that were needed. */
  readonly asked: number
  /** Bytes read, to compare and to repair. */
  readonly bytesRead: number
  /** Everything up to this key is settled; '' at the beginning. */
  readonly cursor: string
  /** What stopped a repair, or would stop one. */
  readonly guard: GuardFinding | undefined
}

/** Why a mass change is not made before a person looked. */
export interface GuardFinding {
  readonly rule: 'identity' | 'empty' | 'short' | 'many' | 'listing'
  readonly provider: string | undefined
  readonly message: string
}

/** A repair, decided: what every target is to have. */
export interface Mending {
  readonly key: string
  readonly wanted:
    | { readonly is: 'object'; readonly version: Version; readonly source: number }
    | { readonly is: 'delete'; readonly version: Version }
  /** Ids of providers that lack it. */
  readonly targets: readonly number[]
  /** Of the targets: objects whose bytes were read and are wrong, although their provider says otherwise. */
  readonly damaged?: readonly { readonly provider: number; readonly token: string }[]
  /** The source's object, where it and the delete markers of the targets were looked at a moment ago: they are not asked for once more. */
  readonly looked?: RemoteObject
}

/** What became of a repair. `settled`: meanwhile there is nothing to do any more, or replication does it. */
export type Mended =
  | { readonly is: 'queued'; readonly bytes: number }
  | { readonly is: 'settled' }
  | { readonly is: 'impossible'; readonly why: string }

/** Queues a repair as ordinary work; waits while there is no room for it. Given by whoever puts the parts together: only `replicate/` knows how. */
export type Mend = (mending: Mending, signal: AbortSignal) => Promise<Mended>
