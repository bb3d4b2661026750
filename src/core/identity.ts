import { identityKey } from './key.ts'
import { readNote } from './note.ts'
import type { Provider } from './provider.ts'

/** What a bucket says of itself under `.holdfast/identity`. */
export interface BucketIdentity {
  /** A uuid; `undefined` where something is there that is no identity of format 1. */
  readonly identity: string | undefined
  /** The provider's clock when it answered, ms since 1970. */
  readonly serverTime: number | undefined
}

const longestBytes = 1024

/** Which bucket this is, by its own word; `undefined` where nobody has marked it. One `get`. */
export async function identityAt(provider: Provider, signal: AbortSignal): Promise<BucketIdentity | undefined> {
  const note = await readNote(provider, identityKey, longestBytes, signal)
  if (note === undefined) return undefined
  const { format, identity } = (note.value ?? {}) as { readonly format?: unknown; readonly identity?: unknown }
  const isOne = format === 1 && typeof identity === 'string' && /^[0-9a-f-]{36}$/.test(identity)
  return { identity: isOne ? identity : undefined, serverTime: note.object.serverTime }
}
