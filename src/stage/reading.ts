import { crc32c, type Digests, digester, hex32 } from '../core/digest.ts'
import { HoldfastError } from '../core/errors.ts'
import type { Disk, DiskFile } from '../core/ports.ts'
import type { Source } from '../core/source.ts'
import { joinCrc32c } from './crc.ts'
import { corruptBody, diskFailure, errno, told, tooManyFiles } from './failures.ts'

/** Bytes of a chunk that a reading yields; two are in memory. */
const chunkBytes = 262_144

/**
 * A body in a file as a source. It is where the first of these paths has it: a body that is released while it is read moves. Each reading opens the file for itself and closes it when its loop ends or is left.
 *
 * Corruption is found before it is spread: as soon as readings of this one source have covered the whole body, in one piece or in
 * parts, in any order, the last of them compares the CRC32C of all that was read, and throws instead of yielding its last chunk. An
 * upload in parts is therefore made from one source from its first byte to its last; one that goes on after a restart reads only
 * what is left, so verify the body first.
 *
 * A reading throws CORRUPT, field `body`, reason LOCAL_CORRUPT: `missing` (the file is gone: released meanwhile, or lost), `size`,
 * `digest`, `unreadable`. UNAVAILABLE when too many files are open.
 */
export function fileSource(disk: Disk, paths: readonly string[], size: number, digests: Digests): Source {
  const path = paths[0] ?? ''
  const seen = coverage(path, size, digests.crc32c)
  return {
    size,
    crc32c: digests.crc32c,
    md5: digests.md5,
    async *open(start, end) {
      const file = await openBody(disk, paths)
      try {
        await checkSize(file, path, size)
        yield* readAhead(file, path, start, end, crc => seen(start, end, crc))
      } finally {
        // Nothing was written: a close that fails loses nothing.
        await file.close().catch(() => {})
      }
    },
  }
}

/** All of such a body in memory of its own, not compared with its digest: that is for whoever wants it. Throws as a reading of it does. */
export async function readFile(disk: Disk, paths: readonly string[], size: number): Promise<Uint8Array> {
  const path = paths[0] ?? ''
  const file = await openBody(disk, paths)
  try {
    await checkSize(file, path, size)
    return await readChunk(file, path, 0, size)
  } finally {
    await file.close().catch(() => {})
  }
}

/**
 * A body in several files as one source: what they have one after the other. Each is opened when its turn comes, and compared by itself as that of
 * `fileSource` is; readings of this one source share what they have found. Throws as `fileSource` does, of the file that is to blame. A reading keeps only
 * the file that it is at: of a body that is released meanwhile, the rest is `missing`.
 */
export function partsSource(
  disk: Disk,
  parts: readonly { readonly path: string; readonly size: number; readonly digests: Digests }[],
  size: number,
  digests: Digests,
): Source {
  const sources = new Map<string, Source>()
  const sourceOf = ({ path, size: bytes, digests: own }: (typeof parts)[number]): Source => {
    const source = sources.get(path) ?? fileSource(disk, [path], bytes, own)
    sources.set(path, source)
    return source
  }
  return {
    size,
    crc32c: digests.crc32c,
    md5: digests.md5,
    async *open(start, end) {
      const found = parts.reduce((sum, part) => sum + part.size, 0)
      if (found !== size) throw corruptBody('size', `the parts of a body have ${found} bytes, it had ${size}`)
      let at = 0
      for (const part of parts) {
        const from = Math.max(start, at)
        const to = Math.min(end, at + part.size)
        if (from < to) yield* sourceOf(part).open(from - at, to - at)
        at += part.size
        if (at >= end) return
      }
    },
  }
}

/** A body that the journal holds in a row, compared with its digest before each reading. */
export function rowSource(bytes: Uint8Array, size: number, digests: Digests): Source {
  return {
    size,
    crc32c: digests.crc32c,
    md5: digests.md5,
    async *open(start, end) {
      if (bytes.byteLength !== size) {
        throw corruptBody('size', `a body in the journal has ${bytes.byteLength} bytes, it had ${size}`)
      }
      const found = hex32(crc32c(bytes))
      if (found !== digests.crc32c) throw differs('a body in the journal', digests.crc32c, found)
      if (end > start) yield bytes.subarray(start, end)
    },
  }
}

/** Reads a whole body and compares both digests. What is wrong with it, or `undefined`; throws only what says nothing of the body. */
export async function verifyFile(
  disk: Disk,
  path: string,
  size: number,
  digests: Digests,
  signal: AbortSignal | undefined,
): Promise<HoldfastError | undefined> {
  const both = digester()
  try {
    for await (const chunk of fileSource(disk, [path], size, digests).open(0, size)) {
      both.update(chunk)
      signal?.throwIfAborted()
    }
    const { md5 } = both.finish()
    return md5 === digests.md5 ? undefined : differs(path, digests.md5, md5)
  } catch (error) {
    if (error instanceof HoldfastError && error.reason === 'LOCAL_CORRUPT') return error
    throw error
  }
}

/** Yields the bytes while the next ones are read. `finished` gets the CRC32C of all of them before the last chunk is yielded. */
async function* readAhead(
  file: DiskFile,
  path: string,
  start: number,
  end: number,
  finished: (crc: number) => void,
): AsyncGenerator<Uint8Array> {
  let crc = 0
  if (end <= start) return finished(crc)
  let next: Promise<Uint8Array> | undefined = readChunk(file, path, start, Math.min(end, start + chunkBytes))
  try {
    for (let at = start; at < end; ) {
      const chunk: Uint8Array = await next
      at += chunk.byteLength
      next = at < end ? readChunk(file, path, at, Math.min(end, at + chunkBytes)) : undefined
      // Looked at in its turn; by then it must not have counted as nobody's.
      next?.catch(() => {})
      crc = crc32c(chunk, crc)
      if (next === undefined) {
        finished(crc)
        yield chunk
        return
      }
      yield chunk
    }
  } finally {
    // The file is closed next: nothing may still be reading it.
    await next?.catch(() => {})
  }
}

/** All of these bytes in a buffer of their own: consumers keep it for as long as they like. */
async function readChunk(file: DiskFile, path: string, start: number, end: number): Promise<Uint8Array> {
  const chunk = new Uint8Array(Buffer.allocUnsafeSlow(end - start).buffer)
  let filled = 0
  while (filled < chunk.byteLength) {
    const read = await orUnreadable(path, () => file.read(chunk.subarray(filled), start + filled))
    if (read === 0) throw corruptBody('size', `${path} ends after ${start + filled} bytes, where ${end} were expected`)
    filled += read
  }
  return chunk
}

async function openBody(disk: Disk, paths: readonly string[]): Promise<DiskFile> {
  let gone: unknown
  for (const path of paths) {
    try {
      return await disk.read(path)
    } catch (error) {
      if (diskFailure(error) === 'busy') throw tooManyFiles(error)
      if (errno(error) !== 'ENOENT') throw unreadable(path, error)
      gone = error
    }
  }
  throw corruptBody('missing', `${paths[0]} is gone`, gone)
}

async function checkSize(file: DiskFile, path: string, size: number): Promise<void> {
  const found = await orUnreadable(path, () => file.size())
  if (found !== size) throw corruptBody('size', `${path} has ${found} bytes, it had ${size}`)
}

async function orUnreadable<T>(path: string, read: () => Promise<T>): Promise<T> {
  try {
    return await read()
  } catch (error) {
    throw unreadable(path, error)
  }
}

function unreadable(path: string, error: unknown): HoldfastError {
  return corruptBody('unreadable', `${path} cannot be read (${told(error)})`, error)
}

function differs(what: string, expected: string, found: string): HoldfastError {
  return corruptBody('digest', `${what} is damaged: digest ${found}, it had ${expected}`)
}

/** What the readings of one source have found. Throws as soon as that cannot be the body, if all of it has been read. */
function coverage(path: string, size: number, expected: string): (start: number, end: number, crc: number) => void {
  const longest = new Map<number, { readonly end: number; readonly crc: number }>()
  let bytes = 0

  return (start, end, crc) => {
    const before = longest.get(start)
    if (before?.end === end && before.crc !== crc) throw differs(path, hex32(before.crc), hex32(crc))
    if (before === undefined || before.end < end) {
      longest.set(start, { end, crc })
      bytes += end - (before?.end ?? start)
    }
    // Until there is enough of them, the parts cannot be the whole: an upload of ten thousand must not join them ten thousand times.
    if (bytes < size) return
    let whole = 0
    let at = 0
    for (let part = longest.get(0); part !== undefined && part.end > at; part = longest.get(at)) {
      whole = joinCrc32c(whole, part.crc, part.end - at)
      at = part.end
    }
    if (at === size && hex32(whole) !== expected) throw differs(path, expected, hex32(whole))
  }
}
