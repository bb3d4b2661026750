import { isErrored, Readable } from 'node:stream'
import { types } from 'node:util'
import { HoldfastError, invalid, shown } from './errors.ts'

/** string is UTF-8. A Node Readable, a web ReadableStream, a Blob, a generator of bytes all fit. */
export type Body = string | Uint8Array | ArrayBuffer | Blob | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array>

/** Bytes of a chunk at most, whatever the body's own chunks are. */
export const longestChunkBytes = 1_048_576

export interface ReadBodyOptions {
  /** Bytes that the caller announced. Anything else is CHECKSUM, field `size`: before reading where the body says its size, else at the first byte too many. */
  readonly expectedSize?: number
  /** Bytes that every provider takes; more is INVALID, field `size`, rule `limit`. */
  readonly limit?: { readonly bytes: number; readonly provider: string }
  /** While a chunk is waited for, an abort rejects at once with the signal's reason, and lets go of the body. */
  readonly signal?: AbortSignal
}

export interface ReadBody {
  /** Bytes: what the body says, or what the caller announced. */
  readonly knownSize: number | undefined
  /**
   * The same bytes at once, where they are in memory and at most this many: text is encoded, memory may be a view of what the caller keeps. Instead of
   * `chunks`, in the turn in which the body was taken in hand; whoever uses them later looks whether their length is still the same.
   */
  readonly whole: (mostBytes: number) => Uint8Array | undefined
  /**
   * The bytes, in chunks of at most 1 MiB. A chunk may be a view of what the caller or the producer keeps: it is to be used up, or
   * copied, before the next is asked for. To be iterated once. Leaving early (also while a chunk is waited for), an abort and any
   * error let go of the body at once: a Node stream is destroyed, a web stream cancelled, a generator returned.
   *
   * Throws CHECKSUM or INVALID as the options say; INVALID, field `body`, rule `chunk` where the body yields anything but bytes, and
   * rule `source` where the body itself fails (its error is the `cause`).
   */
  readonly chunks: AsyncIterable<Uint8Array>
}

/**
 * Takes a body in hand without reading from it; nothing is consumed until `chunks` is iterated. INVALID, field `body`, for what is
 * no body (rule `type`), text with an unpaired surrogate (`unicode`), memory that is detached or shared (`detached`, `shared`), and
 * streams whose bytes are gone or somebody else's: `locked`, `disturbed`, `destroyed`, `errored`, `ended`, `encoding`.
 *
 * Memory is read, never written to, and read until `chunks` ends: a caller who changes it before `put` resolved stores a mixture.
 *
 * From here on an error of a Node stream is looked after: it surfaces in `chunks`, and does no harm if nobody iterates them.
 */
export function readBody(body: unknown, options: ReadBodyOptions = {}): ReadBody {
  const { expectedSize, limit } = options
  const feed = takeUp(body)
  if (feed.size !== undefined) {
    if (expectedSize !== undefined && feed.size !== expectedSize) throw mismatch('size', expectedSize, feed.size)
    if (limit !== undefined && feed.size > limit.bytes) throw tooLarge(feed.size, limit)
  }
  if (expectedSize !== undefined && limit !== undefined && expectedSize > limit.bytes) {
    throw tooLarge(expectedSize, limit)
  }
  return {
    knownSize: feed.size ?? expectedSize,
    whole: mostBytes => ((feed.size ?? Number.POSITIVE_INFINITY) <= mostBytes ? feed.whole?.() : undefined),
    chunks: chunksOf(feed, options),
  }
}

/** CHECKSUM: what came is not what the caller announced. `field` is `size` or the name of a digest. */
export function mismatch(field: string, expected: number | string, computed: number | string): HoldfastError {
  const message = `the body has another ${field} than was announced: expected ${expected}, computed ${computed}`
  return new HoldfastError('CHECKSUM', message, { field, rule: 'mismatch', outcome: 'rejected' })
}

function tooLarge(size: number, { bytes, provider }: NonNullable<ReadBodyOptions['limit']>): HoldfastError {
  const message = `the body has ${size} bytes or more, limit ${bytes} (provider ${shown(provider)})`
  return invalid('size', 'limit', message, { provider })
}

/** Any kind of body, the same to read from. */
interface Feed {
  /** Bytes, where the body says so itself. */
  readonly size: number | undefined
  /** All of it, where it is in memory. */
  whole?(): Uint8Array
  start(): Reading
}

interface Reading {
  next(): unknown
  /** Lets go of a body that is not read to its end. Does not wait: a source that hangs must hold nobody up. */
  stop(): void
}

function chunksOf(feed: Feed, options: ReadBodyOptions): AsyncIterable<Uint8Array> {
  return {
    [Symbol.asyncIterator]() {
      const wait = interruptible(options.signal)
      const chunks = pump(feed, options, wait)
      return {
        next: () => chunks.next(),
        return() {
          // A generator would return only after the chunk that it waits for, which may never come.
          wait.interrupt(new Error('the body was let go of'))
          return chunks.return(undefined)
        },
      }
    },
  }
}

async function* pump(
  feed: Feed,
  { expectedSize, limit, signal }: ReadBodyOptions,
  wait: Wait,
): AsyncGenerator<Uint8Array, undefined> {
  let reading: Reading | undefined
  let received = 0
  try {
    signal?.throwIfAborted()
    const source = await own(async () => feed.start())
    reading = source
    for (let index = 0; ; index++) {
      const step = await wait.for(own(async () => await source.next()))
      if (typeof step !== 'object' || step === null) throw broken(received, `its iterator answered ${shown(step)}`)
      const { done, value } = step as IteratorResult<unknown>
      if (done === true) break
      const bytes = bytesOf(value, `body chunk ${index}`, 'chunk')
      received += bytes.byteLength
      if (expectedSize !== undefined && received > expectedSize) throw mismatch('size', expectedSize, received)
      if (limit !== undefined && received > limit.bytes) throw tooLarge(received, limit)
      for (let at = 0; at < bytes.byteLength; at += longestChunkBytes) {
        yield bytes.subarray(at, at + longestChunkBytes)
        signal?.throwIfAborted()
      }
    }
    reading = undefined
    if (feed.size !== undefined && received !== feed.size) throw broken(received, `it had ${feed.size} bytes before`)
    if (expectedSize !== undefined && received !== expectedSize) throw mismatch('size', expectedSize, received)
  } finally {
    reading?.stop()
    wait.end()
  }

  /** What fails in there is the body's own failure. */
  async function own<T>(step: () => Promise<T>): Promise<T> {
    try {
      return await step()
    } catch (error) {
      throw broken(received, shown(error instanceof Error ? error.message : error), error)
    }
  }
}

interface Wait {
  /** Settles as the step does, or rejects at once when the signal aborts or somebody interrupts. */
  for<T>(step: Promise<T>): Promise<T>
  /** Only what is waited for now. */
  interrupt(reason: unknown): void
  end(): void
}

/** One listener for a whole body, however many chunks it has. */
function interruptible(signal: AbortSignal | undefined): Wait {
  let reject: ((reason: unknown) => void) | undefined
  const interrupt = (reason: unknown): void => reject?.(reason)
  const onAbort = (): void => interrupt(signal?.reason)
  let isListening = false
  return {
    interrupt,
    for: step =>
      new Promise((resolve, refuse) => {
        if (!isListening) signal?.addEventListener('abort', onAbort, { once: true })
        isListening = true
        reject = refuse
        step.then(resolve, refuse)
        if (signal?.aborted === true) onAbort()
      }),
    end: () => signal?.removeEventListener('abort', onAbort),
  }
}

function broken(received: number, what: string, cause?: unknown): HoldfastError {
  return invalid('body', 'source', `the body failed after ${received} bytes: ${what}`, { cause })
}

function takeUp(body: unknown): Feed {
  try {
    const feed = feedOf(body)
    if (feed !== undefined) return feed
    const wanted = 'body must be a string, bytes, a Blob or a stream of bytes'
    throw invalid('body', 'type', `${wanted}, got ${shown(body)}${hint(body)}`)
  } catch (error) {
    if (error instanceof HoldfastError) throw error
    throw invalid('body', 'type', 'body cannot be looked at: a getter or a proxy of it throws', { cause: error })
  }
}

function feedOf(body: unknown): Feed | undefined {
  if (typeof body === 'string') return textFeed(body)
  if (ArrayBuffer.isView(body) || types.isAnyArrayBuffer(body)) return memoryFeed(body)
  return typeof body === 'object' && body !== null ? objectFeed(body) : undefined
}

function hint(body: unknown): string {
  if (body instanceof Promise) return ' (await it)'
  if (body instanceof Response || body instanceof Request) return ' (give its .body)'
  return typeof body === 'function' ? ' (call it, if it is a generator)' : ''
}

function objectFeed(body: object): Feed | undefined {
  const { getReader, pipe, on } = body as Record<string, unknown>
  if (isBlob(body)) return { size: body.size, start: () => webReading(body.stream()) }
  if (typeof getReader === 'function') return webFeed(body as ReadableStream)
  const asyncIterator = (body as AsyncIterable<unknown>)[Symbol.asyncIterator]
  if (typeof asyncIterator === 'function') {
    const isNodeStream = typeof pipe === 'function' && typeof on === 'function'
    return isNodeStream ? nodeFeed(body as Readable) : iteratorFeed(() => asyncIterator.call(body))
  }
  return isGenerator(body) ? iteratorFeed(() => body) : undefined
}

function isBlob(body: object): body is Blob {
  if (body instanceof Blob) return true
  const { size, stream, [Symbol.toStringTag]: tag } = body as Record<PropertyKey, unknown>
  return (tag === 'Blob' || tag === 'File') && typeof size === 'number' && typeof stream === 'function'
}

/** A plain generator is its own iterator; arrays, maps and sets are not, and are refused: they are no streams. */
function isGenerator(body: object): body is Iterator<unknown> {
  return Symbol.iterator in body && 'next' in body && typeof body.next === 'function'
}

function textFeed(text: string): Feed {
  if (!text.isWellFormed()) {
    throw invalid('body', 'unicode', `body has an unpaired surrogate at index ${text.search(/\p{Surrogate}/u)}`)
  }
  return {
    size: Buffer.byteLength(text),
    whole: () => Buffer.from(text, 'utf8'),
    start: () => iteratorReading(encoded(text)),
  }
}

/** Encodes long texts bit by bit, never between the halves of a character. */
function* encoded(text: string): Generator<Uint8Array> {
  const units = longestChunkBytes / 4
  for (let at = 0; at < text.length; ) {
    let end = Math.min(text.length, at + units)
    if (end < text.length && (text.charCodeAt(end) & 0xfc00) === 0xdc00) end--
    yield Buffer.from(text.slice(at, end), 'utf8')
    at = end
  }
}

function memoryFeed(memory: ArrayBufferView | ArrayBufferLike): Feed {
  const size = bytesOf(memory, 'body', 'type').byteLength
  return {
    size,
    whole: () => bytesOf(memory, 'body', 'type'),
    start: () => iteratorReading(memoryPieces(memory, size)),
  }
}

/** Looks at the memory anew for each piece: its buffer may have been handed elsewhere or made smaller since. */
function* memoryPieces(memory: ArrayBufferView | ArrayBufferLike, size: number): Generator<Uint8Array> {
  for (let at = 0; at < size; at += longestChunkBytes) {
    const bytes = bytesOf(memory, 'body', 'type')
    if (bytes.byteLength !== size) throw new Error(`it has ${bytes.byteLength} bytes, it had ${size} before`)
    yield bytes.subarray(at, at + longestChunkBytes)
  }
}

function bytesOf(value: unknown, what: string, rule: string): Uint8Array {
  const isView = ArrayBuffer.isView(value)
  const buffer = isView ? value.buffer : value
  if (types.isSharedArrayBuffer(buffer)) {
    throw invalid('body', 'shared', `${what} is shared memory, which others may change while it is read; copy it first`)
  }
  if (!types.isArrayBuffer(buffer)) {
    const advice = typeof value === 'string' ? ' (encode it, or leave out setEncoding)' : ''
    throw invalid('body', rule, `${what} is not bytes, got ${shown(value)}${advice}`)
  }
  if (buffer.detached) throw invalid('body', 'detached', `${what} is detached: its memory was transferred elsewhere`)
  return isView ? new Uint8Array(buffer, value.byteOffset, value.byteLength) : new Uint8Array(buffer)
}

function webFeed(stream: ReadableStream): Feed {
  if (stream.locked) throw invalid('body', 'locked', 'body is a stream that is locked to another reader')
  // Node answers these of web streams too; only their types do not say so.
  const asked = stream as unknown as Readable
  if (isErrored(asked)) throw invalid('body', 'errored', 'body is a stream that has failed already')
  if (Readable.isDisturbed(asked)) {
    throw invalid('body', 'disturbed', 'body is a stream that was read from or cancelled already')
  }
  return { size: undefined, start: () => webReading(stream) }
}

function webReading(stream: ReadableStream): Reading {
  const reader = stream.getReader()
  return {
    next: async () => {
      const step = await reader.read()
      if (step.done) reader.releaseLock()
      return step
    },
    stop: () => void reader.cancel().catch(() => {}),
  }
}

function nodeFeed(stream: Readable): Feed {
  stream.on('error', () => {})
  if (stream.errored) {
    throw invalid('body', 'errored', `body is a stream that has failed already: ${stream.errored.message}`, {
      cause: stream.errored,
    })
  }
  if (stream.readableEnded) throw invalid('body', 'ended', 'body is a stream that was read to its end already')
  if (stream.destroyed) throw invalid('body', 'destroyed', 'body is a stream that is destroyed')
  if (!stream.readable) throw invalid('body', 'ended', 'body is a stream that cannot be read from')
  if (typeof stream.readableEncoding === 'string') {
    throw invalid('body', 'encoding', 'body is a stream of text, not bytes: leave out setEncoding')
  }
  // Bytes that were read and put back again (unshift) are still there; bytes that flow to somebody else are not.
  if (stream.readableFlowing === true && stream.readableDidRead) {
    throw invalid('body', 'disturbed', 'body is a stream that flows already: its first bytes are gone')
  }
  return {
    size: undefined,
    start: () => {
      const iterator = stream[Symbol.asyncIterator]()
      return { next: () => iterator.next(), stop: () => void stream.destroy() }
    },
  }
}

function iteratorFeed(open: () => AsyncIterator<unknown> | Iterator<unknown>): Feed {
  return { size: undefined, start: () => iteratorReading(open()) }
}

function iteratorReading(iterator: AsyncIterator<unknown> | Iterator<unknown>): Reading {
  return {
    next: () => iterator.next(),
    stop: () => void (async () => await iterator.return?.())().catch(() => {}),
  }
}
