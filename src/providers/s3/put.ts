import type { PutObjectCommandInput } from '@aws-sdk/client-s3'
import { unlessAborted } from '../../core/abort.ts'
import { packedName } from '../../core/attributes.ts'
import { hexToBase64 } from '../../core/digest.ts'
import type { Proof, PutRequest, PutResult } from '../../core/provider.ts'
import type { Source } from '../../core/source.ts'
import { httpDate } from '../transport.ts'
import { askDirect } from './ask-direct.ts'
import { endOf, send } from './body.ts'
import { type Answer, ask, type Target } from './call.ts'
import { protocolError, type Purpose } from './classify.ts'
import { putCondition } from './condition.ts'
import type { Dialect } from './dialect.ts'
import { asksForKms, headersOf } from './features.ts'
import { crc32cHex, etagOf, hasPlainEtag, packedAlias } from './object.ts'

/** One PutObject, with whatever digest the service can check. */
export async function putWhole(target: Target, request: PutRequest, signal: AbortSignal): Promise<PutResult> {
  const { sdk, bucket, errors } = target
  const { key, source } = request
  const dialect = target.dialect()
  const condition = putCondition(request.condition, key, dialect, errors)
  const stretch = { source, start: 0, end: source.size, crc32c: source.crc32c, key }
  const sending = await unlessAborted(send(stretch, errors), signal)
  try {
    const plain = attributes(request, dialect)
    const command = () =>
      new sdk.PutObjectCommand({
        Bucket: bucket,
        Key: key,
        Body: sending.body,
        ContentLength: source.size,
        ContentMD5: hexToBase64(source.md5),
        ...plain,
      })
    const headers = { ...headersOf(request.features), ...condition, ...digestHeader(source.crc32c, dialect) }
    const asking = { ...purposeOf(key), headers, speaks: spokeOfEtag, isSent: sending.isSent }
    const asked = {
      method: 'PUT',
      key,
      headers: { ...headersOfBody(request.source), ...asHeaders(plain), ...headers },
      body: sending.body,
    } as const
    const until = endOf(signal, sending)
    const answer = (await askDirect(target, asked, asking, until)) ?? (await ask(target, command(), asking, until))
    if (answer.refused === undefined) return stored(target, answer, request)
    // S3 says so, and not 412, where the object that is to be replaced is not there at all.
    const isGone =
      request.condition !== undefined && answer.refused.status === 404 && answer.refused.code === 'NoSuchKey'
    throw isGone ? errors.condition(key, answer.refused.error.cause) : answer.refused.error
  } finally {
    sending.end()
  }
}

const purposeOf = (key: string): Purpose => ({ call: 'put', key, writes: true })

/** An ETag is not made up by a proxy. */
export const spokeOfEtag = ({ headers }: Answer<unknown> | { headers: Readonly<Record<string, string>> }): boolean =>
  headers['etag'] !== undefined

/** Headers and metadata, as both ways of putting take them. */
export function attributes(
  { headers, metadata }: Pick<PutRequest, 'headers' | 'metadata'>,
  dialect: Dialect,
): Pick<
  PutObjectCommandInput,
  'ContentType' | 'CacheControl' | 'ContentDisposition' | 'ContentEncoding' | 'ContentLanguage' | 'Metadata'
> {
  const stored: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(metadata)) {
    stored[name === packedName && dialect.quirks.underscore !== 'kept' ? packedAlias : name] = value
  }
  return {
    ContentType: headers.contentType,
    CacheControl: headers.cacheControl,
    ContentDisposition: headers.contentDisposition,
    ContentEncoding: headers.contentEncoding,
    ContentLanguage: headers.contentLanguage,
    Metadata: stored,
  }
}

const headerNames = {
  ContentType: 'content-type',
  CacheControl: 'cache-control',
  ContentDisposition: 'content-disposition',
  ContentEncoding: 'content-encoding',
  ContentLanguage: 'content-language',
} as const

/** What the SDK makes of them on the wire. */
function asHeaders({ Metadata = {}, ...fields }: ReturnType<typeof attributes>): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const field of Object.keys(headerNames) as (keyof typeof headerNames)[]) {
    const value = fields[field]
    if (value !== undefined) headers[headerNames[field]] = value
  }
  for (const name of Object.keys(Metadata)) headers[`x-amz-meta-${name}`] = Metadata[name] ?? ''
  return headers
}

function headersOfBody({ size, md5 }: Source): Record<string, string> {
  return { 'content-length': String(size), 'content-md5': hexToBase64(md5) }
}

/** A checksum that the service compares, where it is not known to stumble over it. */
function digestHeader(crc32c: string, dialect: Dialect): Readonly<Record<string, string>> {
  const { crc32c: quirk } = dialect.quirks
  return quirk === 'checked' || quirk === 'ignored' ? { 'x-amz-checksum-crc32c': hexToBase64(crc32c) } : {}
}

function stored(target: Target, answer: Answer<unknown>, request: PutRequest): PutResult {
  const { headers } = answer
  const { key } = request
  const etag = etagOf(headers['etag'])
  if (etag === undefined) throw protocolError(target.errors, purposeOf(key), 'was answered without an ETag')
  return {
    token: etag,
    etag,
    proof: proofOf(target, headers, etag, request),
    serverTime: httpDate(headers['date']),
  }
}

/**
 * What the answer proves of the whole body. The service repeats a checksum only after it compared it; an ETag that is the MD5 of the body
 * was computed from the bytes that came. An ETag that should be the MD5 and is another one: other bytes were stored.
 */
function proofOf(
  { errors, dialect }: Target,
  headers: Readonly<Record<string, string>>,
  etag: string,
  { key, source, features }: PutRequest,
): Proof {
  const { quirks } = dialect()
  if (quirks.crc32c === 'checked' && crc32cHex(headers['x-amz-checksum-crc32c']) === source.crc32c) return 'server-full'
  if (etag === source.md5) return 'server-full'
  const isOther = quirks.etag === 'md5' && /^[0-9a-f]{32}$/.test(etag) && hasPlainEtag(headers) && !asksForKms(features)
  if (isOther) {
    throw errors.because('CHECKSUM', 'DIGEST', `stored other bytes: ETag ${etag}, expected ${source.md5}`, {
      key,
      outcome: 'unknown',
      retryable: true,
    })
  }
  return quirks['content-md5'] === 'checked' ? 'server-full' : 'none'
}
