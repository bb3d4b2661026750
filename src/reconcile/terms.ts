import type { Clock } from '../core/ports.ts'
import type { Journal } from '../journal/contract.ts'
import type { GuardLimits } from './guard.ts'
import type { Mend, Side } from './types.ts'

/** What a comparison stands on. */
export interface ReconcileDeps {
  readonly journal: Pick<Journal, 'isOpen' | 'view' | 'providers' | 'job' | 'saveJob' | 'counts' | 'trusted' | 'filled'>
  readonly clock: Clock
  readonly mend: Mend
}

/** What to compare, and what to do about it. Checked. */
export interface ReconcileTerms {
  /** In the order of the options. */
  readonly sides: readonly Side[]
  /** They are all that the options name. */
  readonly isEverybody: boolean
  readonly repair: boolean
  readonly prefix: string
  /** Exclusive; '' from the beginning. */
  readonly startAfter: string
  /** Goes on where the last run of the same kind was, where one did not come to its end. */
  readonly resume: boolean
  readonly attributes: boolean
  readonly deep: boolean
  readonly guard: GuardLimits
  readonly confirm: boolean
  readonly leftovers: 'report' | 'restore' | 'delete'
  /** Whether objects that were written past Holdfast are brought to the others. */
  readonly mirrorsForeign: boolean
}
