import type { Answer } from '../answer.ts'
import type { Start } from '../sorted.ts'
import type { Entry, Space } from '../store.ts'
import { amz, bucketOf, query, type Call, type ObjectFacts } from './call.ts'
import { xmlHeaders } from './objects.ts'
import { Refusal } from './refusal.ts'
import { answerXml, element, text } from './xml.ts'

/** One page of a listing: objects and common prefixes together in order, at most as many as were asked for. */
export interface Page<Facts> {
  readonly objects: readonly { readonly key: string; readonly entry: Entry<Facts> }[]
  readonly prefixes: readonly string[]
  /** The last thing on the page, when there is more behind it. */
  readonly next: Start | undefined
}

const pageLimit = 1_000
export const ownerXml: string = element(
  'Owner',
  text('ID', '75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a'),
)

export async function listObjectsV2(call: Call): Promise<Answer> {
  const bucket = bucketOf(call)
  const asked = questionOf(call)
  const token = query(call, 'continuation-token')
  const startAfter = query(call, 'start-after') ?? ''
  const start: Start = token === undefined ? { after: startAfter } : startOfToken(token)
  const { objects, prefixes, next } = pageOf(call, bucket, asked, start)
  const withOwner = query(call, 'fetch-owner') === 'true'
  return {
    status: 200,
    headers: xmlHeaders,
    body: answerXml(
      'ListBucketResult',
      text('Name', bucket),
      text('Prefix', asked.shown(asked.prefix)),
      ...(asked.delimiter === '' ? [] : [text('Delimiter', asked.shown(asked.delimiter))]),
      text('MaxKeys', asked.most),
      ...(asked.encoded ? [text('EncodingType', 'url')] : []),
      text('KeyCount', objects.length + prefixes.length),
      text('IsTruncated', next !== undefined),
      ...(token === undefined ? [] : [text('ContinuationToken', token)]),
      ...(next === undefined ? [] : [text('NextContinuationToken', tokenOf(next))]),
      ...(startAfter === '' ? [] : [text('StartAfter', asked.shown(startAfter))]),
      ...objects.map(({ key, entry }) => objectXml(asked.shown(key), entry, withOwner)),
      ...prefixes.map(prefix => element('CommonPrefixes', text('Prefix', asked.shown(prefix)))),
    ),
  }
}

export async function listObjects(call: Call): Promise<Answer> {
  const bucket = bucketOf(call)
  const asked = questionOf(call)
  const marker = query(call, 'marker') ?? ''
  // A marker within a common prefix is behind all of it: it may be one that an earlier page ended with.
  const group = marker === '' ? undefined : commonPrefix(marker, asked)
  const start: Start = group === undefined ? { after: marker } : { pastPrefix: group }
  const { objects, prefixes, next } = pageOf(call, bucket, asked, start)
  const nextMarker = next === undefined ? undefined : 'pastPrefix' in next ? next.pastPrefix : objects.at(-1)?.key
  return {
    status: 200,
    headers: xmlHeaders,
    body: answerXml(
      'ListBucketResult',
      text('Name', bucket),
      text('Prefix', asked.shown(asked.prefix)),
      text('Marker', asked.shown(marker)),
      ...(asked.delimiter === '' ? [] : [text('Delimiter', asked.shown(asked.delimiter))]),
      ...(asked.delimiter === '' || nextMarker === undefined ? [] : [text('NextMarker', asked.shown(nextMarker))]),
      text('MaxKeys', asked.most),
      ...(asked.encoded ? [text('EncodingType', 'url')] : []),
      text('IsTruncated', next !== undefined),
      ...objects.map(({ key, entry }) => objectXml(asked.shown(key), entry, true)),
      ...prefixes.map(prefix => element('CommonPrefixes', text('Prefix', asked.shown(prefix)))),
    ),
  }
}

/** What all listings ask. */
export interface Question {
  readonly prefix: string
  readonly delimiter: string
  readonly most: number
  readonly encoded: boolean
  /** A key or a part of one as it is to be sent. */
  shown(text: string): string
}

export function questionOf(call: Call, limitName = 'max-keys'): Question {
  const encoding = query(call, 'encoding-type')
  if (encoding !== undefined && encoding !== '' && encoding !== 'url')
    throw argument('encoding-type', encoding, 'Invalid Encoding Method specified in Request')
  const encoded = encoding === 'url'
  return {
    prefix: query(call, 'prefix') ?? '',
    delimiter: query(call, 'delimiter') ?? '',
    most: limitOf(call, limitName),
    encoded,
    shown: text => (encoded ? urlEncoded(text) : text),
  }
}

/** A number between 0 and 1,000; more is 1,000. */
export function limitOf(call: Call, name: string): number {
  const value = query(call, name) ?? amz(call, `x-amz-${name}`)
  if (value === undefined || value === '') return pageLimit
  if (!/^-?\d+$/.test(value)) throw argument(name, value, `Provided ${name} not an integer or within integer range`)
  const number = Number(value)
  if (number < 0 || number > 2_147_483_647)
    throw argument(name, value, `Argument ${name} must be an integer between 0 and 2147483647`)
  return Math.min(number, pageLimit)
}

function pageOf(call: Call, bucket: string, asked: Question, start: Start): Page<ObjectFacts> {
  if (call.request.emptyList) return { objects: [], prefixes: [], next: undefined }
  return page(call.state.objects(bucket), asked, start)
}

/** One page, found without looking at more keys than are on it: what is under a common prefix is stepped over. */
export function page<Facts>(space: Space<Facts>, asked: Question, start: Start): Page<Facts> {
  const objects: { key: string; entry: Entry<Facts> }[] = []
  const prefixes: string[] = []
  if (asked.most === 0) return { objects, prefixes, next: undefined }
  let last: Start | undefined
  let from: Start | undefined = later(start, asked.prefix)
  while (from !== undefined) {
    const begin: Start = from
    from = undefined
    for (const key of space.keys(begin)) {
      if (!key.startsWith(asked.prefix)) return { objects, prefixes, next: undefined }
      if (objects.length + prefixes.length === asked.most) return { objects, prefixes, next: last }
      const group = commonPrefix(key, asked)
      if (group !== undefined) {
        prefixes.push(group)
        from = last = { pastPrefix: group }
        break
      }
      const entry = space.get(key)
      if (entry !== undefined) objects.push({ key, entry })
      last = { after: key }
    }
  }
  return { objects, prefixes, next: undefined }
}

/** Keys before the prefix need not be walked through. */
function later(start: Start, prefix: string): Start {
  const at = 'from' in start ? start.from : 'after' in start ? start.after : start.pastPrefix
  const order = Buffer.compare(Buffer.from(at, 'utf8'), Buffer.from(prefix, 'utf8'))
  return order < 0 && !('pastPrefix' in start && prefix.startsWith(start.pastPrefix)) ? { from: prefix } : start
}

function commonPrefix(key: string, { prefix, delimiter }: Question): string | undefined {
  if (delimiter === '' || !key.startsWith(prefix)) return undefined
  const at = key.indexOf(delimiter, prefix.length)
  return at < 0 ? undefined : key.slice(0, at + delimiter.length)
}

function objectXml(shownKey: string, { facts, body }: Entry<ObjectFacts>, withOwner: boolean): string {
  return element(
    'Contents',
    text('Key', shownKey),
    text('LastModified', wholeSeconds(facts.modifiedAt)),
    text('ETag', `"${facts.etag}"`),
    text('ChecksumAlgorithm', facts.checksum.algorithm),
    text('ChecksumType', facts.checksum.type),
    text('Size', body.size),
    ...(withOwner ? [ownerXml] : []),
    text('StorageClass', facts.storageClass),
  )
}

/** Listings have whole seconds, written with three zeros. */
export function wholeSeconds(time: number): string {
  return new Date(Math.floor(time / 1_000) * 1_000).toISOString()
}

/** Opaque to clients. */
function tokenOf(next: Start): string {
  return Buffer.from(JSON.stringify(next)).toString('base64url')
}

function startOfToken(token: string): Start {
  try {
    const start: unknown = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'))
    const [name, value] = Object.entries(start as object)[0] ?? []
    if (name === 'after' && typeof value === 'string') return { after: value }
    if (name === 'pastPrefix' && typeof value === 'string') return { pastPrefix: value }
  } catch {
    // Not one of ours either way.
  }
  throw argument('continuation-token', token, 'The continuation token provided is incorrect')
}

/** As S3 does: like a form, but slashes stay. */
function urlEncoded(text: string): string {
  return encodeURIComponent(text)
    .replace(/[!'()~]/g, character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`)
    .replaceAll('%20', '+')
    .replaceAll('%2F', '/')
}

export function argument(name: string, value: string, message: string): Refusal {
  return new Refusal('InvalidArgument', { ArgumentName: name, ArgumentValue: value }, message)
}
