import type { Clock } from '../core/ports.ts'
import type { Lease, WriteRow } from '../journal/contract.ts'
import { isFileId } from '../stage/files.ts'
import type { Stage } from '../stage/stage.ts'
import type { Emit } from './events.ts'

/** Files younger than this are nobody's business: a put may be about to commit them. */
const graceMs = 15 * 60_000
const collectEveryMs = 10 * 60_000
const trimEveryMs = 60_000
/** That the hold is shortened is a change like any other, and asked for after changes: not without a pause. */
const hastenEveryMs = 1_000
/** Held copies are never looked at sooner than this, however full the stage is. */
export const leastHeldMs: number = 120_000
/** Remembered tokens of finished writes: they save requests, no promise rests on them. */
const knownRows = 100_000
const batch = 256

export interface HousekeepingDeps {
  readonly lease: Lease
  readonly stage: Stage
  readonly clock: Clock
  readonly maxHeldBytes: number
  /** Of repairs. */
  readonly maxHeldRepairBytes: number
  readonly cacheBytes: number
  readonly tombstoneMs: number
  /** Uploads in parts that nobody added to for so long are dropped. */
  readonly uploadIdleMs: number
  /** Since this process opened the directory: that the clock was set makes no upload old. */
  readonly steadyNow: () => number
  readonly isBusy: (seq: number) => boolean
  /** Drops what unfinished uploads of a write left at the providers, in the background: no provider keeps local disk from being freed. */
  readonly abandonUploads: (write: WriteRow) => void
  readonly emit: Emit
}

/**
 * What frees local disk, in the one order that loses nothing: the journal records the release, then the body is unlinked or moved to the
 * cache, then the journal forgets the file.
 */
export interface Housekeeping {
  /** After changes. Answers whether there may be more to do at once. */
  afterChange(): Promise<boolean>
  /** Now and then. */
  now(): Promise<void>
}

export function housekeeping(deps: HousekeepingDeps): Housekeeping {
  const { lease, stage, clock, emit } = deps
  let collectedAt = Number.NEGATIVE_INFINITY
  let hastenedAt = Number.NEGATIVE_INFINITY
  let trimmedAt = Number.NEGATIVE_INFINITY

  async function release(): Promise<boolean> {
    const verified = lease.releasable(batch)
    const over = lease.superseded(clock.now(), batch).filter(({ seq }) => !deps.isBusy(seq))
    if (verified.length === 0 && over.length === 0) return false
    for (const write of over) deps.abandonUploads(write)
    await lease.release([
      // What was repaired was not asked for: it drives nothing out of the cache.
      ...verified.map(({ seq, origin }) => ({ seq, cache: deps.cacheBytes > 0 && origin === 'app' })),
      ...over.map(({ seq }) => ({ seq, cache: false })),
    ])
    for (const { key, version } of verified) emit('released', { key, version })
    return verified.length === batch || over.length === batch
  }

  async function emptyTrash(): Promise<boolean> {
    const trash = lease.trash(batch)
    if (trash.length === 0) return false
    for (const { file, to } of trash) {
      // Of a damaged row: no file is called so, and nothing may wait for it to go.
      if (!isFileId(file)) continue
      if (to === 'cache') await stage.moveToCache(file)
      else {
        await stage.unlinkBody(file)
        // That of an older write may have been cached before.
        await stage.evict(file)
      }
    }
    await lease.emptied(trash.map(({ file }) => file))
    return trash.length === batch
  }

  async function collectFrom(tree: 'bodies' | 'cache'): Promise<void> {
    const old: string[] = []
    for await (const { file, ageMs } of stage.files(tree)) if (ageMs > graceMs) old.push(file)
    for (let i = 0; i < old.length; i += batch) {
      const orphans = await lease.collect(old.slice(i, i + batch))
      if (tree === 'cache') for (const file of orphans) await stage.evict(file)
    }
  }

  async function collect(): Promise<void> {
    await collectFrom('bodies')
    await collectFrom('cache')
    await stage.sweep.idle()
    await stage.restoreReserve()
  }

  async function trim(): Promise<void> {
    const dropped = await lease.trim({
      deletedBefore: clock.now() - deps.tombstoneMs,
      knownRows,
      cacheBytes: deps.cacheBytes,
    })
    for (const file of dropped) if (isFileId(file)) await stage.evict(file)
  }

  /** A stage that fills up shortens the hold; repairs that fill their share of it shorten their own. */
  async function hasten(): Promise<void> {
    if (clock.monotonic() - hastenedAt <= hastenEveryMs) return
    const what =
      lease.heldBytes() > deps.maxHeldBytes
        ? 'all'
        : lease.heldBytes('repair') > deps.maxHeldRepairBytes
          ? 'repair'
          : undefined
    if (what === undefined) return
    hastenedAt = clock.monotonic()
    await lease.hasten(clock.now() - leastHeldMs, what === 'all' ? undefined : what)
  }

  async function dropIdleUploads(): Promise<void> {
    const idleSince = Math.floor(deps.steadyNow()) - deps.uploadIdleMs
    while ((await lease.dropUploads(idleSince)).length > 0);
  }

  return {
    async afterChange() {
      await hasten()
      const more = await release()
      return (await emptyTrash()) || more
    },
    async now() {
      if (clock.monotonic() - trimmedAt > trimEveryMs) {
        trimmedAt = clock.monotonic()
        await trim()
        await dropIdleUploads()
      }
      if (clock.monotonic() - collectedAt > collectEveryMs) {
        collectedAt = clock.monotonic()
        await collect()
      }
    },
  }
}
