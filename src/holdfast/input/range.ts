import { invalid, shown } from '../../core/errors.ts'
import type { ByteRange } from '../../core/provider.ts'
import { reading } from './take.ts'

/**
 * INVALID, field `range`: rule `type` (neither `{ start, end? }` nor `{ last }`, or no numbers), `bounds` (negative, no whole number,
 * beyond 2^53), `empty` (no byte is in it). Whether it begins past the end of the object is found out by who reads: rule `end`.
 */
export function checkRange(range: unknown): ByteRange | undefined {
  if (range === undefined) return undefined
  if (typeof range !== 'object' || range === null) throw unknownForm(range)
  return reading('range', 'range', () => {
    const names = Object.keys(range)
    const { start, end, last } = range as Record<string, unknown>
    if (names.some(name => !['start', 'end', 'last'].includes(name))) throw unknownForm(range)
    if (last !== undefined) {
      if (start !== undefined || end !== undefined) throw unknownForm(range)
      return { last: bound('last', last, 1) }
    }
    if (start === undefined) throw unknownForm(range)
    const first = bound('start', start, 0)
    if (end === undefined) return { start: first }
    const after = bound('end', end, 0)
    if (first >= after) throw invalid('range', 'empty', `range ${first}–${after} is empty: start must be less than end`)
    return { start: first, end: after }
  })
}

function bound(name: string, value: unknown, least: number): number {
  if (typeof value !== 'number') {
    throw invalid('range', 'type', `range.${name} must be a number, got ${shown(value)}`)
  }
  if (value === 0 && least > 0) throw invalid('range', 'empty', `range.${name} is 0: no byte is in it`)
  if (Number.isSafeInteger(value) && value >= least) return value
  throw invalid('range', 'bounds', `range.${name} must be a whole number from ${least}, got ${shown(value)}`)
}

function unknownForm(range: unknown): Error {
  return invalid(
    'range',
    'type',
    `range must be { start, end } with end left out or not, or { last }, got ${shown(range)}`,
  )
}
