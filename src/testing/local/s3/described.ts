import { amz, header, type Call, type Described, type ObjectFacts, type Pairs } from './call.ts'
import { checksumHeader } from './checksum.ts'
import { keptHeaders, keptOf } from './kept.ts'
import { Refusal } from './refusal.ts'

/** Content headers that are kept with an object and given back. */
const contentNames = [
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
  'content-type',
  'expires',
]
const redirectHeader = 'x-amz-website-redirect-location'
const metadataPrefix = 'x-amz-meta-'
const metadataLimit = 2_048
const storageClasses = new Set([
  'STANDARD',
  'REDUCED_REDUNDANCY',
  'STANDARD_IA',
  'ONEZONE_IA',
  'INTELLIGENT_TIERING',
  'GLACIER',
  'DEEP_ARCHIVE',
  'GLACIER_IR',
  'EXPRESS_ONEZONE',
])
/** Headers that ask for something that this server does not do: better refused than ignored. */
const unsupported = [
  'x-amz-server-side-encryption-customer-algorithm',
  'x-amz-copy-source-server-side-encryption-customer-algorithm',
  'x-amz-write-offset-bytes',
]

/** What the headers of a write say of the object to be, checked against S3's limits. */
export function described(call: Call): Described {
  for (const name of unsupported)
    if (call.request.headers[name] !== undefined) throw new Refusal('NotImplemented', { Header: name })
  const storageClass = amz(call, 'x-amz-storage-class') ?? 'STANDARD'
  if (!storageClasses.has(storageClass))
    throw new Refusal('InvalidStorageClass', { StorageClassRequested: storageClass })
  return {
    headers: contentHeaders(call),
    metadata: metadataOf(call),
    storageClass,
    ...keptOf(call),
  }
}

function contentHeaders(call: Call): Pairs {
  const pairs: [string, string][] = []
  for (const name of contentNames) {
    const value = header(call, name)
    // The framing of the request is no encoding of the object.
    const kept = name === 'content-encoding' ? withoutAwsChunked(value) : value
    if (kept !== undefined && kept !== '') pairs.push([name, kept])
  }
  if (!pairs.some(([name]) => name === 'content-type')) pairs.push(['content-type', 'binary/octet-stream'])
  const redirect = amz(call, redirectHeader)
  if (redirect !== undefined && !/^(\/|https?:\/\/)/.test(redirect)) throw new Refusal('InvalidRedirectLocation')
  if (redirect !== undefined) pairs.push([redirectHeader, redirect])
  return pairs
}

function withoutAwsChunked(value: string | undefined): string | undefined {
  if (value === undefined || !value.includes('aws-chunked')) return value
  return value
    .split(',')
    .map(each => each.trim())
    .filter(each => each !== 'aws-chunked')
    .join(',')
}

function metadataOf(call: Call): Pairs {
  const pairs: [string, string][] = []
  const given: readonly (readonly [string, string | string[] | undefined])[] = [
    ...Object.entries(call.request.headers),
    ...(call.signed.presigned ? call.route.query : []),
  ]
  let size = 0
  for (const [name, value] of given) {
    const lower = name.toLowerCase()
    if (!lower.startsWith(metadataPrefix) || value === undefined) continue
    const stored = decodedWords(Array.isArray(value) ? value.join(',') : value)
    const short = lower.slice(metadataPrefix.length)
    size += Buffer.byteLength(short) + Buffer.byteLength(stored)
    pairs.push([short, stored])
  }
  if (size > metadataLimit) throw new Refusal('MetadataTooLarge', { Size: size, MaxSizeAllowed: metadataLimit })
  return pairs
}

const encodedWord = /=\?utf-8\?([bq])\?([^?\s]*)\?=/gi

/** Encoded words of RFC 2047 become what they stand for before metadata is stored, as in S3's documentation of metadata. */
function decodedWords(value: string): string {
  if (!value.includes('=?')) return value
  return value.replace(/(\?=)\s+(?==\?)/g, '$1').replace(encodedWord, (_, kind: string, text: string) =>
    kind.toLowerCase() === 'b'
      ? Buffer.from(text, 'base64').toString('utf8')
      : Buffer.from(
          text
            .replaceAll('_', ' ')
            .replace(/=([0-9a-fA-F]{2})/g, (__, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
          'latin1',
        ).toString('utf8'),
  )
}

/** Header bytes above 127 were taken for Latin-1 on their way in, and go out as an encoded word, both as S3 does. */
function sentWord(value: string): string {
  return /^[\t\x20-\x7e]*$/.test(value) ? value : `=?UTF-8?B?${Buffer.from(value, 'utf8').toString('base64')}?=`
}

/** The headers that GET and HEAD answer for an object; its checksum only where it is asked for. */
export function objectHeaders(facts: ObjectFacts, withChecksum: boolean): Record<string, string> {
  const headers: Record<string, string> = {
    'last-modified': new Date(facts.modifiedAt).toUTCString(),
    etag: `"${facts.etag}"`,
    'accept-ranges': 'bytes',
    ...keptHeaders(facts),
  }
  for (const [name, value] of facts.headers) headers[name] = value
  for (const [name, value] of facts.metadata) headers[metadataPrefix + name] = sentWord(value)
  if (facts.storageClass !== 'STANDARD') headers['x-amz-storage-class'] = facts.storageClass
  if (withChecksum) Object.assign(headers, checksumHeaders(facts))
  return headers
}

export function checksumHeaders({ checksum }: Pick<ObjectFacts, 'checksum'>): Record<string, string> {
  return { [checksumHeader(checksum.algorithm)]: checksum.value, 'x-amz-checksum-type': checksum.type }
}

/** The content headers of a copy that takes over those of its source: where requests for that are redirected is its own. */
export function copiedHeaders(source: Pairs, given: Pairs): Pairs {
  const isRedirect = ([name]: readonly [string, string]): boolean => name === redirectHeader
  return [...source.filter(pair => !isRedirect(pair)), ...given.filter(isRedirect)]
}

/** Whether a write says where requests for its object are redirected. */
export function redirects({ headers }: Pick<Described, 'headers'>): boolean {
  return headers.some(([name]) => name === redirectHeader)
}
