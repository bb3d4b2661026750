import type { Reason } from '../../core/errors.ts'
import { nextVersion, type Version } from '../../core/version.ts'
import type { BodyFiles } from '../bodies.ts'
import type { Accepted, CachedBody, Decision, Evidence, Postponed, WriteBody, WriteRow } from '../contract.ts'
import type { IncomingWrite } from '../accept.ts'
import type { Ledger } from '../ledger.ts'
import { bitsOf, maskOf } from '../masks.ts'
import type { RestoredBody } from '../restore.ts'
import { asKept } from '../rows.ts'
import { demandCondition, demandLease, demandRoom, notUnique, vanished, writtenSince } from './refusals.ts'
import { type Entry, frozen, type MemoryTables } from './tables.ts'
import { trim } from './trim.ts'
import {
  addReplica,
  change,
  changeReplica,
  endUploadOf,
  entriesOf,
  filesInUse,
  giveBack,
  insert,
  isOver,
  masksOf,
  move,
  newestOf,
  refuse,
  remove,
  replicaAt,
  stagedBytes,
  supersede,
  trashFile,
} from './writes.ts'

/** Every change to writes and replicas, as `contract.ts` tells of it. */
export function memoryLedger(tables: MemoryTables, writer: string, bodies: BodyFiles): Ledger {
  const raiseHighest = (version: Version) => {
    if (version > tables.highest) tables.highest = version
  }

  const rememberDelete = (key: string, version: Version, at: number) => {
    if (version > (tables.deleted.get(key)?.version ?? '')) tables.deleted.set(key, { version, at })
  }

  const know = (key: string, provider: number, version: Version, token: string, at: number) => {
    const ofKey = tables.known.get(key) ?? new Map<number, { version: Version; token: string; at: number }>()
    tables.known.set(key, ofKey.set(provider, { version, token, at }))
  }

  const knownVersion = (key: string, provider: number) => tables.known.get(key)?.get(provider)?.version ?? ''

  const forget = (key: string, provider: number) => {
    const ofKey = tables.known.get(key)
    ofKey?.delete(provider)
    if (ofKey?.size === 0) tables.known.delete(key)
  }

  const putEvidence = (entry: Entry, provider: number, evidence: Evidence) => {
    const { key, kind, version } = entry.row
    const { token, proof, etag, partSize, storedAt, lookAt } = evidence
    if (!isOver(replicaAt(entry, provider)))
      changeReplica(entry, provider, {
        state: 'stored',
        notBefore: lookAt,
        reason: undefined,
        message: undefined,
        token,
        proof,
        etag,
        partSize,
        storedAt,
        upload: undefined,
      })
    if (kind === 'delete') forget(key, provider)
    else if (version >= knownVersion(key, provider)) know(key, provider, version, token, storedAt)
  }

  /** The write becomes a promise: it is counted, and older ones of its key are done with. */
  const open = (entry: Entry, now: number) => {
    const { key, version, kind, origin } = entry.row
    for (const older of entriesOf(tables, key))
      if (older.row.state === 'open' && older.row.version < version) supersede(tables, older)
    if (origin === 'app') tables.accepted++
    if (kind === 'delete') rememberDelete(key, version, now)
  }

  /** The write, where a change that follows an effect at a provider still matters: it may have ended meanwhile, or been given up there. */
  const affected = (token: number, seq: number, provider: number): Entry | undefined => {
    demandLease(tables, token)
    const entry = tables.writes.get(seq)
    const replica = entry === undefined ? undefined : replicaAt(entry, provider)
    return replica === undefined || replica.state === 'abandoned' ? undefined : entry
  }

  return {
    accept(write: IncomingWrite): Accepted {
      const { key, kind, body, condition } = write
      const files = filesOf(body)
      if (files.some(file => !bodies.has(file))) throw vanished(bodies.path, key)
      // The bytes of parts are in the stage already.
      if (kind === 'put' && body.in !== 'parts') demandRoom(stagedBytes(tables), write.size, write.maxStageBytes, key)
      demandCondition(write, newestOf(tables, key, 'open')?.row)
      const targets = maskOf(write.providers)
      if (write.origin === 'repair') demandNewest(tables, write, targets)
      if (body.in === 'file' && isBodyOfAnother(tables, body.file)) throw notUnique(`file ${body.file}`)

      const version = write.version ?? nextVersion(tables.highest || undefined, write.stampMs, writer)
      const seq = ++tables.lastSeq
      const row: WriteRow = {
        seq,
        key,
        version,
        kind,
        origin: write.origin,
        state: condition === undefined ? 'open' : 'tentative',
        condition: typeof condition === 'object' ? { version: condition.version } : condition,
        refusal: undefined,
        size: write.size,
        crc32c: write.crc32c,
        md5: write.md5,
        ...asKept(write),
        damaged: false,
        body: ownBody(body),
        acceptedAt: write.now,
        replicas: [],
      }
      const entry: Entry = { row: frozen(row), targets, parts: [], upload: undefined }
      insert(tables, entry)
      // Until the primary decided, nobody else gets it.
      for (const provider of condition === undefined ? write.providers : write.providers.slice(0, 1))
        addReplica(tables, entry, provider, write.damaged?.find(copy => copy.provider === provider)?.token)
      raiseHighest(version)
      if (condition === undefined) open(entry, write.now)
      return { seq, version, acceptedAt: write.now }
    },

    withdraw(seq: number): boolean {
      const entry = tables.writes.get(seq)
      const isBegun = entry?.row.replicas.some(({ state, attempt }) => state !== 'waiting' || attempt > 0)
      if (entry?.row.state !== 'tentative' || isBegun === true) return false
      trashFile(tables, entry, 'unlink')
      giveBack(tables, entry)
      remove(tables, entry)
      return true
    },

    observe: raiseHighest,

    touch(key: string, now: number): void {
      const cached = tables.cached.get(key)
      if (cached !== undefined) cached.usedAt = now
    },

    takeLease(): number {
      for (const bucket of tables.providers.values()) bucket.row = frozen({ ...bucket.row, health: undefined })
      // Nobody knows what became of what the last holder was sending.
      for (const entry of tables.writes.values())
        for (const { provider, state, attempt } of entry.row.replicas)
          if (state === 'sending')
            changeReplica(entry, provider, { state: 'waiting', attempt: attempt + 1, notBefore: 0 })
      return ++tables.lease
    },

    hasten(token: number, storedBefore: number, origin: 'repair' | undefined): void {
      demandLease(tables, token)
      for (const entry of tables.writes.values()) {
        if (entry.row.kind === 'delete' || entry.row.origin !== (origin ?? entry.row.origin)) continue
        for (const { provider, state, storedAt } of entry.row.replicas)
          if (state === 'stored' && storedAt !== undefined && storedAt < storedBefore)
            changeReplica(entry, provider, { notBefore: 0 })
      }
    },

    sending(token: number, seq: number, provider: number): boolean {
      const entry = affected(token, seq, provider)
      if (entry !== undefined) move(entry, provider, { state: 'sending' })
      return entry !== undefined
    },

    stored(token: number, seq: number, provider: number, evidence: Evidence): void {
      const entry = affected(token, seq, provider)
      if (entry !== undefined) putEvidence(entry, provider, evidence)
    },

    verified(token: number, seq: number, provider: number): void {
      const entry = affected(token, seq, provider)
      // The look may have been at a bucket that is another one by now.
      if (entry !== undefined && replicaAt(entry, provider)?.state === 'stored')
        move(entry, provider, { state: 'verified' })
    },

    again(token: number, seq: number, provider: number, message: string): void {
      const entry = affected(token, seq, provider)
      if (entry === undefined) return
      forget(entry.row.key, provider)
      move(entry, provider, { state: 'waiting', message })
    },

    postpone(token: number, seq: number, provider: number, until: Postponed): void {
      const entry = affected(token, seq, provider)
      if (entry === undefined) return
      const state = replicaAt(entry, provider)?.state === 'stored' ? 'stored' : 'waiting'
      const { notBefore, attempt, reason, message } = until
      move(entry, provider, { state, notBefore, attempt, reason, message })
    },

    block(token: number, seq: number, provider: number, reason: Reason, message: string): void {
      const entry = affected(token, seq, provider)
      if (entry !== undefined) move(entry, provider, { state: 'blocked', reason, message })
    },

    hurry(token: number, provider: number): void {
      demandLease(tables, token)
      for (const entry of tables.writes.values())
        if (replicaAt(entry, provider)?.state === 'waiting') changeReplica(entry, provider, { notBefore: 0 })
    },

    unblock(token: number, provider: number, reasons: readonly Reason[] | undefined): number {
      demandLease(tables, token)
      let count = 0
      for (const entry of tables.writes.values()) {
        const replica = replicaAt(entry, provider)
        if (replica?.state !== 'blocked') continue
        if (reasons !== undefined && !reasons.includes(replica.reason as Reason)) continue
        move(entry, provider, { state: 'waiting' })
        count++
      }
      return count
    },

    overtaken(token: number, seq: number, by: Version, provider: number, now: number): void {
      demandLease(tables, token)
      raiseHighest(by)
      const entry = tables.writes.get(seq)
      // Given up there while it was asked: what that one has settles nothing for the others any more.
      if (entry?.row.state !== 'open' || replicaAt(entry, provider)?.state === 'abandoned') return
      supersede(tables, entry)
      const { key } = entry.row
      if (by > knownVersion(key, provider)) know(key, provider, by, '', now)
    },

    saveUpload(token: number, seq: number, provider: number, upload: string | undefined): void {
      const entry = affected(token, seq, provider)
      if (entry !== undefined) changeReplica(entry, provider, { upload })
    },

    restore(token: number, seq: number, body: RestoredBody): boolean {
      demandLease(tables, token)
      const entry = tables.writes.get(seq)
      return entry !== undefined && restore(tables, bodies, entry, body)
    },

    decide(token: number, seq: number, decision: Decision, now: number): void {
      demandLease(tables, token)
      const entry = tables.writes.get(seq)
      if (entry?.row.state !== 'tentative') return
      if (!decision.kept) {
        refuse(tables, entry, decision.refusal, now)
        return
      }
      endUploadOf(tables, entry)
      change(entry, { state: 'open' })
      for (const provider of bitsOf(entry.targets)) addReplica(tables, entry, provider)
      putEvidence(entry, decision.provider, decision.evidence)
      open(entry, now)
      // A write that was accepted while this one was being decided is newer: this one is done with.
      const newest = newestOf(tables, entry.row.key, 'open')
      if (newest !== undefined && newest.row.version > entry.row.version) supersede(tables, entry)
    },

    release(token: number, writes: readonly { seq: number; cache: boolean }[], now: number): void {
      demandLease(tables, token)
      for (const { seq, cache } of writes) {
        const entry = tables.writes.get(seq)
        if (entry !== undefined && entry.row.state !== 'tentative') releaseOne(tables, entry, cache, now)
      }
    },

    emptied(token: number, files: readonly string[]): void {
      demandLease(tables, token)
      for (const file of files) tables.trash.delete(file)
    },

    collect(token: number, files: readonly string[]): string[] {
      demandLease(tables, token)
      const used = filesInUse(tables)
      const orphans = files.filter(file => !used.has(file))
      for (const file of orphans) {
        try {
          bodies.unlink(file)
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
        }
      }
      return orphans
    },

    trim(token: number, limits: { deletedBefore: number; knownRows: number; cacheBytes: number }): string[] {
      demandLease(tables, token)
      return trim(tables, limits)
    },
  }
}

/** A repair is the newest that there is of its key, and on its way to none of its providers yet; or it is none. */
function demandNewest(tables: MemoryTables, write: IncomingWrite, targets: number): void {
  const { key, kind, version = '' } = write
  const isThere = ({ row, targets: others }: Entry) =>
    row.state === 'open' && (row.version > version || (row.version === version && (others & targets) !== 0))
  const deleted = tables.deleted.get(key)?.version ?? ''
  // The same delete may still have to be brought to a provider.
  const isDeleted = kind === 'delete' ? deleted > version : deleted >= version
  if (isDeleted || [...entriesOf(tables, key)].some(isThere)) throw writtenSince(key)
}

/** Another body for an open put. False: nothing was changed. */
function restore(tables: MemoryTables, bodies: BodyFiles, entry: Entry, body: RestoredBody): boolean {
  const { row } = entry
  if (row.state !== 'open' || row.kind !== 'put') return false
  if (body.in === 'file') {
    if ((row.body.in === 'file' && row.body.file === body.file) || !bodies.has(body.file)) return false
    if (isBodyOfAnother(tables, body.file)) throw notUnique(`file ${body.file}`)
  }
  trashFile(tables, entry, 'unlink')
  for (const { file } of entry.parts) tables.trash.set(file, 'unlink')
  entry.parts = []
  change(entry, { body: ownBody(body) })
  for (const { provider, state, reason } of entry.row.replicas) {
    if (state !== 'waiting' && state !== 'sending' && state !== 'blocked') continue
    changeReplica(entry, provider, { upload: undefined })
    if (reason === 'LOCAL_CORRUPT' && state !== 'sending') move(entry, provider, { state: 'waiting' })
  }
  return true
}

function releaseOne(tables: MemoryTables, entry: Entry, cache: boolean, now: number): void {
  const { row } = entry
  const { waiting, blocked, stored } = masksOf(row)
  const isOpen = row.state === 'open'
  // Verified everywhere when somebody looked; since then a provider has another bucket, and lacks it.
  if (isOpen && (waiting | blocked | stored) !== 0) return
  if (isOpen && row.origin === 'app') tables.done++
  const isKept = cache && isOpen
  if (isKept && row.kind === 'put' && row.body.in !== 'parts') {
    const before = tables.cached.get(row.key)?.body.body
    if (before?.in === 'file') tables.trash.set(before.file, 'unlink')
    tables.cached.delete(row.key)
    tables.cached.set(row.key, { body: frozen(asCached(row)), usedAt: now })
  }
  trashFile(tables, entry, isKept ? 'cache' : 'unlink')
  for (const { file } of entry.parts) tables.trash.set(file, 'unlink')
  remove(tables, entry)
}

function asCached(row: WriteRow): CachedBody {
  const { key, version, body, size, crc32c, md5, attributes, layout, keepsLayout, features } = row
  return { key, version, body, size, crc32c, md5, attributes, layout, keepsLayout, features }
}

/** Names in `bodies/`. */
function filesOf(body: WriteBody): readonly string[] {
  if (body.in === 'parts') return body.parts.map(({ file }) => file)
  return body.in === 'file' ? [body.file] : []
}

function isBodyOfAnother(tables: MemoryTables, file: string): boolean {
  for (const { row } of tables.writes.values()) if (row.body.in === 'file' && row.body.file === file) return true
  return false
}

/** The caller may do with its own what it likes. */
function ownBody(body: WriteBody): WriteBody {
  if (body.in === 'row') return { in: 'row', bytes: Buffer.from(body.bytes) }
  if (body.in !== 'parts') return { ...body }
  return { in: 'parts', parts: body.parts.map(({ file, size, crc32c, md5 }) => ({ file, size, crc32c, md5 })) }
}
