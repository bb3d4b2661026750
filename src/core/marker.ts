import { recognise } from './entry.ts'
import { markerKey } from './key.ts'
import type { Provider } from './provider.ts'
import type { Version } from './version.ts'

/** The marker of a delete, as one provider has it. */
export interface Marker {
  /** Of the newest delete of the key that this provider was told of. */
  readonly version: Version
  /** For the condition under which it is replaced. */
  readonly token: string
  /** The provider's clock when it answered, ms since 1970. */
  readonly serverTime: number | undefined
}

/**
 * The marker of a delete, beside the objects: what tells a key that was deleted from one that was lost. `undefined` where the provider
 * proved that the key has none. Rejects where it cannot be read: then nobody knows. One `head`.
 */
export async function markerAt(provider: Provider, key: string, signal: AbortSignal): Promise<Marker | undefined> {
  const found = await provider.head(markerKey(key), signal)
  if (found === undefined) return undefined
  return { version: recognise(found).version, token: found.token, serverTime: found.serverTime }
}
