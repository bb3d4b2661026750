import { compareKeys } from '../core/key.ts'
import type { Clock } from '../core/ports.ts'
import type { Journal } from '../journal/contract.ts'
import type { FillProgress, FillTerms } from './fill-types.ts'

/** How often the position is saved at most, ms. */
const saveEveryMs = 1_000
/** The speed is that of so many milliseconds. */
const windowMs = 10_000
/** Keys that are named; of more it is said how many they are. */
const mostNamed = 100

/** What a run has done, and the runs before it that it goes on from. Durable, but for the last second. */
export interface FillState {
  objects: number
  bytes: number
  queued: number
  impossible: number
  readonly failed: { key: string; why: string }[]
  cursor: string
  /** Names of providers that were left out. */
  readonly without: readonly string[]
  /** Keys and bytes that the listings show to be lacking, from the cursor of the beginning on; once they were counted. */
  lacking: { readonly objects: number; readonly bytes: number } | undefined
  /** What was dealt with when this run began. */
  readonly before: { readonly objects: number; readonly bytes: number }
  fail(key: string, why: string): void
  /** From here on, or from where an earlier run without it was, it is gone on without this one. */
  leaveOut(provider: string): void
  /** Everything up to this key is settled. A promise where it is saved now. */
  reached(key: string): Promise<void> | undefined
  keep(): Promise<void>
  /** There is nothing to go on with. */
  forget(): Promise<void>
}

interface Saved extends Pick<FillState, 'objects' | 'bytes' | 'queued' | 'impossible' | 'failed' | 'cursor'> {
  /** Everything up to this key is settled but for what only the one has that was left out: when it answers again, it is asked from `cursor` on. */
  readonly beyond?: string
}

const nothing: Saved = { objects: 0, bytes: 0, queued: 0, impossible: 0, failed: [], cursor: '' }

export function fillState(journal: Pick<Journal, 'job' | 'saveJob'>, terms: FillTerms, clock: Clock): FillState {
  const { to, sources, prefix, resume, deep } = terms
  const name = `backfill/${to.id}/${prefix}`
  // What other sources had, or a look that was less deep settled, is not settled for these.
  const kind = `${deep ? 'deep ' : ''}${sources.map(({ id }) => id).join()}`
  const begun = (resume ? read(journal.job(name), kind) : undefined) ?? nothing
  const { beyond = '', ...work } = begun
  let savedAt = clock.monotonic()
  let without = terms.without
  /** Where the first was left out. */
  let leftAt: string | undefined

  const state: FillState = {
    ...work,
    failed: [...work.failed],
    get without() {
      return without
    },
    lacking: undefined,
    before: { objects: begun.objects, bytes: begun.bytes },
    fail(key, why) {
      state.impossible++
      if (state.failed.length < mostNamed) state.failed.push({ key, why })
    },
    leaveOut(provider) {
      without = [...without, provider]
      leftAt ??= state.cursor
      if (compareKeys(state.cursor, beyond) < 0) state.cursor = beyond
    },
    reached(key) {
      state.cursor = key
      return clock.monotonic() - savedAt < saveEveryMs ? undefined : state.keep()
    },
    async keep() {
      savedAt = clock.monotonic()
      const { objects, bytes, queued, impossible, failed, cursor } = state
      const counted = { objects, bytes, queued, impossible, failed }
      const further = leftAt === undefined ? beyond : cursor
      const saved: Saved = {
        ...counted,
        cursor: leftAt ?? cursor,
        ...(further === '' ? {} : { beyond: further }),
      }
      await journal.saveJob(name, JSON.stringify({ format: 1, kind, ...saved }))
    },
    forget: () => journal.saveJob(name, undefined),
  }
  return state
}

function read(text: string | undefined, kind: string): Saved | undefined {
  if (text === undefined) return undefined
  try {
    const saved = JSON.parse(text) as { format?: unknown; kind?: unknown } & Saved
    const counts = [saved.objects, saved.bytes, saved.queued, saved.impossible]
    const areKeys = typeof saved.cursor === 'string' && ['string', 'undefined'].includes(typeof saved.beyond)
    const isOurs = saved.format === 1 && saved.kind === kind && areKeys
    if (isOurs && counts.every(Number.isFinite) && Array.isArray(saved.failed)) return saved
  } catch {
    // Not of this version: the work begins anew.
  }
  return undefined
}

/** Tells how far it is, each time it is asked; the speed is that since it was asked some seconds ago. */
export function teller(state: FillState, clock: Clock, waiting: () => number): () => FillProgress {
  const marks = [{ at: clock.monotonic(), objects: state.objects, bytes: state.bytes }]
  return () => {
    const { objects, bytes, queued, impossible, cursor, without, lacking, before } = state
    const now = clock.monotonic()
    while (marks.length > 1 && now - (marks[0]?.at ?? now) > windowMs) marks.shift()
    const [first] = marks
    const seconds = Math.max(now - (first?.at ?? now), 1) / 1_000
    const objectsPerSecond = (objects - (first?.objects ?? 0)) / seconds
    const bytesPerSecond = (bytes - (first?.bytes ?? 0)) / seconds
    marks.push({ at: now, objects, bytes })
    const said = { objects, bytes, objectsPerSecond, bytesPerSecond, queued, impossible, cursor, without }
    const stored = Math.max(0, queued - waiting())
    if (lacking === undefined) return { ...said, stored }
    // The app deletes and puts meanwhile: what was counted is a guess.
    const ofObjects = Math.max(objects, before.objects + lacking.objects)
    const ofBytes = Math.max(bytes, before.bytes + lacking.bytes)
    const left = leftMs(ofObjects - objects, objectsPerSecond, ofBytes - bytes, bytesPerSecond)
    return { ...said, stored, ofObjects, ofBytes, ...(left === undefined ? {} : { leftMs: left }) }
  }
}

/** By whichever takes longer; unknown while nothing moves. */
function leftMs(objects: number, objectsPerSecond: number, bytes: number, bytesPerSecond: number): number | undefined {
  if (objects === 0) return 0
  if (objectsPerSecond <= 0) return undefined
  const byBytes = bytesPerSecond <= 0 ? 0 : bytes / bytesPerSecond
  return Math.ceil(Math.max(objects / objectsPerSecond, byBytes) * 1_000)
}
