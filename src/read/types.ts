import type { Breakers } from '../core/breaker.ts'
import type { KeptChecksum } from '../core/checksum.ts'
import type { HoldfastError } from '../core/errors.ts'
import type { S3Features } from '../core/features.ts'
import type { Clock, Random } from '../core/ports.ts'
import type { ByteRange, GetRequest, ListRequest, Provider, RemoteBody } from '../core/provider.ts'
import type { Source } from '../core/source.ts'
import type { Version } from '../core/version.ts'
import type { CachedBody, Journal, WriteRow } from '../journal/contract.ts'

/** Answers reads from whoever can: local disk, the primary, the next provider. Options arrive checked. */
export interface Reader {
  /**
   * `undefined`: the primary proved that the key is absent, and so did every other provider that could be reached (with `absence: 'all'`:
   * every one). Where this directory knows of a version that no delete followed, a 404 of some while others cannot be asked is not
   * enough, unless a delete marker explains it. A delete of this directory that not all providers have yet needs nobody else's word.
   *
   * The local copy comes first while no provider is known to have it, and last, not stale, as long as it is held.
   *
   * UNAVAILABLE, with every provider's reason in the message and an AggregateError of them as cause, when nobody could answer. CORRUPT when
   * all who answered gave wrong bytes. INVALID, field `range`, rule `end`, when the range begins past the end.
   */
  get(key: string, range: ByteRange | undefined, signal: AbortSignal | undefined): Promise<StoredObject | undefined>
  /** As `get`, without the body. */
  head(key: string, signal: AbortSignal | undefined): Promise<ObjectInfo | undefined>
  /** One healthy provider's listing with what this directory owes it laid over; UTF-8 byte order; `.holdfast/` is hidden. */
  list(request: ListQuestion, signal: AbortSignal | undefined): AsyncIterable<ListEntry>
}

export interface ListQuestion extends ListRequest {
  /** When no provider can list from the beginning on: 'local' lists what this directory has not seen on every provider yet. Default 'fail'. */
  readonly whenUnreachable?: 'fail' | 'local'
}

/** What is known of an object without its body: the same, whoever answers. */
export interface ObjectInfo {
  readonly key: string
  /** 32 hex digits; orders the writes to a key. Of an object that Holdfast did not write: made of its last-modified time. */
  readonly version: string
  /** Bytes. */
  readonly size: number
  /** As S3 would say it, without quotes. Of an object that Holdfast did not write: what its provider says. */
  readonly etag: string
  /** 8 hex digits, of the whole body. */
  readonly crc32c?: string
  /** Of our own objects the version's time, the same whoever answers. */
  readonly modifiedAt: Date
  readonly contentType: string
  readonly cacheControl?: string
  readonly contentDisposition?: string
  readonly contentEncoding?: string
  readonly contentLanguage?: string
  readonly metadata: Readonly<Record<string, string>>
  /** Where the app asked for one to be kept. */
  readonly checksum?: KeptChecksum
  /** Where the app uploaded it in parts: how many, and the bytes of each but the last; 0 where they differ. */
  readonly parts?: { readonly count: number; readonly bytes: number }
  /** What of S3's features a provider that speaks S3 says of it; of a write that no provider has yet, what it was written with. */
  readonly features?: S3Features
  /** How many tags it has, where whoever answers knows it; none are not said. */
  readonly tagCount?: number
}

/** An object that is being read. Read `body`, or call one of `text` and `bytes`, at most once. */
export interface StoredObject {
  /** Of the whole object, also where a range was asked for. */
  readonly info: ObjectInfo
  /** The bytes that `body` has, where a range was asked for: start <= byte < end. */
  readonly range?: { readonly start: number; readonly end: number }
  /** 'local', or a provider's name: where the first byte came from. */
  readonly from: string
  /** There is, or may be, a newer version that could not be reached. Only with `allowStale`. */
  readonly stale: boolean
  /**
   * Nothing is read ahead: a chunk is fetched when one is asked for. When its source breaks, stalls or ends early, it goes on elsewhere
   * from the same byte of the same version. It ends normally only after exactly the bytes announced, and a whole object only if its digest
   * is right; else it errors: CORRUPT (field `digest`), or UNAVAILABLE. Cancelling it, or the signal of the `get`, closes the connection.
   *
   * A body that nobody reads from for a minute lets go of its connection; the next read opens another one at that byte. So a
   * body that is dropped unread holds nothing for long, and one that is read slowly is not cut off.
   */
  readonly body: ReadableStream<Uint8Array>
  /** The body as UTF-8; TypeError if it was read from already. */
  text(): Promise<string>
  /** The body in memory; TypeError if it was read from already. */
  bytes(): Promise<Uint8Array>
}

/** What listings carry without a request per key. */
export type ListEntry =
  | {
      readonly type: 'object'
      readonly key: string
      /** Bytes. */
      readonly size: number
      readonly modifiedAt: Date
      readonly etag?: string
      readonly version?: string
      /** In S3's words, where a provider that speaks S3 says it. */
      readonly storageClass?: string
      /** No provider could be asked: there may be more, and newer. Only with `whenUnreachable: 'local'`. */
      readonly partial?: true
    }
  | { readonly type: 'prefix'; readonly prefix: string; readonly partial?: true }

export interface ReadOptions {
  /** Until the next provider is asked, ms. */
  readonly firstByteMs: number
  /** Between bytes of a body, before it goes on elsewhere, ms. */
  readonly idleMs: number
  /** 'all': absence needs a 404 of every provider. 'reachable': the primary's (once it is filled), and of every other that answers. */
  readonly absence: 'reachable' | 'all'
  /** Serve an older or an unconfirmed copy, marked stale, when no provider answers. */
  readonly allowStale: boolean
  /** Ask the next provider too where one is slow. */
  readonly hedge: boolean
}

export interface ReadProvider {
  /** In the journal. */
  readonly id: number
  readonly provider: Provider
  /** Its `get`; for how long to wait for the answer is the caller's to limit, by aborting the connection. Of a body that came the signal closes it. */
  readonly open: (
    request: GetRequest,
    connection: AbortController,
    signal: AbortSignal,
  ) => Promise<RemoteBody | undefined>
  readonly breakers: Pick<Breakers, 'read' | 'list'>
  /**
   * `undefined`: it is believed. Else it was away for longer than delete markers live: it is asked last, nothing is repaired from it, and what it has
   * of before this time (ms since 1970) is not served where one that is believed proves the key absent. Costs nothing to ask.
   */
  readonly doubtedUntil: () => number | undefined
}

export interface ReadDeps {
  readonly journal: Pick<Journal, 'view' | 'openKeys' | 'providers'>
  /** In read order; the first is the primary. */
  readonly providers: readonly ReadProvider[]
  /** The staged or cached body of a row, as a source. Opens nothing yet. */
  readonly localSource: (body: LocalBody) => Source
  /** All of such a body, in memory that is nobody else's; at once where the journal has it. Not compared with its digest. `undefined`: it is in several files. */
  readonly localBytes: (body: LocalBody) => Uint8Array | Promise<Uint8Array> | undefined
  readonly clock: Clock
  readonly random: Random
  readonly options: ReadOptions
  /** A provider does not have what another has, and nobody deleted it there: to be queued for repair. */
  readonly onMissing: (missing: MissingCopy) => void
  /** A version newer than this directory knew was seen. Never one that is too far ahead of its provider's clock. */
  readonly observe: (version: Version) => void
  readonly emit: EmitRead
}

/** A body on local disk. `stage`: of an open write. `cache`: released, may vanish. */
export type LocalBody = Pick<WriteRow & CachedBody, 'body' | 'size' | 'crc32c' | 'md5'> & {
  readonly tree: 'stage' | 'cache'
}

export interface MissingCopy {
  readonly key: string
  readonly version: Version
  /** Ids of providers that answered 404 and are not known to be waiting for it anyway. */
  readonly missingAt: readonly number[]
  /** Id of the provider that has it, or 'local'. */
  readonly foundAt: number | 'local'
}

/** What readers notice. Listeners must not throw. */
export interface ReadEvents {
  /** Answered, or gone on, elsewhere than asked first. `atByte`: 0 for a whole answer. */
  failover: {
    readonly key: string
    readonly from: string
    readonly to: string
    readonly atByte: number
    readonly error: HoldfastError
  }
  /** A provider was slow, and the next one was asked too. `won`: that one's answer was served, and the slow one was let go of. */
  hedge: { readonly key: string; readonly from: string; readonly to: string; readonly won: boolean }
  /** Bytes that are not those of the version that they claim to be. */
  corrupt: { readonly key: string; readonly version: Version; readonly from: string }
  /** Served although there is, or may be, something newer. */
  stale: { readonly key: string; readonly version: Version; readonly from: string }
  /** A listing had only what this directory has not seen on every provider yet: none could be asked. */
  partial: { readonly prefix: string; readonly error: HoldfastError }
  /** An object is stamped too far ahead of its provider's clock to be followed. */
  ahead: { readonly key: string; readonly version: Version; readonly provider: string }
}

export type EmitRead = <E extends keyof ReadEvents>(event: E, payload: ReadEvents[E]) => void
