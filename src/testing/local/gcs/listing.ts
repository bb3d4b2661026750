import type { Space } from '../store.ts'
import { invalidArgument, refuse } from './refusal.ts'
import type { ObjectFacts } from './resource.ts'

/** One page. The names are in the order of their UTF-8 bytes. */
export interface Page {
  readonly keys: readonly string[]
  readonly prefixes: readonly string[]
  readonly nextPageToken: string | undefined
}

/** Where the next page begins: behind this key, or behind every key with this prefix. */
type Mark = { readonly after: string } | { readonly pastPrefix: string }

const pageSize = 1000

/** https://cloud.google.com/storage/docs/json_api/v1/objects/list. Prefixes count towards the size of a page, as they do there. */
export function listPage(space: Space<ObjectFacts>, query: URLSearchParams): Page {
  const prefix = query.get('prefix') ?? ''
  const delimiter = query.get('delimiter') ?? ''
  const endOffset = query.get('endOffset') ?? ''
  const trailing = query.get('includeTrailingDelimiter') === 'true'
  const most = Math.min(pageSize, positive(query.get('maxResults')))
  const keys: string[] = []
  const prefixes: string[] = []
  const token = query.get('pageToken')
  let mark: Mark | undefined = token === null || token === '' ? undefined : readToken(token)
  const from = later(prefix, query.get('startOffset') ?? '')
  for (;;) {
    const next: string | undefined = firstOf(space.keys(mark ?? { from }))
    if (next === undefined || !next.startsWith(prefix) || (endOffset !== '' && !isBefore(next, endOffset))) break
    if (keys.length + prefixes.length >= most) {
      return { keys, prefixes, nextPageToken: mark === undefined ? undefined : writeToken(mark) }
    }
    const at = delimiter === '' ? -1 : next.indexOf(delimiter, prefix.length)
    if (at < 0) {
      mark = takeRun(space, mark ?? { from }, { prefix, delimiter, endOffset, room: most - prefixes.length, keys })
      continue
    }
    const folded = next.slice(0, at + delimiter.length)
    prefixes.push(folded)
    if (trailing && space.get(folded) !== undefined) keys.push(folded)
    mark = { pastPrefix: folded }
  }
  return { keys, prefixes, nextPageToken: undefined }
}

/** Takes keys that are not folded, one after the other, without starting the walk anew for each. The mark behind the last. */
function takeRun(
  space: Space<ObjectFacts>,
  start: Mark | { from: string },
  run: { prefix: string; delimiter: string; endOffset: string; room: number; keys: string[] },
): Mark | undefined {
  const { prefix, delimiter, endOffset, room, keys } = run
  let mark: Mark | undefined
  for (const key of space.keys(start)) {
    const over = !key.startsWith(prefix) || (endOffset !== '' && !isBefore(key, endOffset))
    if (over || keys.length >= room || (delimiter !== '' && key.includes(delimiter, prefix.length))) break
    keys.push(key)
    mark = { after: key }
  }
  return mark
}

function firstOf(keys: Iterable<string>): string | undefined {
  for (const key of keys) return key
  return undefined
}

function isBefore(a: string, b: string): boolean {
  return Buffer.compare(Buffer.from(a), Buffer.from(b)) < 0
}

function later(a: string, b: string): string {
  return isBefore(a, b) ? b : a
}

function positive(value: string | null): number {
  if (value === null) return pageSize
  const number = Number(value)
  if (!Number.isSafeInteger(number) || number < 0) refuse(invalidArgument('Invalid value for: maxResults.'))
  return number === 0 ? pageSize : number
}

function writeToken(mark: Mark): string {
  return Buffer.from(JSON.stringify(mark)).toString('base64url')
}

function readToken(token: string): Mark {
  try {
    const mark = JSON.parse(Buffer.from(token, 'base64url').toString('utf8')) as Partial<Record<string, unknown>>
    if (typeof mark['after'] === 'string') return { after: mark['after'] }
    if (typeof mark['pastPrefix'] === 'string') return { pastPrefix: mark['pastPrefix'] }
  } catch {
    // Refused below, like any other token that is none of ours.
  }
  return refuse(invalidArgument('Invalid pageToken.'))
}
