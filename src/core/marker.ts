import { recognise } from './entry.ts'
import { markerKey, markerPrefixes } from './key.ts'
import { readNote } from './note.ts'
import type { Provider } from './provider.ts'
import { isVersion, type Version } from './version.ts'

/** The marker of a delete, as one provider has it. */
export interface Marker {
  /** Of the newest delete of the key that this provider was told of. */
  readonly version: Version
  /** For the condition under which it is replaced. */
  readonly token: string
  /** When the provider was told, by its clock. */
  readonly modifiedAt: Date
  /** The provider's clock when it answered, ms since 1970. */
  readonly serverTime: number | undefined
}

/**
 * The marker of a delete, beside the objects: what tells a key that was deleted from one that was lost. `undefined` where the provider
 * proved that the key has none. Rejects where it cannot be read: then nobody knows. One `head`; one `get` more where the marker lost its metadata.
 */
export async function markerAt(provider: Provider, key: string, signal: AbortSignal): Promise<Marker | undefined> {
  const found = await provider.head(markerKey(key), signal)
  if (found === undefined) return undefined
  const { token, modifiedAt, serverTime } = found
  const there = recognise(found)
  // Without its entry (a copy of the bucket that left metadata out) the body says it: the time of the copy would delete what was put since.
  const said = there.whose === 'ours' ? undefined : await readBody(provider, found.key, signal)
  const version = said?.key === key ? said.version : there.version
  return { version, token, modifiedAt, serverTime }
}

/** Whose marker this object under `.holdfast/deleted/` or `.holdfast/deleted-long/` is; `undefined` where it does not say. */
export async function keyOfMarker(provider: Provider, name: string, signal: AbortSignal): Promise<string | undefined> {
  const [whole] = markerPrefixes
  const key = name.startsWith(whole) ? name.slice(whole.length) : (await readBody(provider, name, signal))?.key
  return key !== undefined && markerKey(key) === name ? key : undefined
}

/** More than any key needs, escaped as JSON. */
const longestBody = 16_384

async function readBody(
  provider: Provider,
  name: string,
  signal: AbortSignal,
): Promise<{ readonly key: string; readonly version: Version } | undefined> {
  const note = await readNote(provider, name, longestBody, signal)
  const { format, key, version } = (note?.value ?? {}) as Record<string, unknown>
  const isOurs = format === 1 && typeof key === 'string' && typeof version === 'string' && isVersion(version)
  return isOurs ? { key, version } : undefined
}
