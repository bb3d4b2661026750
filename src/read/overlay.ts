import { compareKeys } from '../core/key.ts'
import type { Journal, OpenKey } from '../journal/contract.ts'

/** Enough for most directories to be looked at once, before the provider is. */
export const pageKeys = 1000

/** The keys with open work of a prefix, in order, a page at a time. */
export interface Overlay {
  readonly next: OpenKey | undefined
  shift(): void
  /** Past all keys that begin so. */
  skip(group: string): void
}

export function overlayOf(journal: Pick<Journal, 'openKeys'>, prefix: string, startAfter: string): Overlay {
  let page = journal.openKeys(prefix, startAfter, pageKeys)
  let index = 0

  /** There may be more after this page: from there on, or from further on. */
  function turn(after: string): void {
    page = page.length === pageKeys ? journal.openKeys(prefix, after, pageKeys) : []
    index = 0
  }

  return {
    get next() {
      return page[index]
    },
    shift() {
      const key = page[index++]?.key
      if (key !== undefined && index === page.length) turn(key)
    },
    skip(group) {
      for (let key = page[index]?.key; key?.startsWith(group) === true; key = page[index]?.key) {
        if (++index < page.length) continue
        // The group may go on for many pages: beyond the last code point few of its keys are left.
        const end = `${group}\u{10ffff}`
        turn(compareKeys(end, key) > 0 ? end : key)
      }
    },
  }
}
