import type { ListRequest } from '../core/provider.ts'
import type { Journal } from '../journal/contract.ts'
import { overlayOf } from './overlay.ts'
import { owed } from './merge.ts'
import type { ListEntry } from './types.ts'

/** What this directory has not seen on every provider yet, as a listing by itself: the rest is out of reach. */
export function* listedAlone(
  journal: Pick<Journal, 'openKeys'>,
  { prefix, delimiter, startAfter }: ListRequest,
): Iterable<ListEntry> {
  const overlay = overlayOf(journal, prefix, startAfter)
  for (let open = overlay.next; open !== undefined; open = overlay.next) {
    const found = delimiter === '' ? -1 : open.key.indexOf(delimiter, prefix.length)
    const group = found < 0 ? undefined : open.key.slice(0, found + delimiter.length)
    overlay.shift()
    // A deleted key makes no group: the next one of it may.
    if (open.kind === 'delete') continue
    if (group === undefined) yield { ...owed(open), partial: true }
    else {
      yield { type: 'prefix', prefix: group, partial: true }
      overlay.skip(group)
    }
  }
}
