import { Readable } from 'node:stream'
import type { BlobRequestConditions, HttpRequestBody } from '@azure/storage-blob'
import { untilAborted } from '../../core/abort.ts'
import type { PutCondition, PutRequest, PutResult } from '../../core/provider.ts'
import type { Source } from '../../core/source.ts'
import type { ErrorMaker } from '../errors.ts'
import type { Purpose } from './errors.ts'
import { blobFeatures } from './features.ts'
import { blobHeaders, hexOf } from './object.ts'
import { call, etagOf, provenBlob, type Target, timeIn } from './target.ts'

/** Bodies up to this many bytes are sent from memory: one packet after the headers, no stream to look after. */
const smallBytes = 65_536

/**
 * Put Blob: the whole body in one request, with its MD5, which the service compares before the blob is there and keeps as the blob's
 * Content-MD5. It does so for either header (https://github.com/Azure/azure-storage-ruby/issues/64); both are given because clients
 * before 12.32 can send only the blob's. The proof is `server-full` if the service says that MD5 in its answer.
 */
export async function putWhole(target: Target, request: PutRequest, signal: AbortSignal): Promise<PutResult> {
  const { key, source, headers, metadata, condition, features } = request
  const purpose: Purpose = { call: 'put', key, effect: 'writes' }
  const blob = target.blob(key)
  const announced = Buffer.from(source.md5, 'hex')
  const answer = await sending(target, key, source, [0, source.size], signal, body =>
    call(target, purpose, signal, abortSignal =>
      blob.upload(body, source.size, {
        abortSignal,
        blobHTTPHeaders: { ...blobHeaders(headers), blobContentMD5: announced },
        metadata: { ...metadata },
        conditions: conditionsOf(condition),
        ...blobFeatures(features),
        transactionalContentMD5: announced,
      }),
    ),
  )
  const { token } = provenBlob(target, purpose, answer)
  const { contentMD5, date } = answer
  const md5 = contentMD5 && hexOf(contentMD5)
  if (md5 !== undefined && md5 !== source.md5) {
    throw target.errors.digest(key, `the service has MD5 ${md5}, announced ${source.md5}`)
  }
  return {
    token,
    etag: undefined,
    proof: md5 === undefined ? 'none' : 'server-full',
    serverTime: timeIn(date),
  }
}

/**
 * Runs `send` with a body of the source's bytes from `start` to `end`, and lets go of the source whatever comes of it. An error of the
 * source comes out as it is, whatever the client made of it; bytes that are too few or too many are CHECKSUM.
 */
export async function sending<T>(
  { errors }: Pick<Target, 'errors'>,
  key: string,
  source: Source,
  [start, end]: readonly [number, number],
  signal: AbortSignal,
  send: (body: HttpRequestBody) => Promise<T>,
): Promise<T> {
  const bytes = (): AsyncIterable<Uint8Array> => exactly(source, start, end, key, errors, signal)
  if (end - start <= smallBytes) return await send(await gathered(bytes(), end - start))
  let broken: { readonly error: unknown } | undefined
  let body: Readable | undefined
  async function* watched(): AsyncIterable<Uint8Array> {
    try {
      yield* bytes()
    } catch (error) {
      broken = { error }
      throw error
    }
  }
  /** From the first byte each time: where a token is not taken as it is, the client sends the request once more with another one. */
  function begin(): Readable {
    body?.destroy()
    body = Readable.from(watched(), { objectMode: false, highWaterMark: 262_144 })
    // Errors are looked after here, also when the client has let go of the stream.
    body.on('error', () => {})
    return body
  }
  try {
    return await send(begin)
  } catch (error) {
    signal.throwIfAborted()
    throw broken === undefined ? error : broken.error
  } finally {
    body?.destroy()
  }
}

/** The bytes of the source from `start` to `end`, or CHECKSUM: a request that promised more bytes than come would hang. */
export async function* exactly(
  source: Source,
  start: number,
  end: number,
  key: string,
  errors: ErrorMaker,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  let left = end - start
  for await (const chunk of untilAborted(source.open(start, end), signal)) {
    left -= chunk.byteLength
    if (left < 0) throw errors.digest(key, `more than ${end - start} bytes came`)
    if (chunk.byteLength > 0) yield chunk
  }
  if (left > 0) throw errors.digest(key, `${end - start - left} of ${end - start} bytes came`)
}

async function gathered(chunks: AsyncIterable<Uint8Array>, size: number): Promise<Buffer> {
  const bytes = Buffer.alloc(size)
  let at = 0
  for await (const chunk of chunks) {
    bytes.set(chunk, at)
    at += chunk.byteLength
  }
  return bytes
}

/** Not held: `absent` answers 409 BlobAlreadyExists, a token 412 ConditionNotMet, also where there is no blob. */
export function conditionsOf(condition: PutCondition | undefined): BlobRequestConditions {
  if (condition === undefined) return {}
  return 'absent' in condition ? { ifNoneMatch: '*' } : { ifMatch: etagOf(condition.token) }
}
