import { entryName, entryThatCounts, recognise } from '../core/entry.ts'
import { compareKeys, reservedPrefix } from '../core/key.ts'
import { nameOf, visibleEntries } from '../core/listing.ts'
import type { ListRequest, RemoteEntry, RemoteObject } from '../core/provider.ts'
import { versionTime } from '../core/version.ts'
import type { OpenKey } from '../journal/contract.ts'
import { overlayOf, pageKeys } from './overlay.ts'
import type { ListEntry, ReadDeps, ReadProvider } from './types.ts'

/**
 * One provider's listing with what it is owed laid over: puts that it does not have yet are added, deletes that it does not know of yet
 * are hidden. Where it should have the write and its listing says otherwise (read before the write arrived, or late by nature), it
 * is asked for the key itself.
 *
 * What is open is looked at before the provider's page is fetched: a write that arrives there in between is in both, never in none.
 */
export async function* merged(
  deps: ReadDeps,
  at: ReadProvider,
  request: ListRequest,
  signal: AbortSignal,
): AsyncIterable<ListEntry> {
  const { journal } = deps
  const { provider } = at
  const { prefix, delimiter, startAfter } = request
  const overlay = overlayOf(journal, prefix, startAfter)
  await using remote = visibleEntries(provider, request, signal)
  let entry = await remote.next()

  while (entry !== undefined || overlay.next !== undefined) {
    const local = overlay.next
    const localName = local && (groupOf(local.key) ?? local.key)
    const remoteName = entry && nameOf(entry)
    const order = compareNames(localName, remoteName)
    const group =
      (order <= 0 && local && groupOf(local.key)) || (order >= 0 && entry?.type === 'prefix' && entry.prefix)
    if (typeof group === 'string') {
      if (await isVisible(group, order >= 0)) yield { type: 'prefix', prefix: group }
      overlay.skip(group)
    } else if (order < 0 && local !== undefined) {
      overlay.shift()
      const put = await unlisted(local)
      if (put !== undefined) yield put
    } else if (entry?.type === 'object') {
      if (order === 0) overlay.shift()
      const shown = order === 0 && local !== undefined ? await contested(local, entry) : listed(entry)
      if (shown !== undefined) yield shown
    }
    if (order >= 0) entry = await remote.next()
  }

  function groupOf(key: string): string | undefined {
    const found = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    return found < 0 ? undefined : key.slice(0, found + delimiter.length)
  }

  function isOwed({ missingAt }: OpenKey): boolean {
    return missingAt.includes(at.id)
  }

  /** Open here, not in the listing. */
  async function unlisted(local: OpenKey): Promise<ListEntry | undefined> {
    if (local.kind === 'delete') return undefined
    return isOwed(local) ? owed(local) : await asked(local.key)
  }

  /** Open here, and in the listing. */
  async function contested(local: OpenKey, entry: RemoteEntry & { type: 'object' }): Promise<ListEntry | undefined> {
    if (local.kind === 'put') return isOwed(local) ? owed(local) : listed(entry)
    return isOwed(local) ? undefined : await asked(local.key)
  }

  async function asked(key: string): Promise<ListEntry | undefined> {
    const object = await provider.head(key, signal)
    if (object === undefined) return undefined
    const { version } = recognise(object)
    if (version <= (journal.view(key).deleted ?? '')) return undefined
    return listed(asListed(object))
  }

  /** Whether a group has a key left when what is deleted here is taken away, and what is Holdfast's own. */
  async function isVisible(group: string, isListed: boolean): Promise<boolean> {
    const open = journal.openKeys(group, startAfter, pageKeys)
    if (open.some(key => key.kind === 'put' && (isListed || isOwed(key)))) return true
    if (isListed && open.length === 0 && !reservedPrefix.startsWith(group)) return true
    if (!isListed && open.length < pageKeys && open.every(({ kind }) => kind === 'delete')) return false
    for await (const _ of merged(deps, at, { prefix: group, delimiter: '', startAfter }, signal)) return true
    return false
  }
}

/** What there is comes before what there is not. */
function compareNames(a: string | undefined, b: string | undefined): number {
  if (a === undefined || b === undefined) return Number(a === undefined) - Number(b === undefined)
  return compareKeys(a, b)
}

export function owed({ key, size, version, etag, storageClass }: OpenKey): ListEntry {
  const shown = { type: 'object' as const, key, size, modifiedAt: new Date(versionTime(version)), etag, version }
  return storageClass === undefined ? shown : { ...shown, storageClass }
}

/** Of our own objects, where the listing shows that they are: the ETag, version and time that `head` has. */
function listed(found: Listed): ListEntry {
  const { key, size, storageClass } = found
  const said = storageClass === undefined ? {} : { storageClass }
  const entry = found.entry === undefined ? undefined : entryThatCounts(found, found.entry)
  if (entry !== undefined) {
    const { etag, version } = entry
    return { type: 'object', key, size, modifiedAt: new Date(versionTime(version)), etag, version, ...said }
  }
  const etag = found.etag ?? found.attested.md5
  return { type: 'object', key, size, modifiedAt: found.modifiedAt, ...(etag === undefined ? {} : { etag }), ...said }
}

type Listed = Omit<RemoteEntry & { type: 'object' }, 'token' | 'type'>

function asListed(object: RemoteObject): Listed {
  const { key, size, modifiedAt, etag, attested, metadata, features } = object
  const { [entryName]: entry } = metadata
  const storageClass = features?.StorageClass
  return {
    key,
    size,
    modifiedAt,
    etag,
    attested,
    ...(entry === undefined ? {} : { entry }),
    ...(storageClass === undefined ? {} : { storageClass }),
  }
}
