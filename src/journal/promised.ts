import type { Database } from 'better-sqlite3'
import type { Version } from '../core/version.ts'
import { replicaRows } from './replicas.ts'

/** Of a write that is promised: accepted without a condition, or decided. */
export interface PromisedWrite {
  readonly key: string
  readonly version: Version
  readonly kind: 'put' | 'delete'
  readonly origin: string
}

/** What a write that is promised changes beside its own row. */
export function promisedRows(database: Database) {
  const replicas = replicaRows(database)
  const sql = <Row = unknown>(text: string) => database.prepare<unknown[], Row>(text)
  const highest = sql<string>("SELECT value FROM meta WHERE name = 'highest'").pluck()
  const raiseHighest = sql("UPDATE meta SET value = ? WHERE name = 'highest' AND value < ?")
  const countAccepted = sql("UPDATE meta SET value = value + 1 WHERE name = 'accepted'")
  const addReplica = sql(
    "INSERT INTO replicas (seq, provider, state, attempt, not_before, token) VALUES (?, ?, 'waiting', 0, 0, ?) ON CONFLICT DO NOTHING",
  )
  const olderOpen = sql<{ seq: number; origin: string }>(
    "SELECT seq, origin FROM writes WHERE key = ? AND state = 'open' AND version < ?",
  )
  const rememberDelete = sql(
    'INSERT INTO deleted VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET version = excluded.version, at = excluded.at WHERE excluded.version > version',
  )

  return {
    /** The highest version that was issued or seen. */
    highest: (): Version | undefined => highest.get() || undefined,

    raiseHighest(version: Version): void {
      raiseHighest.run(version, version)
    },

    /** `token`: of a damaged copy there that is to be replaced. */
    addReplica(seq: number, provider: number, token: string | null): void {
      addReplica.run(seq, provider, token)
    },

    /** Older writes of its key are superseded, it is counted, and a delete is remembered. */
    promised({ key, version, kind, origin }: PromisedWrite, now: number): void {
      for (const older of olderOpen.all(key, version)) replicas.supersede(older.seq, older.origin)
      if (origin === 'app') countAccepted.run()
      if (kind === 'delete') rememberDelete.run(key, version, now)
    },
  }
}
