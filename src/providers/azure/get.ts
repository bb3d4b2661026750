import type { Readable } from 'node:stream'
import type { BlobDownloadResponseParsed } from '@azure/storage-blob'
import { unlessAborted } from '../../core/abort.ts'
import { HoldfastError } from '../../core/errors.ts'
import type { GetRequest, RemoteBody } from '../../core/provider.ts'
import { cutRange } from '../../core/range.ts'
import { callError, causeOf, isAbsent, protocolError, type Purpose } from './errors.ts'
import { measured } from './head.ts'
import { objectOf } from './object.ts'
import { etagOf, type Target } from './target.ts'

/** How often the object may change between being measured and being read, where only its end is wanted. */
const mostLooks = 3

/** Get Blob. A pin that does not hold is PRECONDITION, unless there is no object at all: the service says the same of both. */
export async function getBlob(
  target: Target,
  request: GetRequest,
  signal: AbortSignal,
): Promise<RemoteBody | undefined> {
  try {
    return await read(target, request, signal)
  } catch (error) {
    if (request.token === undefined || !isCondition(error)) throw error
    if ((await measured(target, request.key, undefined, signal)) === undefined) return undefined
    throw error
  }
}

/** The service knows no "last n bytes": then the object is looked at first, and read if it is still that one. */
async function read(
  target: Target,
  { key, range, token }: GetRequest,
  signal: AbortSignal,
): Promise<RemoteBody | undefined> {
  if (range === undefined || 'start' in range) return await open(target, key, range, token, signal)
  for (let look = 1; ; look++) {
    const object = await measured(target, key, token, signal)
    if (object === undefined) return undefined
    const cut = cutRange(range, object.size)
    if (cut === undefined) throw target.errors.range(key, object.size)
    try {
      return await open(target, key, cut, object.token, signal)
    } catch (error) {
      if (!isCondition(error) || token !== undefined || look === mostLooks) throw error
    }
  }
}

function isCondition(error: unknown): boolean {
  return error instanceof HoldfastError && error.reason === 'CONDITION'
}

async function open(
  target: Target,
  key: string,
  range: { readonly start: number; readonly end?: number } | undefined,
  token: string | undefined,
  signal: AbortSignal,
): Promise<RemoteBody | undefined> {
  signal.throwIfAborted()
  const { errors } = target
  const purpose: Purpose = { call: 'get', key, effect: 'none' }
  const blob = target.blob(key)
  const { start = 0, end } = range ?? {}
  if (end !== undefined && end <= start) {
    const details = { key, field: 'range', rule: 'end', outcome: 'rejected' } as const
    throw errors.because('INVALID', 'RANGE', `the range from ${start} to ${end} is empty`, details)
  }
  // The whole life of the connection, body included.
  const connection = new AbortController()
  const stop = (): void => connection.abort(signal.reason)
  signal.addEventListener('abort', stop, { once: true })
  const release = (): void => signal.removeEventListener('abort', stop)
  try {
    const asked = blob
      .download(start, end === undefined ? undefined : end - start, {
        abortSignal: connection.signal,
        conditions: token === undefined ? {} : { ifMatch: etagOf(token) },
        // The client would go on by itself when the connection breaks, unseen by whoever counts failures.
        maxRetryRequests: 0,
      })
      .then(unheard)
    const answer = await unlessAborted(asked, signal)
    return bodyOf(target, purpose, answer, range, { signal, release, connection })
  } catch (error) {
    release()
    connection.abort()
    signal.throwIfAborted()
    if (isAbsent(error)) return undefined
    throw callError(errors, purpose, error)
  }
}

interface Line {
  readonly signal: AbortSignal
  readonly release: () => void
  readonly connection: AbortController
}

function bodyOf(
  target: Target,
  purpose: Purpose,
  answer: BlobDownloadResponseParsed,
  asked: { readonly start: number; readonly end?: number } | undefined,
  line: Line,
): RemoteBody {
  const object = objectOf(target, purpose, answer, sizeIn(answer))
  // Some implementations answer a range past the end with nothing.
  if (asked !== undefined && asked.start >= object.size) throw target.errors.range(object.key, object.size)
  const stream = answer.readableStreamBody as Readable | undefined
  const place = placeOf(answer)
  if (stream === undefined || place === undefined) {
    throw protocolError(target.errors, purpose, 'got an answer without a body, or with a range that makes no sense')
  }
  const { start, end, size } = place
  const isWanted = start === (asked?.start ?? 0) && end === Math.min(size, asked?.end ?? size)
  if (!isWanted) throw protocolError(target.errors, purpose, `got bytes ${start} to ${end}, asked for others`)
  const close = async (): Promise<void> => {
    line.release()
    stream.destroy()
    line.connection.abort()
  }
  return {
    object,
    start,
    end,
    body: counted(target, purpose, stream, end - start, line, close),
    close,
  }
}

/** Errors of a body are for whoever reads it; one that nobody reads may break in silence. */
function unheard(answer: BlobDownloadResponseParsed): BlobDownloadResponseParsed {
  answer.readableStreamBody?.on('error', () => {})
  return answer
}

/** `bytes 0-9/100`, or without it the whole. */
function placeOf({
  contentRange,
  contentLength,
}: BlobDownloadResponseParsed): { readonly start: number; readonly end: number; readonly size: number } | undefined {
  if (contentLength === undefined) return undefined
  if (contentRange === undefined) return { start: 0, end: contentLength, size: contentLength }
  const found = /^bytes (\d{1,16})-(\d{1,16})\/(\d{1,16})$/.exec(contentRange)
  if (found === null) return undefined
  const [start, last, size] = found.slice(1).map(Number) as [number, number, number]
  const end = last + 1
  return end - start === contentLength && end <= size ? { start, end, size } : undefined
}

/** Of the whole object. */
function sizeIn({ contentRange, contentLength }: BlobDownloadResponseParsed): number | undefined {
  if (contentRange === undefined) return contentLength
  const found = /\/(\d{1,16})$/.exec(contentRange)
  return found === null ? undefined : Number(found[1])
}

async function* counted(
  { errors }: Target,
  { key }: Purpose,
  stream: Readable,
  size: number,
  { signal }: Line,
  close: () => Promise<void>,
): AsyncIterable<Uint8Array> {
  const about = key === undefined ? {} : { key }
  let got = 0
  try {
    signal.throwIfAborted()
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      signal.throwIfAborted()
      got += chunk.byteLength
      if (got > size) break
      yield chunk
      signal.throwIfAborted()
    }
  } catch (error) {
    signal.throwIfAborted()
    throw errors.because('UNAVAILABLE', 'NETWORK', `the body ended after ${got} of ${size} bytes`, {
      ...about,
      cause: causeOf(error),
    })
  } finally {
    await close()
  }
  if (got === size) return
  const reason = got < size ? 'NETWORK' : 'PROTOCOL'
  throw errors.because(
    'UNAVAILABLE',
    reason,
    `the body had ${got > size ? 'more than ' : ''}${got} bytes of ${size}`,
    about,
  )
}
