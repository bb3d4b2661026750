import { compareKeys } from '../../core/key.ts'
import {
  type BlockedGroup,
  type CountGroup,
  type Counts,
  type DueQuery,
  type KeyView,
  type OpenKey,
  type ProviderRow,
  type ReplicaRow,
  type Task,
  type WriteBody,
  type WriteRow,
  refusedKeptMs,
} from '../contract.ts'
import type { Looking } from '../engine.ts'
import { bit, bitsOf } from '../masks.ts'
import { memoryLookSettled } from './look-settled.ts'
import type { Entry, MemoryTables, Upload } from './tables.ts'
import { entriesOf, isGoing, type Masks, masksOf, newestOf } from './writes.ts'

/** A write as young as this goes before the backlog, where fresh ones are asked for. */
const freshMs = 10_000
/** Writes that `withBodies` answers at once. */
const pageOfBodies = 100

interface Place {
  readonly entry: Entry
  readonly replica: ReplicaRow
}

/** Everything that only looks, as `contract.ts` tells of it. Rows are frozen, and bytes are the caller's own: nobody can change what is committed. */
export function memoryLooking(tables: MemoryTables): Looking {
  /** Of this provider, in order of seq. */
  const replicasOf = (provider: number, state: ReplicaRow['state'], until: number): Place[] => {
    const found: Place[] = []
    for (const entry of tables.writes.values())
      for (const replica of entry.row.replicas)
        if (replica.provider === provider && replica.state === state && replica.notBefore <= until)
          found.push({ entry, replica })
    return found
  }
  const oldestFirst = (places: Place[]) => places.sort((a, b) => a.replica.notBefore - b.replica.notBefore)

  /** What a condition speaks of may be still on its way to the provider: it goes first. */
  const isBehindAnother = ({ state, key, version }: WriteRow, provider: number): boolean => {
    if (state !== 'tentative') return false
    for (const { row } of entriesOf(tables, key)) {
      const { waiting, blocked } = masksOf(row)
      if (row.state === 'open' && row.version < version && ((waiting | blocked) & bit(provider)) !== 0) return true
    }
    return false
  }

  /** The first of them that can be begun now. */
  const tasks = (found: readonly Place[], { limit, except, provider }: DueQuery): Task[] => {
    const keys = new Set(except)
    const chosen: Task[] = []
    for (const { entry, replica } of found) {
      if (chosen.length >= limit) break
      const { key } = entry.row
      if (keys.has(key) || isBehindAnother(entry.row, provider)) continue
      keys.add(key)
      const known = tables.known.get(key)?.get(provider)
      const isThere = known !== undefined && known.token !== ''
      chosen.push({
        write: shown(entry),
        replica,
        known: isThere ? { version: known.version, token: known.token } : undefined,
      })
    }
    return chosen
  }

  const openWrites = (is: (row: WriteRow) => boolean, limit: number): WriteRow[] => {
    const found: WriteRow[] = []
    for (const entry of tables.writes.values()) {
      if (found.length >= limit) break
      if (is(entry.row)) found.push(shown(entry))
    }
    return found
  }

  return {
    view(key: string): KeyView {
      const open = newestOf(tables, key, 'open')
      const tentative = newestOf(tables, key, 'tentative')
      const deleted = tables.deleted.get(key)?.version
      const known = [...(tables.known.get(key)?.values() ?? [])].map(({ version }) => version)
      const cached = tables.cached.get(key)?.body
      return {
        open: open && shown(open),
        tentative: tentative && shown(tentative),
        deleted,
        newest: greatest([open?.row.version, deleted, ...known]),
        cached: cached && { ...cached, body: ownBytes(cached.body) },
      }
    },

    openKeys(prefix: string, after: string, limit: number): OpenKey[] {
      const found: WriteRow[] = []
      for (const [key, entries] of tables.byKey) {
        if (!key.startsWith(prefix) || compareKeys(key, after) <= 0) continue
        for (const { row } of entries) if (row.state === 'open' && row.origin === 'app') found.push(row)
      }
      return found
        .sort((a, b) => compareKeys(a.key, b.key))
        .slice(0, limit)
        .map(asOpenKey)
    },

    upload: id => openUpload(tables.uploads.get(id))?.row,
    uploadedParts: id => [...(openUpload(tables.uploads.get(id))?.parts.values() ?? [])].sort(byNumber),
    uploads: prefix =>
      [...tables.uploads.values()]
        .filter(upload => upload.seq === undefined && upload.row.key.startsWith(prefix))
        .map(({ row }) => row)
        .sort((a, b) => compareKeys(a.key, b.key) || a.createdAt - b.createdAt || compareKeys(a.id, b.id)),

    write(seq: number): WriteRow | undefined {
      const entry = tables.writes.get(seq)
      return entry && shown(entry)
    },

    counts: () => countsOf(tables),
    stagedBytes: () => countsOf(tables).groups.reduce((sum, { bytes }) => sum + bytes, 0),
    heldBytes: origin =>
      countsOf(tables)
        .groups.filter(group => isHeld(group) && group.origin === (origin ?? group.origin))
        .reduce((sum, { bytes }) => sum + bytes, 0),
    blocked: () => blockedOf(tables),
    providers: (): readonly ProviderRow[] =>
      [...tables.providers.values()]
        .filter(({ isRetired }) => !isRetired)
        .map(({ row }) => row)
        .sort((a, b) => a.id - b.id),
    leaseToken: () => tables.lease,

    due(query: DueQuery): Task[] {
      const { provider, now, order } = query
      const places = replicasOf(provider, 'waiting', now)
      const tentative = places.filter(({ entry }) => entry.row.state === 'tentative')
      const rest = order === 'oldest' ? oldestFirst(places) : freshOf(places, now)
      return tasks([...tentative, ...rest], query)
    },

    looks: query => tasks(oldestFirst(replicasOf(query.provider, 'stored', query.now)), query),

    nextAt(provider: number): number | undefined {
      let next = Number.POSITIVE_INFINITY
      for (const { row } of tables.writes.values())
        for (const replica of row.replicas)
          if (replica.provider === provider && (replica.state === 'waiting' || replica.state === 'stored'))
            next = Math.min(next, replica.notBefore)
      return next === Number.POSITIVE_INFINITY ? undefined : next
    },

    releasable: limit =>
      openWrites(isReleasable, limit).map(({ seq, key, version, origin }) => ({ seq, key, version, origin })),
    superseded: (now, limit) =>
      openWrites(
        ({ state, acceptedAt }) => state === 'superseded' || (state === 'refused' && acceptedAt < now - refusedKeptMs),
        limit,
      ),
    trash: limit =>
      [...tables.trash]
        .sort(([a], [b]) => compareKeys(a, b))
        .slice(0, limit)
        .map(([file, to]) => ({ file, to })),
    withBodies: after => openWrites(row => row.seq > after && isGoing(row) && row.kind === 'put', pageOfBodies),

    ...memoryLookSettled(tables),
    close: () => {},
  }
}

/** The newest, down to the first that is not fresh any more. */
function freshOf(places: readonly Place[], now: number): Place[] {
  const newestFirst = places.toReversed()
  const end = newestFirst.findIndex(({ entry }) => entry.row.acceptedAt <= now - freshMs)
  return end < 0 ? newestFirst : newestFirst.slice(0, end)
}

/** The row as anybody may have it. */
function shown({ row }: Entry): WriteRow {
  return row.body.in === 'row' ? { ...row, body: ownBytes(row.body) } : row
}

function ownBytes(body: WriteBody): WriteBody {
  return body.in === 'row' ? { in: 'row', bytes: Buffer.from(body.bytes) } : body
}

function openUpload(upload: Upload | undefined): Upload | undefined {
  return upload?.seq === undefined ? upload : undefined
}

function byNumber(a: { readonly number: number }, b: { readonly number: number }): number {
  return a.number - b.number
}

function greatest(versions: readonly (string | undefined)[]): string | undefined {
  return versions
    .filter(version => version !== undefined)
    .reduce<string | undefined>((a, b) => (a !== undefined && a > b ? a : b), undefined)
}

function isReleasable(row: WriteRow): boolean {
  const { waiting, blocked, stored } = masksOf(row)
  return row.state === 'open' && (waiting | blocked | stored) === 0
}

function asOpenKey(row: WriteRow): OpenKey {
  const { key, kind, version, size, layout, features } = row
  const { waiting, blocked } = masksOf(row)
  const storageClass = features?.s3?.StorageClass
  return { key, kind, version, size, etag: layout.etag, storageClass, missingAt: bitsOf(waiting | blocked) }
}

/** Counted anew each time: what the contract says of the counters is that they are this. */
function countsOf(tables: MemoryTables): Counts {
  const groups = new Map<string, Counted>()
  const count = (origin: CountGroup['origin'], state: CountGroup['state'], masks: Masks, size: number) => {
    const { waiting, blocked, stored } = masks
    const id = `${origin} ${state} ${waiting} ${blocked} ${stored}`
    const group = groups.get(id)
    if (group === undefined) groups.set(id, { origin, state, waiting, blocked, stored, writes: 1, bytes: size })
    else {
      group.writes++
      group.bytes += size
    }
  }
  let oldestWaitingAt: number | undefined
  for (const { row } of tables.writes.values()) {
    const masks = isGoing(row) ? masksOf(row) : none
    count(row.origin, row.state, masks, row.size)
    if (row.state === 'open' && masks.waiting !== 0) oldestWaitingAt ??= row.acceptedAt
  }
  for (const { parts } of tables.uploads.values())
    for (const { size } of parts.values()) count('app', 'upload', none, size)
  const { accepted, done, superseded, abandonedEver: abandoned } = tables
  return { accepted, done, superseded, abandoned, groups: [...groups.values()].sort(byPlace), oldestWaitingAt }
}

/** Stored everywhere, and kept for the second look. */
function isHeld({ state, waiting, blocked, stored }: CountGroup): boolean {
  return state === 'open' && waiting === 0 && blocked === 0 && stored !== 0
}

interface Counted extends CountGroup {
  writes: number
  bytes: number
}

const none = { waiting: 0, blocked: 0, stored: 0 } as const

function byPlace(a: CountGroup, b: CountGroup): number {
  return (
    compareKeys(a.origin, b.origin) ||
    compareKeys(a.state, b.state) ||
    a.waiting - b.waiting ||
    a.blocked - b.blocked ||
    a.stored - b.stored
  )
}

function blockedOf(tables: MemoryTables): BlockedGroup[] {
  const groups = new Map<string, BlockedGroup>()
  for (const { row } of tables.writes.values())
    for (const { provider, state, reason } of row.replicas) {
      if (state !== 'blocked' || reason === undefined) continue
      const id = `${provider} ${reason}`
      groups.set(id, { provider, reason, writes: (groups.get(id)?.writes ?? 0) + 1 })
    }
  return [...groups.values()].sort((a, b) => a.provider - b.provider || compareKeys(a.reason, b.reason))
}
