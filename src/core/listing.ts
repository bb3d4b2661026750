import { HoldfastError } from './errors.ts'
import { compareKeys, reservedPrefix } from './key.ts'
import type { ListRequest, Provider, RemoteEntry } from './provider.ts'

/** What a listing says of one key. */
export type ListedObject = Extract<RemoteEntry, { readonly type: 'object' }>

/** A listing that is being read. Leaving its scope lets go of its connection. */
export interface Entries extends AsyncDisposable {
  /** `undefined`: its end. */
  next(): Promise<RemoteEntry | undefined>
  /** Puts up to so many more at the end of `into`; fewer only at the end, or where it rejects. For who reads very many. */
  read(into: RemoteEntry[], most: number): Promise<void>
}

/** After everything that Holdfast keeps under its prefix: those names begin with small letters. */
const afterReserved = `${reservedPrefix}~`

/**
 * The provider's own entries in strictly ascending order, without those under `.holdfast/`. Rejects as the provider does, and with UNAVAILABLE,
 * reason PROTOCOL, where the listing is not in order: nothing that is compared with it would be right.
 */
export function visibleEntries(provider: Provider, request: ListRequest, signal: AbortSignal): Entries {
  let items = provider.list(request, signal)[Symbol.asyncIterator]()
  let last: string | undefined

  /** Whether this entry is to be seen; the listing is in order so far. */
  function isVisible(entry: RemoteEntry): boolean {
    const name = nameOf(entry)
    if (last !== undefined && compareKeys(name, last) <= 0) throw unordered(provider, last, name)
    last = name
    return !name.startsWith(reservedPrefix)
  }

  /** There may be more markers than objects: they are not paged through. False: nothing else was asked for. */
  async function jump(): Promise<boolean> {
    await items.return?.()
    if (request.prefix.startsWith(reservedPrefix)) return false
    const rest = provider.list({ ...request, startAfter: later(request.startAfter, afterReserved) }, signal)
    items = rest[Symbol.asyncIterator]()
    return true
  }

  return {
    async next() {
      const one: RemoteEntry[] = []
      await this.read(one, 1)
      return one[0]
    },
    async read(into, most) {
      const enough = into.length + most
      while (into.length < enough) {
        const step = await items.next()
        if (step.done === true) return
        if (isVisible(step.value)) into.push(step.value)
        else if (step.value.type === 'object' && !(await jump())) return
      }
    },
    async [Symbol.asyncDispose]() {
      await items.return?.()
    },
  }
}

/** The key, or the prefix that keys share. */
export function nameOf(entry: RemoteEntry): string {
  return entry.type === 'prefix' ? entry.prefix : entry.key
}

function later(a: string, b: string): string {
  return compareKeys(a, b) > 0 ? a : b
}

function unordered(provider: Provider, last: string, name: string): HoldfastError {
  return new HoldfastError(
    'UNAVAILABLE',
    `${provider.name}: its listing is not in order: ${JSON.stringify(name)} came after ${JSON.stringify(last)}`,
    { reason: 'PROTOCOL', provider: provider.name },
  )
}
