import type { Database } from 'better-sqlite3'
import type { BodyFiles } from './bodies.ts'
import { bucketChanges } from './buckets.ts'
import { ledger } from './ledger.ts'
import type { look } from './look.ts'
import type { LookSettled } from './look-settled.ts'
import type { Book } from './protocol.ts'
import { settleChanges } from './settle.ts'
import { uploadChanges } from './uploads.ts'

/**
 * What keeps the rows. There are two: SQLite's tables, and a model in memory that says the same in plain code. A change of a `Book` runs inside the
 * transaction of the moment and throws a HoldfastError only before it changed anything; `Looking` sees what was committed.
 */
export type Looking = Omit<ReturnType<typeof look>, 'dataVersion'> & LookSettled & { close(): void }

/** The changes, made in SQLite. `writer`: sixteen hex digits, new at each open. */
export function sqliteBook(database: Database, writer: string, bodies: BodyFiles): Book {
  const changes = ledger(database, writer, bodies)
  return {
    ...changes,
    ...bucketChanges(database),
    ...uploadChanges(database, bodies, changes.accept),
    ...settleChanges(database),
  }
}
