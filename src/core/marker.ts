import { recognise } from './entry.ts'
import { markerKey, markerPrefixes } from './key.ts'
import { readNote } from './note.ts'
import type { Provider, RemoteObject } from './provider.ts'
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
 * proved that the key has none. Rejects where it cannot be read: then nobody knows. One `get`, and not a `head`: most keys have no marker, and a 404 without a body leaves
 * open whether it is the key that is not there, or the bucket.
 */
export async function markerAt(provider: Provider, key: string, signal: AbortSignal): Promise<Marker | undefined> {
  const found = await readMarker(provider, markerKey(key), signal)
  if (found === undefined) return undefined
  const { object, said } = found
  const { token, modifiedAt, serverTime } = object
  const there = recognise(object)
  // Without its entry (a copy of the bucket that left metadata out) the body says it: the time of the copy would delete what was put since.
  const version = there.whose !== 'ours' && said?.key === key ? said.version : there.version
  return { version, token, modifiedAt, serverTime }
}

/** Whose marker this object under `.holdfast/deleted/` or `.holdfast/deleted-long/` is; `undefined` where it does not say. */
export async function keyOfMarker(provider: Provider, name: string, signal: AbortSignal): Promise<string | undefined> {
  const [whole] = markerPrefixes
  const key = name.startsWith(whole) ? name.slice(whole.length) : (await readMarker(provider, name, signal))?.said?.key
  return key !== undefined && markerKey(key) === name ? key : undefined
}

/** More than any key needs, escaped as JSON. */
const longestBody = 16_384

interface ReadMarker {
  readonly object: RemoteObject
  /** `undefined`: its body is none of ours. */
  readonly said: { readonly key: string; readonly version: Version } | undefined
}

async function readMarker(provider: Provider, name: string, signal: AbortSignal): Promise<ReadMarker | undefined> {
  const note = await readNote(provider, name, longestBody, signal)
  if (note === undefined) return undefined
  const { format, key, version } = (note.value ?? {}) as Record<string, unknown>
  const isOurs = format === 1 && typeof key === 'string' && typeof version === 'string' && isVersion(version)
  return { object: note.object, said: isOurs ? { key, version } : undefined }
}
