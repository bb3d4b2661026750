import { HoldfastError, shown } from '../core/errors.ts'
import type { Version } from '../core/version.ts'

/**
 * Nobody could answer: UNAVAILABLE with what each of them said, the single errors in the AggregateError that is its cause; CORRUPT when
 * wrong bytes were all that anybody had.
 */
export function nobody(
  key: string,
  floor: Version | undefined,
  failures: readonly HoldfastError[],
  older: readonly { readonly version: Version; readonly from: string }[],
): HoldfastError {
  const said = [
    ...failures.map(({ message }) => message),
    ...older.map(({ version, from }) => `${from} has only the older version ${version}`),
  ]
  if (said.length === 0) said.push('those who answered do not have it')
  const known = floor === undefined ? '' : `, of which version ${floor} is known`
  const message = `nobody could answer for ${shown(key)}${known}: ${said.join('; ')}`
  const cause = new AggregateError(failures, message)
  const isCorrupt = failures.length > 0 && older.length === 0 && failures.every(({ code }) => code === 'CORRUPT')
  if (isCorrupt) return new HoldfastError('CORRUPT', message, { key, field: 'digest', cause })
  const isWorthAnotherTry = failures.length === 0 || older.length > 0 || failures.some(({ retryable }) => retryable)
  return new HoldfastError('UNAVAILABLE', message, { key, retryable: isWorthAnotherTry, cause })
}
