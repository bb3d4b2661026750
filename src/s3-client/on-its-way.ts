import { setTimeout as sleep } from 'node:timers/promises'
import type { Call } from './handler.ts'

/** So long a read of the client's own bucket waits for a write that Holdfast has and the bucket has not. */
const patienceMs = 5_000
const longestPauseMs = 500

/**
 * What only the client's own bucket knows of an object (its ACL, its tags), right after a write too: where it says that there is no such key and Holdfast
 * has one, the write is on its way there, and the bucket is asked again. After five seconds its answer stands.
 */
export async function oncePassed(call: Call<{ readonly Key?: string }>): Promise<object> {
  const { input, signal, next } = call
  const until = performance.now() + patienceMs
  for (let pauseMs = 25; ; pauseMs = Math.min(2 * pauseMs, longestPauseMs)) {
    try {
      return await next()
    } catch (error) {
      const isMissing = (error as { readonly name?: unknown } | null)?.name === 'NoSuchKey'
      const isOver = performance.now() + pauseMs > until
      if (!isMissing || isOver || input.Key === undefined || !(await isKnown(call, input.Key))) throw error
    }
    // Keeps the process alive, as the request would.
    await sleep(pauseMs, undefined, signal === undefined ? {} : { signal }).catch(() => signal?.throwIfAborted())
  }
}

async function isKnown({ store, signal }: Call, key: string): Promise<boolean> {
  try {
    return (await store.head(key, signal === undefined ? {} : { signal })) !== undefined
  } catch {
    signal?.throwIfAborted()
    // What the bucket said is then all there is to say.
    return false
  }
}
