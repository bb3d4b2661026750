import { sha256Hex } from '../../core/digest.ts'
import { headersOf } from './features.ts'
import { mostParts, type PartRun } from '../../core/layout.ts'
import type { PutRequest } from '../../core/provider.ts'

const mebibyte = 2 ** 20
/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html: 10,000 parts; some are kept in hand. */
const mostPlannedParts = 9_000
/** Of every part but the last, which may even be empty; same page. */
const leastPartBytes = 5 * mebibyte
/** Of a part, and of an object that comes in one request; same page. */
const mostRequestBytes = 5 * 2 ** 30

/** What the options and the service say of sizes. */
export interface Sizes {
  /** Bodies of more bytes go in parts, where nobody says how. */
  readonly threshold: number
  /** Wanted, of every part but the last. */
  readonly partSize: number
  /** Whether the service takes only parts that are all equal, the last at most as large. */
  readonly equalParts: boolean
}

/** How a body is to go up. */
export type Plan =
  | { readonly in: 'one' }
  /** In parts of the driver's choice. */
  | { readonly in: 'parts'; readonly partSize: number }
  /** In those that the app had. */
  | { readonly in: 'given parts'; readonly runs: readonly PartRun[] }

/** As the app uploaded it, where that is known and the service takes it so; else as it is best. */
export function planOf({ source, parts = [], inParts }: PutRequest, sizes: Sizes): Plan {
  const { size } = source
  const [first] = parts
  const isOne = parts.length === 1 && first?.count === 1 && first.bytes === size
  if (isOne && inParts !== true && size <= mostRequestBytes) return { in: 'one' }
  if (first !== undefined && isTaken(parts, size, sizes.equalParts)) return { in: 'given parts', runs: parts }
  return size > sizes.threshold ? { in: 'parts', partSize: partBytes(size, sizes.partSize) } : { in: 'one' }
}

/** Whether a service takes a body of this size in these parts. */
function isTaken(runs: readonly PartRun[], size: number, equalParts: boolean): boolean {
  const count = runs.reduce((sum, run) => sum + run.count, 0)
  const bytes = runs.reduce((sum, run) => sum + run.count * run.bytes, 0)
  if (bytes !== size || count > mostParts) return false
  const last = runs.at(-1)
  const others = last?.count === 1 ? runs.slice(0, -1) : runs
  const areEqual = others.length <= 1 && (last?.bytes ?? 0) <= (others[0]?.bytes ?? Number.POSITIVE_INFINITY)
  return (
    runs.every(run => run.bytes <= mostRequestBytes) &&
    others.every(run => run.bytes >= leastPartBytes) &&
    (areEqual || !equalParts)
  )
}

/** Bytes of every part but the last: as wanted, and more where the object would take too many. */
export function partBytes(size: number, wanted: number): number {
  const needed = Math.ceil(Math.ceil(size / mostPlannedParts) / mebibyte) * mebibyte
  return Math.max(wanted, needed)
}

/** An upload in parts, as far as it has come: what is remembered of it to go on later. */
export interface Upload {
  readonly id: string
  /** Bytes of every part but the last, where the parts are of the driver's choice; else of the first. */
  readonly partSize: number
  /** What it is an upload of: one that is of something else is not gone on with. */
  readonly of: string
  /** Whether it was begun with a checksum of the whole. */
  readonly hasCrc32c: boolean
  /** ETags of the parts that are there, by their place; the first is part 1. */
  readonly etags: (string | null)[]
}

/** Bytes, headers, metadata, features, and parts that are not of the driver's choice: all that an upload fixes when it is begun. */
export function fingerprint({ key, source, headers, metadata, features }: PutRequest, plan: Plan): string {
  const inOrder = (record: object): [string, unknown][] => Object.entries(record).sort(([a], [b]) => (a < b ? -1 : 1))
  const fixed: unknown[] = [key, source.size, source.crc32c, source.md5, inOrder(headers), inOrder(metadata)]
  const sent = headersOf(features)
  // Left out where there are none, so that what was remembered before there were any is still gone on with.
  if (Object.keys(sent).length > 0) fixed.push(inOrder(sent))
  if (plan.in === 'given parts') fixed.push(plan.runs.map(({ count, bytes }) => [count, bytes]))
  return sha256Hex(JSON.stringify(fixed)).slice(0, 16)
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
