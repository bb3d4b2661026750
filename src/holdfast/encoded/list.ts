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
  const position = await positionOf(inner, startAfter, delimiter, call)
  const groups = new Set<string>()
  /** A range of names that nobody could list: only what is marked `partial` may follow. */
  let missing: HoldfastError | undefined
  let hasBegun = false

  for (const range of namePrefixes(prefix)) {
    if (compareKeys(position, range) > 0 && !position.startsWith(range)) continue
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

  function* shownGroup({ partial }: ListEntry, group: string): Generator<ListEntry> {
    if (groups.has(group)) return
    if (delimiter !== '/' || nameOfGroup(group) !== group || nameOf(group) !== group) groups.add(group)
    yield { type: 'prefix', prefix: group, ...(partial === undefined ? {} : { partial }) }
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

/**
 * The name after which a listing goes on after this key, or group. Where an object of the key may have either of two names, the one that is there; a
 * group that has no object of its own name is where its keys are.
 */
async function positionOf(
  inner: Inner,
  startAfter: string,
  delimiter: string,
  call: { readonly signal?: AbortSignal },
): Promise<string> {
  const name = nameOf(startAfter)
  const plain = startAfter === '' ? undefined : plainNameOf(startAfter)
  if (plain === undefined || (await told(inner.head(name, call))) !== undefined) return name
  if (delimiter !== '' && startAfter.endsWith(delimiter)) return nameOfGroup(startAfter)
  if ((await unlessRefused(told(inner.head(plain, call)))) !== undefined) return plain
  return compareKeys(name, plain) < 0 ? name : plain
}
