import { type ErrorCode, HoldfastError, type Outcome, type Reason } from '../../core/errors.ts'
import type { ErrorMaker } from '../errors.ts'
import { brokenBy, cleanCause, cleanText, retryAfterMs, wordsOf } from '../transport.ts'

/** What a request was for, as far as it changes what its failure means. */
export interface Purpose {
  /** For messages: `put`, `head`, `list` … */
  readonly call: string
  readonly key?: string
  /** `none` reads. `writes` may have changed something although no good answer came. `prepares` a write that cannot be there yet. */
  readonly effect: 'none' | 'prepares' | 'writes'
  /** Whether it speaks of an upload session: then 404, 410 and 499 say that the session is over, nothing of the bucket. */
  readonly session?: boolean
}

/** An answer that is not the one hoped for. `text` is its body, or the beginning of it. */
export interface Refusal {
  readonly status: number
  readonly header: (name: string) => string | undefined
  readonly text: string
}

interface Meaning {
  readonly code: ErrorCode
  readonly reason: Reason
  readonly outcome: Outcome
  readonly retryable?: boolean
}

const rejected = (code: ErrorCode, reason: Reason, retryable = code === 'UNAVAILABLE'): Meaning => ({
  code,
  reason,
  outcome: 'rejected',
  retryable,
})
/** Taken, perhaps done, and no good answer. */
const unsettled = (reason: Reason): Meaning => ({ code: 'UNAVAILABLE', reason, outcome: 'unknown' })

/** The error of an answer that refuses. The status decides first, then Google's reasons, then the words: a proxy's page must not pass for a verdict. */
export function refusalError(errors: ErrorMaker, purpose: Purpose, refusal: Refusal): HoldfastError {
  const { reasons, message } = detailsOf(refusal.text)
  const spoke = message !== undefined || isService(refusal.header)
  const meaning =
    refusal.status < 500 && refusal.status !== 429 && !spoke
      ? unsettled('NOT_PROVIDER')
      : meaningOf(refusal.status, reasons, message ?? refusal.text, purpose.session === true)
  const said = [
    refusal.status,
    ...reasons,
    cleanText(errors.without(message ?? (spoke ? refusal.text : 'not an answer of the service'))),
  ]
  return errorOf(errors, purpose, meaning, `answered ${said.filter(Boolean).join(' ')}`, {
    retryAfterMs: retryAfterMs(refusal.header('retry-after'), refusal.header('date')),
  })
}

/** The error of a request that got no answer, or lost it half-way. */
export function transportError(errors: ErrorMaker, purpose: Purpose, error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error
  return errorOf(errors, purpose, brokenMeaning(error), `failed: ${wordsOf(error)}`, { cause: cleanCause(error) })
}

/** The error of finding credentials, or a token for them. Nothing was sent to the service. */
export function credentialsError(errors: ErrorMaker, purpose: Purpose, error: unknown): HoldfastError {
  const status = statusOf(error)
  const broken = brokenMeaning(error)
  const meaning =
    status === 429 || status === 408 || (status ?? 0) >= 500
      ? rejected('UNAVAILABLE', status === 429 ? 'THROTTLED' : 'SERVER')
      : status === undefined && broken.reason !== 'SERVER'
        ? { ...broken, outcome: 'rejected' as const }
        : rejected('DENIED', 'CREDENTIALS')
  return errorOf(errors, purpose, meaning, `could not get credentials: ${wordsOf(error)}`, { cause: cleanCause(error) })
}

/** A 2xx, or a redirect, from something that does not speak like Google Cloud Storage. */
export function notProvider(errors: ErrorMaker, purpose: Purpose, what: string): HoldfastError {
  return errorOf(errors, purpose, unsettled('NOT_PROVIDER'), what)
}

/** An answer of the service that makes no sense. */
export function protocolError(errors: ErrorMaker, purpose: Purpose, what: string): HoldfastError {
  return errorOf(errors, purpose, unsettled('PROTOCOL'), what)
}

/** Anything thrown, also by the official client. */
export function classifyGcs(errors: ErrorMaker, error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error
  const purpose: Purpose = { call: 'call', effect: 'writes' }
  const status = statusOf(error)
  if (status === undefined) return transportError(errors, purpose, error)
  const { reasons, message } = sdkDetails(error)
  const meaning = meaningOf(status, reasons, message, false)
  return errorOf(errors, purpose, meaning, `answered ${[status, ...reasons, cleanText(message)].join(' ')}`, {
    cause: cleanCause(error),
  })
}

function errorOf(
  errors: ErrorMaker,
  purpose: Purpose,
  meaning: Meaning,
  what: string,
  more: { cause?: unknown; retryAfterMs?: number | undefined } = {},
): HoldfastError {
  const hint = hints[meaning.reason]
  return errors.because(
    meaning.code,
    meaning.reason,
    `${purpose.call} ${what}${hint === undefined ? '' : `; ${hint}`}`,
    {
      ...(purpose.key === undefined ? {} : { key: purpose.key }),
      ...outcomeOf(purpose, meaning),
      ...(meaning.retryable === undefined ? {} : { retryable: meaning.retryable }),
      ...(more.cause === undefined ? {} : { cause: more.cause }),
      ...(more.retryAfterMs === undefined ? {} : { retryAfterMs: more.retryAfterMs }),
    },
  )
}

function outcomeOf({ effect }: Purpose, meaning: Meaning): { outcome?: Outcome } {
  switch (effect) {
    case 'none':
      return {}
    case 'prepares':
      return { outcome: 'rejected' }
    case 'writes':
      return { outcome: meaning.outcome }
    default:
      return effect satisfies never
  }
}

const hints: Partial<Record<Reason, string>> = {
  CREDENTIALS: 'check the key file or the attached service account, and the clock of this machine',
  ACCOUNT: 'the project or its billing account is closed or suspended, or pays for nothing (userProject)',
  BUCKET: 'the bucket is gone, or was never there',
}

/** Section "Error codes" of the JSON API's reference, and what the service was seen to answer. */
function meaningOf(status: number, reasons: readonly string[], message: string, session: boolean): Meaning {
  const has = (pattern: RegExp): boolean => reasons.some(reason => pattern.test(reason))
  if (has(/^cloudKms/i))
    return rejected(status === 429 ? 'UNAVAILABLE' : 'DENIED', status === 429 ? 'THROTTLED' : 'KMS')
  if (has(/^(user)?rateLimitExceeded$|^quotaExceeded$/i)) return rejected('UNAVAILABLE', 'THROTTLED')
  switch (status) {
    case 304:
      return rejected('PRECONDITION', 'CONDITION')
    case 400:
      if (/invalid_grant|invalid_client|unauthorized_client/.test(message)) return rejected('DENIED', 'CREDENTIALS')
      if (/doesn't match calculated|does not match/i.test(message) && /crc32c|md5|hash/i.test(message)) {
        return rejected('CHECKSUM', 'DIGEST')
      }
      if (has(/^userProjectMissing$/) || /requester pays/i.test(message)) return rejected('DENIED', 'ACCOUNT')
      return rejected('INVALID', 'REFUSED')
    case 401:
      return rejected('DENIED', 'CREDENTIALS')
    case 403:
      if (has(/^retentionPolicyNotMet$|^objectUnderActiveHold$/)) return rejected('DENIED', 'RETENTION')
      if (has(/^accountDisabled$|AccountProblem$|^accessNotConfigured$|^SERVICE_DISABLED$/)) {
        return rejected('DENIED', 'ACCOUNT')
      }
      return rejected('DENIED', /billing|project .*(deleted|suspended)/i.test(message) ? 'ACCOUNT' : 'FORBIDDEN')
    case 404:
      return session ? rejected('UNAVAILABLE', 'UPLOAD_GONE') : rejected('DENIED', 'BUCKET')
    case 408:
      return unsettled('TIMEOUT')
    case 410:
    case 499:
      return session ? rejected('UNAVAILABLE', 'UPLOAD_GONE') : rejected('INVALID', 'REFUSED')
    case 409:
      return unsettled('SERVER')
    case 412:
      return reasons.length > 0 && !has(/^conditionNotMet$/)
        ? rejected('DENIED', 'FORBIDDEN')
        : rejected('PRECONDITION', 'CONDITION')
    case 416:
      return rejected('INVALID', 'RANGE')
    case 429:
      return rejected('UNAVAILABLE', 'THROTTLED')
    default:
      if (status >= 500) return status === 501 ? rejected('UNSUPPORTED', 'REFUSED') : unsettled('SERVER')
      return status >= 400 ? rejected('INVALID', 'REFUSED') : unsettled('PROTOCOL')
  }
}

function brokenMeaning(error: unknown): Meaning {
  const broken = brokenBy(error)
  if (broken === undefined) return unsettled('SERVER')
  if (broken.reason === 'TLS') return rejected('DENIED', 'TLS')
  return broken.isSent ? unsettled(broken.reason) : rejected('UNAVAILABLE', broken.reason)
}

/** Whether the answer carries a header that only the service sets: each answer of the upload and media servers has one. */
export function isService(header: (name: string) => string | undefined): boolean {
  return header('x-guploader-uploadid') !== undefined || header('x-goog-generation') !== undefined
}

/** What Google says in an error body: `{ error: { code, message, errors: [{ reason }] } }`. `message` undefined where it is not one. */
export function detailsOf(text: string): { reasons: readonly string[]; message: string | undefined } {
  try {
    return readDetails(JSON.parse(text))
  } catch {
    return { reasons: [], message: undefined }
  }
}

function readDetails(body: unknown): { reasons: readonly string[]; message: string | undefined } {
  const error = (body as { error?: unknown } | null)?.error
  if (typeof error === 'string') {
    const more = (body as { error_description?: unknown }).error_description
    return { reasons: [], message: typeof more === 'string' ? `${error}: ${more}` : error }
  }
  if (typeof error !== 'object' || error === null) return { reasons: [], message: undefined }
  const { message, errors, details } = error as { message?: unknown; errors?: unknown; details?: unknown }
  return { reasons: [...reasonsIn(errors), ...reasonsIn(details)], message: typeof message === 'string' ? message : '' }
}

function reasonsIn(list: unknown): string[] {
  if (!Array.isArray(list)) return []
  const reasons = list.map(item => (item as { reason?: unknown } | null)?.reason)
  // A word each, as the service's are: what is none is not shown, and decides nothing.
  return [
    ...new Set(reasons.filter(reason => typeof reason === 'string' && /^\w[\w.-]{0,79}$/.test(reason))),
  ] as string[]
}

/** HTTP status of an error of the official client or of its HTTP library. */
function statusOf(error: unknown): number | undefined {
  const { code, status, response } = (error ?? {}) as {
    code?: unknown
    status?: unknown
    response?: { status?: unknown; statusCode?: unknown }
  }
  const found = [code, status, response?.status, response?.statusCode].map(Number).find(n => n >= 100 && n < 600)
  return found
}

function sdkDetails(error: unknown): { reasons: readonly string[]; message: string } {
  const { errors, message, response } = error as { errors?: unknown; message?: unknown; response?: { data?: unknown } }
  const inside = readDetails(response?.data)
  const reasons = reasonsIn(errors)
  return {
    reasons: reasons.length > 0 ? reasons : inside.reasons,
    message: inside.message ?? (typeof message === 'string' ? message : ''),
  }
}
