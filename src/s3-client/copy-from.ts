import type { GetObjectCommandOutput } from '@aws-sdk/client-s3'
import type { Readable } from 'node:stream'
import { checksumAlgorithms } from '../core/checksum.ts'
import { rangeHeader } from '../core/range.ts'
import type { Body, GetOptions, Holdfast, ObjectInfo, PutOptions } from '../index.ts'
import type { CopySource } from './copy-source.ts'
import { defined } from './described.ts'
import { noSuchKey } from './errors.ts'
import type { Call } from './handler.ts'
import { signalled } from './inputs.ts'
import { sdk } from './sdk.ts'

/** What is copied, opened: its bytes are those of `info`, and come when they are asked for. */
export interface Source {
  readonly info: SourceInfo
  /** `undefined`: of a bucket that no store has. */
  readonly store: Holdfast | undefined
  /** Whether everything that it was written with is known: no provider has it yet. */
  readonly isLocal: boolean
  /** To be taken once. */
  body(): Body & AsyncIterable<Uint8Array>
  /** Lets go of what was not taken. */
  close(): void
}

export type SourceInfo = Omit<ObjectInfo, 'version' | 'key'>

/** NoSuchKey where there is nothing; of a bucket without a store whatever S3 says. */
export async function openSource(call: Call, from: CopySource, range?: GetOptions['range']): Promise<Source> {
  const store = call.storeOf(from.bucket)
  return store === undefined ? await openPlain(call, from, range) : await openStored(call, store, from.key, range)
}

async function openStored(call: Call, store: Holdfast, key: string, range: GetOptions['range']): Promise<Source> {
  const object = await store.get(key, { ...signalled(call), ...(range === undefined ? {} : { range }) })
  if (object === undefined) throw noSuchKey(key)
  let isTaken = false
  return {
    info: object.info,
    store,
    isLocal: object.from === 'local',
    body() {
      isTaken = true
      return object.body
    },
    close() {
      if (!isTaken) void object.body.cancel().catch(() => {})
    },
  }
}

async function openPlain(call: Call, { bucket, key }: CopySource, range: GetOptions['range']): Promise<Source> {
  const { GetObjectCommand } = sdk()
  const Range = range === undefined ? {} : { Range: rangeHeader(range) }
  const answer = await call.plain(new GetObjectCommand({ Bucket: bucket, Key: key, ...Range }))
  const body = answer.Body as unknown as Readable
  let isTaken = false
  return {
    info: infoOf(answer),
    store: undefined,
    isLocal: false,
    body() {
      isTaken = true
      return body
    },
    close() {
      if (!isTaken) body.destroy()
    },
  }
}

/** Of the whole object, also where a piece was asked for. */
function sizeOf({ ContentRange, ContentLength = 0 }: GetObjectCommandOutput): number {
  const [, whole] = /\/(\d+)$/.exec(ContentRange ?? '') ?? []
  return whole === undefined ? ContentLength : Number(whole)
}

function infoOf(answer: GetObjectCommandOutput): SourceInfo {
  const algorithm = checksumAlgorithms.find(each => answer[`Checksum${each}`] !== undefined)
  const value = algorithm === undefined ? undefined : answer[`Checksum${algorithm}`]
  const { ExpiresString, StorageClass } = answer
  return {
    size: sizeOf(answer),
    etag: answer.ETag?.replace(/^"(.*)"$/, '$1') ?? '',
    modifiedAt: answer.LastModified ?? new Date(0),
    contentType: answer.ContentType ?? 'application/octet-stream',
    metadata: answer.Metadata ?? {},
    features: defined({ Expires: ExpiresString, StorageClass }),
    ...defined({
      cacheControl: answer.CacheControl,
      contentDisposition: answer.ContentDisposition,
      contentEncoding: answer.ContentEncoding,
      contentLanguage: answer.ContentLanguage,
      tagCount: answer.TagCount,
      checksum: algorithm === undefined || value === undefined ? undefined : { algorithm, value },
    }),
  }
}

/** Headers and metadata of the source, for a put. */
export function contentOfSource({ info }: Source): PutOptions {
  const { contentType, cacheControl, contentDisposition, contentEncoding, contentLanguage, metadata } = info
  const headers = defined({ contentType, cacheControl, contentDisposition, contentEncoding, contentLanguage })
  return { ...headers, metadata }
}
