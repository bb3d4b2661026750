import { join } from 'node:path'
import { HoldfastError } from '../core/errors.ts'
import type { Disk, DiskFile, Random } from '../core/ports.ts'
import type { Budget, Reservation } from './budget.ts'
import { corruptBody, diskFull, errno } from './failures.ts'
import type { Paths } from './files.ts'
import { shared } from './group.ts'
import {
  type AskedChecksum,
  copyIn,
  type Expected,
  type IntakeDigests,
  type IntakeFile,
  type IntakeOptions,
  takeIn,
} from './intake.ts'
import type { Poison, Steps } from './poison.ts'
import { fileSource } from './reading.ts'

/** Bodies of at most this many bytes go into the journal's row: no file. */
export const smallBytes = 16_384
/** From this size on, the free space of the disk is looked at before a body is read. */
const askFreeFrom = 1_048_576

export interface ReceiveOptions {
  /** The size, if it is known or announced, and the digests that the caller expects, hex. */
  readonly expected?: Expected | undefined
  /** Computed besides, and in the draft's digests; compared where it has a value. */
  readonly checksum?: AskedChecksum | undefined
  /** Larger bodies go to a file. Default 16 KiB; below 0: also empty ones. */
  readonly smallBytes?: number | undefined
  readonly signal?: AbortSignal | undefined
}

/** Where a body is that the journal may commit. */
export type PublishedBody =
  | { readonly in: 'row'; readonly bytes: Uint8Array }
  | { readonly in: 'file'; readonly file: string }

/**
 * A body whose bytes are safe (synced, or in memory when small), and that nothing refers to. It holds its part of the budget until
 * it is published and released, or discarded. Leaving its scope gives the budget back, and discards it unless it was published: then the
 * journal may refer to it, and the collector, who asks the journal, decides.
 */
export interface Draft extends AsyncDisposable {
  readonly size: number
  readonly digests: IntakeDigests
  /**
   * Resolves when the body survives a power cut under its final name: what a commit may refer to. Publishers of the same moment share
   * one sync of the directory. When it rejects (as `receive`, or UNAVAILABLE where something else removed the draft), nothing is left to
   * discard. Again: the same answer.
   */
  publish(): Promise<PublishedBody>
  /** The journal counts the body from now on, or nobody knows whether it does: gives the budget back, leaves the body. */
  release(): void
  /** Removes the body, also a published one: only where the journal surely did not take it. Never rejects. */
  discard(): Promise<void>
}

/**
 * Publishes a draft and gives its body to whoever commits it. Where the commit was surely refused, the body goes; where nobody knows whether the
 * journal took it, it stays: the collector asks the journal. Rejects as `publish` and `commit` do.
 */
export async function commitDraft<T>(draft: Draft, commit: (body: PublishedBody) => Promise<T>): Promise<T> {
  const body = await draft.publish()
  try {
    const committed = await commit(body)
    draft.release()
    return committed
  } catch (error) {
    if (error instanceof HoldfastError && error.outcome === 'rejected') await draft.discard()
    else draft.release()
    throw error
  }
}

export interface DraftMaker {
  receive(body: AsyncIterable<Uint8Array> | Uint8Array, options: ReceiveOptions): Promise<Draft>
  link(body: LinkedBody, signal: AbortSignal | undefined): Promise<Draft>
  /** Whether a name in `drafts` is one that this process is still working on. */
  isLive(file: string): boolean
}

/** A body in `bodies/`, as the journal knows it. */
export interface LinkedBody {
  readonly file: string
  readonly size: number
  readonly crc32c: string
  readonly md5: string
}

export interface DraftTools {
  readonly paths: Paths
  readonly disk: Disk
  readonly random: Random
  readonly budget: Budget
  readonly poison: Poison
  readonly steps: Steps
}

export function draftMaker({ paths, disk, random, budget, poison, steps }: DraftTools): DraftMaker {
  const writer = random.hex(8)
  const live = new Set<string>()

  /** The names in `bodies` are on disk. Not tried again once anything failed, and worth nothing if anything failed meanwhile. */
  const syncBodies = shared(async () => {
    refuse(poison.here())
    await steps.syncNames(() => disk.syncDirectory(paths.bodies))
    refuse(await poison.look())
  })

  async function receive(body: AsyncIterable<Uint8Array> | Uint8Array, options: ReceiveOptions): Promise<Draft> {
    const { expected = {}, signal } = options
    signal?.throwIfAborted()
    refuse(poison.here())
    const known = body instanceof Uint8Array ? body.byteLength : expected.size
    const reservation = budget.reserve(known)
    let draft: DraftFile | undefined
    const intake: IntakeOptions = {
      expected,
      checksum: options.checksum,
      smallBytes: options.smallBytes ?? smallBytes,
      signal,
      grown: bytes => reservation.cover(bytes),
      openFile: async () => {
        draft = await openDraft(known)
        return draft
      },
    }
    try {
      const { size, digests, bytes } = await (body instanceof Uint8Array ? copyIn(body, intake) : takeIn(body, intake))
      reservation.settle(size)
      await draft?.finish()
      signal?.throwIfAborted()
      refuse(poison.here())
      return bytes === undefined
        ? fileDraft(draft?.file ?? '', size, digests, reservation)
        : rowDraft(bytes, digests, reservation)
    } catch (error) {
      await draft?.drop()
      reservation.release()
      throw error
    }
  }

  interface DraftFile extends IntakeFile {
    readonly file: string
    /** Synced and closed. */
    finish(): Promise<void>
    drop(): Promise<void>
  }

  async function openDraft(size: number | undefined): Promise<DraftFile> {
    refuse(await poison.look())
    if (size !== undefined && size >= askFreeFrom) await checkFree(size)
    const file = newFile()
    const path = join(paths.drafts, file)
    let open: DiskFile | undefined
    try {
      open = await steps.change(() => disk.create(path))
    } catch (error) {
      live.delete(file)
      throw error
    }
    const handle = open
    const close = async (): Promise<void> => {
      if (open === undefined) return
      open = undefined
      await handle.close()
    }
    return {
      file,
      write: (bytes, position) => steps.change(() => handle.write(bytes, position)),
      async finish() {
        await steps.change(() => handle.sync())
        await steps.change(close)
      },
      async drop() {
        await close().catch(() => {})
        await remove(file)
      },
    }
  }

  const askFree = shared(() => steps.change(() => disk.fileSystem(paths.drafts)))

  async function checkFree(size: number): Promise<void> {
    const { freeBytes } = await askFree()
    if (freeBytes < size) throw diskFull(paths.root, undefined)
  }

  async function link({ file, size, crc32c, md5 }: LinkedBody, signal: AbortSignal | undefined): Promise<Draft> {
    signal?.throwIfAborted()
    refuse(await poison.look())
    const body = join(paths.bodies, file)
    const reservation = budget.reserve(size)
    const draft = newFile()
    try {
      const found = await steps.change(() => disk.stat(body))
      if (found === undefined) throw corruptBody('missing', `${body} is gone`)
      if (found.size !== size) throw corruptBody('size', `${body} has ${found.size} bytes, it had ${size}`)
      const linked = await steps.change(() => tryLink(body, join(paths.drafts, draft)))
      if (linked) return fileDraft(draft, size, { crc32c, md5, sha256: undefined }, reservation)
    } catch (error) {
      await remove(draft)
      reservation.release()
      throw error
    }
    live.delete(draft)
    reservation.release()
    const source = fileSource(disk, [body], size, { crc32c, md5 })
    return receive(source.open(0, size), { expected: { size, crc32c, md5 }, smallBytes: 0, signal })
  }

  /** False: no link can be made of this file (a file system without, or one that has all that it may have). */
  async function tryLink(from: string, to: string): Promise<boolean> {
    try {
      await disk.link(from, to)
      return true
    } catch (error) {
      if (errno(error) === 'ENOENT' && (await disk.stat(from)) === undefined) {
        throw corruptBody('missing', `${from} is gone`, error)
      }
      if (['EMLINK', 'EPERM', 'EXDEV', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'].includes(errno(error) ?? '')) return false
      throw error
    }
  }

  function rowDraft(bytes: Uint8Array, digests: IntakeDigests, reservation: Reservation): Draft {
    const release = (): void => reservation.release()
    return {
      size: bytes.byteLength,
      digests,
      async publish() {
        const refusal = poison.here()
        if (refusal !== undefined) {
          release()
          throw refusal
        }
        return { in: 'row', bytes }
      },
      release,
      discard: async () => release(),
      [Symbol.asyncDispose]: async () => release(),
    }
  }

  function fileDraft(file: string, size: number, digests: IntakeDigests, reservation: Reservation): Draft {
    let published: Promise<PublishedBody> | undefined
    let place: 'drafts' | 'bodies' | 'nowhere' = 'drafts'

    async function publish(): Promise<PublishedBody> {
      try {
        refuse(poison.here())
        await steps.change(() => moveToBodies(file))
        place = 'bodies'
        live.delete(file)
        await syncBodies()
        return { in: 'file', file }
      } catch (error) {
        await discard()
        throw error
      }
    }

    async function discard(): Promise<void> {
      if (place === 'drafts') await remove(file)
      // Of a disk that failed nothing is touched any more; the collector finds what nothing refers to.
      if (place === 'bodies' && poison.here() === undefined) {
        await disk.unlink(join(paths.bodies, file)).catch(() => {})
      }
      place = 'nowhere'
      reservation.release()
    }

    return {
      size,
      digests,
      publish: () => (published ??= publish()),
      release: () => reservation.release(),
      discard,
      async [Symbol.asyncDispose]() {
        if (place === 'drafts') await discard()
        else reservation.release()
      },
    }
  }

  async function moveToBodies(file: string): Promise<void> {
    const draft = join(paths.drafts, file)
    try {
      await disk.rename(draft, join(paths.bodies, file))
    } catch (error) {
      const isWhole = async () =>
        (await disk.stat(paths.bodies)) !== undefined && (await disk.stat(draft)) === undefined
      if (errno(error) !== 'ENOENT' || !(await isWhole())) throw error
      throw new HoldfastError('UNAVAILABLE', `${draft} is gone: something else removes files there; put it again`, {
        outcome: 'rejected',
        cause: error,
      })
    }
  }

  /** Best effort: what is left is no longer live, and the sweep finds it. */
  async function remove(file: string): Promise<void> {
    await disk.unlink(join(paths.drafts, file)).catch(() => {})
    live.delete(file)
  }

  function newFile(): string {
    const file = writer + random.hex(8)
    live.add(file)
    return file
  }

  return { receive, link, isLive: file => live.has(file) }
}

function refuse(refusal: HoldfastError | undefined): void {
  if (refusal !== undefined) throw refusal
}
