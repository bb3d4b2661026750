import type { Answer } from '../answer.ts'
import { bucketOf, header, keyOf, newKeyOf, query, amz, type Call, type ObjectFacts } from './call.ts'
import { checksumHeader, type Algorithm } from './checksum.ts'
import { checkDelete, checkRead, checkVersion, checkWrite } from './conditions.ts'
import { checksumHeaders, described, objectHeaders } from './described.ts'
import { encryptionHeaders, etagOfBytes } from './kept.ts'
import { receive } from './payload.ts'
import { partRange, rangeOf } from './ranges.ts'
import { Refusal } from './refusal.ts'
import { answerXml, element, text } from './xml.ts'

/** What an object gets that came without a checksum, as on AWS. */
export const defaultAlgorithm: Algorithm = 'CRC64NVME'

export const xmlHeaders = { 'content-type': 'application/xml' } as const

export async function putObject(call: Call): Promise<Answer> {
  const { state } = call
  const objects = state.objects(bucketOf(call))
  const key = newKeyOf(call)
  const words = described(call)
  const { body, md5, sums, supplied } = await receive(call, sent => (sent === undefined ? defaultAlgorithm : undefined))
  const algorithm = supplied ?? defaultAlgorithm
  const facts: ObjectFacts = {
    ...words,
    etag: etagOfBytes(words, md5),
    modifiedAt: Date.now(),
    checksum: { algorithm, type: 'FULL_OBJECT', value: sums.get(algorithm) ?? '' },
    parts: undefined,
    upload: undefined,
  }
  try {
    // The bucket may be gone by now, and the condition is about this moment.
    bucketOf(call)
    checkWrite(call, objects.get(key)?.facts)
  } catch (error) {
    state.store.forget(body)
    throw error
  }
  state.store.commit([objects.put(key, { facts, body })])
  return {
    status: 200,
    headers: { etag: `"${facts.etag}"`, ...encryptionHeaders(facts), ...checksumHeaders(facts) },
  }
}

/** GET and HEAD. */
export async function getObject(call: Call): Promise<Answer> {
  const { state } = call
  const bucket = bucketOf(call)
  const key = keyOf(call)
  checkVersion(call)
  const entry = state.objects(bucket).get(key)
  if (entry === undefined) throw new Refusal('NoSuchKey', { Key: key })
  const { facts, body } = entry
  checkRead(call, facts)
  if (call.request.method === 'GET') checkAwake(facts)

  const rangeHeader = header(call, 'range')
  const partNumber = query(call, 'partNumber')
  if (rangeHeader !== undefined && partNumber !== undefined)
    throw new Refusal('InvalidRequest', {}, 'Cannot specify both Range header and partNumber query parameter')
  const part = partNumber === undefined ? undefined : partRange(partNumber, body.size, facts.parts)
  const range = part ?? rangeOf(rangeHeader, body.size)
  const { start, end } = range ?? { start: 0, end: body.size }

  const asked = amz(call, 'x-amz-checksum-mode')?.toUpperCase() === 'ENABLED'
  const whole = end - start === body.size
  const headers = objectHeaders(facts, asked && whole)
  if (range !== undefined && body.size > 0) headers['content-range'] = `bytes ${start}-${end - 1}/${body.size}`
  if (part !== undefined && facts.parts !== undefined) headers['x-amz-mp-parts-count'] = String(facts.parts.length)
  if (asked && !whole && part?.checksum !== undefined) {
    headers[checksumHeader(facts.checksum.algorithm)] = part.checksum
    headers['x-amz-checksum-type'] = facts.checksum.type
  }
  Object.assign(headers, overrides(call))
  headers['content-length'] = String(end - start)
  const status = range === undefined ? 200 : 206
  if (call.request.method === 'HEAD') return { status, headers }
  return { status, headers, body: state.store.open(body, start, end) }
}

/** An archived object is described, and not read before it was restored, which this server does not do. */
export function checkAwake({ storageClass }: ObjectFacts): void {
  if (storageClass !== 'GLACIER' && storageClass !== 'DEEP_ARCHIVE') return
  throw new Refusal('InvalidObjectState', { StorageClass: storageClass })
}

/** Headers that a signed GET may set in the answer. */
function overrides(call: Call): Record<string, string> {
  const headers: Record<string, string> = {}
  for (const [name, value] of call.route.query)
    if (/^response-(cache-control|content-(disposition|encoding|language|type)|expires)$/.test(name) && value !== '')
      headers[name.slice('response-'.length)] = value
  return headers
}

export async function deleteObject(call: Call): Promise<Answer> {
  const { state } = call
  const objects = state.objects(bucketOf(call))
  const key = keyOf(call)
  checkVersion(call)
  for (const name of ['x-amz-if-match-last-modified-time', 'x-amz-if-match-size'])
    if (header(call, name) !== undefined) throw new Refusal('NotImplemented', { Header: name })
  const entry = objects.get(key)
  checkDelete(header(call, 'if-match'), entry?.facts)
  if (entry !== undefined) state.store.commit([objects.remove(key)])
  return { status: 204, headers: {} }
}

const attributeNames = new Set(['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'])

export async function getObjectAttributes(call: Call): Promise<Answer> {
  const bucket = bucketOf(call)
  const key = keyOf(call)
  checkVersion(call)
  const entry = call.state.objects(bucket).get(key)
  if (entry === undefined) throw new Refusal('NoSuchKey', { Key: key })
  const { facts, body } = entry
  const asked = (amz(call, 'x-amz-object-attributes') ?? '').split(',').map(each => each.trim())
  if (asked.some(each => !attributeNames.has(each)))
    throw new Refusal('InvalidArgument', {}, 'Invalid attribute name specified')
  const { algorithm, type, value } = facts.checksum
  const children: string[] = []
  if (asked.includes('ETag')) children.push(text('ETag', facts.etag))
  if (asked.includes('Checksum'))
    children.push(
      element('Checksum', text(`Checksum${algorithm}`, value.split('-')[0] ?? ''), text('ChecksumType', type)),
    )
  if (asked.includes('ObjectParts') && facts.parts !== undefined) children.push(partsXml(call, facts))
  if (asked.includes('StorageClass')) children.push(text('StorageClass', facts.storageClass))
  if (asked.includes('ObjectSize')) children.push(text('ObjectSize', body.size))
  return {
    status: 200,
    headers: { ...xmlHeaders, 'last-modified': new Date(facts.modifiedAt).toUTCString() },
    body: answerXml('GetObjectAttributesResponse', ...children),
  }
}

/** S3 lists the parts only where they have checksums of their own. */
function partsXml(call: Call, { parts = [], checksum }: ObjectFacts): string {
  if (checksum.type !== 'COMPOSITE') return element('ObjectParts', text('PartsCount', parts.length))
  const marker = Number(header(call, 'x-amz-part-number-marker') ?? 0)
  const most = Math.min(1_000, Number(header(call, 'x-amz-max-parts') ?? 1_000))
  const rest = parts.filter(([number]) => number > marker)
  const page = rest.slice(0, most)
  return element(
    'ObjectParts',
    text('PartsCount', parts.length),
    text('PartNumberMarker', marker),
    text('NextPartNumberMarker', page.at(-1)?.[0] ?? 0),
    text('MaxParts', most),
    text('IsTruncated', rest.length > page.length),
    ...page.map(([number, size, value]) =>
      element('Part', text('PartNumber', number), text('Size', size), text(`Checksum${checksum.algorithm}`, value)),
    ),
  )
}
