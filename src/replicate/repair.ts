import { attributesOf } from '../core/attributes.ts'
import { type Entry, recognise } from '../core/entry.ts'
import { HoldfastError } from '../core/errors.ts'
import { featuresAlong } from '../core/features.ts'
import type { ProviderLimits } from '../core/guarded.ts'
import type { Clock } from '../core/ports.ts'
import { type Layout, layoutOf } from '../core/layout.ts'
import type { Provider, RemoteObject } from '../core/provider.ts'
import { maxClockLeadMs, type Version, versionTime } from '../core/version.ts'
import type { Journal } from '../journal/contract.ts'
import type { Stage } from '../stage/stage.ts'
import { fetchInto } from './fetch.ts'
import { readMarker } from './marker.ts'

/** What reads found missing at most remembers; more is found again by the next read. */
const mostQueued = 10_000
/** Repairs are work for the healthy side: not more than this often. */
const everyMs = 100

export interface Missing {
  readonly key: string
  readonly version: Version
  readonly missingAt: readonly number[]
  readonly foundAt: number
}

export interface RepairDeps {
  readonly journal: Journal
  readonly stage: Stage
  /** Guarded providers by their id in the journal. */
  readonly providers: ReadonlyMap<number, Provider>
  readonly maxStageBytes: number
  readonly clock: Clock
  /** Takes in an object without a version of ours. */
  readonly adopt: (key: string, provider: string, signal: AbortSignal) => Promise<unknown>
  readonly repaired: (missing: Missing) => void
  readonly signal: AbortSignal
}

/** Heals what reads found missing: as ordinary work, slowly, and only from a copy whose bytes have just been checked. */
export interface Repairs {
  queue(missing: Missing): void
  /** Resolves after the signal was aborted and nothing is under way. */
  idle(): Promise<void>
}

export function repairs(deps: RepairDeps): Repairs {
  const { clock, signal } = deps
  const queued = new Map<string, Missing>()
  let working: Promise<void> | undefined

  async function work(): Promise<void> {
    for (const [key, missing] of queued) {
      if (signal.aborted) return
      queued.delete(key)
      try {
        if (await repair(deps, missing)) deps.repaired(missing)
      } catch {
        // Nothing was promised: the next read that meets the gap queues it again, and reconcile finds all of them.
      }
      await clock.sleep(everyMs, signal).catch(() => {})
    }
  }

  return {
    queue(missing) {
      if (signal.aborted || queued.size >= mostQueued) return
      queued.set(missing.key, missing)
      working ??= work().finally(() => {
        working = undefined
      })
    },
    idle: async () => working,
  }
}

async function repair(deps: RepairDeps, missing: Missing): Promise<boolean> {
  const { journal, stage, clock } = deps
  const { key, version } = missing
  const { signal } = deps
  const source = deps.providers.get(missing.foundAt)
  if (source === undefined) return false
  const targets: number[] = []
  for (const id of missing.missingAt) {
    const provider = deps.providers.get(id)
    if (provider === undefined) continue
    const target = { id, provider, capabilities: provider.capabilities, skew: { offsetMs: undefined } }
    const marker = await readMarker(target, key, clock.now, signal)
    if (marker === undefined || marker < version) targets.push(id)
  }
  const found = await source.head(key, signal)
  if (targets.length === 0 || found === undefined) return false
  const there = recognise(found)
  if (there.version !== version) return false
  // Taken in, a stamp from the future would be followed by all that this directory writes after it.
  if (versionTime(version) > (found.serverTime ?? clock.now()) + maxClockLeadMs) return false
  if (there.whose === 'foreign') {
    await deps.adopt(key, source.name, signal)
    return true
  }
  const wanted = { token: found.token, size: found.size, crc32c: there.entry.crc32c }
  const fetched = await fetchInto(stage, source, key, wanted, signal)
  if (fetched === undefined) return false
  await using draft = fetched.draft
  const body = await draft.publish()
  const layout = layoutThere(source, fetched.object, there.entry)
  const takers = targets.flatMap(id => deps.providers.get(id) ?? [])
  const features = featuresAlong(fetched.object.features, takers)
  try {
    await journal.accept({
      key,
      kind: 'put',
      origin: 'repair',
      version,
      stampMs: clock.now(),
      condition: undefined,
      size: draft.size,
      crc32c: draft.digests.crc32c,
      md5: draft.digests.md5,
      attributes: attributesOf(fetched.object),
      ...(layout === undefined ? {} : { layout }),
      ...(features === undefined ? {} : { features }),
      body,
      providers: targets,
      maxStageBytes: deps.maxStageBytes,
    })
    draft.release()
  } catch (error) {
    // Where nobody knows whether the journal took it, the body stays: the collector asks the journal.
    if (error instanceof HoldfastError && error.outcome === 'rejected') await draft.discard()
    else draft.release()
    throw error
  }
  return true
}

/**
 * The parts that the app's ETag tells of. One that came in one piece is stored so again where the source shows by its own ETag that it was; of
 * others nobody knows whether drivers may cut it as they like, and then they may.
 */
function layoutThere({ kind }: Provider, object: RemoteObject, { etag, partSize }: Entry): Layout | undefined {
  if (partSize === undefined && (kind !== 's3' || object.etag !== etag)) return undefined
  return layoutOf(etag, object.size, partSize)
}

/** For guarding the providers of repairs: they wait for nobody. */
export const repairLimits: Omit<ProviderLimits, 'clock'> = {
  idleMs: 30_000,
  deadlineMs: 60_000,
  minBytesPerSecond: 16 * 1024,
}
