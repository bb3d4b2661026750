import type { Database } from 'better-sqlite3'
import { bit, maskOf } from './masks.ts'
import type { ReplicaRecord, WriteRecord } from './rows.ts'
import type { AbandonedReplica, BlockedQuery, BlockedReplica, SettleJournal } from './settle-contract.ts'
import type { Reason } from '../core/errors.ts'

export type LookSettled = Pick<SettleJournal, 'isOpen' | 'isOpenFor' | 'blockedReplicas' | 'abandoned' | 'job' | 'jobs'>

/** What only looks, of what a person settles: as `look`, on the same connection. */
export function lookSettled(database: Database): LookSettled {
  const sql = <Row>(text: string) => database.prepare<unknown[], Row>(text)
  const openWith = sql<0 | 1>(
    "SELECT EXISTS (SELECT 1 FROM writes WHERE key = ? AND state IN ('open', 'tentative'))",
  ).pluck()
  const openFor = sql<0 | 1>(
    "SELECT EXISTS (SELECT 1 FROM writes WHERE key = ? AND state IN ('open', 'tentative') AND targets & ?)",
  ).pluck()
  const blockedSeqs = sql<number>(
    `SELECT DISTINCT seq FROM replicas INDEXED BY replicas_blocked_by_write WHERE state = 'blocked' AND seq > @after
     AND (@provider IS NULL OR provider = @provider) AND (@reason IS NULL OR reason = @reason) ORDER BY seq LIMIT @limit`,
  ).pluck()
  // In order of the table itself, which the pluses keep SQLite to: by the index of what is due it would sort the whole backlog for each page.
  const stuckSeqs = sql<number>(
    `SELECT DISTINCT seq FROM replicas WHERE seq > @after AND (@provider IS NULL OR +provider = @provider)
     AND ((+state = 'blocked' AND (@reason IS NULL OR +reason = @reason)) OR (+state = 'waiting' AND (1 << (provider - 1)) & @owed != 0))
     ORDER BY seq LIMIT @limit`,
  ).pluck()
  const seqsOfKey = sql<number>(
    "SELECT seq FROM writes WHERE key = ? AND seq > ? AND state IN ('open', 'tentative') ORDER BY seq",
  ).pluck()
  const writeOf = sql<Pick<WriteRecord, 'key' | 'version' | 'kind' | 'origin' | 'size' | 'accepted_at'>>(
    'SELECT key, version, kind, origin, size, accepted_at FROM writes WHERE seq = ?',
  )
  const replicasOf = sql<ReplicaRecord>('SELECT * FROM replicas WHERE seq = ? ORDER BY provider')
  const abandoned = sql<AbandonedReplica>(
    'SELECT key, version, kind, provider, reason, why, at FROM abandoned ORDER BY id DESC LIMIT ?',
  )
  const job = sql<string>('SELECT state FROM jobs WHERE name = ?').pluck()
  const jobs = sql<string>(
    'SELECT name FROM jobs WHERE substr(name, 1, length(@prefix)) = @prefix ORDER BY name',
  ).pluck()

  const seqs = ({ after, limit, owed, provider, reason }: BlockedQuery): number[] => {
    const asked = { after, limit, provider: provider ?? null, reason: reason ?? null }
    return owed.length === 0 ? blockedSeqs.all(asked) : stuckSeqs.all({ ...asked, owed: maskOf(owed) })
  }

  const ofWrite = (seq: number, { owed, provider, reason }: BlockedQuery): BlockedReplica[] => {
    const write = writeOf.get(seq)
    // It ended since.
    if (write === undefined) return []
    const replicas = replicasOf.all(seq)
    const goesOn = (replica: ReplicaRecord) =>
      replica.state === 'stored' ||
      replica.state === 'verified' ||
      replica.state === 'sending' ||
      (replica.state === 'waiting' && !owed.includes(replica.provider))
    const isMeant = (replica: ReplicaRecord) =>
      (provider === undefined || replica.provider === provider) &&
      (replica.state === 'blocked'
        ? reason === undefined || replica.reason === reason
        : replica.state === 'waiting' && owed.includes(replica.provider))
    return replicas.filter(isMeant).map(replica => ({
      seq,
      key: write.key,
      version: write.version,
      kind: write.kind,
      size: write.size,
      acceptedAt: write.accepted_at,
      provider: replica.provider,
      reason: replica.state === 'blocked' ? ((replica.reason ?? undefined) as Reason | undefined) : undefined,
      message: replica.state === 'blocked' ? (replica.message ?? undefined) : undefined,
      isElsewhere:
        write.origin === 'repair' || replicas.some(other => other.provider !== replica.provider && goesOn(other)),
    }))
  }

  /** Of one key there are few. */
  const ofKey = (key: string, query: BlockedQuery): BlockedReplica[] =>
    seqsOfKey
      .all(key, query.after)
      .map(seq => ofWrite(seq, query))
      .filter(stuck => stuck.length > 0)
      .slice(0, query.limit)
      .flat()

  return {
    isOpen: key => openWith.get(key) === 1,
    isOpenFor: (key, provider) => openFor.get(key, bit(provider)) === 1,
    blockedReplicas: query =>
      query.key === undefined ? seqs(query).flatMap(seq => ofWrite(seq, query)) : ofKey(query.key, query),
    abandoned: limit => abandoned.all(limit),
    job: name => job.get(name),
    jobs: prefix => jobs.all({ prefix }),
  }
}
