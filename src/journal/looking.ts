import { HoldfastError } from '../core/errors.ts'
import type { Looking } from './engine.ts'
import { asJournalError } from './schema.ts'

/** The same looks. One that SQLite fails says so in our words: nothing was changed by it, and it may be well again. `path`: of the journal, for messages. */
export function inOurWords(looking: Looking, path: string): Looking {
  const told =
    (look: (...args: readonly unknown[]) => unknown) =>
    (...args: readonly unknown[]): unknown => {
      try {
        return look(...args)
      } catch (error) {
        throw failure(error, path)
      }
    }
  return Object.fromEntries(
    Object.entries(looking).map(([name, look]) => [name, told(look as never)]),
  ) as unknown as Looking
}

function failure(error: unknown, path: string): unknown {
  if (!(error instanceof Error) || !isOfSqlite(error)) return error
  const known = asJournalError(error, path)
  if (!(known instanceof HoldfastError) || known.outcome !== undefined) return known
  const { code, message, field = 'journal', rule = 'failed', retryable } = known
  return new HoldfastError(code, message, { field, rule, retryable, outcome: 'rejected', cause: error })
}

function isOfSqlite(error: Error): boolean {
  return 'code' in error && typeof error.code === 'string' && error.code.startsWith('SQLITE_')
}
