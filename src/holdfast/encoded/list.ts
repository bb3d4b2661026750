import { decodeKey, keyOfName, nameOfGroup, namePrefixes } from '../../core/encode.ts'
import { HoldfastError } from '../../core/errors.ts'
import { compareKeys } from '../../core/key.ts'
import type { ListEntry } from '../../read/types.ts'
import type { Holdfast } from '../holdfast.ts'
import type { CheckedList } from '../input/calls.ts'
import { nameOf, plainNameOf, told, unlessRefused } from './names.ts'

type Inner = Pick<Holdfast, 'list' | 'head'>
type Listing = Omit<CheckedList, 'signal'> & { readonly signal?: AbortSignal }

/** Names of one group that are looked at for keys of another: see docs/decisions/encoded-keys.md. */
const mostLooked = 1000

/**
 * The keys that begin with the prefix, in the order of their names; groups are those of keys, each given once, where its first key is. With
 * the delimiter `/` a group costs what it costs inside; with another one all names under the prefix are read.
 */
export async function* listKeys(inner: Inner, listing: Listing): AsyncGenerator<ListEntry> {
  const { prefix, delimiter, startAfter, whenUnreachable, ...call } = listing
  const position =
    groupOf(startAfter) === startAfter
      ? ((await firstOf(startAfter))?.position ?? nameOfGroup(startAfter))
      : await positionOf(inner, startAfter, call)
  /** Given already, and not to be known by that when another part of them comes. */
  const groups = new Set<string>()
  /** A range of names that nobody could list: only what is marked `partial` may follow. */
  let missing: HoldfastError | undefined
  let hasBegun = false

  for (const range of namePrefixes(prefix)) {
    if (isBehind(range, position)) continue
    const request = { prefix: range, startAfter: position, whenUnreachable, ...call }
    try {
      for await (const entry of inner.list({ ...request, ...(delimiter === '/' ? { delimiter } : {}) })) {
        for await (const shown of shownAs(entry, request)) {
          if (missing !== undefined && shown.partial !== true) throw missing
          hasBegun = true
          yield shown
        }
      }
    } catch (error) {
      // What this directory knows of itself may lie in the other range.
      const mayGoOn = whenUnreachable === 'local' && !hasBegun && missing === undefined
      if (!mayGoOn || !(error instanceof HoldfastError) || error.code !== 'UNAVAILABLE') throw error
      missing = error
    }
  }
  if (missing !== undefined && !hasBegun) throw missing

  async function* shownAs(entry: ListEntry, request: Parameters<Inner['list']>[0]): AsyncGenerator<ListEntry> {
    if (entry.type === 'object') return yield* shownObject(entry)
    const { prefix: group } = entry
    if (isPlain(group) && group.startsWith(prefix)) return yield* shownGroup(entry, group)
    // The keys of these names may lie in several groups, or in none.
    const common = groupOf(decodeKey(group))
    let looked = 0
    for await (const inside of inner.list({ ...request, prefix: group })) {
      if (inside.type === 'object') yield* shownObject(inside)
      if (common !== undefined && (++looked >= mostLooked || !group.startsWith(prefix))) return
    }
  }

  async function* shownObject(entry: ListEntry & { readonly type: 'object' }): AsyncGenerator<ListEntry> {
    const key = keyOfName(entry.key)
    if (!key.startsWith(prefix)) return
    const group = groupOf(key)
    if (group !== undefined) return yield* shownGroup(entry, group)
    const isHidden = plainNameOf(key) === entry.key && (await told(inner.head(nameOf(key), call))) !== undefined
    if (!isHidden) yield { ...entry, key }
  }

  async function* shownGroup(entry: ListEntry, group: string): AsyncGenerator<ListEntry> {
    if (groups.has(group)) return
    // A group that the store inside gives is given once; it comes after all other names of its keys, unless its own is an odd one.
    if (entry.type === 'object' || nameOfGroup(group) !== group) groups.add(group)
    if (await wasGiven(group)) return
    yield { type: 'prefix', prefix: group, ...(entry.partial === undefined ? {} : { partial: true }) }
  }

  /** Whether the group has a name before the place where this listing begins, with other names in between: it was given there. */
  async function wasGiven(group: string): Promise<boolean> {
    if (position === '' || keyOfName(position).startsWith(group)) return false
    const ranges = namePrefixes(group)
    // Only then can anything be between them.
    if (ranges.length === 1 || !position.startsWith(commonStart(ranges))) return false
    const first = await firstOf(group)
    return first !== undefined && compareKeys(first.name, position) <= 0
  }

  /** The first name of a group; `position`: the last name before it, as far as it matters. */
  async function firstOf(group: string): Promise<{ readonly name: string; readonly position: string } | undefined> {
    for (const range of namePrefixes(group)) {
      let before = range
      for await (const entry of inner.list({ prefix: range, ...call, whenUnreachable })) {
        if (entry.type !== 'object') continue
        if (keyOfName(entry.key).startsWith(group)) return { name: entry.key, position: before }
        before = entry.key
      }
    }
    return undefined
  }

  function groupOf(key: string): string | undefined {
    const at = delimiter === '' || !key.startsWith(prefix) ? -1 : key.indexOf(delimiter, prefix.length)
    return at < 0 ? undefined : key.slice(0, at + delimiter.length)
  }
}

/** Whether all keys whose names begin so begin so themselves. */
function isPlain(group: string): boolean {
  return decodeKey(group) === group && !group.slice(-2).includes('!')
}

/** Whether all names that begin so come before this one. */
function isBehind(range: string, position: string): boolean {
  return compareKeys(position, range) > 0 && !position.startsWith(range)
}

function commonStart([first = '', ...others]: readonly string[]): string {
  let length = first.length
  while (!others.every(each => each.startsWith(first.slice(0, length)))) length--
  return first.slice(0, length)
}

/**
 * The name after which a listing goes on after this key. Where an object of the key may have either of two names, the one that is there; where neither
 * is there any more, the one that comes first.
 */
async function positionOf(inner: Inner, startAfter: string, call: { readonly signal?: AbortSignal }): Promise<string> {
  const name = nameOf(startAfter)
  const plain = startAfter === '' ? undefined : plainNameOf(startAfter)
  if (plain === undefined || (await told(inner.head(name, call))) !== undefined) return name
  if ((await unlessRefused(told(inner.head(plain, call)))) !== undefined) return plain
  return compareKeys(name, plain) < 0 ? name : plain
}
