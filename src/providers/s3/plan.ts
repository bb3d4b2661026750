import { sha256Hex } from '../../core/digest.ts'
import type { PutRequest } from '../../core/provider.ts'

const mebibyte = 2 ** 20
/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html: 10,000 parts; some are kept in hand. */
const mostPlannedParts = 9_000

/** Bytes of every part but the last: as wanted, and more where the object would take too many. */
export function partBytes(size: number, wanted: number): number {
  const needed = Math.ceil(Math.ceil(size / mostPlannedParts) / mebibyte) * mebibyte
  return Math.max(wanted, needed)
}

/** An upload in parts, as far as it has come: what is remembered of it to go on later. */
export interface Upload {
  readonly id: string
  /** Bytes of every part but the last. */
  readonly partSize: number
  /** What it is an upload of: one that is of something else is not gone on with. */
  readonly of: string
  /** Whether it was begun with a checksum of the whole. */
  readonly hasCrc32c: boolean
  /** ETags of the parts that are there, by their place; the first is part 1. */
  readonly etags: (string | null)[]
}

/** Bytes, headers and metadata: all that an upload fixes when it is begun. */
export function fingerprint({ key, source, headers, metadata }: PutRequest): string {
  const inOrder = (record: object): [string, unknown][] => Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1))
  const parts = [key, source.size, source.crc32c, source.md5, inOrder(headers), inOrder(metadata)]
  return sha256Hex(JSON.stringify(parts)).slice(0, 16)
}

export function writeUpload(upload: Upload): string {
  return JSON.stringify({ format: 1, ...upload })
}

/** `undefined` for what no `writeUpload` has written. */
export function readUpload(text: string | undefined): Upload | undefined {
  if (text === undefined) return undefined
  try {
    const { format, id, partSize, of, hasCrc32c, etags } = JSON.parse(text) as Partial<Upload> & { format?: unknown }
    const isUpload =
      format === 1 &&
      typeof id === 'string' &&
      id !== '' &&
      typeof partSize === 'number' &&
      Number.isSafeInteger(partSize) &&
      partSize > 0 &&
      typeof of === 'string' &&
      typeof hasCrc32c === 'boolean' &&
      Array.isArray(etags) &&
      etags.every(etag => etag === null || typeof etag === 'string')
    return isUpload ? { id, partSize, of, hasCrc32c, etags } : undefined
  } catch {
    return undefined
  }
}
