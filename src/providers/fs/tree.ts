import { constants } from 'node:fs'
import { type FileHandle, mkdir, readdir, realpath, rmdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { unlessAborted } from '../../core/abort.ts'
import type { HoldfastError } from '../../core/errors.ts'
import type { ErrorMaker } from '../errors.ts'
import { type Calls, callsTo } from './calls.ts'
import { errno } from './errors.ts'
import { fileOf } from './names.ts'
import { bytesBeforeBody, decodeRecord, type FileRecord, usualBytes } from './record.ts'

/** Where the file of a key is. */
export interface Place {
  readonly key: string
  /** Names of the directories from the root. */
  readonly directories: readonly string[]
  /** Absolute. */
  readonly directory: string
  readonly path: string
}

/** What a file says of itself. */
export interface Found {
  /** Of a damaged file: what can be told of it; its size is the one it has. */
  readonly record: FileRecord
  /** Where the body begins. */
  readonly bodyStart: number
  /**
   * It is not as it was written. It still has a token, so that it can be replaced; its age is unknown, and counts as the greatest, where
   * even what it says of itself cannot be read.
   */
  readonly isDamaged: boolean
}

export interface OpenFile extends Found {
  readonly handle: FileHandle
}

/** A directory with what is in it: plain files and directories, nothing else. */
interface Names {
  readonly files: readonly string[]
  readonly directories: readonly string[]
}

/**
 * The files below one root. Below it no symbolic link is followed: the directory of a file has to be where its name says, and a
 * file that is a link is not opened.
 */
export interface Tree {
  readonly root: string
  readonly calls: Calls
  placeOf(key: string): Place
  /** Resolves when the root is a directory; DENIED, reason BUCKET, where it is not. */
  requireRoot(signal?: AbortSignal): Promise<void>
  /** The file with what is known of it; to be closed. `undefined`: no such file, below a root that is there. */
  open(place: Place, signal?: AbortSignal): Promise<OpenFile | undefined>
  look(place: Place, signal?: AbortSignal): Promise<Found | undefined>
  /** The file is closed, also when the signal aborts before that. */
  close(file: OpenFile, signal?: AbortSignal): Promise<void>
  /** CHECKSUM, reason MISMATCH: what is at this path cannot be read. */
  damaged(path: string, key?: string): HoldfastError
  names(directory: string, signal: AbortSignal): Promise<Names>
  /** Whether the directory is there, and is itself and no link to another place. */
  isThere(directories: readonly string[], signal?: AbortSignal): Promise<boolean>
  /** With all above it. DENIED, reason REFUSED, where that leads through a link. */
  makeDirectory(directories: readonly string[]): Promise<void>
  /** No error where there is none. */
  remove(path: string): Promise<void>
  /** The directory, and those above it, as far as they are empty. Answers the one that is left. */
  prune(directories: readonly string[]): Promise<readonly string[]>
}

// Windows has neither.
const noFollow = constants.O_NOFOLLOW ?? 0
/** A pipe in the place of a file keeps nobody waiting for its other end. */
const noWait = constants.O_NONBLOCK ?? 0

export function treeAt(root: string, errors: ErrorMaker): Tree {
  const calls = callsTo(root)
  const at = (directories: readonly string[]): string => join(root, ...directories)
  let realRoot: string | undefined

  async function requireRoot(signal?: AbortSignal): Promise<void> {
    const why = await calls
      .run(() => stat(root), signal)
      .then(
        stats => (stats.isDirectory() ? undefined : 'is no directory'),
        (error: unknown) => {
          if (errno(error) === 'ENOENT' || errno(error) === 'ENOTDIR') return 'is not there'
          throw error
        },
      )
    if (why !== undefined) throw errors.because('DENIED', 'BUCKET', `${root} ${why}`, { outcome: 'rejected' })
  }

  async function isThere(directories: readonly string[], signal?: AbortSignal): Promise<boolean> {
    const real = await absent(calls.run(() => realpath(at(directories)), signal))
    if (real === undefined) {
      await requireRoot(signal)
      return false
    }
    if (realRoot === undefined || real !== join(realRoot, ...directories)) {
      realRoot = await calls.run(() => realpath(root), signal)
      if (real !== join(realRoot, ...directories)) {
        const message = `${at(directories)} is reached through a symbolic link, which is not followed`
        throw errors.because('DENIED', 'REFUSED', message, { outcome: 'rejected' })
      }
    }
    return true
  }

  async function open(place: Place, signal?: AbortSignal): Promise<OpenFile | undefined> {
    const handle = await absent(calls.open(place.path, constants.O_RDONLY | noFollow | noWait, signal))
    try {
      if ((await isThere(place.directories, signal)) && handle !== undefined) {
        return { handle, ...(await readRecord(place, handle, signal)) }
      }
    } catch (error) {
      await closed(handle, signal)
      throw error
    }
    return await closed(handle, signal)
  }

  async function readRecord(place: Place, handle: FileHandle, signal?: AbortSignal): Promise<Found> {
    const stats = await calls.run(() => handle.stat(), signal)
    if (!stats.isFile()) throw damaged(place.path, place.key)
    let start = await readSome(handle, usualBytes, signal)
    const bodyStart = bytesBeforeBody(start)
    if (bodyStart !== undefined && bodyStart <= stats.size) {
      if (bodyStart > start.byteLength) start = await readSome(handle, bodyStart, signal)
      const record = decodeRecord(start)
      const size = stats.size - bodyStart
      if (record !== undefined) return { record: { ...record, size }, bodyStart, isDamaged: record.size !== size }
    }
    const token = `damaged-${stats.ino}-${stats.mtimeMs}-${stats.size}`
    return { record: unreadable(place.key, stats.size, token), bodyStart: 0, isDamaged: true }
  }

  function damaged(path: string, key?: string): HoldfastError {
    const message = `${path} is damaged: remove it, or write the object again`
    return errors.because('CHECKSUM', 'MISMATCH', message, { retryable: false, ...(key !== undefined && { key }) })
  }

  async function readSome(handle: FileHandle, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const bytes = new Uint8Array(length)
    const { bytesRead } = await calls.run(() => handle.read(bytes, 0, length, 0), signal)
    return bytes.subarray(0, bytesRead)
  }

  async function closed(handle: FileHandle | undefined, signal?: AbortSignal): Promise<undefined> {
    if (handle === undefined) return
    const closing = calls.run(() => handle.close())
    // Of a failure there is nothing to tell: what was read is read.
    await (signal === undefined ? closing : unlessAborted(closing, signal)).catch(() => {})
  }

  return {
    root,
    calls,
    placeOf(key) {
      const { directories, file } = fileOf(key)
      return { key, directories, directory: at(directories), path: join(at(directories), file) }
    },
    requireRoot,
    isThere,
    open,
    damaged,

    async look(place, signal) {
      const file = await open(place, signal)
      await closed(file?.handle, signal)
      return file
    },

    close: (file, signal) => closed(file.handle, signal),

    async names(directory, signal) {
      const entries = await absent(calls.run(() => readdir(directory, { withFileTypes: true }), signal))
      if (entries === undefined) await requireRoot(signal)
      return {
        files: (entries ?? []).flatMap(entry => (entry.isFile() ? [entry.name] : [])),
        directories: (entries ?? []).flatMap(entry => (entry.isDirectory() ? [entry.name] : [])),
      }
    },

    async makeDirectory(directories) {
      for (let depth = 1; depth <= directories.length; depth++) {
        const upTo = directories.slice(0, depth)
        if (await isThere(upTo)) continue
        await calls
          .run(() => mkdir(at(upTo), 0o700))
          .catch((error: unknown) => {
            if (errno(error) !== 'EEXIST') throw error
          })
      }
    },

    async remove(path) {
      await absent(calls.run(() => unlink(path)))
    },

    async prune(directories) {
      for (let left = directories; left.length > 0; left = left.slice(0, -1)) {
        const isLeft = await calls
          .run(() => rmdir(at(left)))
          .then(
            () => false,
            (error: unknown) => errno(error) !== 'ENOENT',
          )
        if (isLeft) return left
      }
      return []
    },
  }
}

/** The answer, or `undefined` where the path leads to nothing. */
async function absent<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (errno(error) === 'ENOENT') return undefined
    throw error
  }
}

function unreadable(key: string, size: number, token: string): FileRecord {
  const headers = { contentType: 'application/octet-stream' }
  return { key, size, token, crc32c: '', md5: '', modified: 0, headers, metadata: [] }
}
