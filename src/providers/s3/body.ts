import { Readable } from 'node:stream'
import { crc32c, hex32 } from '../../core/digest.ts'
import { HoldfastError } from '../../core/errors.ts'
import type { Source } from '../../core/source.ts'
import type { ErrorMaker } from '../errors.ts'

/** A body of at most this many bytes is sent from memory. */
const smallBytes = 2 ** 20

/** A stretch of a source, with the digest that its bytes must have. */
export interface Stretch {
  readonly source: Source
  readonly start: number
  readonly end: number
  /** Of the stretch, 8 hex digits. */
  readonly crc32c: string
  readonly key: string
}

export interface Sending {
  readonly body: Uint8Array | Readable
  /** Aborts when the source breaks: the request has to be given up then, or it waits for bytes for ever. Its reason is the source's error. Not of a body in memory. */
  readonly broken?: AbortSignal
  /** Whether every byte was handed over. */
  isSent(): boolean
  /** Lets go of the source. */
  end(): void
}

/**
 * The bytes of one request, read anew. Other bytes than announced never become a whole request: the last of them are held back until the
 * digest of all is known.
 */
export async function send(stretch: Stretch, errors: ErrorMaker): Promise<Sending> {
  const chunks = checked(stretch, errors)
  if (stretch.end - stretch.start <= smallBytes) {
    const parts: Uint8Array[] = []
    for await (const chunk of chunks) parts.push(chunk)
    return { body: Buffer.concat(parts), isSent: () => true, end: () => {} }
  }
  const controller = new AbortController()
  const body = Readable.from(chunks, { objectMode: false, highWaterMark: 2 * 65_536 })
  body.on('error', error => controller.abort(error))
  return { body, broken: controller.signal, isSent: () => body.readableEnded, end: () => void body.destroy() }
}

/** By which the request is to be over. */
export function endOf(signal: AbortSignal, { broken }: Sending): AbortSignal {
  return broken === undefined ? signal : AbortSignal.any([signal, broken])
}

async function* checked(
  { source, start, end, crc32c: announced, key }: Stretch,
  errors: ErrorMaker,
): AsyncGenerator<Uint8Array> {
  const expected = end - start
  let held: Uint8Array | undefined
  let size = 0
  let crc = 0
  for await (const chunk of opened(source, start, end, key, errors)) {
    size += chunk.byteLength
    if (size > expected) throw errors.digest(key, `more than ${expected} bytes came`)
    crc = crc32c(chunk, crc)
    if (chunk.byteLength === 0) continue
    if (held !== undefined) yield held
    held = chunk
  }
  if (size !== expected) throw errors.digest(key, `${size} of ${expected} bytes came`)
  if (hex32(crc) !== announced) throw errors.digest(key, `CRC32C ${hex32(crc)}, announced ${announced}`)
  if (held !== undefined) yield held
}

/** A source that fails on its own account says so as a HoldfastError, or is taken to have lost the bytes. */
export async function* opened(
  source: Source,
  start: number,
  end: number,
  key: string,
  errors: ErrorMaker,
): AsyncGenerator<Uint8Array> {
  try {
    yield* source.open(start, end)
  } catch (error) {
    if (error instanceof HoldfastError) throw error
    const words = error instanceof Error ? error.message : String(error)
    throw errors.because('CORRUPT', 'LOCAL_CORRUPT', `the local bytes cannot be read: ${words}`, {
      key,
      outcome: 'rejected',
      cause: error,
    })
  }
}
