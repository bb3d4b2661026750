import type { Reason } from '../core/errors.ts'
import type { Version } from '../core/version.ts'

/** What happens in the background, for whoever wants to know. Listeners are called after the fact is durable; what they throw is not caught. */
export interface ReplicationEvents {
  /** A provider changed its state. */
  provider: {
    readonly provider: string
    readonly state: 'up' | 'probing' | 'down' | 'blocked'
    readonly reason?: Reason
    readonly message?: string
  }
  /** A provider has a write: confirmed once. */
  stored: { readonly key: string; readonly version: Version; readonly provider: string }
  /** Confirmed twice, a hold apart. */
  verified: { readonly key: string; readonly version: Version; readonly provider: string }
  /** Confirmed twice by all: the local copy is not needed any more. */
  released: { readonly key: string; readonly version: Version }
  /** The second look found a copy gone or wrong; it is sent again. */
  lost: { readonly key: string; readonly version: Version; readonly provider: string; readonly message: string }
  /** A replica that cannot go on without somebody doing something. */
  blocked: {
    readonly key: string
    readonly version: Version
    readonly provider: string
    readonly reason: Reason
    readonly message: string
  }
  /** A body that was damaged on local disk was fetched anew from a provider that has it. What waited for it goes on. */
  restored: { readonly key: string; readonly version: Version; readonly from: string }
  /** A newer write was found at a provider. */
  superseded: { readonly key: string; readonly version: Version; readonly provider: string; readonly by: Version }
  /** A provider holds something newer that was written past Holdfast. */
  foreign: { readonly key: string; readonly provider: string; readonly modifiedAt: Date }
  /** An attempt failed and will be made again. */
  retry: {
    readonly key: string
    readonly version: Version
    readonly provider: string
    readonly reason: Reason | undefined
    readonly message: string
    readonly inMs: number
  }
  /** Nobody replicated to a provider for longer than delete markers are trusted to live: it is repaired, and believed no more. */
  'stale-provider': { readonly provider: string; readonly awaySince: Date }
  /** This process replicates the directory from now on, or no more. */
  lease: { readonly held: boolean }
}

export type Emit = <E extends keyof ReplicationEvents>(event: E, payload: ReplicationEvents[E]) => void
