import type { GuardFinding } from './types.ts'

/** What one pass over all keys has seen so far. */
export interface ScrubPass {
  /** ms since 1970. */
  readonly startedAt: number
  readonly checked: number
  /** Keys about which providers differed. */
  readonly differences: number
  /** Of these: on their way to be the same. */
  readonly repaired: number
  readonly impossible: number
  /** Keys of which some provider could not be asked. */
  readonly unknown: number
}

/** Where the scrub is; kept in the journal as the job `scrub`. */
export interface ScrubState {
  /** When the last keys were looked at, ms since 1970: a restart begins no new interval. */
  readonly at: number
  /** The last key that was looked at; '' at the beginning of a pass. */
  readonly cursor: string
  readonly pass: ScrubPass
  readonly lastPass?: ScrubPass & { readonly endedAt: number }
  /** Repairs among the last keys, for the guard. */
  readonly window: { readonly keys: number; readonly repairs: number }
  /** It looked like a mass change: nothing more is looked at until a complete repair was made. */
  readonly stopped?: GuardFinding
}

/** What the journal has; a new pass, where it has nothing, or nothing of this version. */
export function readScrub(text: string | undefined, now: number): ScrubState {
  if (text !== undefined) {
    try {
      const { format, ...state } = JSON.parse(text) as ScrubState & { readonly format?: unknown }
      if (format === 1) return state
    } catch {
      // Not of this version: the pass begins anew.
    }
  }
  return {
    at: now,
    cursor: '',
    pass: { startedAt: now, checked: 0, differences: 0, repaired: 0, impossible: 0, unknown: 0 },
    window: { keys: 0, repairs: 0 },
  }
}

export function writeScrub(state: ScrubState): string {
  return JSON.stringify({ format: 1, ...state })
}

/** The same without what stopped it: a person looked. `undefined` where it was not stopped. */
export function resumedScrub(text: string | undefined, now: number): string | undefined {
  const { stopped, ...state } = readScrub(text, now)
  return stopped === undefined ? undefined : writeScrub({ ...state, window: { keys: 0, repairs: 0 } })
}
