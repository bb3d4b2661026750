import { HoldfastError } from './errors.ts'
import { compareKeys, reservedPrefix } from './key.ts'
import type { ListRequest, Provider, RemoteEntry } from './provider.ts'

/** What a listing says of one key. */
export type ListedObject = Extract<RemoteEntry, { readonly type: 'object' }>

/** A listing that is being read. `undefined`: its end. Leave its scope, or its end is waited for by nobody. */
export interface Entries extends AsyncDisposable {
  next(): Promise<RemoteEntry | undefined>
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

  return {
    async next() {
      while (true) {
        const step = await items.next()
        if (step.done === true) return undefined
        const name = nameOf(step.value)
        if (last !== undefined && compareKeys(name, last) <= 0) throw unordered(provider, last, name)
        last = name
        if (!name.startsWith(reservedPrefix)) return step.value
        if (step.value.type === 'prefix') continue
        // There may be more markers than objects: they are not paged through.
        await items.return?.()
        if (request.prefix.startsWith(reservedPrefix)) return undefined
        const rest = provider.list({ ...request, startAfter: later(request.startAfter, afterReserved) }, signal)
        items = rest[Symbol.asyncIterator]()
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
