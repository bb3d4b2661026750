import type { Body } from '../core/body.ts'
import type { ChecksumAlgorithm, KeptChecksum } from '../core/checksum.ts'
import type { ObjectInfo } from '../read/types.ts'
import type { CallOptions, PutOptions } from './input/put.ts'
import type { PutReceipt } from './receipt.ts'

/**
 * Objects that arrive in parts, in any order, over hours and restarts: every part that was acknowledged is safe on local disk. `complete` makes one
 * object of them, and that is the write: nothing is at a provider before it. All of it needs no provider.
 *
 * Rejections are those of `put`, and INVALID, field `upload`, rule `absent`: there is no such upload, it was completed, aborted, or nobody added
 * to it for `uploads.idleMs`.
 */
export interface Uploads {
  /** Begins one. `options` are what the object will be kept with. */
  create(key: string, options?: UploadOptions): Promise<Upload>
  /** Resolves when the part survives a power cut. One of the same number before it is replaced. `number`: 1 to 10,000, or INVALID `number`/`range`. */
  putPart(id: string, number: number, body: Body, options?: PartOptions): Promise<UploadPart>
  /** `undefined` where there is no such upload. Parts in order of number. */
  get(id: string, options?: CallOptions): Promise<OpenUpload | undefined>
  /** Those that are open, in order of key (UTF-8 bytes) and then of time. */
  list(options?: { readonly prefix?: string } & CallOptions): Promise<readonly Upload[]>
  /**
   * One object of these parts, in ascending order of number; others are dropped. It is read through once (its digests are not known before), never
   * copied. INVALID, field `parts`: rule `count` (none), `order`, `absent` (no such part, or another ETag). CORRUPT, field `body`, where a part on local
   * disk is not what was acknowledged: uploaded again, it is well. Wherever it rejects with outcome 'rejected', the upload is open as before,
   * also where `if` was refused. The receipt's `etag` is `hex-N`.
   */
  complete(
    id: string,
    parts: readonly { readonly number: number; readonly etag?: string }[],
    options?: CompleteOptions,
  ): Promise<PutReceipt>
  /** Drops it with its parts. No error where it is gone: answers false. */
  abort(id: string, options?: CallOptions): Promise<boolean>
}

/** What an object that arrives in parts is kept with. */
export interface UploadOptions extends Omit<PutOptions, 'expect' | 'if' | 'ack' | 'checksum' | 'inOnePiece'> {
  /**
   * Computed of each part, and kept of the whole: of the parts' checksums (COMPOSITE), or of all bytes (FULL_OBJECT). Default: none is kept. As in S3, SHA
   * is always COMPOSITE, CRC64NVME always FULL_OBJECT, and the others are COMPOSITE unless it is said; else INVALID, field `checksum`, rule `algorithm`.
   */
  readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly type?: 'COMPOSITE' | 'FULL_OBJECT' }
}

/** An upload that is open. */
export interface Upload {
  /** 32 hex digits. */
  readonly id: string
  readonly key: string
  readonly createdAt: Date
  /** As `create` was given it. */
  readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly type: 'COMPOSITE' | 'FULL_OBJECT' }
  readonly features?: PutOptions['features']
}

/** With its parts. */
export interface OpenUpload extends Upload {
  readonly parts: readonly UploadPart[]
  /** What its object will have. */
  readonly attributes: Pick<
    ObjectInfo,
    'contentType' | 'cacheControl' | 'contentDisposition' | 'contentEncoding' | 'contentLanguage' | 'metadata'
  >
}

/** A part that is safe on local disk. */
export interface UploadPart {
  /** 1 to 10,000: its place among the others. */
  readonly number: number
  /** Bytes. */
  readonly size: number
  /** Its MD5 in hex. */
  readonly etag: string
  readonly crc32c: string
  readonly checksum?: KeptChecksum
  readonly uploadedAt: Date
}

/** What a part is compared with while it is read. */
export interface PartOptions extends CallOptions {
  /** A mismatch rejects with CHECKSUM and stores nothing. Size in bytes, digests as hex. */
  readonly expect?: PutOptions['expect']
  /** Computed while the part is read; with `value` (base64) compared: CHECKSUM, field `checksum`. Default: what `create` asked for. */
  readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly value?: string }
}

/** What must hold of the whole, and when `complete` resolves. */
export interface CompleteOptions extends CallOptions {
  /** As that of a put. */
  readonly if?: PutOptions['if']
  /** As that of a put. */
  readonly ack?: PutOptions['ack']
  /** Of the whole: size in bytes, and the checksum (base64, `-N` for COMPOSITE) that it must have, or CHECKSUM. */
  readonly expect?: { readonly size?: number; readonly checksum?: string }
}
