import { Readable } from 'node:stream'
import { unlessAborted } from '../../core/abort.ts'
import type { HoldfastError } from '../../core/errors.ts'
import type { ByteRange, GetRequest, RemoteBody, RemoteObject } from '../../core/provider.ts'
import { cutRange, rangeHeader } from '../../core/range.ts'
import { cleanCause } from '../transport.ts'
import type { BucketCheck } from './bucket.ts'
import { askDirect } from './ask-direct.ts'
import { type Answer, ask, type Target } from './call.ts'
import { protocolError, type Purpose, type Seen, type Verdict } from './classify.ts'
import { quoted } from './condition.ts'
import type { Dialect } from './dialect.ts'
import { describe, wholeNumber } from './object.ts'
import { readBody } from './read-body.ts'

/** A body of at most this many bytes is read in one go. */
const smallBytes = 16_384

export async function headObject(
  target: Target,
  bucket: BucketCheck,
  key: string,
  signal: AbortSignal,
): Promise<RemoteObject | undefined> {
  const purpose: Purpose = { call: 'head', key, writes: false }
  const headers = checksumMode(target.dialect())
  const asking = { ...purpose, headers, speaks: spokeOfObject }
  const command = () => new target.sdk.HeadObjectCommand({ Bucket: target.bucket, Key: key })
  for (let isFirst = true; ; isFirst = false) {
    const answer =
      (await askDirect(target, { method: 'HEAD', key, headers }, asking, signal)) ??
      (await ask(target, command(), asking, signal))
    if (answer.refused === undefined) {
      const object = describe(key, answer.headers, target.dialect())
      if (object === undefined) throw protocolError(target.errors, purpose, 'was answered without length, ETag or date')
      return object
    }
    if ((await settle(target, bucket, key, answer.refused, signal)) === 'absent') return undefined
    // Whatever was refused was so for a moment: the request was signed by a clock that was wrong, say.
    if (!isFirst) throw answer.refused.error
  }
}

export async function getObject(
  target: Target,
  bucket: BucketCheck,
  { key, range, token }: GetRequest,
  signal: AbortSignal,
): Promise<RemoteBody | undefined> {
  const { errors } = target
  const dialect = target.dialect()
  if (token !== undefined && !dialect.readIf) throw errors.unsupported('read only a certain object', key)
  const purpose: Purpose = { call: 'get', key, writes: false }
  const Range = range === undefined ? undefined : rangeHeader(range)
  const command = () => new target.sdk.GetObjectCommand({ Bucket: target.bucket, Key: key, ...(Range && { Range }) })
  const pin: Record<string, string> = token === undefined ? {} : { 'if-match': quoted(token, dialect) }
  const headers = { ...checksumMode(dialect), ...pin }
  const asking = { ...purpose, headers, streams: true, speaks: spokeOfObject }
  const asked = { method: 'GET', key, headers: { ...headers, ...(Range && { range: Range }) } } as const
  const answer = (await askDirect(target, asked, asking, signal)) ?? (await ask(target, command(), asking, signal))
  if (answer.refused === undefined) return bodyOf(target, purpose, answer, key, range, signal)
  if ((await settle(target, bucket, key, answer.refused, signal)) === 'there') throw answer.refused.error
  return undefined
}

/**
 * What a refusal to a read means. HEAD has no body, so that a 404 says nothing of the bucket, and a 400 or 403 nothing of the reason:
 * then the bucket is asked for, or one byte of the key, whose refusal has a body. 'there': the byte was given. Throws what was refused for good.
 */
async function settle(
  target: Target,
  bucket: BucketCheck,
  key: string,
  refused: Verdict,
  signal: AbortSignal,
): Promise<'absent' | 'there'> {
  const { status, code, spoke } = refused
  if (code === 'NoSuchKey' && status === 404) return 'absent'
  const isMute = code === undefined && (status === 400 || status === 403 || status === 404)
  if (!isMute || (!spoke && status !== 404)) throw refused.error
  if (status === 404 && spoke) {
    const gone = await bucket.isThere(signal)
    if (gone === undefined) return 'absent'
    // Some keys may read objects but not ask for the bucket.
    if (gone.error.reason !== 'FORBIDDEN') throw withKey(target, gone, key)
  }
  const closer = await askForByte(target, key, signal)
  if (closer === undefined) return 'there'
  if (closer.status === 404 && closer.code === 'NoSuchKey') return 'absent'
  throw closer.code === undefined ? refused.error : closer.error
}

async function askForByte(target: Target, key: string, signal: AbortSignal): Promise<Verdict | undefined> {
  const command = new target.sdk.GetObjectCommand({ Bucket: target.bucket, Key: key, Range: 'bytes=0-0' })
  const asking = { call: 'head', key, writes: false, streams: true, speaks: spokeOfObject } as const
  const answer = await ask(target, command, asking, signal)
  if (answer.refused === undefined) {
    const stream = answer.output.Body as Partial<Readable> | undefined
    // Let go, it fails while nobody looks.
    stream?.on?.('error', () => {})
    answer.letGo()
  }
  return answer.refused
}

function withKey({ errors }: Target, { error }: Verdict, key: string): HoldfastError {
  const words = error.message.slice(error.message.indexOf(': ') + 2)
  const { code, reason = 'SERVER', retryable, retryAfterMs, cause } = error
  return errors.because(code, reason, words, {
    key,
    retryable,
    cause,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  })
}

const spokeOfObject = ({ headers }: Seen): boolean =>
  headers['etag'] !== undefined && headers['last-modified'] !== undefined

/** Asks for the checksum, where the service is known to have one to give: elsewhere the header may be an error. */
function checksumMode(dialect: Dialect): Readonly<Record<string, string>> {
  return dialect.quirks.crc32c === 'checked' ? { 'x-amz-checksum-mode': 'ENABLED' } : {}
}

function bodyOf(
  target: Target,
  purpose: Purpose,
  answer: Answer<{ Body?: unknown }>,
  key: string,
  range: ByteRange | undefined,
  signal: AbortSignal,
): RemoteBody {
  const { errors } = target
  const stream = answer.output.Body as Partial<Readable> & Partial<ReadableStream<Uint8Array>>
  // Destroyed, it fails while nobody looks.
  stream?.on?.('error', () => {})
  let isOver = false
  const done = (): void => {
    isOver = true
    signal.removeEventListener('abort', letGo)
  }
  const letGo = (): void => {
    if (isOver) return
    done()
    stream?.destroy?.()
    // Of a handler that is built on fetch; one that is being read is left by its iterator.
    stream?.cancel?.().catch(() => {})
    answer.letGo()
  }
  const fail = (what: string): never => {
    letGo()
    throw protocolError(errors, purpose, what)
  }
  const span = spanOf(answer, range) ?? fail(`was answered ${answer.status} with a range that makes no sense`)
  const size = answer.status === 206 ? span.size : undefined
  const object =
    describe(key, answer.headers, target.dialect(), size) ?? fail('was answered without length, ETag or date')
  if (signal.aborted) letGo()
  else signal.addEventListener('abort', letGo, { once: true })
  const { start, end } = span
  return { object, start, end, body: exactly(end - start), close: async () => letGo() }

  /** Ends after exactly this many bytes, or throws. */
  function exactly(bytes: number): AsyncGenerator<Uint8Array> {
    return bytes <= smallBytes && stream instanceof Readable ? atOnce(stream, bytes) : piecewise(bytes)
  }

  async function* atOnce(from: Readable, bytes: number): AsyncGenerator<Uint8Array> {
    try {
      signal.throwIfAborted()
      // One more than it may be: that it is longer is found then.
      const read = await unlessAborted(readBody(from, bytes + 1), signal)
      const { byteLength } = read.bytes
      if (byteLength > bytes) throw protocolError(errors, purpose, `sent more than the ${bytes} bytes announced`)
      if (read.error !== undefined) throw broken(`broke after ${byteLength} bytes`, read.error)
      if (byteLength < bytes) throw broken(`ended after ${byteLength} of ${bytes} bytes`)
      done()
      if (bytes > 0) yield read.bytes
    } finally {
      letGo()
    }
  }

  async function* piecewise(bytes: number): AsyncGenerator<Uint8Array> {
    const iterator = stream?.[Symbol.asyncIterator]?.() as AsyncIterator<Uint8Array> | undefined
    let left = bytes
    try {
      for (;;) {
        // Also once there is nothing left: read to its end, the connection serves the next request.
        const step = await chunk(iterator, bytes - left)
        if (step === undefined || step.done === true) break
        left -= step.value.byteLength
        if (left < 0) throw protocolError(errors, purpose, `sent more than the ${bytes} bytes announced`)
        yield step.value
      }
      if (left > 0) throw broken(`ended after ${bytes - left} of ${bytes} bytes`)
    } finally {
      letGo()
    }
  }

  async function chunk(
    iterator: AsyncIterator<Uint8Array> | undefined,
    read: number,
  ): Promise<IteratorResult<Uint8Array> | undefined> {
    signal.throwIfAborted()
    try {
      return iterator && (await unlessAborted(iterator.next(), signal))
    } catch (error) {
      signal.throwIfAborted()
      throw broken(`broke after ${read} bytes`, error)
    }
  }

  function broken(what: string, error?: unknown): HoldfastError {
    const cause = error === undefined ? {} : { cause: cleanCause(error) }
    return errors.because('UNAVAILABLE', 'NETWORK', `get: the body ${what}`, { key, ...cause })
  }
}

/** Which bytes are to come, of how many. A service may answer any range with the whole; that is taken only for a range that means it. */
function spanOf(
  { status, headers }: Seen,
  range: ByteRange | undefined,
): { start: number; end: number; size: number } | undefined {
  const length = wholeNumber(headers['content-length'])
  if (status === 200) {
    const whole = length === undefined ? undefined : cutRange(range, length)
    const isWhole = range === undefined || (whole?.start === 0 && whole.end === length)
    return length !== undefined && isWhole ? { start: 0, end: length, size: length } : undefined
  }
  const found = /^bytes (\d{1,15})-(\d{1,15})\/(\d{1,15})$/.exec(headers['content-range'] ?? '')
  if (status !== 206 || found === null || range === undefined) return undefined
  const [start, last, size] = found.slice(1).map(Number) as [number, number, number]
  const wanted = cutRange(range, size)
  const isRight =
    start === wanted?.start && last + 1 === wanted.end && (length ?? last + 1 - start) === last + 1 - start
  return isRight ? { start, end: last + 1, size } : undefined
}
