import type { CachedBody, ProviderRow, WriteRow } from '../contract.ts'
import type { AbandonedReplica } from '../settle-contract.ts'
import type { UploadedPart, UploadRow } from '../upload-contract.ts'

/** The journal's tables as plain collections: what is committed, shared by all processes of a directory. They outlive them. */
export interface MemoryTables {
  /** The uuid of the directory. */
  readonly directory: string
  /** The greatest version seen; '' before any. */
  highest: string
  /** The fencing token given out last. */
  lease: number
  /** Counts since the beginning. */
  accepted: number
  done: number
  superseded: number
  lastSeq: number
  /** In order of seq. */
  readonly writes: Map<number, Entry>
  readonly byKey: Map<string, Set<Entry>>
  /** In order of id. */
  readonly providers: Map<number, Bucket>
  readonly uploads: Map<string, Upload>
  readonly trash: Map<string, 'unlink' | 'cache'>
  /** By key. */
  readonly deleted: Map<string, { readonly version: string; readonly at: number }>
  /** By key, then by provider. */
  readonly known: Map<string, Map<number, Known>>
  /** By key, those that came first in front. */
  readonly cached: Map<string, { readonly body: CachedBody; usedAt: number }>
  readonly jobs: Map<string, string>
  /** The last ones, oldest first, and how many there ever were. */
  abandoned: readonly AbandonedReplica[]
  abandonedEver: number
  /** Processes that have the directory open, and the one of them that has the lease. */
  readonly members: Set<Member>
  holder: Member | undefined
}

/** A write. Its row is the contract's own, and frozen: a change puts another in its place. */
export interface Entry {
  row: WriteRow
  /** Providers that are to have it, as a mask. */
  targets: number
  /** Where its body is in parts: theirs, in order, as they were in the upload. */
  parts: readonly UploadedPart[]
  /** The upload that is kept for it until it is decided. */
  upload: string | undefined
}

export interface Bucket {
  row: ProviderRow
  isRetired: boolean
}

export interface Upload {
  readonly row: UploadRow
  /** By number. */
  readonly parts: Map<number, UploadedPart>
  /** When a part came last. */
  usedAt: number
  /** The tentative write that it was completed to: out of sight until that is decided. */
  seq: number | undefined
}

export interface Known {
  readonly version: string
  /** Empty: only the version was seen there. */
  readonly token: string
  readonly at: number
}

/** A process that has the directory open. */
export interface Member {
  readonly writer: string
  /** It changes nothing more, and hears nothing; see `crash`. */
  hasCrashed: boolean
  /** It verifies the directory after a failed write: nobody else comes in. */
  isAlone: boolean
  /** Called when another one changed something. */
  readonly listeners: Set<() => void>
}

/** Tables of a new directory. `directory` is the uuid in its holdfast.json. */
export function memoryTables(directory: string): MemoryTables {
  return {
    directory,
    highest: '',
    lease: 0,
    accepted: 0,
    done: 0,
    superseded: 0,
    lastSeq: 0,
    writes: new Map(),
    byKey: new Map(),
    providers: new Map(),
    uploads: new Map(),
    trash: new Map(),
    deleted: new Map(),
    known: new Map(),
    cached: new Map(),
    jobs: new Map(),
    abandoned: [],
    abandonedEver: 0,
    members: new Set(),
    holder: undefined,
  }
}

/** Makes a value that nobody can change, with all that is in it. Bytes stay as they are: nothing can freeze those. */
export function frozen<T>(value: T): T {
  if (typeof value !== 'object' || value === null || ArrayBuffer.isView(value) || Object.isFrozen(value)) return value
  for (const inner of Object.values(value)) frozen(inner)
  return Object.freeze(value)
}
