import type { LocalRequest } from '../request.ts'
import type { Space, Store } from '../store.ts'
import type { Checksum, ChecksumType, Algorithm } from './checksum.ts'
import { Refusal } from './refusal.ts'
import { parameter, type Route } from './route.ts'
import type { Signed } from './signature.ts'

/** One request whose signature was good. */
export interface Call {
  readonly request: LocalRequest
  readonly route: Route
  readonly signed: Signed
  readonly state: State
}

/** What the server keeps. */
export interface State {
  readonly store: Store
  readonly buckets: Space<BucketFacts>
  objects(bucket: string): Space<ObjectFacts>
  /** By upload id. */
  uploads(bucket: string): Space<UploadFacts>
  /** By part number, five digits. */
  parts(uploadId: string): Space<PartFacts>
}

export interface BucketFacts {
  readonly createdAt: number
  readonly region: string
  /** Where access lists are possible: `BucketOwnerPreferred` or `ObjectWriter`. Undefined: the bucket's owner owns everything in it. */
  readonly ownership?: string
}

/** Names and values; a list, so that no name has a meaning of its own. */
export type Pairs = readonly (readonly [name: string, value: string])[]

/** How an object is kept, by lower-case names of headers. What is not there is as it is by default. */
export interface Kept {
  readonly encryption?: Pairs
  readonly access?: Pairs
  readonly lock?: Pairs
  /** As in `x-amz-tagging`; '' for none. */
  readonly tagging: string
}

/** What a client says of an object besides its bytes. */
export interface Described extends Kept {
  /** Content headers, by lower-case name. */
  readonly headers: Pairs
  readonly metadata: Pairs
  readonly storageClass: string
}

export interface ObjectFacts extends Described {
  /** Without quotes. */
  readonly etag: string
  /** Milliseconds since 1970; S3 shows whole seconds. */
  readonly modifiedAt: number
  readonly checksum: Checksum
  /** Number, size and checksum of each part; undefined for what was not uploaded in parts. */
  readonly parts: readonly (readonly [number: number, size: number, checksum: string])[] | undefined
  /** The upload that it was made by. */
  readonly upload: string | undefined
}

export interface UploadFacts extends Described {
  readonly key: string
  readonly begunAt: number
  /** Undefined where the client named none: parts may then carry any, and the object gets a CRC64NVME. */
  readonly algorithm: Algorithm | undefined
  readonly type: ChecksumType
}

export interface PartFacts {
  readonly etag: string
  readonly modifiedAt: number
  /** Of the upload's algorithm, or CRC64NVME. */
  readonly checksum: string
}

/** A header of the request, joined where it was sent more than once. */
export function header({ request }: Call, name: string): string | undefined {
  const value = request.headers[name]
  return Array.isArray(value) ? value.join(',') : value
}

export function query({ route }: Call, name: string): string | undefined {
  return parameter(route.query, name)
}

/** A header, or what a presigned URL has hoisted into its query. */
export function amz(call: Call, name: string): string | undefined {
  const value = header(call, name)
  if (value !== undefined || !call.signed.presigned) return value
  return call.route.query.find(([each]) => each.toLowerCase() === name)?.[1]
}

/** The bucket of the request; NoSuchBucket where there is none. */
export function bucketOf({ route, state }: Call): string {
  const { bucket = '' } = route
  if (state.buckets.get(bucket) === undefined) throw new Refusal('NoSuchBucket', { BucketName: bucket })
  return bucket
}

export function keyOf({ route }: Call): string {
  return route.key ?? ''
}

const keyLimit = 1_024

/** The key of the request, if S3 can store under it. */
export function newKeyOf(call: Call): string {
  const key = keyOf(call)
  const size = Buffer.byteLength(key)
  if (size > keyLimit) throw new Refusal('KeyTooLongError', { Size: size, MaxSizeAllowed: keyLimit })
  return key
}
