import type { ObjectInfo } from '../index.ts'

/** What a read, or the source of a copy, has to be. */
export interface Conditions {
  readonly IfMatch?: string | undefined
  readonly IfNoneMatch?: string | undefined
  readonly IfModifiedSince?: Date | undefined
  readonly IfUnmodifiedSince?: Date | undefined
}

export type Facts = Pick<ObjectInfo, 'etag' | 'modifiedAt'>

export function isConditional(conditions: Conditions): boolean {
  const { IfMatch, IfNoneMatch, IfModifiedSince, IfUnmodifiedSince } = conditions
  return [IfMatch, IfNoneMatch, IfModifiedSince, IfUnmodifiedSince].some(each => each !== undefined && each !== null)
}

/**
 * The first condition that does not hold, by the header's name. With If-Match, If-Unmodified-Since is not looked at: S3 goes by the ETag where
 * both are given (https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html, "Additional Considerations about Request Headers").
 */
export function unmet({ IfMatch, IfUnmodifiedSince }: Conditions, facts: Facts): string | undefined {
  if (isGiven(IfMatch)) return matches(IfMatch, facts.etag) ? undefined : 'If-Match'
  const since = secondsOf(IfUnmodifiedSince)
  return since !== undefined && seconds(facts.modifiedAt) > since ? 'If-Unmodified-Since' : undefined
}

/** The same for the conditions that are about news: of a read, If-Modified-Since is not looked at beside If-None-Match. */
export function unchanged(
  { IfNoneMatch, IfModifiedSince }: Conditions,
  facts: Facts,
  both: 'either' | 'etag first',
): string | undefined {
  if (isGiven(IfNoneMatch)) {
    if (matches(IfNoneMatch, facts.etag)) return 'If-None-Match'
    if (both === 'etag first') return undefined
  }
  const since = secondsOf(IfModifiedSince)
  return since !== undefined && seconds(facts.modifiedAt) <= since ? 'If-Modified-Since' : undefined
}

/** One of the ETags of a list, quoted or not; `*` is any. */
export function matches(condition: string, etag: string): boolean {
  return condition.split(',').some(each => {
    const one = each.trim().replace(/^W\//, '')
    return one === '*' || one.replace(/^"(.*)"$/, '$1') === etag
  })
}

/** As S3 says it: to the second. */
export function wholeSeconds(time: Date): Date {
  return new Date(seconds(time) * 1000)
}

function isGiven(value: string | undefined): value is string {
  return value !== undefined && value !== null
}

function seconds(time: Date): number {
  return Math.floor(time.getTime() / 1000)
}

/** What is no time is no condition, as in HTTP. */
function secondsOf(time: unknown): number | undefined {
  if (time === undefined || time === null) return undefined
  const at = new Date(time as Date)
  return Number.isNaN(at.getTime()) ? undefined : seconds(at)
}
