import { randomBytes } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, link, lstat, readdir, rename } from 'node:fs/promises'
import { join } from 'node:path'
import { unlessAborted } from '../../core/abort.ts'
import { crc32c, hex32 } from '../../core/digest.ts'
import type { ErrorDetails } from '../../core/errors.ts'
import type { PutCondition, PutRequest } from '../../core/provider.ts'
import { verified } from '../body.ts'
import type { ErrorMaker } from '../errors.ts'
import { errno } from './errors.ts'
import type { Turns } from './lock.ts'
import { draftsName } from './names.ts'
import { encodeRecord, type FileRecord } from './record.ts'
import { syncerOf } from './sync.ts'
import type { Place, Tree } from './tree.ts'

export interface Writing {
  put(request: PutRequest, signal: AbortSignal): Promise<FileRecord>
  delete(key: string, token: string | undefined, signal: AbortSignal): Promise<void>
  /** Whether the file system has hard links, tried out with two names of an empty draft. */
  hasLinks(signal: AbortSignal): Promise<boolean>
}

const gatherBytes = 262_144
/** A draft that nobody has written to for so long is nobody's. */
const abandonedMs = 86_400_000
const withoutLinks: ReadonlySet<string | undefined> = new Set(['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'])

/**
 * Writes and deletes files. Bytes first, then what is known of them, then both on disk and read back, then the name, then the name on
 * disk. Between looking at what a name means and changing it, `turns` keeps everybody else out. `explained` makes errors ours.
 */
export function writingTo(
  tree: Tree,
  turns: Turns,
  errors: ErrorMaker,
  explained: (error: unknown, details: ErrorDetails) => Promise<unknown>,
): Writing {
  const { calls } = tree
  const drafts = join(tree.root, draftsName)
  const sync = syncerOf(tree)
  let hasSwept = false

  async function put(request: PutRequest, signal: AbortSignal): Promise<FileRecord> {
    const place = tree.placeOf(request.key)
    const draft = join(drafts, randomBytes(16).toString('hex'))
    let isLeft = true
    try {
      const record = await settling('rejected', request.key, writeDraft(draft, request, signal))
      // Once it has begun it is not stopped: an abort only stops the waiting.
      const turn = turns.alone(async () => {
        signal.throwIfAborted()
        isLeft = (await publish(draft, place, request.condition)) === 'linked'
      })
      await unlessAborted(settling('rejected', request.key, turn), signal)
      await unlessAborted(sync(place.directories), signal)
      return record
    } finally {
      const removing = isLeft ? tree.remove(draft).catch(() => {}) : undefined
      if (!signal.aborted) await removing
    }
  }

  async function writeDraft(draft: string, request: PutRequest, signal: AbortSignal): Promise<FileRecord> {
    const { source, key, headers, metadata } = request
    const token = randomBytes(16).toString('hex')
    const { size, crc32c: crc, md5 } = source
    const record = {
      size,
      key,
      token,
      crc32c: crc,
      md5,
      modified: Date.now(),
      headers,
      metadata: Object.entries(metadata),
    }
    const bodyStart = encodeRecord(record).byteLength
    const handle = await openDraft(draft, signal)
    try {
      let at = bodyStart
      for await (const bytes of gathered(verified(source, key, errors, signal))) {
        await writeAll(handle, bytes, at, signal)
        at += bytes.byteLength
      }
      const complete = { ...record, modified: Date.now() }
      await writeAll(handle, encodeRecord(complete), 0, signal)
      await calls.run(() => handle.datasync(), signal)
      await readBack(handle, bodyStart, record, signal)
      return complete
    } finally {
      const closing = calls.run(() => handle.close())
      if (signal.aborted) closing.catch(() => {})
      else await unlessAborted(closing, signal)
    }
  }

  async function openDraft(draft: string, signal: AbortSignal): Promise<FileHandle> {
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | (constants.O_NOFOLLOW ?? 0)
    if (!(await tree.isThere([draftsName]))) await tree.makeDirectory([draftsName])
    if (!hasSwept) {
      hasSwept = true
      sweep().catch(() => {})
    }
    return await calls.open(draft, flags, signal)
  }

  async function writeAll(handle: FileHandle, bytes: Uint8Array, position: number, signal: AbortSignal): Promise<void> {
    for (let done = 0; done < bytes.byteLength; ) {
      const left = bytes.byteLength - done
      const { bytesWritten } = await calls.run(() => handle.write(bytes, done, left, position + done), signal)
      // Fewer bytes than given are no error to the system, which says at the next call what is wrong.
      if (bytesWritten <= 0)
        throw Object.assign(new Error('EIO: no byte was written'), { code: 'EIO', syscall: 'write' })
      done += bytesWritten
    }
  }

  async function readBack(
    handle: FileHandle,
    bodyStart: number,
    record: FileRecord,
    signal: AbortSignal,
  ): Promise<void> {
    const buffer = new Uint8Array(Math.min(gatherBytes, Math.max(1, record.size)))
    let crc = 0
    for (let at = 0; at < record.size; ) {
      const length = Math.min(buffer.byteLength, record.size - at)
      const { bytesRead } = await calls.run(() => handle.read(buffer, 0, length, bodyStart + at), signal)
      if (bytesRead === 0) break
      crc = crc32c(buffer.subarray(0, bytesRead), crc)
      at += bytesRead
    }
    if (hex32(crc) === record.crc32c) return
    const message = `the file system gave back other bytes than were written (CRC32C ${hex32(crc)}, ${record.crc32c} expected)`
    throw errors.because('UNAVAILABLE', 'SERVER', message, { key: record.key, outcome: 'rejected' })
  }

  /** In our turn: the draft gets the name of the object, if what has it now is what the condition wants. */
  async function publish(
    draft: string,
    place: Place,
    condition: PutCondition | undefined,
  ): Promise<'moved' | 'linked'> {
    const move = async (): Promise<'moved'> => {
      await settling(
        'unknown',
        place.key,
        calls.run(() => rename(draft, place.path)),
      )
      return 'moved'
    }
    if (!(await tree.isThere(place.directories))) await tree.makeDirectory(place.directories)
    if (!(await tree.isThere(place.directories)))
      throw errors.because('UNAVAILABLE', 'SERVER', `${place.directory} vanished`, {
        key: place.key,
        outcome: 'rejected',
      })
    if (condition === undefined) return await move()
    if ('token' in condition) {
      const there = await tree.look(place)
      if (there?.record.token !== condition.token) throw errors.condition(place.key)
      return await move()
    }
    try {
      // A second name for the draft, refused by the file system itself where the name is taken.
      await calls.run(() => link(draft, place.path))
      return 'linked'
    } catch (error) {
      const code = errno(error)
      // A network mount may ask twice, and be told the second time that its own link is there.
      if (code === 'EEXIST' && (await isSameFile(draft, place.path))) return 'linked'
      if (code === 'EEXIST') throw errors.condition(place.key, error)
      if (!withoutLinks.has(code)) throw await explained(error, { key: place.key, outcome: 'unknown' })
    }
    // No hard links here: then nobody else's turn has to do.
    if ((await tree.look(place)) !== undefined) throw errors.condition(place.key)
    return await move()
  }

  async function isSameFile(one: string, other: string): Promise<boolean> {
    const [a, b] = [await calls.run(() => lstat(one)), await calls.run(() => lstat(other))]
    return a.dev === b.dev && a.ino === b.ino
  }

  async function remove(key: string, token: string | undefined, signal: AbortSignal): Promise<void> {
    const place = tree.placeOf(key)
    const turn = turns.alone(async () => {
      signal.throwIfAborted()
      if (!(await tree.isThere(place.directories))) return await nearest(place.directories)
      if (token !== undefined) {
        const there = await tree.look(place)
        if (there !== undefined && there.record.token !== token) throw errors.condition(key)
      }
      await settling('unknown', key, tree.remove(place.path))
      return await tree.prune(place.directories)
    })
    const left = await unlessAborted(settling('rejected', key, turn), signal)
    // Also where nothing was found: an earlier try may have ended before this.
    await unlessAborted(sync(left), signal)
  }

  async function nearest(directories: readonly string[]): Promise<readonly string[]> {
    let left = directories
    while (left.length > 0 && !(await tree.isThere(left))) left = left.slice(0, -1)
    return left
  }

  /** What failed before a name was changed did not happen; of the change itself nobody knows. */
  async function settling<T>(outcome: 'rejected' | 'unknown', key: string, work: Promise<T>): Promise<T> {
    try {
      return await work
    } catch (error) {
      throw await explained(error, { key, outcome })
    }
  }

  async function sweep(): Promise<void> {
    for (const name of await calls.run(() => readdir(drafts))) {
      const path = join(drafts, name)
      const { mtimeMs } = await calls.run(() => lstat(path))
      if (Date.now() - mtimeMs > abandonedMs) await tree.remove(path)
    }
  }

  async function hasLinks(signal: AbortSignal): Promise<boolean> {
    const draft = join(drafts, randomBytes(16).toString('hex'))
    try {
      const handle = await openDraft(draft, signal)
      await calls.run(() => handle.close(), signal)
      return await calls
        .run(() => link(draft, `${draft}-2`), signal)
        .then(
          () => true,
          (error: unknown) => {
            if (withoutLinks.has(errno(error))) return false
            throw error
          },
        )
    } finally {
      await unlessAborted(Promise.all([tree.remove(draft), tree.remove(`${draft}-2`)]), signal).catch(() => {})
    }
  }

  return { put, delete: remove, hasLinks }
}

/** The same bytes in larger pieces: each is a call to the system. */
async function* gathered(chunks: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  let buffer = new Uint8Array(gatherBytes)
  let filled = 0
  for await (const chunk of chunks) {
    for (let at = 0; at < chunk.byteLength; ) {
      const part = chunk.subarray(at, at + gatherBytes - filled)
      buffer.set(part, filled)
      filled += part.byteLength
      at += part.byteLength
      if (filled < gatherBytes) continue
      yield buffer
      buffer = new Uint8Array(gatherBytes)
      filled = 0
    }
  }
  if (filled > 0) yield buffer.subarray(0, filled)
}
