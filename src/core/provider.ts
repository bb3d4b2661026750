import type { KeptChecksum } from './checksum.ts'
import type { HoldfastError } from './errors.ts'
import type { FeatureRefusal, ProviderFeatures, S3Features } from './features.ts'
import type { PartRun } from './layout.ts'
import type { Source } from './source.ts'

/**
 * One bucket at one service: what a driver must do, and all that it must do. Drivers know nothing of versions, markers or replication;
 * they store bytes with headers under conditions and say exactly what happened.
 *
 * Arguments arrive checked: keys that `refuseKey` let through, metadata that fits `limits.metadata`. Every rejection is a
 * `HoldfastError` made by `classify`, or the reason of the aborted signal. A driver never retries, never answers from memory, and
 * takes no 2xx for success that lacks the service's own headers (reason NOT_PROVIDER). When a signal aborts, the call rejects at
 * once with its reason and lets go of its connection; time limits are the caller's, through the signal.
 */
export interface Provider {
  /** Unique among the providers of one store. Default `kind:bucket/prefix`. */
  readonly name: string
  /** The protocol spoken: 's3', 'gcs', 'azure', 'fs', 'memory', or a driver's own. */
  readonly kind: string
  /** Where it is, the same text in every process and after every restart: service, endpoint, bucket, prefix. No secrets. */
  readonly location: string
  /** What the service takes at most. Constant. */
  readonly limits: Limits
  /** What is known now of what the service can do; `learn` makes it complete. */
  readonly capabilities: Capabilities
  /** Why the service cannot hold this key verbatim, if it cannot. Pure. */
  refuseKey(key: string): KeyRefusal | undefined
  /** Why the service can keep these features neither as given nor by an equal, if it cannot; what `relax` names is no reason. Pure. A driver without it keeps none. */
  refuseFeatures?(features: ProviderFeatures): FeatureRefusal | undefined
  /**
   * Makes `capabilities` complete: at once from what an earlier `learn` returned, else by asking the service (writing and deleting
   * under `.holdfast/probe/`), unless all of it is known beforehand.
   */
  learn(remembered: Capabilities | undefined, signal: AbortSignal): Promise<Capabilities>
  /**
   * Stores the whole body with its headers and metadata, or nothing; in parts where the size asks for it. Whatever digest the service
   * can check is sent. Resolves only with the service's proof. PRECONDITION if the condition did not hold. Of a rejection that is
   * UNAVAILABLE with `outcome: 'unknown'` nobody knows whether it was applied, or will be.
   */
  put(request: PutRequest, signal: AbortSignal): Promise<PutResult>
  /** `undefined`: proven absent (an authenticated answer about the key, in a bucket that is there). */
  head(key: string, signal: AbortSignal): Promise<RemoteObject | undefined>
  /** `undefined`: proven absent. Rejects with PRECONDITION when `token` is given and another object is there now; INVALID/range when the range is past the end. */
  get(request: GetRequest, signal: AbortSignal): Promise<RemoteBody | undefined>
  /** No error where there is nothing. With `token`: only that object, else PRECONDITION; only where `capabilities.deleteIf`. */
  delete(key: string, token: string | undefined, signal: AbortSignal): Promise<DeleteResult>
  /** In UTF-8 byte order, everything or an error; `.holdfast/` included. Reads a page when it is asked for. */
  list(request: ListRequest, signal: AbortSignal): AsyncIterable<RemoteEntry>
  /** A URL that lets its bearer do one thing for a time. UNSUPPORTED where `capabilities.sign` is false. Asks the service for nothing but a key to sign with, where credentials are without one. */
  sign(request: SignRequest, signal: AbortSignal): Promise<SignedRequest>
  /** Drops what an unfinished `put` left at the service, by the state that it saved. No error when it is gone. */
  abandon(key: string, upload: string, signal: AbortSignal): Promise<void>
  /** The meaning of anything thrown by the SDK, in our codes; a HoldfastError is passed through. Never shows a secret. */
  classify(error: unknown): HoldfastError
}

/** What a service takes at most. Each driver names its source. */
export interface Limits {
  /** Bytes of one object. */
  readonly objectBytes: number
  /** Bytes of UTF-8 (or characters, where the service counts those and they are fewer): for messages; `refuseKey` decides. */
  readonly keyBytes: number
  readonly metadata: MetadataLimits
}

/** How much metadata of the user and of ours together one object may have. */
export interface MetadataLimits {
  /** Names and values together, in bytes. */
  readonly bytes: number
  /** Whether the service gives back exactly this value under exactly this lower-case name. What it does not is stored encoded. */
  holds(name: string, value: string): boolean
}

/** Why a service cannot hold a key as it is. */
export interface KeyRefusal {
  /** 'length', 'control', 'segment', 'slash', 'unicode', 'reserved', 'escape' … as in reliability section 4. */
  readonly rule: string
  /** Index into the key in UTF-16 units, where one place is to blame. */
  readonly index?: number
  /** Ends the sentence "key …": `has a "." segment`, `is 1031 bytes, limit 1024`. */
  readonly message: string
}

/** What a service can do, as far as it is known. What it cannot is false here, never a call that quietly does less. */
export interface Capabilities {
  /** A put under `{ absent: true }` is refused, atomically, when there is an object. */
  readonly createIfAbsent: boolean
  /** A put under `{ token }` is refused, atomically, when another object is there. */
  readonly replaceIf: boolean
  /** A delete with a token is refused, atomically, when another object is there. */
  readonly deleteIf: boolean
  /** Every write gets a token that no other write has, the same bytes included. False where the token is a digest (S3's ETag). */
  readonly uniqueTokens: boolean
  /** Reads can be pinned to a token. */
  readonly readIf: boolean
  /** What `head` says of the whole body, computed by the service itself, for objects written by `put` in one piece. */
  readonly attests: readonly ('crc32c' | 'md5')[]
  /** URLs can be signed with the credentials that the driver has. */
  readonly sign: boolean
  /** Whether a listing shows what was put, and not what was deleted, as soon as the call resolved. */
  readonly listsAtOnce: boolean
  /** What the driver itself found out and wants back at the next `learn`. */
  readonly quirks: Readonly<Record<string, string>>
}

/** One object to be stored whole, or not at all. */
export interface PutRequest {
  readonly key: string
  /** May be opened several times and in parts, each time anew. */
  readonly source: Source
  readonly headers: ContentHeaders
  /** Lower-case names; fits `limits.metadata`; includes our own entries. */
  readonly metadata: Readonly<Record<string, string>>
  /** `undefined`: whatever is there. */
  readonly condition: PutCondition | undefined
  /** Only what `refuseFeatures` let through: kept as given, or by its equal. */
  readonly features?: ProviderFeatures
  /**
   * The parts that the app uploaded it in. A service that makes its ETag of parts stores these, so that it says the app's ETag, wherever
   * it takes parts of such sizes; one of one part goes in one request up to what the service takes, unless `inParts`. Without: as the driver likes.
   */
  readonly parts?: readonly PartRun[]
  /** The app uploaded it in parts, also where that is a single one, of which S3 says `hex-1`. */
  readonly inParts?: true
  readonly upload: UploadMemo
}

/** `absent`: create only. `token`: only over the object that has this token now. */
export type PutCondition = { readonly absent: true } | { readonly token: string }

/** Lets an upload in parts go on where it was, also in another process. */
export interface UploadMemo {
  /** What the last `save` of this upload was given, if it is to go on. A driver that cannot use it starts again. */
  readonly saved: string | undefined
  /** Must resolve before anything that costs money is left at the service: after the upload id is known, and after each part. */
  save(state: string): Promise<void>
}

/** For puts that nobody wants to resume. */
export const noMemo: UploadMemo = { saved: undefined, save: async () => {} }

/** The headers that all services keep with an object. */
export interface ContentHeaders {
  readonly contentType: string
  readonly cacheControl?: string
  readonly contentDisposition?: string
  readonly contentEncoding?: string
  readonly contentLanguage?: string
}

/**
 * `server-full`: the service compared a digest of the whole body with ours. `server-parts`: of every part, and the length of the whole.
 * `readback`: the bytes were read back and compared (never the answer of a `put`). `none`: the service took the bytes without comparing;
 * only reading them back proves anything.
 */
export type Proof = 'server-full' | 'server-parts' | 'readback' | 'none'

/** What the service confirmed, from its answer alone. */
export interface PutResult {
  /** Names this write for later conditions. */
  readonly token: string
  /** As S3 would say it, where the service says it so; without quotes. */
  readonly etag: string | undefined
  /** How much of the body the service compared. */
  readonly proof: Proof
  /** The service's clock when it answered, ms since 1970. */
  readonly serverTime: number | undefined
}

/** The service confirmed that the key is absent. */
export interface DeleteResult {
  /** The service's clock when it answered, ms since 1970. */
  readonly serverTime: number | undefined
}

/** What a service knows of an object. */
export interface RemoteObject {
  readonly key: string
  /** Bytes, as stored. */
  readonly size: number
  /** Names this write in conditions and pins. Opaque. */
  readonly token: string
  /** As S3 would say it, where the service says it so; without quotes. */
  readonly etag: string | undefined
  /** By the service's clock. */
  readonly modifiedAt: Date
  readonly headers: ContentHeaders
  /** As stored: lower-case names, our own entries among them. A null-prototype object. */
  readonly metadata: Readonly<Record<string, string>>
  /** Digests of the whole body that the service computed (not what a client once claimed), hex. */
  readonly attested: { readonly crc32c?: string; readonly md5?: string }
  /** The service's clock when it answered, ms since 1970. */
  readonly serverTime: number | undefined
  /** What of S3's features the service says of the object, where it speaks S3. */
  readonly features?: S3Features
  /** Of the whole body, in S3's words: what the service itself keeps of what others wrote. Of our own objects their metadata says it. */
  readonly checksum?: KeptChecksum
  /** How many tags it has, where the service says that much and no more. */
  readonly tagCount?: number
}

/** A piece of an object. */
export type ByteRange =
  /** In bytes, half-open: start <= byte < end; without `end` to the end. `start` at or past the end is refused as INVALID/range; `end` past it is cut. */
  | { readonly start: number; readonly end?: number }
  /** The last so many bytes; all, where there are fewer. */
  | { readonly last: number }

/** One object, or a piece of it. */
export interface GetRequest {
  readonly key: string
  /** `undefined`: the whole object. */
  readonly range: ByteRange | undefined
  /** Only this object; only where `capabilities.readIf`. */
  readonly token: string | undefined
}

/** An object whose bytes are on their way. Iterate `body`, or close it: else its connection stays taken. */
export interface RemoteBody {
  readonly object: RemoteObject
  /** What `body` will yield: `start <= byte < end`. */
  readonly start: number
  /** See `start`; bytes from the beginning of the object. */
  readonly end: number
  /**
   * The stored bytes, never decompressed. Ends after exactly `end - start` bytes or throws. Iterated at most once; leaving the loop,
   * or aborting the signal of the get, closes the connection; so does `close` for a body that nobody iterates.
   */
  readonly body: AsyncIterable<Uint8Array>
  /** Closes the connection. Never rejects; again, or after the body's end: nothing. */
  close(): Promise<void>
}

/** Which keys, from where on. */
export interface ListRequest {
  /** '' for everything. */
  readonly prefix: string
  /** '' for none. Keys that share the part up to and including its first occurrence after the prefix become one `prefix` entry. */
  readonly delimiter: string
  /** Entries strictly after it, in UTF-8 byte order; a prefix entry is after it if any key under it is. '' from the beginning. */
  readonly startAfter: string
}

/** What a listing says of one key, or of all keys that share a prefix: no request per key. */
export type RemoteEntry =
  | {
      readonly type: 'object'
      readonly key: string
      /** Bytes, as stored. */
      readonly size: number
      readonly modifiedAt: Date
      readonly etag: string | undefined
      readonly token: string | undefined
      readonly attested: { readonly crc32c?: string; readonly md5?: string }
      /** The value of the `holdfast` entry, where the listing shows metadata without a request per key. */
      readonly entry?: string
      /** In S3's words, where the service speaks S3. */
      readonly storageClass?: string
    }
  | { readonly type: 'prefix'; readonly prefix: string }

/** What the bearer of a URL may do. */
export interface SignRequest {
  readonly method: 'GET' | 'PUT'
  readonly key: string
  /** 1 to 604,800 (7 days). */
  readonly expiresInSeconds: number
  /** PUT: the uploader must send it. GET: overrides what is stored. */
  readonly contentType: string | undefined
  /** GET: overrides what is stored. */
  readonly contentDisposition: string | undefined
  /** PUT: refuse when there is an object. */
  readonly createOnly: boolean
}

/** A URL, and what has to be sent with it. */
export interface SignedRequest {
  readonly url: string
  /** To be sent with it, exactly. */
  readonly headers: Readonly<Record<string, string>>
  readonly expiresAt: Date
}
