import { guardProvider, openGuarded } from '../core/guarded.ts'
import type { KeyView, WriteRow } from '../journal/contract.ts'
import { get } from './get.ts'
import { head } from './head.ts'
import { createHedges } from './hedge.ts'
import { list } from './list.ts'
import type { ReadDeps, Reader, ReadProvider } from './types.ts'

/** A body that comes more slowly is fetched elsewhere. */
const minBytesPerSecond = 8192
/** How often a read begins anew because the newest write of the key changed under it. */
const mostTries = 3

type Given = Omit<ReadDeps, 'providers'> & { readonly providers: readonly Omit<ReadProvider, 'open'>[] }

export function createReader(given: Given): Reader {
  const { clock, options } = given
  const limits = { clock, idleMs: options.idleMs, deadlineMs: Number.POSITIVE_INFINITY, minBytesPerSecond }
  const providers = given.providers.map(
    (each): ReadProvider => ({
      ...each,
      provider: guardProvider(each.provider, limits),
      open: (request, connection, signal) => openGuarded(each.provider, request, { ...limits, connection, signal }),
    }),
  )
  const deps = { ...given, providers, hedges: options.hedge ? createHedges(options.firstByteMs) : undefined }
  return {
    get: (key, range, signal = noSignal()) => steadily(deps, key, signal, view => get(deps, key, view, range, signal)),
    head: (key, signal = noSignal()) => steadily(deps, key, signal, view => head(deps, key, view, signal)),
    list: (request, signal = noSignal()) => list(deps, request, signal),
  }
}

/**
 * A write that is superseded may lose its body while it is looked for: then the newer one is what is wanted. So is one that was fetched anew in the place of a
 * damaged one.
 */
async function steadily<T>(
  { journal }: ReadDeps,
  key: string,
  signal: AbortSignal,
  read: (view: KeyView) => Promise<T>,
): Promise<T> {
  for (let tries = 1; ; tries++) {
    signal.throwIfAborted()
    const view = journal.view(key)
    try {
      return await read(view)
    } catch (error) {
      if (signal.aborted || tries === mostTries || isSame(journal.view(key).open, view.open)) throw error
    }
  }
}

function isSame(now: WriteRow | undefined, before: WriteRow | undefined): boolean {
  return now?.seq === before?.seq && fileOf(now) === fileOf(before)
}

function fileOf(write: WriteRow | undefined): string | undefined {
  return write?.body.in === 'file' ? write.body.file : undefined
}

function noSignal(): AbortSignal {
  return new AbortController().signal
}
