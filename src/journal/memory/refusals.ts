import { HoldfastError } from '../../core/errors.ts'
import type { NewWrite, WriteRow } from '../contract.ts'
import type { MemoryTables } from './tables.ts'

/** Why a change is not made. Each is thrown before anything was changed. */

/** Lets only the holder of the lease pass. */
export function demandLease({ lease }: MemoryTables, token: number): void {
  if (token === lease) return
  throw new HoldfastError('CLOSED', 'another process replicates this directory now', {
    field: 'lease',
    rule: 'lost',
    retryable: true,
  })
}

export function vanished(path: string, key: string): HoldfastError {
  return new HoldfastError('CORRUPT', `a body vanished from ${path}: something else removes files there`, {
    key,
    field: 'directory',
    rule: 'body',
    outcome: 'rejected',
  })
}

export function demandRoom(used: number, more: number, limit: number, key: string): void {
  if (used + more <= limit) return
  throw new HoldfastError('NO_SPACE', `the stage holds ${used} of ${limit} bytes, ${more} more do not fit`, {
    key,
    field: 'maxStageBytes',
    rule: 'full',
    outcome: 'rejected',
  })
}

/** What this directory knows to be false needs no provider to refuse it. */
export function demandCondition({ key, condition }: Pick<NewWrite, 'key' | 'condition'>, newest?: WriteRow): void {
  if (condition === undefined || newest === undefined) return
  const version = newest.kind === 'put' ? newest.version : undefined
  const wanted = condition === 'absent' ? undefined : condition.version
  if (version === wanted) return
  throw new HoldfastError('PRECONDITION', `the key has version ${version}, and was to have ${wanted}`, {
    key,
    field: 'if',
    rule: 'condition',
    reason: 'CONDITION',
    outcome: 'rejected',
    retryable: false,
  })
}

/** Of a repair. */
export function writtenSince(key: string): HoldfastError {
  return new HoldfastError('PRECONDITION', 'the key was written or deleted since', {
    key,
    reason: 'CONDITION',
    outcome: 'rejected',
  })
}

/** A name that is to be one row's only is another's already: a fault of the program. */
export function notUnique(what: string): HoldfastError {
  return new HoldfastError('CORRUPT', `there are two rows of ${what}`, { field: 'journal', rule: 'failed' })
}
