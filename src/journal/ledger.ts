import type { Database } from 'better-sqlite3'
import type { Reason } from '../core/errors.ts'
import type { Version } from '../core/version.ts'
import { accepting, type IncomingWrite } from './accept.ts'
import type { BodyFiles } from './bodies.ts'
import type { Accepted, Decision, Evidence, Postponed } from './contract.ts'
import { fence } from './fence.ts'
import { bitsOf } from './masks.ts'
import { partRows } from './parts.ts'
import { promisedRows } from './promised.ts'
import { refusal } from './refusal.ts'
import { replicaRows, type StandingReplica } from './replicas.ts'
import { type RestoredBody, restoring } from './restore.ts'
import type { WriteRecord } from './rows.ts'

type WriteHead = Pick<WriteRecord, 'key' | 'version' | 'kind'>
type WriteStanding = Omit<WriteHead, 'version'> &
  Pick<WriteRecord, 'origin' | 'state' | 'file' | 'parts' | 'waiting' | 'blocked' | 'stored'>

/**
 * Every change to the journal, as a function inside the transaction of the moment. A function throws a HoldfastError only before its first
 * change, so that one refused change leaves the others of its transaction alone.
 */
export function ledger(database: Database, writer: string, bodies: BodyFiles) {
  const requireLease = fence(database)
  const parts = partRows(database)
  const replicas = replicaRows(database)
  const rows = promisedRows(database)
  const refuse = refusal(database)
  const putBody = restoring(database, bodies)
  const take = accepting(database, writer, bodies)
  const sql = <Row = unknown>(text: string) => database.prepare<unknown[], Row>(text)
  const getMeta = sql<number | string>('SELECT value FROM meta WHERE name = ?').pluck()
  const addMeta = sql('UPDATE meta SET value = value + ? WHERE name = ?')
  const getWrite = sql<WriteRecord>('SELECT * FROM writes WHERE seq = ?')
  // Without its body, which would be copied.
  const getHead = sql<WriteHead>('SELECT key, version, kind FROM writes WHERE seq = ?')
  const getStanding = sql<WriteStanding>(
    'SELECT key, kind, origin, state, file, parts, waiting, blocked, stored FROM writes WHERE seq = ?',
  )
  const newestOpen = sql<WriteRecord>(
    "SELECT * FROM writes WHERE key = ? AND state = 'open' AND origin = 'app' ORDER BY version DESC LIMIT 1",
  )
  const rememberKnown = sql(
    'INSERT INTO known VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET version = excluded.version, token = excluded.token, at = excluded.at WHERE excluded.version >= version',
  )
  /** Only its version was seen: reads do not go below it. */
  const noteSeen = sql(
    "INSERT INTO known VALUES (?, ?, ?, '', ?) ON CONFLICT DO UPDATE SET version = excluded.version, token = '', at = excluded.at WHERE excluded.version > version",
  )
  const forgetKnown = sql('DELETE FROM known WHERE key = ? AND provider = ?')
  const setEvidence = sql(
    `UPDATE replicas SET state = 'stored', not_before = ?, reason = NULL, message = NULL, token = ?, proof = ?, etag = ?,
     part_size = ?, stored_at = ?, upload = NULL WHERE seq = ? AND provider = ? AND state NOT IN ('superseded', 'abandoned')`,
  )
  const deleteWrite = sql('DELETE FROM writes WHERE seq = ?')
  const deleteReplicas = sql('DELETE FROM replicas WHERE seq = ?')
  const addTrash = sql('INSERT INTO trash VALUES (?, ?) ON CONFLICT DO UPDATE SET "to" = excluded."to"')
  const removeTrash = sql('DELETE FROM trash WHERE file = ?')
  const cachedFile = sql<string | null>('SELECT file FROM cached WHERE key = ?').pluck()
  const addCached = sql(
    'INSERT OR REPLACE INTO cached SELECT key, version, body, file, size, crc32c, md5, attributes, ? FROM writes WHERE seq = ?',
  )
  const useCached = sql('UPDATE cached SET used_at = ? WHERE key = ?')
  const fileInUse = sql<number>(
    `SELECT (SELECT count(*) FROM writes WHERE file = @file) + (SELECT count(*) FROM parts WHERE file = @file)
     + (SELECT count(*) FROM cached WHERE file = @file) + (SELECT count(*) FROM trash WHERE file = @file)`,
  ).pluck()

  /** For changes that follow an effect at a provider: a write that ended meanwhile, or was given up there, is no error. Undefined: that happened. */
  const goingOn = (token: number, seq: number, provider: number): StandingReplica | undefined => {
    requireLease(token)
    const replica = replicas.get(seq, provider)
    return replica?.state === 'abandoned' ? undefined : replica
  }

  const change = (token: number, seq: number, provider: number, set: (before: StandingReplica) => void): void => {
    const replica = goingOn(token, seq, provider)
    if (replica === undefined) return
    set(replica)
    replicas.recount(seq)
  }

  const dropBody = (file: string | null, to: 'unlink' | 'cache') => {
    if (file !== null) addTrash.run(file, to)
  }

  const putEvidence = (seq: number, { key, version, kind }: WriteHead, provider: number, evidence: Evidence) => {
    const { lookAt, token, proof, etag = null, partSize = null, storedAt } = evidence
    setEvidence.run(lookAt, token, proof, etag, partSize, storedAt, seq, provider)
    if (kind === 'put') rememberKnown.run(key, provider, version, token, storedAt)
    else forgetKnown.run(key, provider)
  }

  return {
    accept: (write: IncomingWrite): Accepted => take(write),

    withdraw(seq: number): boolean {
      const write = getWrite.get(seq)
      const begun = replicas
        .ofWrite(seq)
        .some(({ provider, state }) => state !== 'waiting' || (replicas.get(seq, provider)?.attempt ?? 0) > 0)
      if (write?.state !== 'tentative' || begun) return false
      dropBody(write.file, 'unlink')
      parts.returnFrom(seq)
      deleteReplicas.run(seq)
      deleteWrite.run(seq)
      return true
    },

    observe(version: Version): void {
      rows.raiseHighest(version)
    },

    touch(key: string, now: number): void {
      useCached.run(now, key)
    },

    takeLease(): number {
      addMeta.run(1, 'lease')
      // What the last holder knew of the providers' health is not known of now.
      sql('UPDATE providers SET health = NULL').run()
      // What the last holder was sending has an unknown outcome: it is tried again, and the provider is asked first.
      sql("UPDATE replicas SET state = 'waiting', attempt = attempt + 1, not_before = 0 WHERE state = 'sending'").run()
      return getMeta.get('lease') as number
    },

    hasten(token: number, storedBefore: number, origin: 'repair' | undefined): void {
      requireLease(token)
      sql(
        `UPDATE replicas SET not_before = 0 WHERE state = 'stored' AND not_before > 0 AND stored_at < ?
         AND seq IN (SELECT seq FROM writes WHERE kind = 'put' AND origin = coalesce(?, origin))`,
      ).run(storedBefore, origin ?? null)
    },

    sending(token: number, seq: number, provider: number): boolean {
      const replica = goingOn(token, seq, provider)
      if (replica === undefined) return false
      replicas.move(seq, provider, { state: 'sending' })
      // What is being sent is waited for as before.
      if (replica.state !== 'waiting') replicas.recount(seq)
      return true
    },

    stored(token: number, seq: number, provider: number, evidence: Evidence): void {
      change(token, seq, provider, () => putEvidence(seq, getHead.get(seq) as WriteHead, provider, evidence))
    },

    verified(token: number, seq: number, provider: number): void {
      // The look may have been at a bucket that is another one by now.
      change(token, seq, provider, before => {
        if (before.state === 'stored') replicas.move(seq, provider, { state: 'verified' })
      })
    },

    again(token: number, seq: number, provider: number, message: string): void {
      change(token, seq, provider, () => {
        const write = getHead.get(seq)
        if (write !== undefined) forgetKnown.run(write.key, provider)
        replicas.move(seq, provider, { state: 'waiting', message })
      })
    },

    postpone(token: number, seq: number, provider: number, until: Postponed): void {
      change(token, seq, provider, before => {
        const state = before.state === 'stored' ? 'stored' : 'waiting'
        replicas.move(seq, provider, { state, ...until, reason: until.reason ?? null })
      })
    },

    block(token: number, seq: number, provider: number, reason: Reason, message: string): void {
      change(token, seq, provider, () => replicas.move(seq, provider, { state: 'blocked', reason, message }))
    },

    hurry(token: number, provider: number): void {
      requireLease(token)
      sql("UPDATE replicas SET not_before = 0 WHERE provider = ? AND state = 'waiting' AND not_before > 0").run(
        provider,
      )
    },

    unblock(token: number, provider: number, reasons: readonly Reason[] | undefined): number {
      requireLease(token)
      const rows = sql<{ seq: number; reason: Reason }>(
        "SELECT seq, reason FROM replicas WHERE provider = ? AND state = 'blocked'",
      ).all(provider)
      const wanted = rows.filter(({ reason }) => reasons === undefined || reasons.includes(reason))
      for (const { seq } of wanted) {
        replicas.move(seq, provider, { state: 'waiting' })
        replicas.recount(seq)
      }
      return wanted.length
    },

    overtaken(token: number, seq: number, by: Version, provider: number, now: number): void {
      requireLease(token)
      rows.raiseHighest(by)
      // Given up there while it was asked: what that one has settles nothing for the others any more.
      if (replicas.get(seq, provider)?.state === 'abandoned') return
      const write = getWrite.get(seq)
      if (write?.state !== 'open') return
      replicas.supersede(seq, write.origin)
      noteSeen.run(write.key, provider, by, now)
    },

    saveUpload(token: number, seq: number, provider: number, upload: string | undefined): void {
      requireLease(token)
      sql("UPDATE replicas SET upload = ? WHERE seq = ? AND provider = ? AND state != 'abandoned'").run(
        upload ?? null,
        seq,
        provider,
      )
    },

    restore(token: number, seq: number, body: RestoredBody): boolean {
      requireLease(token)
      return putBody(seq, body)
    },

    decide(token: number, seq: number, decision: Decision, now: number): void {
      requireLease(token)
      const write = getWrite.get(seq)
      if (write?.state !== 'tentative') return
      if (!decision.kept) {
        refuse(write, decision.refusal, now)
        return
      }
      sql("UPDATE writes SET state = 'open' WHERE seq = ?").run(seq)
      parts.keepFor(seq)
      for (const provider of bitsOf(write.targets)) rows.addReplica(seq, provider, null)
      putEvidence(seq, write, decision.provider, decision.evidence)
      replicas.recount(seq)
      rows.promised(write, now)
      // A write that was accepted while this one was being decided is newer: this one is done with.
      const newest = newestOpen.get(write.key)
      if (newest !== undefined && newest.version > write.version) replicas.supersede(seq, write.origin)
    },

    release(token: number, writes: readonly { seq: number; cache: boolean }[], now: number): void {
      requireLease(token)
      for (const { seq, cache } of writes) {
        const write = getStanding.get(seq)
        if (write === undefined || write.state === 'tentative') continue
        // Verified everywhere when somebody looked; since then a provider has another bucket, and lacks it.
        if (write.state === 'open' && (write.waiting | write.blocked | write.stored) !== 0) continue
        if (write.state === 'open' && write.origin === 'app') addMeta.run(1, 'done')
        // A body in parts is never cached.
        if (cache && write.state === 'open' && write.kind === 'put' && write.parts === null) {
          dropBody(cachedFile.get(write.key) ?? null, 'unlink')
          addCached.run(now, seq)
        }
        dropBody(write.file, cache && write.state === 'open' ? 'cache' : 'unlink')
        if (write.parts !== null) parts.dropOfWrite(seq)
        deleteReplicas.run(seq)
        deleteWrite.run(seq)
      }
    },

    emptied(token: number, files: readonly string[]): void {
      requireLease(token)
      for (const file of files) removeTrash.run(file)
    },

    /** The transaction holds the write lock, so no write can come to refer to a file while it is being unlinked. */
    collect(token: number, files: readonly string[]): string[] {
      requireLease(token)
      const orphans = files.filter(file => fileInUse.get({ file }) === 0)
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
      requireLease(token)
      sql('DELETE FROM deleted WHERE at < ?').run(limits.deletedBefore)
      sql(
        'DELETE FROM known WHERE (key, provider) IN (SELECT key, provider FROM known ORDER BY at LIMIT max(0, (SELECT count(*) FROM known) - ?))',
      ).run(limits.knownRows)
      let over = (sql<number>('SELECT coalesce(sum(size), 0) FROM cached').pluck().get() as number) - limits.cacheBytes
      const dropped: string[] = []
      if (over <= 0) return dropped
      for (const row of sql<{ key: string; file: string | null; size: number }>(
        'SELECT key, file, size FROM cached ORDER BY used_at',
      ).all()) {
        if (over <= 0) break
        over -= row.size
        sql('DELETE FROM cached WHERE key = ?').run(row.key)
        if (row.file !== null) dropped.push(row.file)
      }
      return dropped
    },
  }
}

export type Ledger = ReturnType<typeof ledger>
