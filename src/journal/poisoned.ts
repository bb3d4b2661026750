import { HoldfastError } from '../core/errors.ts'

/** After a failed commit. `cause`: it failed in this call, so that nobody knows what became of what was in it. */
export function poisonedError(path: string, cause?: Error): HoldfastError {
  return new HoldfastError(
    'CORRUPT',
    `a write to the disk of ${path} failed: nothing is accepted until every process has closed this directory and one has opened it again`,
    {
      field: 'directory',
      rule: 'poisoned',
      outcome: cause === undefined ? 'rejected' : 'unknown',
      retryable: false,
      cause,
    },
  )
}
