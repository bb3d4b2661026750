import { constants } from 'node:fs'
import { type FileHandle, mkdir, readdir, realpath, rmdir, stat, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { HoldfastError } from '../../core/errors.ts'
import type { Faults } from '../fault.ts'
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

export interface OpenFile {
  readonly handle: FileHandle
  readonly record: FileRecord
  /** Where the body begins. */
  readonly bodyStart: number
}

/** A directory with what is in it: plain files and directories, nothing else. */
export interface Names {
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
  /** CHECKSUM, reason MISMATCH: a file under this name says nothing that can be read. */
  damaged(path: string, key?: string): HoldfastError
  /** What is known of it, or 'damaged'. */
  look(place: Place, signal?: AbortSignal): Promise<FileRecord | 'damaged' | undefined>
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

export function treeAt(root: string, faults: Faults): Tree {
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
    if (why !== undefined) throw faults.because('DENIED', 'BUCKET', `${root} ${why}`, { outcome: 'rejected' })
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
        throw faults.because('DENIED', 'REFUSED', message, { outcome: 'rejected' })
      }
    }
    return true
  }

  async function open(place: Place, signal?: AbortSignal): Promise<OpenFile | undefined> {
    const handle = await absent(calls.open(place.path, constants.O_RDONLY | noFollow, signal))
    try {
      if (!(await isThere(place.directories, signal)) || handle === undefined) return await closed(handle, signal)
      const found = await readRecord(handle, signal)
      if (found !== undefined) return { handle, ...found }
      throw damaged(place.path, place.key)
    } catch (error) {
      await closed(handle, signal)
      throw error
    }
  }

  function damaged(path: string, key?: string): HoldfastError {
    const message = `${path} is damaged: remove it, or write the object again without a condition`
    return faults.because('CHECKSUM', 'MISMATCH', message, { retryable: false, ...(key !== undefined && { key }) })
  }

  async function readRecord(
    handle: FileHandle,
    signal?: AbortSignal,
  ): Promise<{ record: FileRecord; bodyStart: number } | undefined> {
    const stats = await calls.run(() => handle.stat(), signal)
    if (!stats.isFile()) return undefined
    let start = await readSome(handle, usualBytes, signal)
    const bodyStart = bytesBeforeBody(start)
    if (bodyStart === undefined || bodyStart > stats.size) return undefined
    if (bodyStart > start.byteLength) start = await readSome(handle, bodyStart, signal)
    const record = decodeRecord(start)
    return record !== undefined && bodyStart + record.size === stats.size ? { record, bodyStart } : undefined
  }

  async function readSome(handle: FileHandle, length: number, signal?: AbortSignal): Promise<Uint8Array> {
    const bytes = new Uint8Array(length)
    const { bytesRead } = await calls.run(() => handle.read(bytes, 0, length, 0), signal)
    return bytes.subarray(0, bytesRead)
  }

  async function closed(handle: FileHandle | undefined, signal?: AbortSignal): Promise<undefined> {
    if (handle === undefined) return
    const closing = calls.run(() => handle.close(), signal)
    // An abort is told by whatever is waited for next; what was read before is read.
    await closing.catch(() => {})
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
      try {
        const found = await open(place, signal)
        await closed(found?.handle, signal)
        return found?.record
      } catch (error) {
        if (error instanceof HoldfastError && error.reason === 'MISMATCH') return 'damaged'
        throw error
      }
    },

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
