import type { Database } from 'better-sqlite3'
import type { Reason } from '../core/errors.ts'
import type { ReplicaRow } from './contract.ts'
import { bit } from './masks.ts'

interface ReplicaMove {
  readonly state: ReplicaRow['state']
  /** As it is, where it is not given. */
  readonly attempt?: number
  /** 0 where it is not given. */
  readonly notBefore?: number
  readonly reason?: Reason | null
  readonly message?: string | null
}

export interface StandingReplica {
  readonly state: ReplicaRow['state']
  readonly attempt: number
}

interface ReplicaRows {
  get(seq: number, provider: number): StandingReplica | undefined
  ofWrite(seq: number): readonly { readonly provider: number; readonly state: ReplicaRow['state'] }[]
  /** Nothing moves a replica that was superseded or abandoned. */
  move(seq: number, provider: number, to: ReplicaMove): void
  /** The masks follow from the replicas, always; they are kept so that counting needs no join. */
  recount(seq: number): void
  /** The write is to go nowhere any more. */
  supersede(seq: number, origin: string): void
}

/** Where the replicas of writes stand, and what follows from it for their writes. */
export function replicaRows(database: Database): ReplicaRows {
  const sql = <Row = unknown>(text: string) => database.prepare<unknown[], Row>(text)
  const get = sql<StandingReplica>('SELECT state, attempt FROM replicas WHERE seq = ? AND provider = ?')
  const statesOf = sql<{ provider: number; state: ReplicaRow['state'] }>(
    'SELECT provider, state FROM replicas WHERE seq = ?',
  )
  const set = sql(
    `UPDATE replicas SET state = ?, attempt = coalesce(?, attempt), not_before = ?, reason = ?, message = ?
     WHERE seq = ? AND provider = ? AND state NOT IN ('superseded', 'abandoned')`,
  )
  // Written only where they differ: the row has its body in it, and the tally follows each time.
  const setMasks = sql(
    `UPDATE writes SET waiting = ?, blocked = ?, stored = ?
     WHERE seq = ? AND state IN ('open', 'tentative') AND (waiting, blocked, stored) != (?, ?, ?)`,
  )
  const end = sql("UPDATE writes SET state = 'superseded', waiting = 0, blocked = 0, stored = 0 WHERE seq = ?")
  const endReplicas = sql("UPDATE replicas SET state = 'superseded' WHERE seq = ? AND state != 'abandoned'")
  const countSuperseded = sql("UPDATE meta SET value = value + 1 WHERE name = 'superseded'")

  return {
    get: (seq, provider) => get.get(seq, provider),
    ofWrite: seq => statesOf.all(seq),

    move(seq, provider, { state, attempt, notBefore = 0, reason, message }) {
      set.run(state, attempt ?? null, notBefore, reason ?? null, message ?? null, seq, provider)
    },

    recount(seq) {
      let waiting = 0
      let blocked = 0
      let stored = 0
      for (const { provider, state } of statesOf.all(seq)) {
        if (state === 'waiting' || state === 'sending') waiting |= bit(provider)
        else if (state === 'blocked') blocked |= bit(provider)
        else if (state === 'stored') stored |= bit(provider)
      }
      setMasks.run(waiting, blocked, stored, seq, waiting, blocked, stored)
    },

    supersede(seq, origin) {
      end.run(seq)
      endReplicas.run(seq)
      if (origin === 'app') countSuperseded.run()
    },
  }
}
