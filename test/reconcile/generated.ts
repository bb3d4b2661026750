import { createHash } from 'node:crypto'
import type { Provider, RemoteEntry, RemoteObject } from '../../src/core/provider.ts'
import { compareKeys } from '../../src/core/key.ts'

/** How a service's listing looks. */
export type Flavour = 's3' | 'gcs'

export interface Generated {
  /** Keys. */
  readonly count: number
  /** Every so many keys, one is not there, or is another object. */
  readonly every: number
  readonly side: 0 | 1
  readonly flavour: Flavour
}

const pageKeys = 1000
const modifiedAt = new Date(Date.UTC(2026, 0, 1))

export function keyOf(index: number): string {
  return `photos/2026/${String(index).padStart(9, '0')}.jpg`
}

/** Which keys differ, and how: the first provider lacks it, the second does, or the second has other bytes. */
export function differenceOf(index: number, every: number): 'none' | 'first' | 'second' | 'other' {
  if (index % every !== Math.floor(every / 2)) return 'none'
  return (['first', 'second', 'other'] as const)[Math.floor(index / every) % 3] ?? 'none'
}

/**
 * A provider that has a million objects, and makes them up as it is asked: listings, a page of a thousand at a time, and heads. What Holdfast keeps
 * under `.holdfast/` is at `rest`.
 */
export function generated(rest: Provider, { count, every, side, flavour }: Generated): Provider {
  function objectOf(index: number): { size: number; md5: string } | undefined {
    const difference = differenceOf(index, every)
    if (difference === (side === 0 ? 'first' : 'second')) return undefined
    const isOther = difference === 'other' && side === 1
    return { size: isOther ? 7 : 1000 + (index % 977), md5: md5Of(isOther ? index + count : index) }
  }

  function entryOf(index: number): RemoteEntry | undefined {
    const object = objectOf(index)
    if (object === undefined) return undefined
    const shared = { type: 'object' as const, key: keyOf(index), size: object.size, modifiedAt }
    return flavour === 's3'
      ? { ...shared, etag: object.md5, token: object.md5, attested: {} }
      : { ...shared, etag: undefined, token: String(index), attested: { md5: object.md5 } }
  }

  return {
    ...rest,
    get capabilities() {
      return rest.capabilities
    },
    async head(key, signal) {
      const index = indexOf(key)
      if (index === undefined) return rest.head(key, signal)
      const object = index < count ? objectOf(index) : undefined
      if (object === undefined) return undefined
      const { size, md5 } = object
      const attested = { md5 }
      const headers = { contentType: 'image/jpeg' }
      return {
        key,
        size,
        token: md5,
        etag: md5,
        modifiedAt,
        headers,
        metadata: {},
        attested,
        serverTime: Date.now(),
      } satisfies RemoteObject
    },
    async *list(request, signal) {
      const { prefix, startAfter } = request
      if (prefix.startsWith('.holdfast/')) return yield* rest.list(request, signal)
      const from = firstAfter(startAfter, count)
      for (let page = from; page < count; page += pageKeys) {
        // A page is an answer of a service: it comes in a turn of its own.
        await new Promise(resolve => setImmediate(resolve))
        signal.throwIfAborted()
        for (let index = page; index < Math.min(count, page + pageKeys); index++) {
          const entry = entryOf(index)
          if (entry !== undefined) yield entry
        }
      }
    },
  }
}

function indexOf(key: string): number | undefined {
  const found = /^photos\/2026\/(\d{9})\.jpg$/.exec(key)
  return found === null ? undefined : Number(found[1])
}

function firstAfter(startAfter: string, count: number): number {
  let [low, high] = [0, count]
  while (low < high) {
    const middle = (low + high) >>> 1
    if (compareKeys(keyOf(middle), startAfter) > 0) high = middle
    else low = middle + 1
  }
  return low
}

/** Any 32 hex digits will do, as long as they are the same on both sides. */
const salt = createHash('md5').update('holdfast').digest('hex').slice(0, 24)

function md5Of(index: number): string {
  return salt + index.toString(16).padStart(8, '0')
}
