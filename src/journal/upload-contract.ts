import type { Attributes } from '../core/attributes.ts'
import type { ChecksumAlgorithm, KeptChecksum } from '../core/checksum.ts'
import type { ProviderFeatures } from '../core/features.ts'

/** Uploads in parts as the journal knows them, until they are writes. */

/** One of the files of a body. */
export interface BodyPart {
  readonly file: string
  /** Bytes. */
  readonly size: number
  readonly crc32c: string
  readonly md5: string
}

export interface NewUpload {
  /** 32 hex digits. */
  readonly id: string
  readonly key: string
  readonly attributes: Attributes
  readonly features: ProviderFeatures | undefined
  /** The checksum that the app's client wants of the parts and of the whole. */
  readonly checksum: UploadChecksum | undefined
  /** ms since 1970. */
  readonly createdAt: number
}

export interface UploadChecksum {
  readonly algorithm: ChecksumAlgorithm
  readonly type: 'COMPOSITE' | 'FULL_OBJECT'
}

export interface NewPart extends BodyPart {
  readonly upload: string
  /** 1 to 10,000. */
  readonly number: number
  readonly checksum: KeptChecksum | undefined
  /** ms since 1970. */
  readonly uploadedAt: number
  /** As `NewWrite.maxStageBytes`. */
  readonly maxStageBytes: number
}

/** An upload that is open. */
export interface UploadRow extends NewUpload {
  /** As of a write: what the row says is not what was written. */
  readonly damaged: boolean
}

export interface UploadedPart extends BodyPart {
  readonly number: number
  readonly checksum: KeptChecksum | undefined
  /** ms since 1970. */
  readonly uploadedAt: number
  readonly damaged: boolean
}
