import { type Breakers, createBreakers } from '../core/breaker.ts'
import { HoldfastError } from '../core/errors.ts'
import { guardProvider } from '../core/guarded.ts'
import { createLimiter } from '../core/limiter.ts'
import type { Clock, Random } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import { steadyWall } from '../core/steady.ts'
import type { Source } from '../core/source.ts'
import type { Version } from '../core/version.ts'
import type { Journal, Lease, ProviderRow, WriteRow } from '../journal/contract.ts'
import type { Stage } from '../stage/stage.ts'
import type { Emit } from './events.ts'
import { housekeeping } from './housekeeping.ts'
import { type Lane, openLane } from './lane.ts'
import { asError, worthUnblocking } from './policy.ts'
import { repairShare } from './room.ts'
import { restoring } from './restore.ts'
import { together } from './together.ts'
import { bell } from './wake.ts'

/** How often a process that does not replicate asks whether the one that does is gone. */
const leaseEveryMs = 1_000
/** What waits for a person, or for time, is tried again so often. */
const unblockEveryMs = 3_600_000
/** What is done with may be on local disk for so much longer: many are released in one commit. */
const houseRestMs = 50
/** What came of writes is recorded so often: what a power cut takes of it is looked at again. */
const recordEveryMs = 10
/** Longest silence of a provider, longest call without a body, slowest body. */
const idleMs = 15_000
const deadlineMs = 60_000
const minBytesPerSecond = 16 * 1024

export interface ReplicatorOptions {
  readonly holdMs: number
  readonly maxHeldBytes: number
  readonly maxStageBytes: number
  readonly cacheBytes: number
  readonly tombstoneDays: number
  readonly uploads: { readonly idleMs: number }
  readonly foreign: 'adopt' | 'report'
  readonly concurrency: number
  readonly maxRequestsPerSecond: number | undefined
}

export interface ReplicatorDeps {
  readonly journal: Journal
  readonly stage: Stage
  readonly providers: readonly { readonly provider: Provider; readonly row: ProviderRow }[]
  readonly sourceOf: (write: WriteRow) => Source
  readonly adopt: (key: string, provider: string, signal: AbortSignal) => Promise<Version>
  readonly clock: Clock
  readonly random: Random
  readonly options: ReplicatorOptions
  readonly emit: Emit
  /** Replication stopped for a reason that nobody foresaw, or because the directory takes no changes any more. It is begun again. */
  readonly failed: (error: HoldfastError) => void
}

/** Mirrors, looks twice, releases: for as long as this process holds the directory's lease. */
export interface Replicator {
  /** Ends everything in flight and gives the lease away. */
  stop(): Promise<void>
}

/** Starts at once, in the background: waits for no provider, and for no other process. */
export function startReplicator(deps: ReplicatorDeps): Replicator {
  const stopping = new AbortController()
  const running = keepLease({ ...deps, steadyNow: steadyWall(deps.clock) }, stopping.signal)
  return {
    async stop() {
      stopping.abort(new Error('the store is closed'))
      await running
    },
  }
}

interface ReignDeps extends ReplicatorDeps {
  readonly steadyNow: () => number
}

async function keepLease(deps: ReignDeps, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    const lease = await deps.journal.lease().catch((error: unknown) => {
      // That the directory is poisoned is said by whoever poisoned it, and by its mark.
      if (error instanceof HoldfastError && error.code !== 'CLOSED' && error.rule !== 'poisoned') deps.failed(error)
      return undefined
    })
    if (lease !== undefined) {
      deps.emit('lease', { held: true })
      await replicate(deps, lease, signal)
      await lease.end().catch(() => {})
      deps.emit('lease', { held: false })
    }
    // A sleep that is cut short rejects: the loop looks at the signal itself.
    await deps.clock.sleep(leaseEveryMs, signal).catch(() => {})
  }
}

/** One reign: until the store closes, or the journal takes no more changes from us. */
async function replicate(deps: ReignDeps, lease: Lease, outer: AbortSignal): Promise<void> {
  const { journal, clock, random, options, emit } = deps
  const lost = new AbortController()
  const signal = AbortSignal.any([outer, lost.signal])
  const changed = bell(clock)
  const record = together(clock, recordEveryMs)
  const lanes = new Map<number, Lane>()
  const lose = (error: unknown) => {
    const ours = asError(error)
    if (ours.code !== 'CLOSED') deps.failed(ours)
    lost.abort(error)
  }

  await Promise.all(deps.providers.map(({ row }) => lease.unblock(row.id, worthUnblocking))).catch(() => {})
  const guarded = deps.providers.map(({ provider, row }) => ({
    row,
    provider: guardProvider(provider, { clock, idleMs, deadlineMs, minBytesPerSecond }),
  }))
  /** Best effort, in the background: a provider drops what is unfinished by its own rule in the end. */
  const abandonUploads = ({ key, replicas }: WriteRow): void => {
    for (const { provider, upload } of replicas) {
      if (upload !== undefined)
        lanes
          .get(provider)
          ?.abandon(key, upload)
          .catch(() => {})
    }
  }
  const restorer = restoring({
    journal,
    lease,
    stage: deps.stage,
    providers: new Map(guarded.map(({ row, provider }) => [row.id, provider])),
    sourceOf: deps.sourceOf,
    abandonUploads,
    clock,
    emit,
    lost: lose,
    signal,
  })
  for (const { provider, row } of guarded) {
    const breakers: Breakers = createBreakers({ clock, random, changed: () => lanes.get(row.id)?.wake() })
    const { maxRequestsPerSecond } = options
    lanes.set(
      row.id,
      openLane({
        journal,
        lease,
        row,
        provider,
        breaker: breakers.write,
        limiter: createLimiter({
          clock,
          random,
          most: options.concurrency,
          ...(maxRequestsPerSecond === undefined ? {} : { maxRequestsPerSecond }),
        }),
        clock,
        random,
        options: {
          holdMs: options.holdMs,
          tooOldMs: (options.tombstoneDays * 86_400_000) / 2,
          foreign: options.foreign,
        },
        sourceOf: deps.sourceOf,
        adopt: deps.adopt,
        emit,
        restoring: restorer,
        lost: (error: HoldfastError) => lose(error),
        freed: changed.ring,
        together: record,
        signal,
      }),
    )
  }
  const house = housekeeping({
    lease,
    stage: deps.stage,
    clock,
    maxHeldBytes: options.maxHeldBytes,
    maxHeldRepairBytes: (options.maxStageBytes * repairShare) / 2,
    cacheBytes: options.cacheBytes,
    tombstoneMs: options.tombstoneDays * 86_400_000,
    uploadIdleMs: options.uploads.idleMs,
    steadyNow: deps.steadyNow,
    isBusy: seq => [...lanes.values()].some(lane => lane.isBusy(seq)),
    abandonUploads,
    emit,
  })

  const stopListening = journal.onChange(() => {
    for (const lane of lanes.values()) lane.wake()
    changed.ring()
  })
  try {
    let unblockedAt = clock.monotonic()
    while (!signal.aborted) {
      const hasMore = await house.afterChange()
      await house.now()
      if (clock.monotonic() - unblockedAt > unblockEveryMs) {
        unblockedAt = clock.monotonic()
        for (const { row } of deps.providers) await lease.unblock(row.id, worthUnblocking)
      }
      if (!hasMore) await changed.wait(10_000, signal, houseRestMs)
    }
  } catch (error) {
    if (!outer.aborted) lose(error)
  } finally {
    stopListening()
    await Promise.all([...lanes.values()].map(({ done }) => done))
    await restorer.idle()
  }
}
