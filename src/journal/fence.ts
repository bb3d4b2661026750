import type { Database } from 'better-sqlite3'
import { HoldfastError } from '../core/errors.ts'

/** Lets only the holder of the lease pass: CLOSED, lease/lost, for a token that is not the last one given out. */
export function fence(database: Database): (token: number) => void {
  const held = database.prepare<unknown[], number>("SELECT value FROM meta WHERE name = 'lease'").pluck()
  return token => {
    if (held.get() === token) return
    throw new HoldfastError('CLOSED', 'another process replicates this directory now', {
      field: 'lease',
      rule: 'lost',
      retryable: true,
    })
  }
}
