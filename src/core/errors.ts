/** What went wrong, in as few words as a caller has reactions. */
export type ErrorCode =
  | 'INVALID'
  | 'PRECONDITION'
  | 'CHECKSUM'
  | 'DENIED'
  | 'UNAVAILABLE'
  | 'NO_SPACE'
  | 'CORRUPT'
  | 'UNSUPPORTED'
  | 'ACK_TIMEOUT'
  | 'BLOCKED'
  | 'CLOSED'

/**
 * Why, for a person and for `status()`. Errors of providers always have one.
 *
 * - about one request, worth another try: `NETWORK`, `TIMEOUT`, `THROTTLED`, `SERVER`, `NOT_PROVIDER` (an answer without the
 *   service's own headers: a proxy, a captive portal), `PROTOCOL` (an answer that makes no sense), `UPLOAD_GONE` (start the upload again)
 * - about the whole provider, blocks it until it answers again: `CREDENTIALS`, `ACCOUNT`, `BUCKET` (gone), `REGION` (wrong region or
 *   endpoint), `IDENTITY` (another bucket under the old name), `TLS`, `CLOCK` with DENIED (a request that is signed by a wrong clock)
 * - about one object, blocks its replica: `FORBIDDEN` (403 that a canary must explain), `RETENTION`, `KMS`, `REFUSED` (a 400 for good),
 *   `CLOCK`, `CONFLICT`, `TOO_OLD`, `MISMATCH`, `LOCAL_CORRUPT`, `NOT_CONFIGURED`
 * - about the call: `CONDITION` (a precondition did not hold), `RANGE`, `DIGEST` (the service found other bytes than announced)
 */
export type Reason = (typeof reasons)[number]

/** All of them. */
export const reasons = [
  'NETWORK',
  'TIMEOUT',
  'THROTTLED',
  'SERVER',
  'NOT_PROVIDER',
  'PROTOCOL',
  'UPLOAD_GONE',
  'CREDENTIALS',
  'ACCOUNT',
  'BUCKET',
  'REGION',
  'IDENTITY',
  'TLS',
  'FORBIDDEN',
  'RETENTION',
  'KMS',
  'REFUSED',
  'CLOCK',
  'CONFLICT',
  'TOO_OLD',
  'MISMATCH',
  'LOCAL_CORRUPT',
  'NOT_CONFIGURED',
  'CONDITION',
  'RANGE',
  'DIGEST',
] as const

/** What became of a write: it did not happen, it did (see `version`), or nobody can know yet (look `version` up). */
export type Outcome = 'rejected' | 'accepted' | 'unknown'

export interface ErrorDetails {
  readonly field?: string
  readonly rule?: string
  readonly reason?: Reason
  readonly retryable?: boolean
  readonly retryAfterMs?: number
  readonly outcome?: Outcome
  readonly version?: string
  readonly provider?: string
  readonly key?: string
  readonly cause?: unknown
}

/** The one class of error that Holdfast rejects with, besides `TypeError` for arguments of a wrong JavaScript type and the caller's own abort reason. */
export class HoldfastError extends Error {
  override readonly name: string = 'HoldfastError'
  /** What a program decides by. Stable: codes are added, never renamed. */
  readonly code: ErrorCode
  /** Which input, and which rule of it: `key` and `control`. */
  readonly field?: string
  /** See `field`. */
  readonly rule?: string
  /** Finer than `code`; set on everything that a provider caused. */
  readonly reason?: Reason
  /** Whether the same call may succeed later without anybody changing anything. */
  readonly retryable: boolean
  /** What the service asked for, in milliseconds. */
  readonly retryAfterMs?: number
  /** What became of a write. Absent where none was meant. */
  readonly outcome?: Outcome
  /** Of the write that the error is about, where it has one: 32 hex digits. */
  readonly version?: string
  /** The name of the provider that the error comes from. */
  readonly provider?: string
  /** The key that the error is about. */
  readonly key?: string

  /** For drivers: `message` is for a person and shows no secret; `details.cause` is what was caught. `retryable` is true of UNAVAILABLE unless said otherwise. */
  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.retryable = details.retryable ?? code === 'UNAVAILABLE'
    if (details.field !== undefined) this.field = details.field
    if (details.rule !== undefined) this.rule = details.rule
    if (details.reason !== undefined) this.reason = details.reason
    if (details.retryAfterMs !== undefined) this.retryAfterMs = details.retryAfterMs
    if (details.outcome !== undefined) this.outcome = details.outcome
    if (details.version !== undefined) this.version = details.version
    if (details.provider !== undefined) this.provider = details.provider
    if (details.key !== undefined) this.key = details.key
  }
}

/** An input that breaks a rule. The message says the field, the limit and what came, shortened and escaped. */
export function invalid(field: string, rule: string, message: string, details: ErrorDetails = {}): HoldfastError {
  return new HoldfastError('INVALID', message, { ...details, field, rule, outcome: 'rejected', retryable: false })
}

/** Shows a value of a caller in a message: quoted, control characters escaped, at most 80 characters. Never throws, whatever came. */
export function shown(value: unknown): string {
  if (typeof value !== 'string') return shownKind(value)
  const short = value.length > 80 ? `${value.slice(0, 79)}…` : value
  return JSON.stringify(short).replace(
    /[\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff]/g,
    character => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`,
  )
}

function shownKind(value: unknown): string {
  if (typeof value === 'symbol' || typeof value === 'function') return `a ${typeof value}`
  if (value === null || typeof value !== 'object') return String(value).slice(0, 80)
  try {
    if (Array.isArray(value)) return 'an array'
    const name: unknown = value.constructor?.name
    return typeof name === 'string' && name !== 'Object' && /^[\w$]{1,40}$/.test(name) ? `a ${name}` : 'an object'
  } catch {
    return 'an object'
  }
}
