import { packedName } from '../../core/attributes.ts'
import { checksumAlgorithms, type KeptChecksum, readChecksum } from '../../core/checksum.ts'
import { base64ToHex } from '../../core/digest.ts'
import type { ContentHeaders, RemoteObject } from '../../core/provider.ts'
import { httpDate } from '../transport.ts'
import type { Dialect } from './dialect.ts'
import { featuresOf } from './features.ts'

type Headers = Readonly<Record<string, string>>

/** `holdfast_meta` where the service does not hold a `_`: it goes by this name there, and comes back from either. */
export const packedAlias = 'holdfast-meta'

const prefix = 'x-amz-meta-'

/**
 * An object as the headers of HEAD and GET describe it. `size` where Content-Length is not the whole object's; then the checksum is not
 * the whole's either. `undefined` where what every object has is missing.
 */
export function describe(key: string, headers: Headers, dialect: Dialect, size?: number): RemoteObject | undefined {
  const length = size ?? wholeNumber(headers['content-length'])
  const etag = etagOf(headers['etag'])
  const modified = httpDate(headers['last-modified'])
  if (length === undefined || etag === undefined || modified === undefined) return undefined
  const crc32c = size === undefined ? wholeCrc32c(headers) : undefined
  const md5 = isDigest(etag, headers, dialect) ? etag : undefined
  const features = featuresOf(headers)
  const checksum = size === undefined ? keptChecksum(headers) : undefined
  const tagCount = wholeNumber(headers['x-amz-tagging-count'])
  return {
    key,
    size: length,
    token: etag,
    etag,
    modifiedAt: new Date(modified),
    headers: contentHeaders(headers),
    metadata: metadataOf(headers),
    attested: { ...(crc32c === undefined ? {} : { crc32c }), ...(md5 === undefined ? {} : { md5 }) },
    serverTime: httpDate(headers['date']),
    ...(features === undefined ? {} : { features }),
    ...(checksum === undefined ? {} : { checksum }),
    ...(tagCount === undefined ? {} : { tagCount }),
  }
}

/** Without quotes and the mark of a weak one. `undefined` where there is none, or an empty one. */
export function etagOf(header: string | undefined): string | undefined {
  const bare = header
    ?.trim()
    .replace(/^W\//, '')
    .replace(/^"(.*)"$/, '$1')
  return bare === '' ? undefined : bare
}

/** Whether this ETag is the MD5 of the object's bytes: that of an object put in one piece, and not encrypted with a key that S3 does not keep. */
export function isDigest(etag: string, headers: Headers, dialect: Dialect): boolean {
  return dialect.quirks.etag === 'md5' && /^[0-9a-f]{32}$/.test(etag) && hasPlainEtag(headers)
}

/** Whether the answer leaves it possible that the ETag is made of MD5s. */
export function hasPlainEtag(headers: Headers): boolean {
  const kms = headers['x-amz-server-side-encryption']?.startsWith('aws:kms') === true
  return !kms && headers['x-amz-server-side-encryption-customer-algorithm'] === undefined
}

/** The CRC32C of the whole object that the service computed or compared, hex. That of an upload in parts may be one of its parts' (`…-3`). */
export function wholeCrc32c(headers: Headers): string | undefined {
  const type = headers['x-amz-checksum-type'] ?? 'FULL_OBJECT'
  return type === 'FULL_OBJECT' ? crc32cHex(headers['x-amz-checksum-crc32c']) : undefined
}

const checksumHeaders = checksumAlgorithms.map(algorithm => ({
  algorithm,
  header: `x-amz-checksum-${algorithm.toLowerCase()}`,
}))

/** S3 keeps one for each object; a COMPOSITE one ends with the number of parts. */
function keptChecksum(headers: Headers): KeptChecksum | undefined {
  for (const { algorithm, header } of checksumHeaders) {
    const value = headers[header]
    if (value !== undefined) return readChecksum(`${algorithm}:${value}`)
  }
  return undefined
}

export function crc32cHex(base64: string | undefined): string | undefined {
  return base64 !== undefined && /^[A-Za-z0-9+/]{6}==$/.test(base64) ? base64ToHex(base64) : undefined
}

export function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,15}$/.test(text) ? Number(text) : undefined
}

const headerNames = [
  ['cacheControl', 'cache-control'],
  ['contentDisposition', 'content-disposition'],
  ['contentEncoding', 'content-encoding'],
  ['contentLanguage', 'content-language'],
] as const

function contentHeaders(headers: Headers): ContentHeaders {
  // What S3 itself says of objects that came without one.
  const found: Record<string, string> = { contentType: headers['content-type'] ?? 'binary/octet-stream' }
  for (const [name, header] of headerNames) {
    const value = headers[header]
    if (value !== undefined) found[name] = value
  }
  return found as unknown as ContentHeaders
}

function metadataOf(headers: Headers): Readonly<Record<string, string>> {
  const metadata: Record<string, string> = Object.create(null)
  for (const [header, value] of Object.entries(headers)) {
    if (!header.startsWith(prefix)) continue
    const name = header.slice(prefix.length)
    metadata[name === packedAlias ? packedName : name] = unicode(value)
  }
  return metadata
}

/**
 * Other tools store other than ASCII. S3 gives it back as encoded words (RFC 2047), compatible services as the bytes that came, which
 * Node reads as Latin-1. What is neither stays as it is.
 */
function unicode(value: string): string {
  if (/^[\x20-\x7e]*$/.test(value)) return value.replace(/=\?utf-8\?([bq])\?([^?\s]*)\?=(\s+(?==\?))?/gi, decodedWord)
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(Buffer.from(value, 'latin1'))
  } catch {
    return value
  }
}

function decodedWord(word: string, encoding: string, text: string): string {
  const bytes =
    encoding.toLowerCase() === 'b'
      ? Buffer.from(text, 'base64')
      : Buffer.from(
          text
            .replaceAll('_', ' ')
            .replace(/=([0-9a-f]{2})/gi, (_all, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
          'latin1',
        )
  const decoded = bytes.toString('utf8')
  return decoded.includes('\ufffd') ? word : decoded
}
