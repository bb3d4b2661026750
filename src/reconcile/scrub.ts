import { HoldfastError } from '../core/errors.ts'
import type { Clock } from '../core/ports.ts'
import type { Journal } from '../journal/contract.ts'
import { newCounting } from './counters.ts'
import { identityFinding, stopped } from './guard.ts'
import { joined, type Row } from './join.ts'
import { judge } from './judge.ts'
import { readScrub, type ScrubPass, type ScrubState, writeScrub } from './scrub-state.ts'
import type { Drift, GuardFinding, Mend, Side } from './types.ts'

const dayMs = 86_400_000
/** Looked at together: as many as a minute's share, and no more than this. */
const mostAtOnce = 100
/** Of so many keys in a row, so many may be repaired before a person looks: what goes wrong slowly is not repaired by the thousand either. */
const windowKeys = 1_000
const mostRepairsInWindow = 50
/** How often it is looked whether a person settled what stopped it, and how long a provider that cannot be listed is left alone. */
const retryMs = 60_000

export interface ScrubDeps {
  readonly journal: Pick<Journal, 'isOpen' | 'view' | 'providers' | 'job' | 'saveJob'>
  readonly clock: Clock
  readonly mend: Mend
  /** Looked up anew each time: which of them may be a source may have changed. Rejects where one cannot be asked. */
  readonly sides: (signal: AbortSignal) => Promise<readonly Side[]>
  /** At each key every provider is asked for its head; with `deep` its bytes are read. */
  readonly objectsPerDay: number
  readonly deep: boolean
  readonly mirrorsForeign: boolean
  readonly found: (drift: Drift) => void
  /** After every few keys, and where it stops. */
  readonly told: (state: ScrubState) => void
}

/**
 * Looks at every key of all providers again and again, a few at a time, for ever: rejects only with the signal's reason, or where the journal takes
 * nothing more. Where it is stands in the journal. What it finds is repaired; a mass change stops it until a complete repair that a person
 * confirmed was made.
 */
export async function scrub(deps: ScrubDeps, signal: AbortSignal): Promise<never> {
  const { journal, clock, objectsPerDay } = deps
  const most = Math.max(1, Math.min(mostAtOnce, Math.floor((objectsPerDay * 60_000) / dayMs)))
  const everyMs = (most * dayMs) / objectsPerDay
  while (true) {
    const state = readScrub(journal.job('scrub'), clock.now())
    const dueInMs = Math.min(everyMs, Math.max(0, state.at + everyMs - clock.now()))
    await clock.sleep(state.stopped === undefined ? dueInMs : retryMs, signal)
    // A person may have settled it meanwhile, in another process.
    const current = readScrub(journal.job('scrub'), clock.now())
    if (current.stopped !== undefined) continue
    const sides = await deps.sides(signal).catch(error => unlessProvider(error, signal))
    const next = sides && (await someKeys(deps, sides, current, most, signal))
    if (next === undefined) {
      await clock.sleep(retryMs, signal)
      continue
    }
    await journal.saveJob('scrub', writeScrub(next))
    deps.told(next)
  }
}

/** The state after the next few keys; `undefined` where a provider cannot be listed or asked who it is: that is replication's to show. */
async function someKeys(
  deps: ScrubDeps,
  sides: readonly Side[],
  state: ScrubState,
  most: number,
  signal: AbortSignal,
): Promise<ScrubState | undefined> {
  const { journal, clock } = deps
  const stop = new AbortController()
  const inner = AbortSignal.any([signal, stop.signal])
  const counting = newCounting(
    sides.map(({ provider }) => provider.name),
    state.cursor,
  )
  const identity = () => identityFinding({ journal, clock, begun: new Map() }, sides, () => counting.asked++, inner)
  const listedAt = clock.monotonic()
  try {
    const other = await identity()
    if (other !== undefined) throw stopped(other)
    const rows = await page(sides, state.cursor, most, clock, inner)
    const judging = judge(
      deps,
      {
        sides,
        repair: true,
        deep: deps.deep,
        leftovers: 'report',
        mirrorsForeign: deps.mirrorsForeign,
        confirm: false,
        // What is left of the window: more than that stops it.
        guard: { objects: Math.max(0, mostRepairsInWindow - state.window.repairs), percent: 100 },
        keys: windowKeys,
        listedAt,
        identity,
      },
      counting,
      stop,
      inner,
    )
    for (const row of rows) {
      const drift = await judging.suspect(row)
      if (drift !== undefined) deps.found(drift)
    }
    return after(state, rows, rows.length < most, counting, clock.now())
  } catch (error) {
    if (signal.aborted) throw error
    const finding = counting.guard ?? findingOf(error)
    return finding === undefined ? unlessProvider(error, signal) : { ...state, stopped: finding }
  } finally {
    stop.abort()
  }
}

/** The next keys of all listings, which are let go of before anything is asked: what takes hours keeps no listing open. */
async function page(sides: readonly Side[], after: string, most: number, clock: Clock, signal: AbortSignal) {
  const providers = sides.map(({ provider }) => provider)
  await using listing = joined(providers, { prefix: '', startAfter: after }, clock, signal, most)
  const rows: Row[] = []
  while (rows.length < most) {
    const part = await listing.next()
    if (part === undefined) break
    rows.push(...part)
  }
  return rows.slice(0, most)
}

function after(
  state: ScrubState,
  rows: readonly Row[],
  isEnd: boolean,
  counting: ReturnType<typeof newCounting>,
  now: number,
): ScrubState {
  const { pass, window } = state
  const differences = counting.missing + counting.different + counting.foreign + counting.deleted
  const grown: ScrubPass = {
    startedAt: pass.startedAt,
    checked: pass.checked + rows.length,
    differences: pass.differences + differences,
    repaired: pass.repaired + counting.queued,
    impossible: pass.impossible + counting.impossible,
    unknown: pass.unknown + counting.unknown,
  }
  const keys = window.keys + rows.length
  const isWindowOver = keys >= windowKeys
  return {
    ...state,
    at: now,
    cursor: isEnd ? '' : (rows.at(-1)?.key ?? state.cursor),
    pass: isEnd ? { startedAt: now, checked: 0, differences: 0, repaired: 0, impossible: 0, unknown: 0 } : grown,
    window: isWindowOver ? { keys: 0, repairs: 0 } : { keys, repairs: window.repairs + counting.queued },
    ...(isEnd ? { lastPass: { ...grown, endedAt: now } } : {}),
  }
}

/** What a provider says is no end of the scrub. */
function unlessProvider(error: unknown, signal: AbortSignal): undefined {
  if (signal.aborted || !(error instanceof HoldfastError) || error.provider === undefined) throw error
}

function findingOf(error: unknown): GuardFinding | undefined {
  if (!(error instanceof HoldfastError) || error.field !== 'guard') return undefined
  return { rule: error.rule as GuardFinding['rule'], provider: error.provider, message: error.message }
}
