import { HoldfastError, shown } from '../core/errors.ts'
import type { ByteRange } from '../core/provider.ts'

/** What a range means in an object of this size; `undefined` where it begins at or past the end. */
export function cut(range: ByteRange | undefined, size: number): { start: number; end: number } | undefined {
  if (range === undefined) return { start: 0, end: size }
  const start = 'last' in range ? Math.max(0, size - range.last) : range.start
  const end = 'last' in range ? size : Math.min(size, range.end ?? size)
  return start < size ? { start, end } : undefined
}

/** The range begins past the end of the object. */
export function pastTheEnd(key: string, size: number): HoldfastError {
  return new HoldfastError('INVALID', `the range begins past the end of ${shown(key)}, which has ${size} bytes`, {
    field: 'range',
    rule: 'end',
    reason: 'RANGE',
    key,
    retryable: false,
  })
}
