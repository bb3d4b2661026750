import type { IncomingHttpHeaders, OutgoingHttpHeaders } from 'node:http'
import { gunzipSync } from 'node:zlib'
import type { Answer } from '../answer.ts'
import type { BodyReader } from '../bodies.ts'
import type { Entry } from '../store.ts'
import type { Keeper } from './keeper.ts'
import { refuse, serviceHeaders, usual } from './refusal.ts'
import type { ObjectFacts } from './resource.ts'

/**
 * The bytes of an object, or a range of them. What is stored with `Content-Encoding: gzip` goes out unpacked, whole and without the
 * stored length, to clients that do not say that they take gzip, unless it is stored with `no-transform`.
 */
export async function mediaAnswer(
  keeper: Keeper,
  { facts, body }: Entry<ObjectFacts>,
  request: IncomingHttpHeaders,
  more: OutgoingHttpHeaders,
): Promise<Answer> {
  const headers: OutgoingHttpHeaders = { ...serviceHeaders(), ...mediaHeaders(facts, body.size), ...more }
  if (isUnpacked(facts, request)) {
    const unpacked = await unpack(keeper.store.open(body, 0, body.size))
    if (unpacked !== undefined) {
      delete headers['content-encoding']
      const said = { 'x-guploader-response-body-transformations': 'gunzipped', warning: '214 UploadServer gunzipped' }
      return { status: 200, headers: { ...headers, ...said }, body: unpacked }
    }
  }
  const range = rangeOf(request.range, body.size)
  if (range === undefined) return { status: 200, headers, body: keeper.store.open(body, 0, body.size) }
  const { start, end } = range
  if (start >= end) {
    refuse({
      status: 416,
      reason: 'requestedRangeNotSatisfiable',
      message: usual[416]?.message ?? '',
      headers: { 'content-range': `bytes */${body.size}` },
    })
  }
  const said = { 'content-range': `bytes ${start}-${end - 1}/${body.size}` }
  return { status: 206, headers: { ...headers, ...said }, body: keeper.store.open(body, start, end) }
}

/** What goes with the bytes of an object, whichever side they are asked from. */
export function mediaHeaders(facts: ObjectFacts, size: number): OutgoingHttpHeaders {
  const { contentType, contentEncoding, contentDisposition, contentLanguage, cacheControl } = facts
  const sums = [`crc32c=${facts.crc32c}`, ...(facts.md5Hash === undefined ? [] : [`md5=${facts.md5Hash}`])]
  const headers: Record<string, string | undefined> = {
    'content-type': contentType ?? 'application/octet-stream',
    'content-encoding': contentEncoding,
    'content-disposition': contentDisposition,
    'content-language': contentLanguage,
    'cache-control': cacheControl ?? 'private, max-age=0',
    'last-modified': new Date(facts.updated).toUTCString(),
    'accept-ranges': 'bytes',
    'x-goog-hash': sums.join(','),
    'x-goog-generation': facts.generation,
    'x-goog-metageneration': String(facts.metageneration),
    'x-goog-storage-class': facts.storageClass ?? 'STANDARD',
    'x-goog-stored-content-encoding': contentEncoding ?? 'identity',
    'x-goog-stored-content-length': String(size),
  }
  const sendable = Object.entries(headers).filter(
    ([, value]) => value !== undefined && /^[\t\x20-\x7e\x80-\xff]*$/.test(value),
  )
  return Object.fromEntries(sendable)
}

function isUnpacked({ contentEncoding, cacheControl }: ObjectFacts, request: IncomingHttpHeaders): boolean {
  const takes = request['accept-encoding'] ?? ''
  return (
    contentEncoding === 'gzip' &&
    !/\bgzip\b/.test([takes].flat().join()) &&
    !/\bno-transform\b/.test(cacheControl ?? '')
  )
}

/** `undefined` where it is not gzip at all. */
async function unpack(opened: Uint8Array | BodyReader): Promise<Uint8Array | undefined> {
  const chunks: Uint8Array[] = []
  if (opened instanceof Uint8Array) chunks.push(opened)
  else {
    for await (const chunk of opened.chunks()) chunks.push(chunk)
    opened.close()
  }
  try {
    return gunzipSync(Buffer.concat(chunks))
  } catch {
    return undefined
  }
}

/** Half-open; empty where nothing of it is there. `undefined` without a range that this service takes: several are none. */
function rangeOf(header: string | undefined, size: number): { start: number; end: number } | undefined {
  const [, first = '', last = ''] = /^bytes=(\d*)-(\d*)$/.exec(header ?? '') ?? []
  if (first === '' && last === '') return undefined
  if (first === '') return { start: Math.max(0, size - Number(last)), end: last === '0' ? 0 : size }
  const start = Number(first)
  const end = last === '' ? size : Math.min(size, Number(last) + 1)
  return last !== '' && Number(last) < start ? undefined : { start, end: Math.max(start >= size ? start : end, 0) }
}
