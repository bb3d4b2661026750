import type { Attributes } from '../core/attributes.ts'
import type { HoldfastError, Reason } from '../core/errors.ts'
import type { ProviderFeatures } from '../core/features.ts'
import type { Layout } from '../core/layout.ts'
import type { Capabilities, Proof } from '../core/provider.ts'
import type { Version } from '../core/version.ts'
import type { SettleJournal } from './settle-contract.ts'
import type { BodyPart, NewPart, NewUpload, UploadedPart, UploadRow } from './upload-contract.ts'

/**
 * The durable record of writes and replicas, and the only part that decides that something is promised. A change that resolved
 * survives a power cut. Changes made while a commit runs share the next one.
 *
 * What it holds is written down in FORMAT.md. Rejections: NO_SPACE (rolled back, nothing changed), CORRUPT/poisoned (nothing is accepted
 * any more until the directory was opened anew), CLOSED. A commit that failed rejects everything in it with outcome 'unknown'.
 */
export interface Journal extends SettleJournal {
  /** The directory's own uuid. */
  readonly directory: string

  // ---- accepting
  /** Commits a write and its replicas in one transaction; older open writes of the key become superseded. This is the promise. */
  accept(write: NewWrite): Promise<Accepted>
  /** Takes a tentative write back, if nobody has begun to send it. False: too late, its outcome is decided at the primary. */
  withdraw(seq: number): Promise<boolean>

  // ---- looking, in the calling thread, in microseconds; shows every change that resolved before the call
  /** What this directory knows of a key. */
  view(key: string): KeyView
  /** Keys with open work from `after` on (exclusive, '' from the beginning), in UTF-8 byte order, at most `limit`. */
  openKeys(prefix: string, after: string, limit: number): readonly OpenKey[]
  /** The write of this seq, if it is not finished. */
  write(seq: number): WriteRow | undefined
  counts(): Counts
  /** Bytes of all bodies in `counts`: those on local disk that are not safe elsewhere yet. Asked for every put. */
  stagedBytes(): number
  /** Blocked replicas by provider and reason. */
  blocked(): readonly BlockedGroup[]
  /** Why this journal takes nothing more until it was closed and opened again, if it does not. */
  failed(): HoldfastError | undefined
  /** All buckets that were ever configured, and not retired. */
  providers(): readonly ProviderRow[]
  /** Calls back after changes, of this process and (within 100 ms) of others. Does not keep the process alive. */
  onChange(listener: () => void): () => void

  // ---- uploads in parts, until they are completed (then they are a write) or dropped
  /** Opens an upload: what its object will be kept with is fixed now. */
  beginUpload(upload: NewUpload): Promise<void>
  /**
   * Commits a part whose file is published; one of the same number before it is replaced, its file listed as trash. INVALID upload/absent where
   * there is no such upload (any more), NO_SPACE as `accept`.
   */
  addPart(part: NewPart): Promise<void>
  /** An upload that is open: neither dropped, nor completed, nor on its way to be. */
  upload(id: string): UploadRow | undefined
  /** The parts of an open upload, in order of number. */
  uploadedParts(id: string): readonly UploadedPart[]
  /** Open uploads of keys with this prefix, in order of key (UTF-8 bytes) and then of time. */
  uploads(prefix: string): readonly UploadRow[]
  /**
   * The upload becomes a write, in one transaction: `write.body` is `in: 'parts'` and names the files, in order; they stay where they are. Parts
   * that it does not name are listed as trash. A tentative one that is refused or withdrawn gives everything back: the upload is open again, as it
   * was. INVALID upload/absent where there is no such upload, upload/changed where one of the
   * files is no longer a part of it (uploaded anew meanwhile); else as `accept`, but never for want of space: its bytes are in the stage already.
   */
  completeUpload(id: string, write: NewWrite): Promise<Accepted>
  /** Ends an upload, its parts listed as trash. False: there was none. */
  dropUpload(id: string): Promise<boolean>

  // ---- providers
  /** Gives each location its row; the same id for ever. `name` is what it is called today. */
  register(providers: readonly { readonly location: string; readonly name: string }[]): Promise<readonly ProviderRow[]>

  // ---- replicating: one process at a time, by lease
  /** Takes the directory's lease, if no living process has it. A kernel lock: it dies with the process. */
  lease(): Promise<Lease | undefined>

  /** Moves the clock past a version seen at a provider, so that later writes are newer. */
  observe(version: Version): Promise<void>
  /** A body in the cache was used: it goes after those that were not. */
  touch(key: string): Promise<void>

  close(): Promise<void>
}

/** What only the holder of the lease may do. Every change carries its fencing token and rejects with CLOSED/lease once another holds it. */
export interface Lease {
  readonly token: number
  /**
   * Replicas of this provider that are due, oldest first, or the newest of the last seconds first; tentative ones before all others, but not
   * before an older write of their key that the provider still lacks. Nothing is written.
   */
  due(query: DueQuery): readonly Task[]
  /** Replicas stored at this provider whose second look is due, oldest first. */
  looks(query: DueQuery): readonly Task[]
  /** When the next `due` or `looks` may have something for this provider, ms since 1970. */
  nextAt(provider: number): number | undefined
  /** Bytes held for the second look, of repairs alone or of everything. */
  heldBytes(origin?: 'repair'): number
  /** Second looks at puts that were stored before that time (ms since 1970) become due now; of repairs alone or of everything. Deletes hold no bytes: theirs stay as they are. */
  hasten(storedBefore: number, origin?: 'repair'): Promise<void>

  /** A tentative write is about to be sent: it can no longer be withdrawn. False: it was, and must not be sent. */
  sending(seq: number, provider: number): Promise<boolean>
  stored(seq: number, provider: number, evidence: Evidence): Promise<void>
  verified(seq: number, provider: number): Promise<void>
  /** The second look found something older or nothing: to be sent again. */
  again(seq: number, provider: number, message: string): Promise<void>
  postpone(seq: number, provider: number, until: Postponed): Promise<void>
  block(seq: number, provider: number, reason: Reason, message: string): Promise<void>
  /** The provider is back: replicas that wait because of passing faults (network, timeouts, load) are due now. */
  hurry(provider: number): Promise<void>
  /** Blocked replicas of this provider (for these reasons, or all) wait again. Answers how many. */
  unblock(provider: number, reasons?: readonly Reason[]): Promise<number>
  /**
   * A newer write was found at this provider: this one needs to go nowhere any more, and later ones are newer than that. Where it was given up there
   * meanwhile, it goes on to the others.
   */
  overtaken(seq: number, by: Version, provider: number): Promise<void>
  saveUpload(seq: number, provider: number, upload: string | undefined): Promise<void>
  /**
   * Another body, fetched from a provider and compared with what the row says, in the place of one that is damaged on local disk; the old one is listed as
   * trash. Replicas that waited for it, or were blocked as LOCAL_CORRUPT, are due; uploads that were begun start over, since their parts may be of the
   * damaged one. False, and nothing is changed: the write is not open any more, its row is damaged too, or there is no such file.
   */
  restore(seq: number, body: Extract<WriteBody, { in: 'row' | 'file' }>): Promise<boolean>
  /** The primary decided: the write is now as any other, with this evidence there; or it is refused, and its body dropped. */
  decide(seq: number, decision: Decision): Promise<void>

  /** Open writes that every provider verified: to be released. */
  releasable(limit: number): readonly Releasable[]
  /** Superseded writes, and refused ones of more than a minute ago: their bodies are needed by nobody who is not reading them now. */
  superseded(now: number, limit: number): readonly WriteRow[]
  /** Ends a write: its row goes, its file (if any) is listed as trash, a delete is remembered. `cache`: the file is to be kept in the cache. */
  release(seqs: readonly { readonly seq: number; readonly cache: boolean }[]): Promise<void>
  /** Files that no row needs, still to be unlinked or moved. */
  trash(limit: number): readonly { readonly file: string; readonly to: 'unlink' | 'cache' }[]
  emptied(files: readonly string[]): Promise<void>
  /** Ends uploads that nobody added to since then (ms since 1970), as `dropUpload` does. Answers their ids. */
  dropUploads(idleSince: number): Promise<readonly string[]>
  /** Under the journal's write lock: which of these names in `bodies/` nothing refers to. They are unlinked before the lock is let go. */
  collect(files: readonly string[]): Promise<readonly string[]>
  /** Forgets deletes older than this, and what is over the bound of `known` and of the cache. Answers cache files to unlink. */
  trim(limits: {
    readonly deletedBefore: number
    readonly knownRows: number
    readonly cacheBytes: number
  }): Promise<readonly string[]>

  learnt(provider: number, what: { readonly identity?: string; readonly capabilities?: Capabilities }): Promise<void>
  health(provider: number, health: ProviderHealth): Promise<void>
  end(): Promise<void>
}

export type Decision =
  | { readonly kept: true; readonly provider: number; readonly evidence: Evidence }
  | { readonly kept: false; readonly refusal: Refusal }

/** Why a conditional write did not happen. The row stays for a minute, so that whoever waits for it can read this. */
export interface Refusal {
  readonly code: 'PRECONDITION' | 'UNAVAILABLE' | 'UNSUPPORTED'
  readonly message: string
  /** 'unknown': it may have been there, and something newer is there now. */
  readonly outcome: 'rejected' | 'unknown'
}

export type Condition = 'absent' | { readonly version: Version }

export interface NewWrite {
  readonly key: string
  readonly kind: 'put' | 'delete'
  /** 'repair': the same write again for a provider that lost it, with the version it has; not counted as accepted. */
  readonly origin: 'app' | 'repair'
  /** Given for repairs and for objects taken in with their own version; otherwise the journal makes the next one. */
  readonly version: Version | undefined
  /** Milliseconds to stamp the version with. */
  readonly stampMs: number
  /** With one, the write is tentative until the primary decided. */
  readonly condition: Condition | undefined
  readonly size: number
  readonly crc32c: string
  readonly md5: string
  readonly attributes: Attributes
  /** As the app uploaded it. Without: in one piece, as far as anybody can tell, and drivers send it as they like. */
  readonly layout?: Layout
  readonly features?: ProviderFeatures
  readonly body: WriteBody
  /** Ids of the providers that are to have it. The first is the primary. */
  readonly providers: readonly number[]
  /** Of a repair: objects of this version whose bytes were read and are wrong, whatever their provider says of them. They are replaced. */
  readonly damaged?: readonly DamagedCopy[]
  /** The write is refused with NO_SPACE where it would bring the bodies not yet released over this many bytes. */
  readonly maxStageBytes: number
}

/** Where a copy is whose bytes are not what its provider says. */
export interface DamagedCopy {
  readonly provider: number
  /** Names the object there. */
  readonly token: string
}

/**
 * Small bodies are in the row; a delete has none. `file` is a name in `bodies/`. One uploaded in parts stays in the files that the parts came
 * in: the body is what they have one after the other. It is never kept in the cache.
 */
export type WriteBody =
  | { readonly in: 'row'; readonly bytes: Uint8Array }
  | { readonly in: 'file'; readonly file: string }
  | { readonly in: 'parts'; readonly parts: readonly BodyPart[] }
  | { readonly in: 'none' }

export interface Accepted {
  readonly seq: number
  readonly version: Version
  /** By the wall clock, ms since 1970. */
  readonly acceptedAt: number
}

/** How long after it was accepted a refused conditional write is kept, by the wall clock, for whoever waits to hear of it. */
export const refusedKeptMs = 60_000

/** One write, not yet finished. */
export interface WriteRow {
  readonly seq: number
  readonly key: string
  readonly version: Version
  readonly kind: 'put' | 'delete'
  readonly origin: 'app' | 'repair'
  readonly state: 'tentative' | 'open' | 'superseded' | 'refused'
  readonly condition: Condition | undefined
  readonly refusal: Refusal | undefined
  readonly size: number
  readonly crc32c: string
  readonly md5: string
  readonly attributes: Attributes
  /** `etag` is the MD5 where the app did not upload in parts. */
  readonly layout: Layout
  /** Whether drivers are to store `layout.parts`, or parts as they like. */
  readonly keepsLayout: boolean
  readonly features: ProviderFeatures | undefined
  /** What the row says is not what was written: nothing in it may be believed, sent or served. */
  readonly damaged: boolean
  readonly body: WriteBody
  readonly acceptedAt: number
  readonly replicas: readonly ReplicaRow[]
}

export interface ReplicaRow {
  readonly provider: number
  readonly state: 'waiting' | 'sending' | 'stored' | 'verified' | 'blocked' | 'superseded' | 'abandoned'
  readonly attempt: number
  /** When it may be tried (waiting) or looked at (stored), ms since 1970. */
  readonly notBefore: number
  readonly reason: Reason | undefined
  readonly message: string | undefined
  /** Names what is stored there; while it waits and was never stored, a damaged copy that is to be replaced. */
  readonly token: string | undefined
  readonly proof: Proof | undefined
  readonly etag: string | undefined
  readonly partSize: number | undefined
  readonly storedAt: number | undefined
  readonly upload: string | undefined
  /** A person said that its age is no reason to hold it back. */
  readonly isConfirmed: boolean
}

export interface Evidence {
  readonly token: string
  readonly proof: Proof
  readonly etag: string | undefined
  readonly partSize: number | undefined
  /** When it was stored, and when it is to be looked at again; ms since 1970. */
  readonly storedAt: number
  readonly lookAt: number
}

export interface Postponed {
  readonly notBefore: number
  readonly attempt: number
  readonly reason: Reason | undefined
  readonly message: string
}

export interface DueQuery {
  readonly provider: number
  readonly now: number
  readonly limit: number
  readonly order: 'oldest' | 'fresh'
  /** Keys of which something is in flight: no write of theirs is answered, and of any other key one at most. */
  readonly except: ReadonlySet<string>
}

/** A replica that is due, with the write that it belongs to. */
export interface Task {
  readonly write: WriteRow
  readonly replica: ReplicaRow
  /** What the provider is remembered to hold under the key. */
  readonly known: { readonly version: Version; readonly token: string } | undefined
}

/** A write that is done with, as far as releasing it needs. */
export type Releasable = Pick<WriteRow, 'seq' | 'key' | 'version' | 'origin'>

/** What this directory knows of a key, newest first. */
export interface KeyView {
  /** The newest accepted write that is not finished (never a tentative one). A repair is not shown here. */
  readonly open: WriteRow | undefined
  /** A tentative write that the primary has not decided yet. */
  readonly tentative: WriteRow | undefined
  /** The newest delete that this directory remembers, finished or not. */
  readonly deleted: Version | undefined
  /** The newest version this directory is sure of at some provider: what a read must not go below. */
  readonly newest: Version | undefined
  readonly cached: CachedBody | undefined
}

export interface CachedBody {
  readonly key: string
  readonly version: Version
  /** A file is in `cache/`, or for a moment still in `bodies/`. */
  readonly body: WriteBody
  readonly size: number
  readonly crc32c: string
  readonly md5: string
  readonly attributes: Attributes
  readonly layout: Layout
  readonly keepsLayout: boolean
  readonly features: ProviderFeatures | undefined
}

export interface OpenKey {
  readonly key: string
  readonly kind: 'put' | 'delete'
  readonly version: Version
  readonly size: number
  readonly etag: string
  readonly storageClass: string | undefined
  /** Ids of providers that do not have it yet (waiting or blocked). */
  readonly missingAt: readonly number[]
}

export interface ProviderRow {
  readonly id: number
  readonly location: string
  readonly name: string
  readonly identity: string | undefined
  readonly capabilities: Capabilities | undefined
  readonly health: ProviderHealth | undefined
  /** False: added to a directory with history, and not filled since. */
  readonly isFilled: boolean
  /** It was away for longer than delete markers can be trusted to live, and not repaired since: never a source. */
  readonly isStale: boolean
}

/** As the process that replicates sees it; the same for all processes of the directory. */
export interface ProviderHealth {
  readonly state: 'up' | 'probing' | 'down' | 'blocked'
  readonly reason?: Reason
  readonly message?: string
  readonly since: number
  /** The provider's clock minus ours, milliseconds. */
  readonly clockOffsetMs?: number
}

/** Writes by where they stand; masks of provider ids (bit id − 1). */
export interface Counts {
  readonly accepted: number
  readonly done: number
  readonly superseded: number
  /** Replicas that were given up, ever. */
  readonly abandoned: number
  readonly groups: readonly CountGroup[]
  readonly oldestWaitingAt: number | undefined
}

export interface CountGroup {
  readonly origin: 'app' | 'repair'
  /** 'upload': no writes, but the parts of open uploads (`writes`: how many parts). */
  readonly state: WriteRow['state'] | 'upload'
  readonly waiting: number
  readonly blocked: number
  readonly stored: number
  readonly writes: number
  readonly bytes: number
}

/** Blocked replicas by provider and reason, for `status()`. */
export interface BlockedGroup {
  readonly provider: number
  readonly reason: Reason
  readonly writes: number
}
