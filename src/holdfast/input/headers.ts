import { invalid, shown } from '../../core/errors.ts'
import type { ContentHeaders } from '../../core/provider.ts'

export type HeaderName = keyof ContentHeaders

export const headerNames: readonly HeaderName[] = [
  'contentType',
  'cacheControl',
  'contentDisposition',
  'contentEncoding',
  'contentLanguage',
]

/** Characters. Content-Language: what Cloud Storage keeps; the rest together well under the 8 KB that S3 takes as headers. */
const longest: Readonly<Record<HeaderName, number>> = {
  contentType: 255,
  cacheControl: 1024,
  contentDisposition: 2048,
  contentEncoding: 255,
  contentLanguage: 100,
}

const token = "[!#$%&'*+.^_`|~0-9A-Za-z-]+"
const quoted = String.raw`"(?:[^"\\]|\\.)*"`
const mediaType = new RegExp(`^${token}/${token}(?: *; *${token}=(?:${token}|${quoted}))*$`)

/** The registered content codings, and what existing S3 code writes there for other reasons. */
const codings = new Set(
  'aes128gcm br compress dcb dcz deflate exi gzip identity pack200-gzip x-compress x-gzip zstd'
    .split(' ')
    .concat('base64', 'binary', 'utf8', 'utf-8'),
)

/**
 * A header that all services keep and give back as it is: printable ASCII without blanks at its ends. INVALID, field its name: rule
 * `type`, `empty`, `control`, `ascii`, `blank`, `length`; `syntax` for a content type that is no media type; `unknown` for a content
 * coding that nobody could undo.
 */
export function checkHeader(name: HeaderName, value: unknown): string {
  if (typeof value !== 'string') throw invalid(name, 'type', `${name} must be a string, got ${shown(value)}`)
  if (value === '') throw invalid(name, 'empty', `${name} is empty; leave it out instead`)
  if (value.length > longest[name]) {
    throw invalid(name, 'length', `${name} has ${value.length} characters, limit ${longest[name]}`)
  }
  const control = value.search(/\p{Cc}/u)
  if (control >= 0) {
    throw invalid(name, 'control', `${name} has a control character at index ${control}: ${shown(value)}`)
  }
  const foreign = value.search(/[^ -~]/)
  if (foreign >= 0) {
    const hint = name === 'contentDisposition' ? extended(value) : ''
    throw invalid(name, 'ascii', `${name} has a character beyond ASCII at index ${foreign}: ${shown(value)}${hint}`)
  }
  if (value.trim() !== value) throw invalid(name, 'blank', `${name} begins or ends with a blank: ${shown(value)}`)
  if (name === 'contentType' && !mediaType.test(value)) {
    throw invalid(name, 'syntax', `contentType is not a media type such as text/html; charset=utf-8: ${shown(value)}`)
  }
  if (name === 'contentEncoding') checkCodings(value)
  return value
}

/** How RFC 5987 writes a file name, spelled out for the one that came. */
function extended(disposition: string): string {
  const name = /filename\*?=\s*"?([^";]*)/i.exec(disposition)?.[1] ?? ''
  const encoded = encodeURIComponent(name.toWellFormed()).replace(
    /['()*]/g,
    character => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `; write the name as RFC 5987 does: filename*=UTF-8''${encoded.length > 200 ? '…' : encoded}`
}

function checkCodings(value: string): void {
  for (const coding of value.split(',')) {
    const name = coding.trim().toLowerCase()
    if (codings.has(name)) continue
    const hint = name === 'aws-chunked' ? ' (aws-chunked belongs to one request, it is not kept)' : ''
    throw invalid(
      'contentEncoding',
      'unknown',
      `contentEncoding ${shown(coding.trim())} is not a content coding${hint}`,
    )
  }
}
