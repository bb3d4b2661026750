import type { Reason } from '../core/errors.ts'
import type { Version } from '../core/version.ts'

/** What a person settles, and what long work remembers. Part of the journal's contract; any process of the directory may do it. */
export interface SettleJournal {
  /** Whether a write or a repair of the key is not finished. */
  isOpen(key: string): boolean
  /** The same of those that this provider is among the targets of. */
  isOpenFor(key: string, provider: number): boolean
  /** Blocked replicas, and those that wait for `owed` providers, oldest write first, from after this position on. All of a write, or none. */
  blockedReplicas(query: BlockedQuery): readonly BlockedReplica[]
  /** Blocked replicas wait again. One that was TOO_OLD is confirmed by this: its age is no reason any more. Answers how many. */
  retry(which: Selection): Promise<number>
  /**
   * Gives replicas up for good, each with the reason that a person gave; kept in the list of abandoned ones. One whose provider is the last that
   * could have got the write is given up only with `lastCopy`: then nothing of the write is left. A copy on its way to a provider that lost it
   * is never the last. `tell` is called after each commit; so it is by `retire`.
   */
  giveUp(which: Selection, why: string, lastCopy: boolean, tell: (given: AbandonedReplica) => void): Promise<Settled>
  /**
   * A provider that left the options for good: all that it is owed, looks included, is abandoned, and it is listed no more. Writes that no other
   * provider has or could get are kept (`kept`), and the provider with them: they are on local disk, so write them anew for those that are there
   * now. Its id is given to another provider only after nobody had the directory open: until then somebody may still mean this one by it. A write
   * for it that somebody accepts after all brings it back.
   */
  retire(provider: number, why: string, tell: (given: AbandonedReplica) => void): Promise<Settled>
  /** The last abandoned replicas, newest first. */
  abandoned(limit: number): readonly AbandonedReplica[]
  /**
   * A person says that the bucket behind the provider is another one now: all that is remembered of the old one is forgotten, in one transaction. What is
   * not finished goes there again, looked at or blocked before; the provider is unfilled, and learnt anew by the next that is let in. False, and
   * nothing is changed: `before` is not the identity that is remembered by now.
   */
  acceptBucket(provider: number, before: string): Promise<boolean>

  /** What long work remembered under this name: JSON that it understands. */
  job(name: string): string | undefined
  /** Names of all jobs that begin so. */
  jobs(prefix: string): readonly string[]
  /** Durable when it resolves. `undefined` forgets it. */
  saveJob(name: string, state: string | undefined): Promise<void>

  /** Every write that is not finished goes to this provider too, also where it was accepted before the provider was there. Answers which puts did not. */
  include(provider: number): Promise<{ readonly objects: number; readonly bytes: number }>
  /** The provider has everything that the others have: said by a backfill, or a complete repair, at its end. */
  filled(provider: number): Promise<void>
  /** The provider's objects may be believed again, although it was away: said by a complete repair at its end. */
  trusted(provider: number): Promise<void>
  /** The provider was away for longer than delete markers can be trusted to live; see docs/decisions/reconcile.md. */
  stale(provider: number): Promise<void>
}

/** What became of those that were to be given up. One write may count several times: once for each provider. */
export interface Settled {
  /** How many were given up. */
  readonly abandoned: number
  /** How many were not, since the write would be lost. */
  readonly kept: number
}

export interface BlockedQuery {
  /** Seq of the write after which to go on; 0 from the beginning. */
  readonly after: number
  /** Writes, not replicas. */
  readonly limit: number
  /** Providers to which nothing goes now, but something waits: it is asked for too, whatever `reason` is. */
  readonly owed: readonly number[]
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
  /** None: it waits for one of the `owed`. */
  readonly reason: Reason | undefined
  readonly message: string | undefined
  /** Whether some other provider confirmed the write, or will by itself. True of what a provider lost: it was read from another. */
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
