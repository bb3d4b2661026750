import type { Database } from 'better-sqlite3'
import type { BodyFiles } from './bodies.ts'
import type { WriteBody } from './contract.ts'
import { partRows } from './parts.ts'
import { replicaRows } from './replicas.ts'
import { sumOf, type WriteRecord } from './rows.ts'

/** What is put in the place of a damaged body. */
export type RestoredBody = Extract<WriteBody, { in: 'row' | 'file' }>

/** Gives an open write another body, in one transaction with all that follows from it; see `Lease.restore`. False: nothing was changed. */
export function restoring(database: Database, bodies: BodyFiles): (seq: number, body: RestoredBody) => boolean {
  const parts = partRows(database)
  const replicas = replicaRows(database)
  const get = database.prepare<unknown[], WriteRecord>('SELECT * FROM writes WHERE seq = ?')
  const set = database.prepare('UPDATE writes SET body = ?, file = ?, parts = NULL, sum = ? WHERE seq = ?')
  const listTrash = database.prepare(
    `INSERT INTO trash VALUES (?, 'unlink') ON CONFLICT DO UPDATE SET "to" = excluded."to"`,
  )
  const startOver = database.prepare(
    "UPDATE replicas SET upload = NULL WHERE seq = ? AND state IN ('waiting', 'sending', 'blocked')",
  )
  const goOn = database.prepare(
    `UPDATE replicas SET state = 'waiting', not_before = 0, reason = NULL, message = NULL
     WHERE seq = ? AND reason = 'LOCAL_CORRUPT' AND state IN ('waiting', 'blocked')`,
  )
  return (seq, body) => {
    const write = get.get(seq)
    if (write?.state !== 'open' || write.kind !== 'put' || write.sum !== sumOf(write)) return false
    const file = body.in === 'file' ? body.file : null
    if (file !== null && (file === write.file || !bodies.has(file))) return false
    set.run(body.in === 'row' ? body.bytes : null, file, sumOf({ ...write, parts: null }), seq)
    if (write.file !== null) listTrash.run(write.file)
    parts.dropOfWrite(seq)
    startOver.run(seq)
    goOn.run(seq)
    replicas.recount(seq)
    return true
  }
}
