import { recognise } from '../core/entry.ts'
import { withLimits } from '../core/guard.ts'
import type { KeyView } from '../journal/contract.ts'
import { asError, enter } from './enter.ts'
import { infoOfLocal, infoOfRemote } from './info.ts'
import { type Answer, search, type SearchDeps } from './search.ts'
import type { ObjectInfo, ReadDeps, ReadProvider } from './types.ts'

/** What `get` would say of the object, by the same rules. */
export async function head(
  deps: SearchDeps,
  key: string,
  view: KeyView,
  signal: AbortSignal,
): Promise<ObjectInfo | undefined> {
  const hit = await search<ObjectInfo>(
    deps,
    key,
    view,
    {
      remote: (at, patienceMs, asked) => askRemote(deps, key, at, patienceMs, asked),
      local: async held => infoOfLocal(key, held),
      drop: () => {},
    },
    signal,
  )
  return hit?.value
}

async function askRemote(
  deps: ReadDeps,
  key: string,
  at: ReadProvider,
  patienceMs: number,
  signal: AbortSignal,
): Promise<Answer<ObjectInfo> | undefined> {
  const { clock } = deps
  const { provider } = at
  const ticket = enter(deps, at, 'read')
  const asked = clock.monotonic()
  const about = { what: 'head', provider: provider.name, key }
  const limits = { clock, idleMs: patienceMs, deadlineMs: patienceMs, signal, about }
  try {
    const object = await withLimits(limits, inner => provider.head(key, inner))
    ticket.succeeded(clock.monotonic() - asked)
    if (object === undefined) return undefined
    const recognised = recognise(object)
    return { object, version: recognised.version, value: infoOfRemote(object, recognised) }
  } catch (error) {
    const known = signal.aborted ? error : asError(provider, error)
    ticket.failed(known)
    throw known
  }
}
