import { recognise } from '../core/entry.ts'
import type { RemoteObject } from '../core/provider.ts'
import type { Version } from '../core/version.ts'
import { busy, isPrecondition, noteClock, type Target } from './target.ts'

/** How often it is looked anew because others write the key at the same moment. */
const mostRounds = 8

/**
 * Takes away what a delete of this version deletes, whoever wrote it and however late it arrived: never what is newer, which is answered.
 * Where the service has no conditional delete, something newer that arrives between look and delete goes too; its writer finds that at the
 * second look.
 */
export async function clear(
  target: Target,
  key: string,
  deleted: Version,
  now: () => number,
  signal: AbortSignal,
): Promise<RemoteObject | undefined> {
  const { provider, capabilities } = target
  for (let round = 0; round < mostRounds; round++) {
    const found = await provider.head(key, signal)
    noteClock(target, found?.serverTime, now())
    if (found === undefined) return undefined
    if (recognise(found).version > deleted) return found
    try {
      const gone = await provider.delete(key, capabilities.deleteIf ? found.token : undefined, signal)
      noteClock(target, gone.serverTime, now())
      return undefined
    } catch (error) {
      if (!isPrecondition(error)) throw error
    }
  }
  throw busy(target, key)
}
