import type { Capabilities } from '../../core/provider.ts'

/**
 * How a service speaks S3 where services differ, as far as it is known: what `learn` found out, or what a preset knows. Kept in
 * `capabilities.quirks`, so that it comes back at the next `learn`. What is not there is not known; then the driver does without.
 */
export interface Quirks {
  /** Present once the service was asked: which questions it was asked, see `questions`. */
  readonly asked?: string
  /** `x-amz-checksum-crc32c` on a put: compared with the bytes and kept; accepted without effect; an error. */
  readonly crc32c?: 'checked' | 'ignored' | 'refused'
  /** A CRC32C of the whole (`FULL_OBJECT`) for an upload in parts: compared when it is completed; not to be had. */
  readonly 'parts-crc32c'?: 'checked' | 'none'
  /** `Content-MD5`: wrong ones are refused, or nobody looks at it. */
  readonly 'content-md5'?: 'checked' | 'ignored'
  /** Whether the ETag of what was put in one piece is the MD5 of its bytes, unless the answer names KMS or a customer's key. */
  readonly etag?: 'md5' | 'opaque'
  /** How the ETag of a condition is to be written. */
  readonly 'if-match'?: 'quoted' | 'bare'
  /** Conditions on the completion of an upload in parts: atomic as for other puts, or not looked at by the service. */
  readonly 'parts-condition'?: 'atomic' | 'none'
  /** Whether answers carry `x-amz-request-id`, by which S3 is told from a proxy. */
  readonly 'request-id'?: 'always' | 'never'
  /** `_` in names of metadata: comes back, or is lost or turned into `-` on the way. */
  readonly underscore?: 'kept' | 'lost'
}

/** Capabilities of S3, with the quirks by their names. */
export interface Dialect extends Capabilities {
  readonly quirks: Quirks & Readonly<Record<string, string>>
}

/** Raised when `learn` asks more or other things: what was remembered of older questions is asked again. */
export const questions = '1'

/** Of a service that nothing is known of: no conditions, no checksums but Content-MD5. */
export function cautious(known: Quirks, sign: boolean): Dialect {
  return {
    createIfAbsent: false,
    replaceIf: false,
    deleteIf: false,
    uniqueTokens: false,
    readIf: false,
    attests: [],
    sign,
    listsAtOnce: false,
    quirks: { ...known },
  }
}

/**
 * Amazon's own, which need not be asked. Conditional writes and deletes, and what they answer:
 * https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html and conditional-deletes.html;
 * checksums of whole objects: https://docs.aws.amazon.com/AmazonS3/latest/userguide/checking-object-integrity.html;
 * listings right after a write: https://docs.aws.amazon.com/AmazonS3/latest/userguide/Welcome.html#ConsistencyModel.
 */
export function amazon(sign: boolean): Dialect {
  return {
    createIfAbsent: true,
    replaceIf: true,
    deleteIf: true,
    uniqueTokens: false,
    readIf: true,
    // Not md5: a bucket may be told to encrypt with KMS at any time, and then the ETag is no digest.
    attests: ['crc32c'],
    sign,
    listsAtOnce: true,
    quirks: {
      asked: questions,
      crc32c: 'checked',
      'parts-crc32c': 'checked',
      'content-md5': 'checked',
      etag: 'md5',
      'if-match': 'quoted',
      'parts-condition': 'atomic',
      'request-id': 'always',
      underscore: 'kept',
    },
  }
}
