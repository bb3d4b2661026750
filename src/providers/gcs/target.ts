import type { HoldfastError } from '../../core/errors.ts'
import type { ErrorMaker } from '../errors.ts'
import { type Purpose, type Refusal, refusalError } from './errors.ts'
import type { Wire } from './wire.ts'

/** One bucket, as the parts of the driver see it. */
export interface Target {
  readonly bucket: string
  readonly errors: ErrorMaker
  readonly wire: Wire
  /** Path and query of an object; the key is one path segment, whatever is in it. */
  object(key: string, query?: Query): string
  list(query: Query): string
  upload(query: Query): string
  refusal(purpose: Purpose, refusal: Refusal): HoldfastError
}

export type Query = Readonly<Record<string, string>>

export function targetOf(bucket: string, errors: ErrorMaker, wire: Wire): Target {
  const objects = `/storage/v1/b/${encodeURIComponent(bucket)}/o`
  return {
    bucket,
    errors,
    wire,
    object: (key, query = {}) => `${objects}/${encodeURIComponent(key)}${search(query)}`,
    list: query => objects + search(query),
    upload: query => `/upload${objects}${search(query)}`,
    refusal: (purpose, refusal) => refusalError(errors, purpose, refusal),
  }
}

function search(query: Query): string {
  const pairs = Object.entries(query).map(([name, value]) => `${name}=${encodeURIComponent(value)}`)
  return pairs.length === 0 ? '' : `?${pairs.join('&')}`
}
