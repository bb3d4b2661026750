import type { Reason } from '../core/errors.ts'
import type { Version } from '../core/version.ts'

/** What a person settles, and what long work remembers. Part of the journal's contract; any process of the directory may do it. */
export interface SettleJournal {
  /** Whether a write or a repair of the key is not finished. */
  isOpen(key: string): boolean
  /** Blocked replicas, oldest write first, from after this position on; also those owed to providers that left the options. */
  blockedReplicas(query: BlockedQuery): readonly BlockedReplica[]
  /** Blocked replicas wait again. One that was TOO_OLD is confirmed by this: its age is no reason any more. Answers how many. */
  retry(which: Selection): Promise<number>
  /**
   * Gives replicas up for good, each with the reason that a person gave; kept in the list of abandoned ones. One whose provider is the last that
   * could have got the write is given up only with `lastCopy`: then nothing of the write is left.
   */
  abandon(
    which: Selection,
    why: string,
    lastCopy: boolean,
  ): Promise<{ readonly abandoned: number; readonly kept: number }>
  /**
   * A provider that left the options for good: all that it is owed, looks included, is abandoned, and its row goes when nothing refers to it. Writes
   * that no other provider has are kept (`kept`): bring them elsewhere first.
   */
  retire(provider: number, why: string): Promise<{ readonly abandoned: number; readonly kept: number }>
  /** The last abandoned replicas, newest first. */
  abandoned(limit: number): readonly AbandonedReplica[]

  /** What long work remembered under this name: JSON that it understands. */
  job(name: string): string | undefined
  /** Names of all jobs that begin so. */
  jobs(prefix: string): readonly string[]
  /** Durable when it resolves. `undefined` forgets it. */
  saveJob(name: string, state: string | undefined): Promise<void>

  /** The provider has everything that the others have: said by a backfill, or a complete repair, at its end. */
  filled(provider: number): Promise<void>
  /** The provider's objects may be believed again, although it was away: said by a complete repair at its end. */
  trusted(provider: number): Promise<void>
  /** The provider was away for longer than delete markers can be trusted to live; see docs/decisions/reconcile.md. */
  stale(provider: number): Promise<void>
}

export interface BlockedQuery {
  /** Seq of the write after which to go on; 0 from the beginning. */
  readonly after: number
  readonly limit: number
  readonly provider?: number
  readonly reason?: Reason
  readonly key?: string
}

/** Which blocked replicas are meant; all that are given have to fit. Nothing given: all. */
export interface Selection {
  readonly key?: string
  readonly provider?: number
  readonly reason?: Reason
}

export interface BlockedReplica {
  readonly seq: number
  readonly key: string
  readonly version: Version
  readonly kind: 'put' | 'delete'
  /** Bytes. */
  readonly size: number
  /** ms since 1970. */
  readonly acceptedAt: number
  readonly provider: number
  readonly reason: Reason
  readonly message: string
  /** Whether some other provider confirmed the write, or will. */
  readonly isElsewhere: boolean
}

export interface AbandonedReplica {
  readonly key: string
  readonly version: Version
  readonly kind: 'put' | 'delete'
  /** What the provider was called then. */
  readonly provider: string
  readonly reason: string
  readonly why: string
  /** ms since 1970. */
  readonly at: number
}
