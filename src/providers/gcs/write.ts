import { randomBytes } from 'node:crypto'
import { HoldfastError } from '../../core/errors.ts'
import type { DeleteResult, PutRequest, PutResult } from '../../core/provider.ts'
import type { Source } from '../../core/source.ts'
import type { ErrorMaker } from '../errors.ts'
import { isService, notProvider, type Purpose } from './errors.ts'
import { readResource, writeResource } from './objects.ts'
import { headObject, proveAbsent } from './read.ts'
import type { Query, Target } from './target.ts'
import type { Answer, WireBody } from './wire.ts'

/** One request: description and bytes together. The service compares size and digests before the object is there. */
export async function putWhole(target: Target, request: PutRequest, signal: AbortSignal): Promise<PutResult> {
  const { key, source } = request
  const purpose: Purpose = { call: 'put', key, effect: 'writes' }
  const boundary = randomBytes(24).toString('hex')
  const head = Buffer.from(
    `--${boundary}\r\ncontent-type: application/json; charset=utf-8\r\n\r\n${writeResource(request)}\r\n` +
      `--${boundary}\r\ncontent-type: application/octet-stream\r\n\r\n`,
  )
  const tail = Buffer.from(`\r\n--${boundary}--\r\n`)
  const body: WireBody = {
    length: head.byteLength + source.size + tail.byteLength,
    async *open() {
      yield head
      yield* exactly(source, 0, source.size, key, target.errors)
      yield tail
    },
  }
  const answer = await target.wire.send(
    {
      purpose,
      method: 'POST',
      target: target.upload({ uploadType: 'multipart', name: key, ...conditionQuery(request) }),
      headers: { 'content-type': `multipart/related; boundary=${boundary}` },
      body,
    },
    signal,
  )
  if (answer.status !== 200) throw await target.wire.refused(answer, purpose)
  return await stored(target, purpose, request, answer)
}

/** What makes a put conditional: part of the request, or of the session, and checked by the service when the object comes to be. */
export function conditionQuery({ condition }: PutRequest): Query {
  if (condition === undefined) return {}
  return { ifGenerationMatch: 'absent' in condition ? '0' : condition.token }
}

/** What a good answer to an upload proves: this object, in this bucket, with our bytes. Anything else is not success. */
export async function stored(
  { wire, bucket, errors }: Target,
  purpose: Purpose,
  { key, source }: PutRequest,
  answer: Answer,
): Promise<PutResult> {
  const read = readResource(await wire.text(answer, purpose), bucket, key, answer.serverTime)
  if ('wrong' in read) throw notProvider(errors, purpose, `was answered 200 ${read.wrong}`)
  const { size, token, etag, attested, serverTime } = read
  if (size !== source.size || attested.crc32c !== source.crc32c) {
    const found = `${size} bytes with CRC32C ${attested.crc32c ?? 'unknown'}`
    throw errors.because('CHECKSUM', 'DIGEST', `put was answered with ${found}, not what was sent`, {
      key,
      outcome: 'unknown',
    })
  }
  return { token, etag, proof: 'server-full', serverTime }
}

/** A source that ends early or late would leave the request hanging, or split it: it is stopped at the byte. */
export async function* exactly(
  source: Source,
  start: number,
  end: number,
  key: string,
  errors: ErrorMaker,
): AsyncIterable<Uint8Array> {
  let size = 0
  for await (const chunk of source.open(start, end)) {
    size += chunk.byteLength
    if (size > end - start) throw errors.digest(key, `more than ${end - start} bytes came from byte ${start} on`)
    yield chunk
  }
  if (size < end - start) throw errors.digest(key, `${size} of ${end - start} bytes came from byte ${start} on`)
}

/** With a token, the object that has it or none. An answer without the service's mark is believed once the object is gone. */
export async function deleteObject(
  target: Target,
  key: string,
  token: string | undefined,
  signal: AbortSignal,
): Promise<DeleteResult> {
  const purpose: Purpose = { call: 'delete', key, effect: 'writes' }
  const condition = token === undefined ? {} : { ifGenerationMatch: token }
  const answer = await target.wire.send({ purpose, method: 'DELETE', target: target.object(key, condition) }, signal)
  if (answer.status === 404) {
    await proveAbsent(target, purpose, key, answer, signal)
    return { serverTime: answer.serverTime }
  }
  if (answer.status !== 204 && answer.status !== 200) throw await target.wire.refused(answer, purpose)
  const text = await target.wire.text(answer, purpose)
  const marked = answer.status === 204 && text === '' && isService(answer.header)
  if (!marked) await confirmDeleted(target, purpose, key, token, signal)
  return { serverTime: answer.serverTime }
}

/** Another object may have come in the meantime: then nobody can say, and the caller asks again. */
async function confirmDeleted(
  target: Target,
  purpose: Purpose,
  key: string,
  token: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const doubt = notProvider(target.errors, purpose, 'was answered 2xx without the mark of the service')
  let left: Awaited<ReturnType<typeof headObject>>
  try {
    left = await headObject(target, key, signal)
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    throw doubt
  }
  if (left !== undefined && (token === undefined || left.token === token)) throw doubt
}
