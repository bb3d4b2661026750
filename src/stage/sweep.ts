import { join } from 'node:path'
import type { Clock, Disk } from '../core/ports.ts'
import { isFileId, type Paths } from './files.ts'

/** A draft that nobody wrote to for so long is given up. */
const idleMs = 3_600_000
/** And it must have been seen so, twice, so far apart by a clock that does not jump. */
const watchedMs = 60_000

/**
 * Removes drafts that nobody will finish. Which process a draft belongs to is in its name (the first 16 digits, new at each open), but
 * not whether that process lives: no kernel lock says so for one of many. So there are two rules. `all` is for whoever holds
 * members.lock alone, and while it does: every other process is gone then. `idle` is for whoever replicates, now and then: a draft goes
 * that was left alone for an hour by the wall clock, and is still as this process saw it a minute or more before by the clock that
 * does not jump.
 *
 * Should one go that somebody was still to finish, no promise is lost: the rename of its publish fails, and that put is rejected.
 */
export interface Sweep {
  /** Answers how many were removed. */
  all(): Promise<number>
  idle(): Promise<number>
}

export function draftSweep(disk: Disk, clock: Clock, paths: Paths, isLive: (file: string) => boolean): Sweep {
  let watched = new Map<string, { readonly changedMs: number; readonly since: number }>()

  async function left(): Promise<string[]> {
    const names = await disk.names(paths.drafts)
    return names.filter(name => isFileId(name) && !isLive(name))
  }

  return {
    async all() {
      const files = await left()
      for (const file of files) await disk.unlink(join(paths.drafts, file))
      return files.length
    },

    async idle() {
      const now = clock.monotonic()
      const seen: typeof watched = new Map()
      let removed = 0
      for (const file of await left()) {
        const path = join(paths.drafts, file)
        const found = await disk.stat(path)
        if (found === undefined) continue
        const before = watched.get(file)
        const since = before?.changedMs === found.changedMs ? before.since : now
        if (now - since >= watchedMs && clock.now() - found.changedMs >= idleMs) {
          await disk.unlink(path)
          removed++
        } else seen.set(file, { changedMs: found.changedMs, since })
      }
      watched = seen
      return removed
    },
  }
}
