import { HoldfastError, type Reason } from '../core/errors.ts'
import type { Random } from '../core/ports.ts'

/** What is to be done about an error, by its reason. */
export type Reaction =
  /** The whole provider: nothing more is sent until a probe gets through. */
  | 'block-provider'
  /** A canary tells whether it is this key or the whole account. */
  | 'ask-canary'
  /** This replica, until somebody does something. */
  | 'block-replica'
  /** The local bytes are hashed again before anybody else is blamed. */
  | 'check-local'
  /** The upload starts from the beginning. */
  | 'restart-upload'
  | 'retry'
  /** The journal does not take changes from us any more. */
  | 'stop'

export function reactionTo(error: HoldfastError): Reaction {
  if (error.code === 'CLOSED') return 'stop'
  // Without a reason it is the journal's; with one, it is about the bytes of one object.
  if (error.code === 'CORRUPT' && error.reason === undefined) return 'stop'
  switch (error.reason) {
    case 'CREDENTIALS':
    case 'ACCOUNT':
    case 'BUCKET':
    case 'REGION':
    case 'IDENTITY':
    case 'TLS':
      return 'block-provider'
    case 'CLOCK':
      // Of the service, it is about every request; of our own, about the stamp of one write.
      return error.code === 'DENIED' ? 'block-provider' : 'block-replica'
    case 'FORBIDDEN':
      return 'ask-canary'
    case 'RETENTION':
    case 'KMS':
    case 'REFUSED':
    case 'CONFLICT':
    case 'TOO_OLD':
    case 'MISMATCH':
    case 'LOCAL_CORRUPT':
    case 'NOT_CONFIGURED':
      return 'block-replica'
    case 'DIGEST':
      return 'check-local'
    case 'UPLOAD_GONE':
      return 'restart-upload'
    case 'NETWORK':
    case 'TIMEOUT':
    case 'THROTTLED':
    case 'SERVER':
    case 'NOT_PROVIDER':
    case 'PROTOCOL':
    case 'CONDITION':
      return 'retry'
    case 'RANGE':
    case undefined:
      return error.code === 'INVALID' || error.code === 'UNSUPPORTED' || error.code === 'DENIED'
        ? 'block-replica'
        : 'retry'
    default:
      return error.reason satisfies never
  }
}

/** Whether one more try right away makes sense: a broken connection, yes; silence or a plea for less load, no. */
export function worthAnotherTry(error: HoldfastError): boolean {
  return error.reason === 'NETWORK' || error.reason === 'SERVER' || error.reason === 'UPLOAD_GONE'
}

const firstWaitMs = 500
const longestWaitMs = 120_000
/** A service that asks for more, by mistake or by malice, is asked again after this: 15 minutes. */
const longestRetryAfterMs = 900_000

/** How long until the next attempt: full jitter over a doubling span, and never less than the service asked for. */
export function waitBefore(attempt: number, random: Random, retryAfterMs: number | undefined): number {
  const span = Math.min(longestWaitMs, firstWaitMs * 2 ** Math.min(attempt, 16))
  return Math.max(Math.ceil(random.number() * span), Math.min(retryAfterMs ?? 0, longestRetryAfterMs))
}

const firstProbeMs = 2_000
const longestProbeMs = 300_000

/** How long until a blocked provider is probed again: half of a doubling span, and up to all of it; and, within reason, no less than the service asked for. */
export function waitBeforeProbe(probes: number, random: Random, retryAfterMs = 0): number {
  const span = Math.min(longestProbeMs, firstProbeMs * 2 ** Math.min(probes, 16))
  return Math.max(span / 2 + (random.number() * span) / 2, Math.min(retryAfterMs, longestRetryAfterMs))
}

/** Reasons that a person, or time, may have settled since: tried again when a process takes over the directory, and every hour. */
export const worthUnblocking: readonly Reason[] = [
  'FORBIDDEN',
  'RETENTION',
  'KMS',
  'REFUSED',
  'CLOCK',
  // It is looked at anew whether it is too old: our own clock may have been wrong then.
  'TOO_OLD',
  'MISMATCH',
  'LOCAL_CORRUPT',
  'NOT_CONFIGURED',
]

/** Whatever was thrown, as one of ours. */
export function asError(error: unknown): HoldfastError {
  return error instanceof HoldfastError
    ? error
    : new HoldfastError('CORRUPT', (error as Error).message, { cause: error })
}
