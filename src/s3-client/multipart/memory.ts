import type { Holdfast, Upload } from '../../index.ts'

/** What does not change of an upload while it is open. */
export type Begun = Pick<Upload, 'id' | 'key' | 'checksum' | 'features'>

/** How an upload ended. */
export type Ended = 'completed' | 'aborted'

/**
 * What this process remembers of a store's uploads: what they were begun with, so that a part does not cost a look at all the parts before it; and how
 * they ended, so that a repeated Complete is told apart from one of an aborted upload. Bounded, and only a shortcut: no part and no object is
 * lost with it.
 */
export interface UploadMemory {
  /** What the upload was begun with; `undefined` where none is open. The store is asked at most once for each. */
  begun(id: string): Promise<Begun | undefined>
  /** `undefined`: this process does not know. */
  ended(id: string): Ended | undefined
  opened(upload: Begun): void
  end(id: string, how: Ended): void
}

const mostRemembered = 10_000
const memories = new WeakMap<Holdfast, UploadMemory>()

/** The same for every client that is wrapped around this store. */
export function memoryOf(store: Holdfast): UploadMemory {
  const known = memories.get(store)
  if (known !== undefined) return known
  const made = uploadMemory(store)
  memories.set(store, made)
  return made
}

function uploadMemory(store: Holdfast): UploadMemory {
  const open = new Map<string, Begun>()
  const ended = new Map<string, Ended>()
  const opened = ({ id, key, checksum, features }: Begun): void =>
    remember(open, id, {
      id,
      key,
      ...(checksum === undefined ? {} : { checksum }),
      ...(features === undefined ? {} : { features }),
    })
  return {
    async begun(id) {
      const known = open.get(id)
      if (known !== undefined) return known
      if (!isUploadId(id) || ended.has(id)) return undefined
      const upload = await store.uploads.get(id)
      if (upload !== undefined) opened(upload)
      return upload
    },
    ended: id => ended.get(id),
    opened,
    end(id, how) {
      open.delete(id)
      remember(ended, id, how)
    },
  }
}

function remember<T>(map: Map<string, T>, id: string, what: T): void {
  map.delete(id)
  map.set(id, what)
  const [oldest] = map.keys()
  if (map.size > mostRemembered && oldest !== undefined) map.delete(oldest)
}

/** Whether it can be the id of an upload at all: others need not be looked for. */
export function isUploadId(id: string): boolean {
  return /^[0-9a-f]{32}$/.test(id)
}
