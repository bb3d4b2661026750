import type { GetOptions, ObjectInfo } from '../index.ts'
import { bareError, invalidArgument, s3Error } from './errors.ts'

/** What a Range header asks for: `nothing` is a range that no object has, `undefined` what S3 ignores, and then gives everything. */
export type AskedRange = NonNullable<GetOptions['range']> | 'nothing' | undefined

/** One range, blanks left out. Source: the answers of S3 to other forms; RFC 9110, section 14.2, lets a server ignore what it does not take. */
export function rangeOf(header: string | undefined): AskedRange {
  const [, first, last] = /^bytes=(\d*)-(\d*)$/.exec(header?.replaceAll(' ', '') ?? '') ?? []
  if (first === undefined || last === undefined || (first === '' && last === '')) return undefined
  if (first === '') return Number(last) === 0 ? 'nothing' : { last: bounded(Number(last)) }
  const start = Number(first)
  if (start >= Number.MAX_SAFE_INTEGER) return 'nothing'
  if (last === '') return { start }
  return Number(last) < start ? undefined : { start, end: bounded(Number(last) + 1) }
}

/** A part of an object as it was uploaded; one that came in one piece is its own part 1. */
export function partOf(
  { size, parts }: ObjectInfo,
  number: unknown,
): { readonly start: number; readonly end: number; readonly count: number | undefined } {
  if (!Number.isSafeInteger(number) || (number as number) < 1 || (number as number) > 10_000) {
    const message = 'Part number must be an integer between 1 and 10000, inclusive'
    throw invalidArgument('partNumber', number, message)
  }
  const index = (number as number) - 1
  if (index >= (parts?.count ?? 1)) {
    throw s3Error('InvalidPartNumber', 416, 'The requested partnumber is not satisfiable', {
      ActualPartCount: String(parts?.count ?? 1),
      PartNumberRequested: String(number),
    })
  }
  if (parts === undefined) return { start: 0, end: size, count: undefined }
  if (parts.bytes === 0 && parts.count > 1) {
    const message = 'PartNumber: the parts of this object differ in size, and only their number is kept with it'
    throw s3Error('NotImplemented', 501, message, { Header: 'PartNumber' })
  }
  const bytes = parts.count === 1 ? size : parts.bytes
  return { start: index * bytes, end: Math.min(size, (index + 1) * bytes), count: parts.count }
}

/** `of`: the command; the answer to a HEAD says nothing but its status. */
export function unsatisfiable(
  of: string,
  header: string | undefined,
  size: number | undefined,
  cause?: unknown,
): Error {
  if (of === 'HeadObject') return bareError(416, cause)
  return s3Error('InvalidRange', 416, 'The requested range is not satisfiable', {
    RangeRequested: header,
    ...(size === undefined ? {} : { ActualObjectSize: String(size) }),
    cause,
  })
}

function bounded(bytes: number): number {
  return Math.min(bytes, Number.MAX_SAFE_INTEGER)
}
