import type { HeadObjectCommandInput, HeadObjectCommandOutput } from '@aws-sdk/client-s3'
import { isComposite } from '../core/checksum.ts'
import type { ObjectInfo } from '../index.ts'
import { wholeSeconds } from './conditions.ts'

/** What GetObject and HeadObject both say of an object, in the SDK's words; length and range apart. */
export type Described = Omit<HeadObjectCommandOutput, '$metadata' | 'ContentLength' | 'ContentRange'>

export function described(info: ObjectInfo): Described {
  const { contentType, cacheControl, contentDisposition, contentEncoding, contentLanguage, features = {} } = info
  const { StorageClass, SSEKMSKeyId, BucketKeyEnabled, WebsiteRedirectLocation } = features
  const { ObjectLockMode, ObjectLockRetainUntilDate, ObjectLockLegalHoldStatus } = features
  return defined({
    LastModified: wholeSeconds(info.modifiedAt),
    ETag: quoted(info.etag),
    AcceptRanges: 'bytes',
    ContentType: contentType,
    CacheControl: cacheControl,
    ContentDisposition: contentDisposition,
    ContentEncoding: contentEncoding,
    ContentLanguage: contentLanguage,
    Metadata: { ...info.metadata },
    ...expires(features.Expires),
    // Every service that stores a copy encrypts it so where nothing else was asked for.
    ServerSideEncryption: features.ServerSideEncryption ?? 'AES256',
    SSEKMSKeyId,
    BucketKeyEnabled: BucketKeyEnabled === true ? true : undefined,
    StorageClass: StorageClass === 'STANDARD' ? undefined : StorageClass,
    WebsiteRedirectLocation,
    TagCount: info.tagCount,
    ObjectLockMode,
    ObjectLockRetainUntilDate:
      ObjectLockRetainUntilDate === undefined ? undefined : new Date(ObjectLockRetainUntilDate),
    ObjectLockLegalHoldStatus,
  }) as Described
}

/** The kept checksum under its name: `ChecksumCRC32`, with what it is of. */
export function checksumFields(info: Pick<ObjectInfo, 'checksum'>): Pick<Described, 'ChecksumCRC32' | 'ChecksumType'> {
  const { checksum } = info
  if (checksum === undefined) return {}
  const type = isComposite(checksum) ? 'COMPOSITE' : 'FULL_OBJECT'
  return { [`Checksum${checksum.algorithm}`]: checksum.value, ChecksumType: type }
}

/** What the caller wants to see in place of what is kept. */
export function overrides(input: Readonly<HeadObjectCommandInput>): Partial<Described> {
  const { ResponseExpires } = input
  return defined({
    CacheControl: input.ResponseCacheControl,
    ContentDisposition: input.ResponseContentDisposition,
    ContentEncoding: input.ResponseContentEncoding,
    ContentLanguage: input.ResponseContentLanguage,
    ContentType: input.ResponseContentType,
    ...expires(ResponseExpires === undefined ? undefined : new Date(ResponseExpires).toUTCString()),
  })
}

/** As the header has it, and as a date where it is one. */
function expires(header: string | undefined): { ExpiresString?: string; Expires?: Date } {
  if (header === undefined) return {}
  const date = new Date(header)
  return { ExpiresString: header, ...(Number.isNaN(date.getTime()) ? {} : { Expires: date }) }
}

export function quoted(etag: string): string {
  return `"${etag}"`
}

/** Without the fields that have no value: the SDK leaves those out. */
export function defined<Fields extends object>(
  fields: Fields,
): { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> } {
  const kept: { [Name in keyof Fields]?: Exclude<Fields[Name], undefined> } = {}
  for (const name in fields) {
    const value = fields[name]
    if (value !== undefined && value !== null && value !== '')
      kept[name] = value as Exclude<Fields[typeof name], undefined>
  }
  return kept
}
