import type { HoldfastError } from '../core/errors.ts'
import type { Clock } from '../core/ports.ts'
import type { Journal } from '../journal/contract.ts'
import { scrub, type ScrubDeps } from '../reconcile/scrub.ts'
import { readScrub, type ScrubPass } from '../reconcile/scrub-state.ts'
import type { Drift, GuardFinding } from '../reconcile/types.ts'
import { type CompareDeps, sidesOf } from './reconcile.ts'

/** The slow look at everything, as `status()` and the event `scrub` tell of it. */
export interface ScrubStatus {
  /** The pass that is under way. */
  readonly pass: ScrubPassStatus
  readonly lastPass?: ScrubPassStatus & { readonly endedAt: Date }
  /** The last key that was looked at; '' at the beginning of a pass. */
  readonly cursor: string
  /** It looked like a mass change: nothing more is looked at until a `reconcile({ repair: true })` was made. */
  readonly stopped?: GuardFinding
}

/** What one pass over all keys saw. */
export interface ScrubPassStatus extends Omit<ScrubPass, 'startedAt'> {
  readonly startedAt: Date
}

/** Runs while this process replicates the directory: one scrubs, as one replicates. */
export interface Scrubbing {
  start(): void
  /** Resolves when nothing is under way. */
  stop(): Promise<void>
}

/** What a scrub is asked for, and whom it tells. */
export interface ScrubbingTerms {
  readonly objectsPerDay: number
  readonly deep: boolean
  readonly found: (drift: Drift) => void
  readonly told: (status: ScrubStatus) => void
  /** It ended for a reason that nobody foresaw. */
  readonly failed: (error: HoldfastError) => void
}

/** All of it within the pace that `objectsPerDay` asks for; the pace of requests only smooths what is asked at a time. */
const pace = { requestsPerSecond: 100, bytesPerSecond: undefined }

export function scrubbing(deps: CompareDeps, terms: ScrubbingTerms, closing: AbortSignal): Scrubbing {
  const { journal, clock, providers, mirrorsForeign, mendWith } = deps
  const all = providers.map(({ provider }) => provider)
  const sides = async (signal: AbortSignal) => {
    await deps.doubt.look(signal)
    return sidesOf(deps, all, pace)
  }
  const work: ScrubDeps = {
    journal,
    clock,
    mend: mendWith(sidesOf(deps, all, pace)),
    sides,
    mirrorsForeign,
    objectsPerDay: terms.objectsPerDay,
    deep: terms.deep,
    found: terms.found,
    told: () => terms.told(scrubStatus(journal, clock)),
  }
  let stopping = new AbortController()
  let running: Promise<void> = Promise.resolve()
  return {
    start() {
      stopping.abort()
      stopping = new AbortController()
      const signal = AbortSignal.any([closing, stopping.signal])
      running = running
        .then(() => scrub(work, signal))
        .catch((error: unknown) => {
          if (!signal.aborted) terms.failed(error as HoldfastError)
        })
    },
    async stop() {
      stopping.abort()
      await running
    },
  }
}

export function scrubStatus(journal: Pick<Journal, 'job'>, clock: Clock): ScrubStatus {
  const { cursor, pass, lastPass, stopped } = readScrub(journal.job('scrub'), clock.now())
  return {
    cursor,
    pass: dated(pass),
    ...(lastPass === undefined ? {} : { lastPass: { ...dated(lastPass), endedAt: new Date(lastPass.endedAt) } }),
    ...(stopped === undefined ? {} : { stopped }),
  }
}

function dated({ startedAt, checked, differences, repaired, impossible, unknown }: ScrubPass): ScrubPassStatus {
  return { startedAt: new Date(startedAt), checked, differences, repaired, impossible, unknown }
}
