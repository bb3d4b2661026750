import type { Side } from './types.ts'

/** How far filling a provider is. It counts from the beginning of the work, what runs did that ended before their time included. */
export interface FillProgress {
  /** Keys that the provider lacked, by the listings, and that are dealt with. */
  readonly objects: number
  /** Of these. */
  readonly bytes: number
  /** How many these will be, once the listings were counted: that goes on beside the work, in its beginning. */
  readonly ofObjects?: number
  readonly ofBytes?: number
  /** Over the last ten seconds. */
  readonly objectsPerSecond: number
  readonly bytesPerSecond: number
  /** Milliseconds until everything is queued, at this speed. */
  readonly leftMs?: number
  /** Repairs that were queued. */
  readonly queued: number
  /** Of these, confirmed by the provider. */
  readonly stored: number
  /** Keys that cannot be brought there. */
  readonly impossible: number
  /** Everything up to this key is queued; '' at the beginning. */
  readonly cursor: string
  /** Names of providers that are gone on without: they could not be asked. */
  readonly without: readonly string[]
}

/** What came of filling a provider. */
export interface FillResult {
  /** Keys that the provider lacked, by the listings, and that were dealt with. */
  readonly objects: number
  /** Of these. */
  readonly bytes: number
  /** Repairs that were queued. */
  readonly queued: number
  /** Of these, confirmed by the provider. */
  readonly stored: number
  /** Keys that could not be brought there. */
  readonly impossible: number
  /** The first hundred of these. */
  readonly failed: readonly { readonly key: string; readonly why: string }[]
  readonly without: readonly string[]
  /**
   * The provider has everything that the others have. False where only a part was filled (`prefix`), something was impossible, or a provider was left
   * out (`without`) and none of the others is filled.
   */
  readonly filled: boolean
}

/** What is brought where. Checked. */
export interface FillTerms {
  readonly to: Side
  /** The others, in the order in which they are believed. */
  readonly sources: readonly Side[]
  /** Which of the sources is to be left, and gone on without where it does not answer. */
  readonly from: Side | undefined
  /** Names of providers that are left out from the beginning. */
  readonly without: readonly string[]
  readonly prefix: string
  /** Goes on where the last run was that did not come to its end. */
  readonly resume: boolean
  readonly deep: boolean
}
