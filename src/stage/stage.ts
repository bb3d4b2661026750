import { join } from 'node:path'
import type { Digests } from '../core/digest.ts'
import { type HoldfastError, invalid, shown } from '../core/errors.ts'
import type { Clock, Random } from '../core/ports.ts'
import type { Source } from '../core/source.ts'
import { openBudget } from './budget.ts'
import type { Directory } from './directory.ts'
import { type Draft, draftMaker, type LinkedBody, type PublishedBody, type ReceiveOptions } from './drafts.ts'
import { errno } from './failures.ts'
import { isFileId, reserveBytes, writeReserve } from './files.ts'
import { openPoison, stepsOf } from './poison.ts'
import { fileSource, partsSource, readFile, rowSource, verifyFile } from './reading.ts'
import { draftSweep, type Sweep } from './sweep.ts'

/**
 * Bytes on local disk: bodies on their way in (`drafts`), bodies that are needed (`bodies`), and bodies that are not (`cache`). Knows
 * nothing of keys, versions and providers, and decides nothing: what is needed is the journal's to say.
 *
 * A write or a sync that fails, for other reasons than space and open files, poisons the directory: everything that would lead to a
 * promise rejects from then on with CORRUPT, directory/poisoned; reading still works. See `Poison`. The mark that another process put
 * is looked at where a file is made or published; of small bodies it is the journal that looks, before it commits.
 */
export interface Stage {
  /**
   * Takes in a body, its digests computed on the way, and resolves when its bytes would survive a power cut. At most half a MiB of it is in
   * memory; small bodies are only there. Bytes are a body of at most `longestPageBytes` that is there as a whole: they are copied in one go, small ones
   * before anything else happens. Memory that was handed elsewhere or made smaller before that is INVALID, field `body`, rule `source`.
   *
   * Rejects with NO_SPACE before anything is read where the size is known and does not fit, or nothing fits any more; a body of unknown
   * size may meet it later. CHECKSUM, field `size`, at the first byte too many; field `md5`, `crc32c`, `sha256`, `checksum` at the end. The reason
   * of the signal, which is honoured until this resolves. UNAVAILABLE when too many files are open. What `chunks` throws is passed on.
   * Then nothing is left behind, and a body that was begun is let go of; one that was not begun is untouched.
   */
  receive(body: AsyncIterable<Uint8Array> | Uint8Array, options?: ReceiveOptions): Promise<Draft>
  /**
   * A draft with the bytes of a body that is in `bodies`, for a copy: a second name of the same file, or a copy of it where the file
   * system makes no more links. Its size is checked; its digests are taken on the caller's word: `verifyBodies` first, where there is
   * another place to take them from. Rejects as `receive`, and with CORRUPT, body/missing or body/size.
   */
  linkDraft(body: LinkedBody, signal?: AbortSignal): Promise<Draft>
  /** A body to read from, again and again; see `fileSource` for what it promises and throws. Opens nothing yet. */
  source(body: StoredBody, size: number, digests: Digests): Source
  /** All of a body in a file, in memory of its own, without a look at its digests. Rejects as its `source` does while it is read. */
  bytes(body: FileBody, size: number): Promise<Uint8Array>
  /** Reads bodies from the first to the last byte; answers those that are not what they were. */
  verifyBodies(
    bodies: Iterable<LinkedBody> | AsyncIterable<LinkedBody>,
    signal?: AbortSignal,
  ): AsyncIterable<{ readonly body: LinkedBody; readonly error: HoldfastError }>

  /** What is in a tree now. Names that are not ours are left out. */
  files(tree: 'drafts' | 'bodies' | 'cache'): AsyncIterable<StagedFile>
  /** No error where it is gone. Only for what the journal released or does not know. */
  unlinkBody(file: string): Promise<void>
  /** Keeps a released body as long as there is room. False: there is none of that name, or no cache. Not synced: the cache may vanish. */
  moveToCache(file: string): Promise<boolean>
  /** Removes a body from the cache. It cannot name one in `bodies`. No error where it is gone. */
  evict(file: string): Promise<void>
  /** Removes what dead processes left in `drafts`. */
  readonly sweep: Sweep

  /** Bytes that puts in flight of this process are about to add to what the journal counts. */
  readonly reservedBytes: number
  /** Gives the reserve up, so that deletes and state changes find room on a full disk. */
  releaseReserve(): Promise<void>
  /** Takes the reserve back. False: there is not room enough yet. */
  restoreReserve(): Promise<boolean>

  /** A write failed elsewhere in this directory: nothing more is accepted. Never rejects. */
  poison(cause: unknown): Promise<void>
  /** Whether this process or another one accepts nothing more, for sure: false where the mark cannot be looked at now. Never rejects. */
  isPoisoned(): Promise<boolean>
  /** For whoever has the directory alone and has verified it; what failed in this very opening stays failed. */
  clearPoison(): Promise<void>
  /** Syncs the names in the directory once more, before the first promise after a poisoned opening. */
  refsync(): Promise<void>
}

/** A body that has a file. One that is released while it is read is found where it went. */
export type FileBody = { readonly in: 'file' | 'cache'; readonly file: string }

/** A body that the journal knows. */
export type StoredBody =
  | PublishedBody
  | FileBody
  /** What these files in `bodies` have, one after the other. */
  | { readonly in: 'parts'; readonly parts: readonly LinkedBody[] }

export interface StagedFile {
  readonly file: string
  /** Bytes. */
  readonly size: number
  /** Milliseconds by the wall clock since its bytes or its name changed last; negative where the clock went back. */
  readonly ageMs: number
}

export interface StageOptions {
  readonly directory: Directory
  readonly random: Random
  readonly clock: Clock
  /** Bytes of bodies not yet released; over it, puts are refused. */
  readonly maxStageBytes: number
  /** What the journal counts of them now. In microseconds: it is asked for each body. */
  readonly stagedBytes: () => number
}

export function openStage({ directory, random, clock, maxStageBytes, stagedBytes }: StageOptions): Stage {
  const { paths, disk } = directory
  const poison = openPoison(paths.root, disk, clock)
  const steps = stepsOf(paths.root, poison)
  const budget = openBudget(maxStageBytes, stagedBytes)
  const drafts = draftMaker({ paths, disk, random, budget, poison, steps })

  const body = (file: string): string => join(paths.bodies, checked(file))
  const cached = (file: string): string => join(paths.cache, checked(file))
  const places = ({ in: tree, file }: FileBody): readonly string[] =>
    tree === 'file' ? [body(file), cached(file)] : [cached(file), body(file)]

  return {
    receive: (body, options = {}) => drafts.receive(body, options),
    linkDraft: async (linked, signal) => drafts.link({ ...linked, file: checked(linked.file) }, signal),
    source(stored, size, digests) {
      switch (stored.in) {
        case 'row':
          return rowSource(stored.bytes, size, digests)
        case 'file':
        case 'cache':
          return fileSource(disk, places(stored), size, digests)
        case 'parts':
          return partsSource(
            disk,
            stored.parts.map(part => ({ path: body(part.file), size: part.size, digests: part })),
            size,
            digests,
          )
      }
    },
    bytes: async (stored, size) => readFile(disk, places(stored), size),
    async *verifyBodies(bodies, signal) {
      for await (const each of bodies) {
        signal?.throwIfAborted()
        const error = await verifyFile(disk, body(each.file), each.size, each, signal)
        if (error !== undefined) yield { body: each, error }
      }
    },

    async *files(tree) {
      for (const name of await disk.names(paths[tree])) {
        const found = isFileId(name) ? await disk.stat(join(paths[tree], name)) : undefined
        if (found?.kind === 'file') yield { file: name, size: found.size, ageMs: clock.now() - found.changedMs }
      }
    },
    unlinkBody: async file => steps.change(() => disk.unlink(body(file))),
    async moveToCache(file) {
      return steps.change(async () => {
        try {
          await disk.rename(body(file), cached(file))
          return true
        } catch (error) {
          if (errno(error) === 'ENOENT') return false
          throw error
        }
      })
    },
    evict: async file => steps.change(() => disk.unlink(cached(file))),
    sweep: draftSweep(disk, clock, paths, drafts.isLive),

    get reservedBytes() {
      return budget.reservedBytes
    },
    releaseReserve: () => steps.change(() => disk.unlink(paths.reserve)),
    async restoreReserve() {
      if ((await disk.stat(paths.reserve))?.size === reserveBytes) return true
      // Twice: what it needs is not to be what fills the disk.
      if ((await disk.fileSystem(paths.root)).freeBytes < 2 * reserveBytes) return false
      await steps.change(() => writeReserve(disk, random, paths))
      return true
    },

    poison: cause => poison.set(cause),
    isPoisoned: poison.isSure,
    clearPoison: () => steps.change(() => poison.clear()),
    async refsync() {
      await steps.syncNames(() => disk.syncDirectory(paths.bodies))
      await steps.syncNames(() => disk.syncDirectory(paths.root))
    },
  }
}

/** Names come from the journal's rows; a damaged one must not lead out of the tree. */
function checked(file: string): string {
  if (isFileId(file)) return file
  throw invalid('file', 'name', `${shown(file)} is not the name of a body`)
}
