import { createHash } from 'node:crypto'
import { mismatch } from '../core/body.ts'
import { type ChecksumAlgorithm, checksummer, type KeptChecksum } from '../core/checksum.ts'
import { type HoldfastError, invalid } from '../core/errors.ts'
import { type Digests, digester, digestsOf, hexToBase64 } from '../core/digest.ts'
import { pageBytes, pageFor, putBack } from './pages.ts'

/** What the caller of a put announced of its body, hex; checked while and after it arrives. */
export interface Expected {
  /** Bytes. */
  readonly size?: number | undefined
  readonly crc32c?: string | undefined
  readonly md5?: string | undefined
  readonly sha256?: string | undefined
}

/** One checksum more, in S3's words: computed on the way, and compared where a value (base64) is given. */
export interface AskedChecksum {
  readonly algorithm: ChecksumAlgorithm
  readonly value?: string | undefined
}

export interface IntakeDigests extends Digests {
  /** Only where one was expected. */
  readonly sha256: string | undefined
  /** Only where one was asked for. */
  readonly checksum?: KeptChecksum
}

export interface IntakeOptions {
  readonly expected: Expected
  readonly checksum: AskedChecksum | undefined
  /** Bodies of at most this many bytes stay in memory; below 0: none. */
  readonly smallBytes: number
  readonly signal: AbortSignal | undefined
  /** The body has grown to this many bytes. May throw: then it ends here. */
  readonly grown: (bytes: number) => void
  /** Called once, when the body turns out not to be small: where its bytes go. */
  readonly openFile: () => Promise<IntakeFile>
}

/** A file that takes pages one after the other. */
export interface IntakeFile {
  write(bytes: Uint8Array, position: number): Promise<void>
}

export interface Intake {
  readonly size: number
  readonly digests: IntakeDigests
  /** The whole body, in memory of its own, where it is small; else it is in the file, written but not synced. */
  readonly bytes: Uint8Array | undefined
}

/**
 * Takes in a body once, in bounded memory: digests of one page are computed while the page before is written. What is digested and what
 * is written are the same copy, whatever becomes of the producer's buffers.
 *
 * Rejects with CHECKSUM at the first byte too many or at the end; with the reason of the signal, at once, while a chunk is waited for;
 * and with whatever `chunks`, `grown` or the file throw. The body is let go of then, and no write is under way any more.
 */
export async function takeIn(chunks: AsyncIterable<Uint8Array>, options: IntakeOptions): Promise<Intake> {
  const { expected, checksum, smallBytes, signal, grown } = options
  signal?.throwIfAborted()
  const digests = intakeDigester(expected.sha256 !== undefined, checksum?.algorithm)
  const isLarge = expected.size !== undefined && expected.size > smallBytes
  let file = isLarge ? await options.openFile() : undefined
  // A small body keeps the memory that it came into.
  let page = isLarge
    ? pageFor(Math.min(expected.size, pageBytes))
    : new Uint8Array(Math.max(0, Math.min(expected.size ?? smallBytes, smallBytes)))
  let spare: Uint8Array | undefined
  let filled = 0
  let received = 0
  let position = 0
  let writing: Promise<void> = Promise.resolve()

  const body = pull(chunks, signal)
  try {
    for (let step = await body.next(); step.done !== true; step = await body.next()) {
      const chunk = step.value
      const length = chunk.byteLength
      received += length
      if (expected.size !== undefined && received > expected.size) throw mismatch('size', expected.size, received)
      grown(received)
      for (let at = 0; at < length; ) {
        if (filled === page.byteLength) await turnPage()
        if (chunk.byteLength !== length) throw changed(received - length + at, length, chunk.byteLength)
        const part = chunk.subarray(at, at + page.byteLength - filled)
        page.set(part, filled)
        filled += part.byteLength
        at += part.byteLength
      }
    }
    checkSize(received, expected)
    const last = page.subarray(0, filled)
    digests.update(last)
    const computed = digests.finish()
    compare(computed, expected, checksum)
    if (smallBytes < 0) file ??= await options.openFile()
    if (file === undefined) {
      return { size: received, digests: computed, bytes: filled === page.byteLength ? page : last.slice() }
    }
    await writing
    writing = file.write(last, position)
    await writing
    putBack(page, spare)
    return { size: received, digests: computed, bytes: undefined }
  } catch (error) {
    body.stop()
    await writing.catch(() => {})
    putBack(page, spare)
    throw error
  }

  /** Makes room: a page that is not of full length yet becomes longer, so that a body that hardly arrives takes little memory. */
  async function turnPage(): Promise<void> {
    file ??= await options.openFile()
    if (page.byteLength < pageBytes) {
      const longer = pageFor(page.byteLength + 1)
      longer.set(page)
      putBack(page)
      page = longer
      return
    }
    digests.update(page)
    await writing
    writing = file.write(page, position)
    // Told to whoever waits: this loop, and the wait for the next chunk, which may be long.
    writing.catch(body.interrupt)
    position += filled
    const written = page
    page = spare ?? pageFor(pageBytes)
    spare = written
    filled = 0
  }
}

/**
 * Takes in a body that is in memory already as a whole, and no longer than a page can be: copied, digested and written in one piece. A small
 * one is copied before this returns. Rejects as `takeIn` does, and with INVALID where a larger one was changed in length before its turn came.
 */
export async function copyIn(body: Uint8Array, options: IntakeOptions): Promise<Intake> {
  const { expected, checksum, smallBytes, signal, openFile } = options
  const size = body.byteLength
  checkSize(size, expected)
  if (size <= smallBytes) {
    const bytes = new Uint8Array(body)
    return { size, digests: wholeDigests(bytes, expected, checksum), bytes }
  }
  const file = await openFile()
  signal?.throwIfAborted()
  if (body.byteLength !== size) throw changed(0, size, body.byteLength)
  const page = pageFor(size)
  try {
    page.set(body)
    const bytes = page.subarray(0, size)
    const digests = wholeDigests(bytes, expected, checksum)
    await file.write(bytes, 0)
    return { size, digests, bytes: undefined }
  } finally {
    putBack(page)
  }
}

/** Memory belongs to whoever gave it: while it was waited for, it may have been handed elsewhere or made smaller. */
function changed(taken: number, before: number, now: number): HoldfastError {
  return invalid(
    'body',
    'source',
    `the body failed after ${taken} bytes: memory of ${before} bytes has ${now} bytes now`,
  )
}

function checkSize(size: number, expected: Expected): void {
  if (expected.size !== undefined && size !== expected.size) throw mismatch('size', expected.size, size)
}

/** Of all the bytes, compared with what was announced of them. */
function wholeDigests(bytes: Uint8Array, expected: Expected, checksum: AskedChecksum | undefined): IntakeDigests {
  const digests =
    expected.sha256 === undefined && checksum === undefined
      ? { ...digestsOf(bytes), sha256: undefined }
      : allDigests(bytes, expected, checksum)
  compare(digests, expected, checksum)
  return digests
}

function allDigests(bytes: Uint8Array, { sha256 }: Expected, checksum: AskedChecksum | undefined): IntakeDigests {
  const digests = intakeDigester(sha256 !== undefined, checksum?.algorithm)
  digests.update(bytes)
  return digests.finish()
}

/** CHECKSUM where a digest is not the one that was announced. */
function compare(computed: IntakeDigests, expected: Expected, checksum: AskedChecksum | undefined): void {
  for (const name of ['crc32c', 'md5', 'sha256'] as const) {
    const wanted = expected[name]
    if (wanted !== undefined && wanted !== computed[name]) throw mismatch(name, wanted, computed[name] ?? 'none')
  }
  if (checksum?.value !== undefined && checksum.value !== computed.checksum?.value) {
    throw mismatch('checksum', checksum.value, computed.checksum?.value ?? 'none')
  }
}

function intakeDigester(
  withSha256: boolean,
  algorithm: ChecksumAlgorithm | undefined,
): { update(bytes: Uint8Array): void; finish(): IntakeDigests } {
  const both = digester()
  const sha256 = withSha256 ? createHash('sha256') : undefined
  // CRC32C is computed of every body.
  const more = algorithm === undefined || algorithm === 'CRC32C' ? undefined : checksummer(algorithm)
  return {
    update(bytes) {
      both.update(bytes)
      sha256?.update(bytes)
      more?.update(bytes)
    },
    finish() {
      const digests = both.finish()
      const value = more === undefined ? hexToBase64(digests.crc32c) : more.digest().toString('base64')
      const checksum = algorithm === undefined ? {} : { checksum: { algorithm, value } }
      return { ...digests, sha256: sha256?.digest('hex'), ...checksum }
    },
  }
}

interface Pull {
  next(): Promise<IteratorResult<Uint8Array>>
  /** Rejects the `next` that is waited for, or the one to come. */
  readonly interrupt: (reason: unknown) => void
  /** Lets go of a body that is not read to its end. Does not wait: a source that hangs must hold nobody up. */
  stop(): void
}

/** Reads a body so that waiting for a chunk can be ended from outside. One listener for all of it, however many chunks it has. */
function pull(chunks: AsyncIterable<Uint8Array>, signal: AbortSignal | undefined): Pull {
  const iterator = chunks[Symbol.asyncIterator]()
  let interrupted: { readonly reason: unknown } | undefined
  let reject: ((reason: unknown) => void) | undefined

  const interrupt = (reason: unknown): void => {
    interrupted ??= { reason }
    reject?.(interrupted.reason)
  }
  const onAbort = (): void => interrupt(signal?.reason)
  signal?.addEventListener('abort', onAbort, { once: true })

  return {
    interrupt,
    next: () =>
      new Promise((resolve, refuse) => {
        if (interrupted !== undefined) return refuse(interrupted.reason)
        reject = refuse
        iterator.next().then(step => {
          if (step.done === true) signal?.removeEventListener('abort', onAbort)
          resolve(step)
        }, refuse)
      }),
    stop() {
      signal?.removeEventListener('abort', onAbort)
      void (async () => await iterator.return?.())().catch(() => {})
    },
  }
}
