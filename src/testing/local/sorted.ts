import { compareKeys } from '../../core/key.ts'

/** Where a walk over sorted keys begins. */
export type Start =
  | { readonly from: string }
  | { readonly after: string }
  /** Behind every key that begins so. */
  | { readonly pastPrefix: string }

/** Keys in the order that clouds list in, UTF-8 bytes. Adding, deleting and starting a walk cost little among a million keys. */
export interface SortedKeys {
  readonly size: number
  /** The key must not be there yet. */
  add(key: string): void
  /** The key must be there. */
  delete(key: string): void
  /** To be walked in one turn: not while keys are added or deleted. */
  walk(start: Start): Iterable<string>
}

/** Chunks are split when they grow past this. */
const chunkLimit = 1_024

export function sortedKeys(): SortedKeys {
  const chunks: string[][] = []
  let size = 0

  /** The first place whose key is not before what is looked for; `chunk` is `chunks.length` where there is none. */
  function seek(isBefore: (key: string) => boolean): { chunk: number; index: number } {
    const chunk = firstNot(chunks, keys => isBefore(keys[keys.length - 1] as string))
    const keys = chunks[chunk]
    return { chunk, index: keys === undefined ? 0 : firstNot(keys, isBefore) }
  }

  return {
    get size() {
      return size
    },
    add(key) {
      size++
      let { chunk, index } = seek(other => compareKeys(other, key) < 0)
      if (chunk === chunks.length && chunk > 0) {
        chunk--
        index = chunks[chunk]?.length ?? 0
      }
      const keys = chunks[chunk]
      if (keys === undefined) {
        chunks.push([key])
        return
      }
      keys.splice(index, 0, key)
      if (keys.length > chunkLimit) chunks.splice(chunk + 1, 0, keys.splice(chunkLimit / 2))
    },
    delete(key) {
      const { chunk, index } = seek(other => compareKeys(other, key) < 0)
      const keys = chunks[chunk]
      if (keys?.[index] !== key) return
      size--
      keys.splice(index, 1)
      if (keys.length === 0) chunks.splice(chunk, 1)
    },
    *walk(start) {
      let { chunk, index } = seek(isBefore(start))
      for (; chunk < chunks.length; chunk++, index = 0) {
        const keys = chunks[chunk] as string[]
        for (; index < keys.length; index++) yield keys[index] as string
      }
    },
  }
}

function isBefore(start: Start): (key: string) => boolean {
  if ('from' in start) return key => compareKeys(key, start.from) < 0
  if ('after' in start) return key => compareKeys(key, start.after) <= 0
  return key => compareKeys(key, start.pastPrefix) < 0 || key.startsWith(start.pastPrefix)
}

/** Index of the first item that does not satisfy a predicate that holds for a beginning of the list. */
function firstNot<Item>(items: readonly Item[], holds: (item: Item) => boolean): number {
  let low = 0
  let high = items.length
  while (low < high) {
    const middle = (low + high) >>> 1
    if (holds(items[middle] as Item)) low = middle + 1
    else high = middle
  }
  return low
}
