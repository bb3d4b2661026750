import type { Database } from 'better-sqlite3'
import type { Reason } from '../core/errors.ts'
import { bit } from './masks.ts'
import { refusal } from './refusal.ts'
import { replicaRows } from './replicas.ts'
import type { ProviderRecord, ReplicaRecord, WriteRecord } from './rows.ts'
import type { AbandonedReplica, Selection } from './settle-contract.ts'

/** Abandoned replicas that are remembered. */
const abandonedKept = 10_000

/** A place among the replicas, in order of write and then of provider. */
export interface Place {
  readonly seq: number
  readonly provider: number
}

/** What one transaction settled, and after which replica the next goes on: none is left where there is none. */
export interface SettledSome {
  readonly abandoned: readonly AbandonedReplica[]
  readonly kept: number
  readonly next: Place | undefined
}

/**
 * What a person settles, as changes of the ledger. There may be a hundred thousand replicas, and puts wait for each transaction: so each change
 * does a page of them.
 */
export function settleChanges(database: Database) {
  const sql = <Row = unknown>(text: string) => database.prepare<unknown[], Row>(text)
  const replicas = replicaRows(database)
  const refuse = refusal(database)
  const page = `r.state = 'blocked' AND (r.seq, r.provider) > (@seq, @at) AND (@provider IS NULL OR r.provider = @provider)
    AND (@reason IS NULL OR r.reason = @reason) ORDER BY r.seq, r.provider LIMIT @limit`
  const blocked = sql<ReplicaRecord>(
    `SELECT r.* FROM replicas r INDEXED BY replicas_blocked_by_write WHERE @key IS NULL AND ${page}`,
  )
  const blockedOfKey = sql<ReplicaRecord>(
    `SELECT r.* FROM writes w CROSS JOIN replicas r ON r.seq = w.seq WHERE w.key = @key AND ${page}`,
  )
  const ofProvider = sql<ReplicaRecord>(
    'SELECT * FROM replicas WHERE provider = @provider AND seq > @seq ORDER BY seq LIMIT @limit',
  )
  const confirm = sql('UPDATE replicas SET confirmed = 1 WHERE seq = ? AND provider = ?')
  const setAbandoned = sql("UPDATE replicas SET state = 'abandoned', not_before = 0 WHERE seq = ? AND provider = ?")
  const drop = sql('DELETE FROM replicas WHERE seq = ? AND provider = ?')
  const getWrite = sql<WriteRecord>('SELECT * FROM writes WHERE seq = ?')
  const nameOf = sql<string>('SELECT name FROM providers WHERE id = ?').pluck()
  const addAbandoned = sql(
    'INSERT INTO abandoned (key, version, kind, provider, reason, why, at) VALUES (@key, @version, @kind, @provider, @reason, @why, @at)',
  )
  const boundAbandoned = sql(`DELETE FROM abandoned WHERE id <= (SELECT max(id) FROM abandoned) - ${abandonedKept}`)
  const forgetDelete = sql('DELETE FROM deleted WHERE key = ? AND version = ?')
  const lastKnown = sql<string>(
    'SELECT max(key) FROM (SELECT key FROM known WHERE key > ? ORDER BY key LIMIT ?)',
  ).pluck()
  const forgetKnown = sql('DELETE FROM known WHERE key > ? AND key <= ? AND provider = ?')
  const withoutProvider = sql<Pick<WriteRecord, 'seq' | 'state' | 'kind' | 'size'>>(
    `SELECT seq, state, kind, size FROM writes WHERE seq > @seq AND state IN ('open', 'tentative') AND origin = 'app' AND targets & @bit = 0
     ORDER BY seq LIMIT @limit`,
  )
  const addTarget = sql('UPDATE writes SET targets = targets | ? WHERE seq = ?')
  const addReplica = sql(
    "INSERT INTO replicas (seq, provider, state, attempt, not_before) VALUES (?, ?, 'waiting', 0, 0) ON CONFLICT DO NOTHING",
  )
  const setJob = sql(
    'INSERT INTO jobs VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET state = excluded.state, updated_at = excluded.updated_at',
  )
  const dropJob = sql('DELETE FROM jobs WHERE name = ?')

  const chosen = ({ key, provider, reason }: Selection, after: Place, limit: number): ReplicaRecord[] =>
    (key === undefined ? blocked : blockedOfKey).all({
      seq: after.seq,
      at: after.provider,
      key: key ?? null,
      provider: provider ?? null,
      reason: reason ?? null,
      limit,
    })

  /** Whether no other provider has the write, or could get it. */
  const isLastOf = ({ seq, provider }: ReplicaRecord): boolean =>
    replicas
      .ofWrite(seq)
      .every(other => other.provider === provider || other.state === 'abandoned' || other.state === 'superseded')

  /** Answers undefined where that would lose the write. */
  const abandonOne = (
    replica: ReplicaRecord,
    why: string,
    mayLose: boolean,
    now: number,
  ): AbandonedReplica | undefined => {
    const { seq, provider } = replica
    const write = getWrite.get(seq) as WriteRecord
    const isLast = isLastOf(replica)
    // What a provider lost was read from another one. Of a tentative write nothing was promised.
    if (isLast && !mayLose && write.state === 'open' && write.origin === 'app') return undefined
    setAbandoned.run(seq, provider)
    if (write.state === 'tentative') {
      const outcome = replica.attempt > 0 || replica.state === 'sending' ? 'unknown' : 'rejected'
      refuse(write, { code: 'UNAVAILABLE', message: `it was given up: ${why}`, outcome }, now)
    } else if (!isLast) replicas.recount(seq)
    else {
      replicas.supersede(seq, write.origin)
      if (write.origin === 'app') forgetDelete.run(write.key, write.version)
    }
    const row = {
      key: write.key,
      version: write.version,
      kind: write.kind,
      provider: nameOf.get(provider) ?? `provider ${provider}`,
      reason: replica.reason ?? 'NOT_CONFIGURED',
      why,
      at: now,
    }
    addAbandoned.run(row)
    return row
  }

  const abandonAll = (
    found: readonly ReplicaRecord[],
    limit: number,
    one: (replica: ReplicaRecord) => AbandonedReplica | undefined | 'nothing',
  ): SettledSome => {
    const abandoned: AbandonedReplica[] = []
    let kept = 0
    for (const replica of found) {
      const given = one(replica)
      if (given === undefined) kept++
      else if (given !== 'nothing') abandoned.push(given)
    }
    boundAbandoned.run()
    const last = found.at(-1)
    const next = last === undefined || found.length < limit ? undefined : { seq: last.seq, provider: last.provider }
    return { abandoned, kept, next }
  }

  return {
    /** At most `limit`; what it answers is how many. */
    retry(which: Selection, limit: number): number {
      const found = chosen(which, { seq: 0, provider: 0 }, limit)
      for (const { seq, provider, reason } of found) {
        replicas.move(seq, provider, { state: 'waiting' })
        if ((reason as Reason | null) === 'TOO_OLD') confirm.run(seq, provider)
        replicas.recount(seq)
      }
      return found.length
    },

    giveUp(which: Selection, why: string, lastCopy: boolean, after: Place, limit: number, now: number): SettledSome {
      return abandonAll(chosen(which, after, limit), limit, replica => abandonOne(replica, why, lastCopy, now))
    },

    /** A page of what is owed to the provider. That it verified something is no reason any more to give up another's copy. */
    retireReplicas(provider: number, why: string, after: Place, limit: number, now: number): SettledSome {
      return abandonAll(ofProvider.all({ provider, seq: after.seq, limit }), limit, replica => {
        if (replica.state === 'superseded' || replica.state === 'abandoned') return 'nothing'
        if (replica.state !== 'verified') return abandonOne(replica, why, false, now)
        const { origin } = getWrite.get(replica.seq) as WriteRecord
        const isLast = isLastOf(replica)
        // Given up at the others, and on local disk: it is what nobody else has.
        if (isLast && origin === 'app') return undefined
        drop.run(replica.seq, provider)
        if (isLast) replicas.supersede(replica.seq, origin)
        return 'nothing'
      })
    },

    /** A page of what the provider is remembered to hold. Answers the key after which to go on. */
    retireKnown(provider: number, after: string, limit: number): string | undefined {
      const last = lastKnown.get(after, limit) ?? undefined
      if (last !== undefined) forgetKnown.run(after, last, provider)
      return last
    },

    /** The last step: nothing may be owed to it by now. */
    retire(provider: number): void {
      const { changes } = sql(
        `UPDATE providers SET retired = 1 WHERE id = @provider AND NOT EXISTS (SELECT 1 FROM replicas
         WHERE provider = @provider AND state IN ('waiting', 'sending', 'stored', 'blocked'))`,
      ).run({ provider })
      if (changes === 0) return
      sql("UPDATE writes SET targets = targets & ~@bit WHERE state = 'tentative' AND targets & @bit").run({
        bit: bit(provider),
      })
      dropBegunWith(database, `backfill/${provider}/`)
    },

    /**
     * All in one transaction: with a part of it, what was verified in the old bucket could be released, or what only that had be taken for known. It
     * happens once in years, so puts may wait for it.
     */
    acceptBucket(provider: number, before: string): boolean {
      const { changes } = sql(
        `UPDATE providers SET identity = NULL, capabilities = NULL, health = NULL, filled = 0, stale = 0
         WHERE id = ? AND identity = ?`,
      ).run(provider, before)
      if (changes === 0) return false
      const startOver = sql(
        `UPDATE replicas SET state = iif(state = 'sending', state, 'waiting'), not_before = 0, reason = NULL, message = NULL, token = NULL,
         proof = NULL, etag = NULL, part_size = NULL, stored_at = NULL, upload = NULL WHERE seq = ? AND provider = ?`,
      )
      const going = sql<number>(
        `SELECT r.seq FROM replicas r JOIN writes w ON w.seq = r.seq WHERE r.provider = ? AND r.state NOT IN ('superseded', 'abandoned')
         AND w.state IN ('open', 'tentative')`,
      ).pluck()
      for (const seq of going.all(provider)) {
        startOver.run(seq, provider)
        replicas.recount(seq)
      }
      sql('DELETE FROM known WHERE provider = ?').run(provider)
      dropVisits(database, provider)
      dropPositions(database)
      return true
    },

    /** A page of the writes that are not finished and were not to go to the provider. Answers the one after which to go on. */
    include(provider: number, after: number, limit: number): Included {
      const found = withoutProvider.all({ seq: after, bit: bit(provider), limit })
      for (const { seq, state } of found) {
        addTarget.run(bit(provider), seq)
        // A tentative one gets its replicas when it is decided.
        if (state === 'open') addReplica.run(seq, provider)
        replicas.recount(seq)
      }
      const last = found.at(-1)
      const puts = found.filter(({ kind }) => kind === 'put')
      const included = { objects: puts.length, bytes: puts.reduce((sum, { size }) => sum + size, 0) }
      return last === undefined || found.length < limit ? included : { ...included, next: last.seq }
    },

    saveJob(name: string, state: string | undefined, now: number): void {
      if (state === undefined) dropJob.run(name)
      else setJob.run(name, state, now)
    },
  }
}

/** Puts that go to one provider more. `next`: the seq after which there may be others. */
interface Included {
  readonly objects: number
  readonly bytes: number
  readonly next?: number
}

export type SettleChanges = ReturnType<typeof settleChanges>

/** Frees the ids of retired providers, in one transaction. Nobody else may have the journal open: somebody may still mean the old one by its id. */
export function forgetRetired(database: Database): void {
  database
    .transaction(() => {
      const rows = database.prepare<[], ProviderRecord>('SELECT * FROM providers WHERE retired = 1').all()
      for (const { id } of rows) {
        // What a late answer, or long work that was still under way, may have brought back: it is bound to this id.
        database.prepare('DELETE FROM replicas WHERE provider = ?').run(id)
        database.prepare('DELETE FROM known WHERE provider = ?').run(id)
        dropVisits(database, id)
        dropPositions(database)
        database.prepare('UPDATE writes SET targets = targets & ~@bit WHERE targets & @bit').run({ bit: bit(id) })
        database.prepare('DELETE FROM providers WHERE id = ?').run(id)
      }
    })
    .immediate()
}

/** Of one bucket only: the one that comes for it has been visited by nobody. */
function dropVisits(database: Database, id: number): void {
  database.prepare('DELETE FROM jobs WHERE name IN (?, ?)').run(`attended:${id}`, `expiry:${id}`)
}

/** Positions of comparisons, whatever was compared: they say by ids for whom something is settled, and an id came to mean another bucket. */
export function dropPositions(database: Database): void {
  for (const begin of ['backfill/', 'reconcile/']) dropBegunWith(database, begin)
}

function dropBegunWith(database: Database, begin: string): void {
  database.prepare('DELETE FROM jobs WHERE substr(name, 1, length(@begin)) = @begin').run({ begin })
}
