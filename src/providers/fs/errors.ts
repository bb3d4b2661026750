import type { ErrorCode, ErrorDetails, HoldfastError, Reason } from '../../core/errors.ts'
import type { ErrorMaker } from '../errors.ts'

/** What the system's errors mean. Everything else is worth another try. */
const meanings: Readonly<Record<string, readonly [ErrorCode, Reason]>> = {
  ENOSPC: ['NO_SPACE', 'SERVER'],
  EDQUOT: ['NO_SPACE', 'SERVER'],
  EFBIG: ['DENIED', 'REFUSED'],
  EACCES: ['DENIED', 'FORBIDDEN'],
  EPERM: ['DENIED', 'FORBIDDEN'],
  EROFS: ['DENIED', 'CREDENTIALS'],
  ELOOP: ['DENIED', 'REFUSED'],
  ENOTDIR: ['DENIED', 'REFUSED'],
  EISDIR: ['DENIED', 'REFUSED'],
  EXDEV: ['DENIED', 'REFUSED'],
  ENAMETOOLONG: ['DENIED', 'REFUSED'],
  EMFILE: ['UNAVAILABLE', 'THROTTLED'],
  ENFILE: ['UNAVAILABLE', 'THROTTLED'],
  ENOMEM: ['UNAVAILABLE', 'THROTTLED'],
  ENOTCONN: ['UNAVAILABLE', 'NETWORK'],
  ENETDOWN: ['UNAVAILABLE', 'NETWORK'],
  ENETUNREACH: ['UNAVAILABLE', 'NETWORK'],
  EHOSTDOWN: ['UNAVAILABLE', 'NETWORK'],
  EHOSTUNREACH: ['UNAVAILABLE', 'NETWORK'],
  ECONNRESET: ['UNAVAILABLE', 'NETWORK'],
  ETIMEDOUT: ['UNAVAILABLE', 'TIMEOUT'],
}

/** An error of the system as one of ours. `details` say more where more is known: which key, whether a write can have happened. */
export function classifyFs(errors: ErrorMaker, error: unknown, details: ErrorDetails = {}): HoldfastError {
  const code = errno(error)
  if (code === undefined) return errors.unknown(error)
  const [meaning, reason] = meanings[code] ?? ['UNAVAILABLE', 'SERVER']
  const { syscall = 'a call' } = error as NodeJS.ErrnoException
  return errors.because(meaning, reason, `${syscall} failed with ${code}`, {
    outcome: 'unknown',
    retryable: meaning === 'UNAVAILABLE' || meaning === 'NO_SPACE',
    cause: error,
    ...details,
  })
}

/** The system's name of an error: `ENOENT`. */
export function errno(error: unknown): string | undefined {
  if (typeof error !== 'object' || error === null || !('code' in error)) return undefined
  return typeof error.code === 'string' && /^(E[A-Z0-9]+|SQLITE_[A-Z_]+)$/.test(error.code) ? error.code : undefined
}
