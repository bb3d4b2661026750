import type { Refusal, ReplicaRow, WriteRow } from '../contract.ts'
import { bit } from '../masks.ts'
import { type Entry, frozen, type MemoryTables } from './tables.ts'

/** Writes and their replicas, and what follows when one of them ends. */

/** Where the replicas of a write stand. They follow from the replicas, always; here they are counted each time. */
export interface Masks {
  readonly waiting: number
  readonly blocked: number
  readonly stored: number
}

export function masksOf({ replicas }: WriteRow): Masks {
  let waiting = 0
  let blocked = 0
  let stored = 0
  for (const { provider, state } of replicas) {
    if (state === 'waiting' || state === 'sending') waiting |= bit(provider)
    else if (state === 'blocked') blocked |= bit(provider)
    else if (state === 'stored') stored |= bit(provider)
  }
  return { waiting, blocked, stored }
}

/** An accepted write, or one that will be: it is not finished. */
export function isGoing({ state }: WriteRow): boolean {
  return state === 'open' || state === 'tentative'
}

export function entriesOf(tables: MemoryTables, key: string): Iterable<Entry> {
  return tables.byKey.get(key) ?? []
}

/** The newest of the app's writes of this key that are in this state. */
export function newestOf(tables: MemoryTables, key: string, state: WriteRow['state']): Entry | undefined {
  let newest: Entry | undefined
  for (const entry of entriesOf(tables, key)) {
    const { row } = entry
    if (row.state === state && row.origin === 'app' && row.version > (newest?.row.version ?? '')) newest = entry
  }
  return newest
}

export function insert(tables: MemoryTables, entry: Entry): void {
  const { seq, key } = entry.row
  tables.writes.set(seq, entry)
  const ofKey = tables.byKey.get(key)
  if (ofKey === undefined) tables.byKey.set(key, new Set([entry]))
  else ofKey.add(entry)
}

/** The row goes; what it had is for the caller to see to. */
export function remove(tables: MemoryTables, entry: Entry): void {
  const { seq, key } = entry.row
  tables.writes.delete(seq)
  const ofKey = tables.byKey.get(key)
  ofKey?.delete(entry)
  if (ofKey?.size === 0) tables.byKey.delete(key)
}

export function change(entry: Entry, to: Partial<WriteRow>): void {
  entry.row = frozen({ ...entry.row, ...to })
}

export function replicaAt({ row }: Entry, provider: number): ReplicaRow | undefined {
  return row.replicas.find(replica => replica.provider === provider)
}

const fresh: Omit<ReplicaRow, 'provider'> = {
  state: 'waiting',
  attempt: 0,
  notBefore: 0,
  reason: undefined,
  message: undefined,
  token: undefined,
  proof: undefined,
  etag: undefined,
  partSize: undefined,
  storedAt: undefined,
  upload: undefined,
  isConfirmed: false,
}

/** The write goes to this provider too, if it does not yet. One that was retired shows by this that it is in use after all. */
export function addReplica(tables: MemoryTables, entry: Entry, provider: number, token?: string): void {
  if (replicaAt(entry, provider) !== undefined) return
  const replicas = [...entry.row.replicas, { ...fresh, provider, token }]
  change(entry, { replicas: replicas.sort((a, b) => a.provider - b.provider) })
  const bucket = tables.providers.get(provider)
  if (bucket?.isRetired !== true) return
  bucket.isRetired = false
  bucket.row = frozen({ ...bucket.row, isFilled: false })
}

export function changeReplica(entry: Entry, provider: number, to: Partial<ReplicaRow>): void {
  change(entry, {
    replicas: entry.row.replicas.map(each => (each.provider === provider ? { ...each, ...to } : each)),
  })
}

/** Moves a replica on, and forgets why it stood where it was. Nothing moves one that was superseded or abandoned. */
export function move(
  entry: Entry,
  provider: number,
  to: Pick<ReplicaRow, 'state'> & Partial<Pick<ReplicaRow, 'attempt' | 'notBefore' | 'reason' | 'message'>>,
): void {
  if (!isOver(replicaAt(entry, provider)))
    changeReplica(entry, provider, { notBefore: 0, reason: undefined, message: undefined, ...to })
}

export function isOver(replica: ReplicaRow | undefined): boolean {
  return replica === undefined || replica.state === 'superseded' || replica.state === 'abandoned'
}

/** The write is to go nowhere any more. */
export function supersede(tables: MemoryTables, entry: Entry): void {
  const replicas = entry.row.replicas.map(each =>
    each.state === 'abandoned' ? each : { ...each, state: 'superseded' as const },
  )
  change(entry, { state: 'superseded', replicas })
  if (entry.row.origin === 'app') tables.superseded++
}

/** A tentative write that did not happen, or of which nobody knows: its body goes, its row stays for whoever waits to hear of it. */
export function refuse(tables: MemoryTables, entry: Entry, refusal: Refusal, now: number): void {
  const { row } = entry
  trashFile(tables, entry, 'unlink')
  giveBack(tables, entry)
  const layout = row.keepsLayout ? row.layout : { etag: row.md5, parts: [{ count: 1, bytes: 0 }] }
  change(entry, {
    state: 'refused',
    refusal: { ...refusal },
    body: { in: 'none' },
    size: 0,
    layout,
    acceptedAt: now,
    replicas: [],
  })
}

export function trashFile(tables: MemoryTables, { row: { body } }: Entry, to: 'unlink' | 'cache'): void {
  if (body.in === 'file') tables.trash.set(body.file, to)
}

/** A write did not happen after all: the upload that it was made of is open again, as it was. */
export function giveBack(tables: MemoryTables, entry: Entry): void {
  const upload = entry.upload === undefined ? undefined : tables.uploads.get(entry.upload)
  if (upload === undefined) return
  for (const part of entry.parts) upload.parts.set(part.number, part)
  upload.seq = undefined
  entry.parts = []
  entry.upload = undefined
}

/** A write is decided: nothing goes back to its upload any more, which ends with the parts that were left out. */
export function endUploadOf(tables: MemoryTables, entry: Entry): void {
  if (entry.upload !== undefined) dropUpload(tables, entry.upload)
  entry.upload = undefined
}

/** An upload, with the parts that are still its own. */
export function dropUpload(tables: MemoryTables, id: string): void {
  for (const { file } of tables.uploads.get(id)?.parts.values() ?? []) tables.trash.set(file, 'unlink')
  tables.uploads.delete(id)
}

/** Bytes on local disk that the stage's bound is about: bodies of writes, and parts of open uploads. */
export function stagedBytes({ writes, uploads }: MemoryTables): number {
  let bytes = 0
  for (const { row } of writes.values()) bytes += row.size
  for (const { parts } of uploads.values()) for (const { size } of parts.values()) bytes += size
  return bytes
}

/** Every file that some row needs, or that is on its way out. */
export function filesInUse({ writes, uploads, cached, trash }: MemoryTables): Set<string> {
  const files = new Set(trash.keys())
  for (const { row, parts } of writes.values()) {
    if (row.body.in === 'file') files.add(row.body.file)
    for (const { file } of parts) files.add(file)
  }
  for (const { parts } of uploads.values()) for (const { file } of parts.values()) files.add(file)
  for (const { body } of cached.values()) if (body.body.in === 'file') files.add(body.body.file)
  return files
}
