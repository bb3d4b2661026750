import { base64ToHex, hexToBase64 } from '../../core/digest.ts'
import { entryName } from '../../core/entry.ts'
import type { ContentHeaders, PutRequest, RemoteEntry, RemoteObject } from '../../core/provider.ts'
import { gcsClass } from './features.ts'

/** What this driver reads of https://cloud.google.com/storage/docs/json_api/v1/objects#resource. Everything may be missing, or of another type. */
type Resource = Readonly<Partial<Record<ResourceField, unknown>>>
type ResourceField =
  | 'kind'
  | 'bucket'
  | 'name'
  | 'generation'
  | 'size'
  | 'updated'
  | 'crc32c'
  | 'md5Hash'
  | 'contentType'
  | 'cacheControl'
  | 'contentDisposition'
  | 'contentEncoding'
  | 'contentLanguage'
  | 'metadata'

/** The object that an answer describes, or why it cannot be an answer of the service about this object. */
export function readResource(
  text: string,
  bucket: string,
  key: string,
  serverTime: number | undefined,
): RemoteObject | { readonly wrong: string } {
  const resource = parseObject(text) as Resource | undefined
  if (resource === undefined || resource.kind !== 'storage#object') return { wrong: 'without an object' }
  if (resource.bucket !== bucket || resource.name !== key) return { wrong: 'with another object' }
  const core = readCore(resource)
  if (core === undefined) return { wrong: 'with an object that lacks its size, generation or time' }
  return { ...core, key, headers: headersOf(resource), metadata: metadataOf(resource.metadata), serverTime }
}

/** A page of a listing. `undefined` where it is none, or an entry of it makes no sense. */
export function readPage(text: string): { entries: RemoteEntry[]; next: string | undefined } | undefined {
  const page = parseObject(text)
  if (page === undefined || page['kind'] !== 'storage#objects') return undefined
  const { items = [], prefixes = [], nextPageToken } = page
  if (!Array.isArray(items) || !Array.isArray(prefixes)) return undefined
  const entries: RemoteEntry[] = []
  for (const item of items as unknown[]) {
    const resource = (item ?? {}) as Resource
    const core = readCore(resource)
    if (core === undefined || typeof resource.name !== 'string') return undefined
    const entry = metadataOf(resource.metadata)[entryName]
    entries.push({ type: 'object', key: resource.name, ...core, ...(entry === undefined ? {} : { entry }) })
  }
  for (const prefix of prefixes as unknown[]) {
    if (typeof prefix !== 'string') return undefined
    entries.push({ type: 'prefix', prefix })
  }
  return { entries, next: typeof nextPageToken === 'string' && nextPageToken !== '' ? nextPageToken : undefined }
}

/** What of a listing's items `readPage` wants. All of the metadata: whether one name of it can be asked for is not said anywhere. */
export const pageFields: string =
  'kind,nextPageToken,prefixes,items(name,size,updated,generation,crc32c,md5Hash,metadata)'

type Core = Pick<RemoteObject, 'size' | 'token' | 'etag' | 'modifiedAt' | 'attested'>

/** The ETag is the MD5, as the XML side of the service says it: none on composed objects. */
function readCore({ generation, size, updated, crc32c, md5Hash }: Resource): Core | undefined {
  if (!isNumber(generation) || !isNumber(size) || !Number.isSafeInteger(Number(size))) return undefined
  if (typeof updated !== 'string') return undefined
  const modifiedAt = new Date(updated)
  if (Number.isNaN(modifiedAt.getTime())) return undefined
  const crc = digestHex(crc32c, 4)
  const md5 = digestHex(md5Hash, 16)
  return {
    size: Number(size),
    token: generation,
    etag: md5,
    modifiedAt,
    attested: { ...(crc === undefined ? {} : { crc32c: crc }), ...(md5 === undefined ? {} : { md5 }) },
  }
}

/** 64-bit numbers are text in this API. */
function isNumber(value: unknown): value is string {
  return typeof value === 'string' && /^\d{1,20}$/.test(value)
}

function digestHex(value: unknown, bytes: number): string | undefined {
  const hex = typeof value === 'string' ? base64ToHex(value) : ''
  return hex.length === bytes * 2 ? hex : undefined
}

const headerNames = ['cacheControl', 'contentDisposition', 'contentEncoding', 'contentLanguage'] as const

function headersOf(resource: Resource): ContentHeaders {
  const contentType = typeof resource.contentType === 'string' ? resource.contentType : 'application/octet-stream'
  const headers: Record<string, string> = { contentType }
  for (const name of headerNames) {
    const value = resource[name]
    if (typeof value === 'string' && value !== '') headers[name] = value
  }
  return headers as unknown as ContentHeaders
}

/** Names of other writers may have capitals; where two then meet, the one that was lower-case before stays. */
function metadataOf(metadata: unknown): Readonly<Record<string, string>> {
  const read: Record<string, string> = Object.create(null)
  if (typeof metadata !== 'object' || metadata === null) return read
  for (const [name, value] of Object.entries(metadata)) {
    const lower = name.toLowerCase()
    if (typeof value === 'string' && (name === lower || !Object.hasOwn(metadata, lower))) read[lower] = value
  }
  return read
}

/** The description that goes up with the bytes. With both digests in it, the service refuses other bytes than ours. */
export function writeResource({ headers, metadata, source, features }: PutRequest): string {
  const storageClass = gcsClass(features)
  return JSON.stringify({
    ...headers,
    ...(storageClass === undefined ? {} : { storageClass }),
    metadata,
    crc32c: hexToBase64(source.crc32c),
    md5Hash: hexToBase64(source.md5),
  })
}

function parseObject(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined
  } catch {
    return undefined
  }
}
