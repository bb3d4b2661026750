import { join } from 'node:path'
import { HoldfastError } from '../core/errors.ts'
import type { Clock, Disk } from '../core/ports.ts'
import { diskFailure, diskFull, poisoned, told, tooManyFiles } from './failures.ts'
import { shared } from './group.ts'

/**
 * The end of an opening: after a write or a sync that failed, nobody knows what is on disk. Nothing is tried again, and nothing is
 * accepted by any process of the directory, until all have left and one has opened it anew and verified what is there.
 */
export interface Poison {
  /** Ends this opening, and puts the mark where all processes see it. Never rejects: a disk that failed may fail this too. */
  set(cause: unknown): Promise<void>
  /** Why this process accepts nothing more; `undefined` while it does. At once, without a look at the mark. */
  here(): HoldfastError | undefined
  /**
   * The same, with a look at the mark of other processes that begins after the call; also where that fails: nothing is promised on a disk
   * that cannot be looked at. Calls of one moment share a look.
   */
  look(): Promise<HoldfastError | undefined>
  /** Whether it is so for sure: a look that fails says nothing, and the next one may not. Never rejects. */
  isSure(): Promise<boolean>
  /** Takes the mark away. For whoever has the directory alone and has verified it; what was poisoned here stays so. */
  clear(): Promise<void>
}

export function openPoison(root: string, disk: Disk, clock: Clock): Poison {
  const mark = join(root, 'poisoned')
  let first: { readonly cause: unknown } | undefined

  async function putMark(cause: unknown): Promise<void> {
    const text = `${new Date(clock.now()).toISOString()} ${cause instanceof Error ? cause.message : told(cause)}\n`
    const file = await disk.create(mark)
    try {
      await file.write(Buffer.from(text, 'utf8'), 0)
      await file.sync()
    } finally {
      await file.close()
    }
  }

  return {
    async set(cause) {
      if (first !== undefined) return
      first = { cause }
      // Its text may be lost: the name is what counts, and that is tried in any case.
      await putMark(cause).catch(() => {})
      await disk.syncDirectory(root).catch(() => {})
    },
    here: () => (first === undefined ? undefined : poisoned(root, first.cause)),
    look: shared(async () => {
      if (first !== undefined) return poisoned(root, first.cause)
      try {
        return (await disk.stat(mark)) === undefined ? undefined : poisoned(root, undefined)
      } catch (error) {
        return poisoned(root, error)
      }
    }),
    async isSure() {
      if (first !== undefined) return true
      return disk.stat(mark).then(
        found => found !== undefined,
        () => false,
      )
    },
    async clear() {
      await disk.unlink(mark)
      await disk.syncDirectory(root)
    },
  }
}

/** Runs steps on disk and says in our words what failed; what may have broken something ends this opening. */
export interface Steps {
  /**
   * A step that writes, renames, or syncs a draft. NO_SPACE, UNAVAILABLE (too many open files), or the poison. No space may well be
   * said by the sync: where room is only found when it is needed (copy on write, thin disks, quotas), it is the first to hear of it.
   * The draft is thrown away then, and never synced again; other files have their own errors.
   */
  change<T>(step: () => Promise<T>): Promise<T>
  /** The sync of a directory. Names of others are in it, so that any failure is the poison, but for one that kept it from beginning. */
  syncNames(step: () => Promise<void>): Promise<void>
}

export function stepsOf(root: string, poison: Poison): Steps {
  async function run<T>(step: () => Promise<T>, mayBeFull: boolean): Promise<T> {
    try {
      return await step()
    } catch (error) {
      // Said in our words already: a step that knew better.
      if (error instanceof HoldfastError) throw error
      const failure = diskFailure(error)
      if (failure === 'busy') throw tooManyFiles(error)
      if (failure === 'full' && mayBeFull) throw diskFull(root, error)
      await poison.set(error)
      throw poison.here() ?? error
    }
  }

  return { change: step => run(step, true), syncNames: step => run(step, false) }
}
