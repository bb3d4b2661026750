import { HoldfastError, shown } from '../core/errors.ts'

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
