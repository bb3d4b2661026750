import type { BlobDownloadResponseParsed, BlobGetPropertiesResponse, BlobHTTPHeaders } from '@azure/storage-blob'
import type { ContentHeaders, RemoteObject } from '../../core/provider.ts'
import { protocolError, type Purpose } from './errors.ts'
import { provenBlob, type Target, timeIn } from './target.ts'

/** Nothing is attested here: an answer does not tell whether the service computed the Content-MD5 in it. */
export function objectOf(
  target: Target,
  purpose: Purpose,
  answer: BlobGetPropertiesResponse | BlobDownloadResponseParsed,
  size: number | undefined,
): RemoteObject {
  const { token, modifiedAt } = provenBlob(target, purpose, answer)
  const isSized = size !== undefined && Number.isSafeInteger(size) && size >= 0
  if (!isSized || timeIn(modifiedAt) === undefined) {
    throw protocolError(target.errors, purpose, 'got an answer whose lengths or date make no sense')
  }
  return {
    key: purpose.key ?? '',
    size,
    token,
    etag: undefined,
    modifiedAt,
    headers: headersOf(answer),
    metadata: copyOf(answer.metadata),
    attested: {},
    serverTime: timeIn(answer.date),
  }
}

function headersOf(answer: BlobGetPropertiesResponse | BlobDownloadResponseParsed): ContentHeaders {
  const { contentType, cacheControl, contentDisposition, contentEncoding, contentLanguage } = answer
  return {
    contentType: contentType ?? 'application/octet-stream',
    ...(cacheControl === undefined ? {} : { cacheControl }),
    ...(contentDisposition === undefined ? {} : { contentDisposition }),
    ...(contentEncoding === undefined ? {} : { contentEncoding }),
    ...(contentLanguage === undefined ? {} : { contentLanguage }),
  }
}

function copyOf(metadata: Readonly<Record<string, string>> | undefined): Readonly<Record<string, string>> {
  const copy: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(metadata ?? {})) copy[name.toLowerCase()] = value
  return copy
}

/** The headers of an object, as they are given to the service. */
export function blobHeaders(headers: ContentHeaders): BlobHTTPHeaders {
  const { contentType, cacheControl, contentDisposition, contentEncoding, contentLanguage } = headers
  return {
    blobContentType: contentType,
    ...(cacheControl === undefined ? {} : { blobCacheControl: cacheControl }),
    ...(contentDisposition === undefined ? {} : { blobContentDisposition: contentDisposition }),
    ...(contentEncoding === undefined ? {} : { blobContentEncoding: contentEncoding }),
    ...(contentLanguage === undefined ? {} : { blobContentLanguage: contentLanguage }),
  }
}

export function hexOf(md5: Uint8Array): string {
  return Buffer.from(md5).toString('hex')
}
