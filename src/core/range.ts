import type { ByteRange } from './provider.ts'

/** The bytes that a range means in an object of this size: start <= byte < end. `undefined` where it begins at or past the end. */
export function cutRange(range: ByteRange | undefined, size: number): { start: number; end: number } | undefined {
  if (range === undefined) return { start: 0, end: size }
  const start = 'last' in range ? Math.max(0, size - range.last) : range.start
  const end = 'last' in range ? size : Math.min(size, range.end ?? size)
  return start < size ? { start, end } : undefined
}

/** As the `Range` header of HTTP says it (RFC 9110, 14.2). */
export function rangeHeader(range: ByteRange): string {
  if ('last' in range) return `bytes=-${range.last}`
  return range.end === undefined ? `bytes=${range.start}-` : `bytes=${range.start}-${range.end - 1}`
}
