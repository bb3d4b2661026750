import type { Breaker } from '../core/breaker.ts'
import type { HoldfastError } from '../core/errors.ts'
import type { Limiter } from '../core/limiter.ts'
import type { Clock, Random } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import type { Source } from '../core/source.ts'
import type { Version } from '../core/version.ts'
import type { Journal, Lease, ProviderRow, WriteRow } from '../journal/contract.ts'
import type { Emit } from './events.ts'
import type { Restoring } from './restore.ts'

export interface LaneOptions {
  readonly holdMs: number
  /** A put or delete that waited longer than this is blocked as TOO_OLD: the markers that could contradict it may be gone. */
  readonly tooOldMs: number
  readonly foreign: 'adopt' | 'report'
}

/** What everything that is done for one provider needs. */
export interface LaneDeps {
  readonly journal: Journal
  readonly lease: Lease
  readonly row: ProviderRow
  /** Guarded: no call of it hangs. */
  readonly provider: Provider
  readonly breaker: Breaker
  readonly limiter: Limiter
  readonly clock: Clock
  readonly random: Random
  readonly options: LaneOptions
  readonly sourceOf: (write: WriteRow) => Source
  /** Takes in what was written past Holdfast, as a new write; resolves with the version that the key has then. */
  readonly adopt: (key: string, provider: string, signal: AbortSignal) => Promise<Version>
  readonly emit: Emit
  readonly restoring: Pick<Restoring, 'take'>
  /** Resolves when what came of this and of others is to be recorded: in one commit. */
  readonly together: () => Promise<void>
  /** The journal takes no changes from this process any more. */
  readonly lost: (error: HoldfastError) => void
  /** Something is in flight no more: its body may be released. */
  readonly freed: () => void
  readonly signal: AbortSignal
}
