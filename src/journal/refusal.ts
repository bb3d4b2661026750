import type { Database } from 'better-sqlite3'
import type { Refusal } from './contract.ts'
import { partRows } from './parts.ts'
import { sumOf, type WriteRecord } from './rows.ts'

/** Ends a tentative write that did not happen, or of which nobody knows: its body goes, its row stays for whoever waits to hear of it. */
export function refusal(database: Database): (write: WriteRecord, refusal: Refusal, now: number) => void {
  const parts = partRows(database)
  const listTrash = database.prepare(
    `INSERT INTO trash VALUES (?, 'unlink') ON CONFLICT DO UPDATE SET "to" = excluded."to"`,
  )
  const deleteReplicas = database.prepare('DELETE FROM replicas WHERE seq = ?')
  const end = database.prepare(
    `UPDATE writes SET state = 'refused', refusal = ?, body = NULL, file = NULL, parts = NULL, size = 0, sum = ?, accepted_at = ?,
     waiting = 0, blocked = 0, stored = 0 WHERE seq = ?`,
  )
  return (write, refused, now) => {
    if (write.file !== null) listTrash.run(write.file)
    parts.returnFrom(write.seq)
    deleteReplicas.run(write.seq)
    end.run(JSON.stringify(refused), sumOf({ ...write, parts: null, size: 0 }), now, write.seq)
  }
}
