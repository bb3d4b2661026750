import { header, query, type Call, type ObjectFacts } from './call.ts'
import { Refusal } from './refusal.ts'

/** Refuses a write whose condition does not hold for what is there now. To be asked in the turn that commits. */
export function checkWrite(call: Call, current: ObjectFacts | undefined): void {
  const match = header(call, 'if-match')
  const noneMatch = header(call, 'if-none-match')
  if (match === undefined && noneMatch === undefined) return
  if (match !== undefined && noneMatch !== undefined) throw notImplemented('If-Match,If-None-Match')
  if (noneMatch !== undefined) {
    if (noneMatch !== '*') throw notImplemented('If-None-Match')
    if (current !== undefined) throw failed('If-None-Match')
    return
  }
  if (match === '*') throw notImplemented('If-Match')
  checkMatch(match ?? '', current)
}

/** Of a delete: also `*`, which asks only that something is there. */
export function checkDelete(match: string | undefined, current: ObjectFacts | undefined): void {
  if (match !== undefined) checkMatch(match, current)
}

function checkMatch(match: string, current: ObjectFacts | undefined): void {
  if (current === undefined) throw new Refusal('NoSuchKey')
  if (!matches(match, current.etag)) throw failed('If-Match')
}

/** Refuses a read whose conditions do not hold, by 304 or 412. */
export function checkRead(call: Call, facts: ObjectFacts): void {
  const match = header(call, 'if-match')
  const noneMatch = header(call, 'if-none-match')
  const modified = seconds(facts.modifiedAt)
  if (match !== undefined) {
    if (!matches(match, facts.etag)) throw failed('If-Match')
  } else {
    const since = dateOf(header(call, 'if-unmodified-since'))
    if (since !== undefined && modified > since) throw failed('If-Unmodified-Since')
  }
  if (noneMatch !== undefined) {
    if (matches(noneMatch, facts.etag)) throw new Refusal('NotModified')
  } else {
    const since = dateOf(header(call, 'if-modified-since'))
    if (since !== undefined && modified <= since) throw new Refusal('NotModified')
  }
}

/** Refuses a copy whose conditions on the source do not hold, always by 412. */
export function checkSource(call: Call, facts: ObjectFacts): void {
  const of = (name: string): string | undefined => header(call, `x-amz-copy-source-if-${name}`)
  const match = of('match')
  const noneMatch = of('none-match')
  const modified = seconds(facts.modifiedAt)
  if (match !== undefined) {
    if (!matches(match, facts.etag)) throw failed('x-amz-copy-source-If-Match')
  } else {
    const since = dateOf(of('unmodified-since'))
    if (since !== undefined && modified > since) throw failed('x-amz-copy-source-If-Unmodified-Since')
  }
  if (noneMatch !== undefined && matches(noneMatch, facts.etag)) throw failed('x-amz-copy-source-If-None-Match')
  const since = dateOf(of('modified-since'))
  if (since !== undefined && modified <= since) throw failed('x-amz-copy-source-If-Modified-Since')
}

/** Buckets here have no versions: `null` is the only one. */
export function checkVersion(call: Call): void {
  const version = query(call, 'versionId')
  if (version !== undefined && version !== 'null')
    throw new Refusal(
      'InvalidArgument',
      { ArgumentName: 'versionId', ArgumentValue: version },
      'Invalid version id specified',
    )
}

function matches(condition: string, etag: string): boolean {
  return condition.split(',').some(each => {
    const one = each.trim().replace(/^W\//, '')
    return one === '*' || one.replace(/^"(.*)"$/, '$1') === etag
  })
}

function dateOf(value: string | undefined): number | undefined {
  const time = value === undefined ? Number.NaN : Date.parse(value)
  return Number.isNaN(time) ? undefined : seconds(time)
}

function seconds(time: number): number {
  return Math.floor(time / 1_000)
}

function failed(condition: string): Refusal {
  return new Refusal('PreconditionFailed', { Condition: condition })
}

function notImplemented(name: string): Refusal {
  return new Refusal('NotImplemented', { Header: name })
}
