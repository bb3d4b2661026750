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
  if (stretch.end - stretch.start <= smallBytes) return { body: await inMemory(stretch, errors), ...atOnce }
  const controller = new AbortController()
  const body = Readable.from(checked(stretch, errors), { objectMode: false, highWaterMark: 2 * 65_536 })
  body.on('error', error => controller.abort(error))
  return { body, broken: controller.signal, isSent: () => body.readableEnded, end: () => void body.destroy() }
}

/** By which the request is to be over. */
export function endOf(signal: AbortSignal, { broken }: Sending): AbortSignal {
  return broken === undefined ? signal : AbortSignal.any([signal, broken])
}

const atOnce: Pick<Sending, 'isSent' | 'end'> = { isSent: () => true, end() {} }

/** Without a chain of generators, each of which would cost more than a small body's digest. */
async function inMemory(stretch: Stretch, errors: ErrorMaker): Promise<Buffer> {
  const { source, start, end, key } = stretch
  const tally = tallyOf(stretch, errors)
  const parts: Uint8Array[] = []
  try {
    for await (const chunk of source.open(start, end)) {
      tally.add(chunk)
      parts.push(chunk)
    }
  } catch (error) {
    throw lost(error, key, errors)
  }
  tally.end()
  return Buffer.concat(parts)
}

async function* checked(stretch: Stretch, errors: ErrorMaker): AsyncGenerator<Uint8Array> {
  const { source, start, end, key } = stretch
  const tally = tallyOf(stretch, errors)
  let held: Uint8Array | undefined
  for await (const chunk of opened(source, start, end, key, errors)) {
    tally.add(chunk)
    if (chunk.byteLength === 0) continue
    if (held !== undefined) yield held
    held = chunk
  }
  tally.end()
  if (held !== undefined) yield held
}

/** Throws as soon as the bytes are more than announced, and at the end where they are other ones. */
function tallyOf({ start, end, crc32c: announced, key }: Stretch, errors: ErrorMaker) {
  const expected = end - start
  let size = 0
  let crc = 0
  return {
    add(chunk: Uint8Array): void {
      size += chunk.byteLength
      if (size > expected) throw errors.digest(key, `more than ${expected} bytes came`)
      crc = crc32c(chunk, crc)
    },
    end(): void {
      if (size !== expected) throw errors.digest(key, `${size} of ${expected} bytes came`)
      if (hex32(crc) !== announced) throw errors.digest(key, `CRC32C ${hex32(crc)}, announced ${announced}`)
    },
  }
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
    throw lost(error, key, errors)
  }
}

function lost(error: unknown, key: string, errors: ErrorMaker): HoldfastError {
  if (error instanceof HoldfastError) return error
  const words = error instanceof Error ? error.message : String(error)
  return errors.because('CORRUPT', 'LOCAL_CORRUPT', `the local bytes cannot be read: ${words}`, {
    key,
    outcome: 'rejected',
    cause: error,
  })
}
