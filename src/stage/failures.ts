import { HoldfastError, shown } from '../core/errors.ts'

/**
 * What a failed call to the disk means for what was being done.
 *
 * - `full`: it was not done, for want of space; earlier work is intact, and space may come back
 * - `busy`: it was not begun: this process has as many files open as it may
 * - `broken`: nobody knows what is on disk now
 */
export type DiskFailure = 'full' | 'busy' | 'broken'

const full: ReadonlySet<string | undefined> = new Set(['ENOSPC', 'EDQUOT', 'EFBIG'])
const busy: ReadonlySet<string | undefined> = new Set(['EMFILE', 'ENFILE'])

export function diskFailure(error: unknown): DiskFailure {
  const code = errno(error)
  if (full.has(code)) return 'full'
  return busy.has(code) ? 'busy' : 'broken'
}

/** The system's name of an error: 'EIO'. */
export function errno(error: unknown): string | undefined {
  return typeof error === 'object' && error !== null && 'code' in error && typeof error.code === 'string'
    ? error.code
    : undefined
}

/** An error of the system in a few words, for a message. */
export function told(error: unknown): string {
  return errno(error) ?? (error instanceof Error ? error.message : shown(error))
}

/** The disk itself has no room. Replication frees some by itself, unless the limit is one on the size of a file. */
export function diskFull(path: string, cause: unknown): HoldfastError {
  const tooLong = errno(cause) === 'EFBIG'
  const message = tooLong
    ? `the body is longer than a file in ${path} may be: raise the limit of this process or of the file system`
    : `no space left on the disk of ${path}: free some, or wait until what is staged was replicated`
  return new HoldfastError('NO_SPACE', message, { outcome: 'rejected', retryable: !tooLong, cause })
}

export function tooManyFiles(cause: unknown): HoldfastError {
  return new HoldfastError(
    'UNAVAILABLE',
    `too many open files (${errno(cause)}): try again with fewer calls at a time, or raise the limit of this process`,
    { outcome: 'rejected', retryable: true, cause },
  )
}

/** Nothing is accepted any more until the directory was opened anew. `cause`: what failed, where this process saw it. */
export function poisoned(path: string, cause: unknown): HoldfastError {
  const what = cause === undefined ? '' : ` (${told(cause)})`
  return new HoldfastError(
    'CORRUPT',
    `a write to the disk of ${path} failed${what}: nothing is accepted until every process has closed this directory and one has opened it again`,
    { field: 'directory', rule: 'poisoned', outcome: 'rejected', retryable: false, cause },
  )
}

/** The bytes of a body on local disk are not what was written. `rule`: what is wrong with them. */
export function corruptBody(
  rule: 'missing' | 'size' | 'digest' | 'unreadable',
  message: string,
  cause?: unknown,
): HoldfastError {
  return new HoldfastError('CORRUPT', message, {
    field: 'body',
    rule,
    reason: 'LOCAL_CORRUPT',
    retryable: false,
    cause,
  })
}
