import { type ErrorCode, HoldfastError, type Outcome, type Reason } from '../../core/errors.ts'
import type { ErrorMaker } from '../errors.ts'
import { brokenBy, cleanCause, cleanText, retryAfterMs, wordsOf } from '../transport.ts'

/** What a request was for, as far as it changes what its failure means. */
export interface Purpose {
  /** For messages: `put`, `head`, `list` … */
  readonly call: string
  readonly key?: string
  /** Whether it may have changed something although no good answer came. */
  readonly writes: boolean
}

/** The answer as it came, seen before the SDK read it. */
export interface Seen {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
}

/** What is known of a failure besides its error. */
export interface Verdict {
  readonly error: HoldfastError
  /** HTTP status; `undefined` where no answer came. */
  readonly status: number | undefined
  /** S3's own name for it, from the body of the answer. HEAD has none. */
  readonly code: string | undefined
  /** Whether it was S3 that spoke, and not something on the way to it. */
  readonly spoke: boolean
}

interface Meaning {
  readonly code: ErrorCode
  readonly reason: Reason
  readonly outcome: Outcome
  readonly retryable?: boolean
}

/** Not done, and nobody need look. */
const rejected = (code: ErrorCode, reason: Reason, retryable?: boolean): Meaning =>
  retryable === undefined ? { code, reason, outcome: 'rejected' } : { code, reason, outcome: 'rejected', retryable }

/** Perhaps done, and no good answer. */
const unsettled = (reason: Reason): Meaning => ({ code: 'UNAVAILABLE', reason, outcome: 'unknown' })

const credentials = rejected('DENIED', 'CREDENTIALS')
const account = rejected('DENIED', 'ACCOUNT')
const region = rejected('DENIED', 'REGION')
const condition = rejected('PRECONDITION', 'CONDITION')
const refused = rejected('INVALID', 'REFUSED')
/** The bytes may have been damaged on the way: another try is worth it. */
const digest = rejected('CHECKSUM', 'DIGEST', true)
const full = rejected('NO_SPACE', 'ACCOUNT')

/**
 * Codes whose status does not say enough. From https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html; `UserSuspended` and
 * `QuotaExceeded` are Ceph's, `AccountNotActivated` is Wasabi's, `XMinio…` are MinIO's.
 */
const meanings: Readonly<Record<string, Meaning>> = {
  SlowDown: unsettled('THROTTLED'),
  SlowDownRead: unsettled('THROTTLED'),
  SlowDownWrite: unsettled('THROTTLED'),
  Throttling: unsettled('THROTTLED'),
  ThrottlingException: unsettled('THROTTLED'),
  RequestThrottled: unsettled('THROTTLED'),
  RequestLimitExceeded: unsettled('THROTTLED'),
  BandwidthLimitExceeded: unsettled('THROTTLED'),
  TooManyRequestsException: unsettled('THROTTLED'),
  InternalError: unsettled('SERVER'),
  ServiceUnavailable: unsettled('SERVER'),
  OperationAborted: rejected('UNAVAILABLE', 'SERVER'),
  RequestTimeout: rejected('UNAVAILABLE', 'NETWORK'),
  IncompleteBody: rejected('UNAVAILABLE', 'NETWORK'),
  BadDigest: digest,
  InvalidDigest: digest,
  XAmzContentSHA256Mismatch: digest,
  XAmzContentChecksumMismatch: digest,
  InvalidAccessKeyId: credentials,
  SignatureDoesNotMatch: credentials,
  ExpiredToken: credentials,
  InvalidToken: credentials,
  TokenRefreshRequired: credentials,
  InvalidSecurity: credentials,
  MissingSecurityHeader: credentials,
  CredentialsNotSupported: credentials,
  AuthorizationHeaderMalformed: credentials,
  // The SDK takes the service's time from the answer, so the next try may be signed right.
  RequestTimeTooSkewed: rejected('DENIED', 'CLOCK', true),
  RequestExpired: rejected('DENIED', 'CLOCK', true),
  AllAccessDisabled: account,
  AccountProblem: account,
  NotSignedUp: account,
  UserSuspended: account,
  AccountNotActivated: account,
  QuotaExceeded: full,
  XMinioStorageFull: full,
  NoSuchBucket: rejected('DENIED', 'BUCKET'),
  InvalidBucketName: rejected('DENIED', 'BUCKET'),
  NoSuchUpload: rejected('UNAVAILABLE', 'UPLOAD_GONE'),
  PermanentRedirect: region,
  TemporaryRedirect: region,
  Redirect: region,
  IllegalLocationConstraintException: region,
  PreconditionFailed: condition,
  // Another write of the key was under way: whoever asks again finds out which.
  ConditionalRequestConflict: condition,
  InvalidRange: rejected('INVALID', 'RANGE'),
  InvalidObjectState: refused,
  // Some answer it with a 400.
  NotImplemented: rejected('UNSUPPORTED', 'REFUSED'),
}

/** Anything thrown by the SDK, by Node or by TLS, in our words. The status of the answer decides first, then S3's code, then its words. */
export function classify(errors: ErrorMaker, error: unknown, purpose: Purpose, seen?: Seen): HoldfastError {
  return judge(errors, error, purpose, seen).error
}

export function judge(errors: ErrorMaker, error: unknown, purpose: Purpose, seen?: Seen): Verdict {
  if (error instanceof HoldfastError) return { error, status: undefined, code: undefined, spoke: false }
  const answer = seen ?? answerOf(error)
  if (answer === undefined) return unanswered(errors, error, purpose)
  const code = codeOf(error)
  const spoke = code !== undefined || hasRequestId(answer.headers)
  const message = error instanceof Error ? errors.without(firstLine(error.message)) : ''
  const words = cleanText(message === 'UnknownError' ? '' : message)
  const meaning = meaningOf(answer, code, words, spoke, error)
  const said = [answer.status, code, words === code ? '' : words].filter(Boolean).join(' ')
  const what = spoke || answer.status >= 500 ? `answered ${said}` : `got ${said}, not an answer of S3`
  return {
    error: errorOf(errors, purpose, meaning, what + hintOf(meaning, code, answer, error), {
      cause: cleanCause(error, {
        words: message,
        fields: { status: answer.status, requestId: answer.headers['x-amz-request-id'] },
      }),
      retryAfterMs: retryAfterMs(answer.headers['retry-after'], answer.headers['date']),
    }),
    status: answer.status,
    code,
    spoke,
  }
}

/** The SDK puts advice to programmers below. */
function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? ''
}

/** A good answer that S3 did not give, or not whole. */
export function notProvider(errors: ErrorMaker, purpose: Purpose, what: string): HoldfastError {
  return errorOf(errors, purpose, unsettled('NOT_PROVIDER'), what, {})
}

/** An answer of S3 that makes no sense. */
export function protocolError(errors: ErrorMaker, purpose: Purpose, what: string): HoldfastError {
  return errorOf(errors, purpose, unsettled('PROTOCOL'), what, {})
}

/** By which S3 is told from a proxy: every answer of it has a name. */
export function hasRequestId(headers: Readonly<Record<string, string>>): boolean {
  return headers['x-amz-request-id'] !== undefined || headers['x-amz-id-2'] !== undefined
}

function errorOf(
  errors: ErrorMaker,
  purpose: Purpose,
  meaning: Meaning,
  what: string,
  more: { cause?: unknown; retryAfterMs?: number | undefined },
): HoldfastError {
  return errors.because(meaning.code, meaning.reason, `${purpose.call} ${what}`, {
    ...(purpose.key === undefined ? {} : { key: purpose.key }),
    ...(purpose.writes ? { outcome: meaning.outcome } : {}),
    ...(meaning.retryable === undefined ? {} : { retryable: meaning.retryable }),
    ...(meaning.reason === 'RANGE' ? { field: 'range', rule: 'end' } : {}),
    ...(more.cause === undefined ? {} : { cause: more.cause }),
    ...(more.retryAfterMs === undefined ? {} : { retryAfterMs: more.retryAfterMs }),
  })
}

function meaningOf(
  { status, headers }: Seen,
  code: string | undefined,
  words: string,
  spoke: boolean,
  error: unknown,
): Meaning {
  if (status < 300) return inGoodAnswer(code, spoke, error)
  const isKms = code !== undefined && /^KMS\./i.test(code)
  if (isKms && /throttl/i.test(code)) return unsettled('THROTTLED')
  if (status >= 500) return isKms ? rejected('DENIED', 'KMS', true) : ofServer(status, code, spoke)
  if (status === 429) return unsettled('THROTTLED')
  if (!spoke) return unsettled('NOT_PROVIDER')
  if (isKms) return rejected('DENIED', 'KMS')
  const named = code === undefined ? undefined : meanings[code]
  if (code === 'AuthorizationHeaderMalformed' && regionOf(headers, error) !== undefined) return region
  if (named !== undefined) return named
  switch (status) {
    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
      return region
    case 400:
      if (headers['x-amz-bucket-region'] !== undefined && code === undefined) return region
      break
    case 401:
      return credentials
    case 403:
      if (/\bkms:/i.test(words)) return rejected('DENIED', 'KMS')
      return rejected('DENIED', isRetention(words) ? 'RETENTION' : 'FORBIDDEN')
    case 404:
      return rejected('UNAVAILABLE', 'PROTOCOL')
    case 408:
      return unsettled('NETWORK')
    case 409:
      return unsettled('SERVER')
    case 412:
      return condition
    case 416:
      return rejected('INVALID', 'RANGE')
  }
  return isRetention(words) ? rejected('DENIED', 'RETENTION') : refused
}

function ofServer(status: number, code: string | undefined, spoke: boolean): Meaning {
  const named = code === undefined ? undefined : meanings[code]
  if (named?.reason === 'THROTTLED' || named?.code === 'NO_SPACE') return named
  if (status === 501 && spoke) return rejected('UNSUPPORTED', 'REFUSED')
  return status === 507 && spoke ? full : unsettled('SERVER')
}

/** S3 answers some long calls before it has done them, so that an error comes with a 200. The call may have been done all the same. */
function inGoodAnswer(code: string | undefined, spoke: boolean, error: unknown): Meaning {
  const named = code === undefined ? undefined : meanings[code]
  if (named?.code === 'UNAVAILABLE') return unsettled(named.reason)
  if (named !== undefined) return named
  if (typeof (error as NodeJS.ErrnoException).code === 'string') return unsettled('NETWORK')
  if (!spoke) return unsettled('NOT_PROVIDER')
  // The SDK's own name for a 200 without the body that had to come.
  const isEmpty = (error as Error).name === 'InternalError'
  return unsettled(code !== undefined || isEmpty ? 'SERVER' : 'PROTOCOL')
}

/** Object Lock and its likes answer AccessDenied, InvalidRequest or MethodNotAllowed; only the words tell. */
function isRetention(words: string): boolean {
  return /object lock|\bWORM\b|retention|legal hold/i.test(words)
}

const hints: Partial<Record<Reason, string>> = {
  CREDENTIALS: 'check the access key, and that it belongs to this service',
  ACCOUNT: 'the account is closed, suspended, full or not paid for',
  BUCKET: 'the bucket is gone, or was never there',
  CLOCK: "the clock of this machine differs from the service's by more than it allows",
  FORBIDDEN: 'the policy of the bucket or of the user denies it, or, for a key without an object, listing the bucket',
}

/** What a person can do about it. */
function hintOf({ reason }: Meaning, code: string | undefined, { headers }: Seen, error: unknown): string {
  if (code === 'InvalidObjectState') return '; the object is archived, and has to be restored first'
  if (reason !== 'REGION') return hints[reason] === undefined ? '' : `; ${hints[reason]}`
  const right = regionOf(headers, error)
  const where =
    right === undefined ? 'at another endpoint or in another region' : `in region ${right}: set region to it`
  return `; the bucket is ${where}`
}

/** Where the bucket is, as far as the answer says so. */
function regionOf(headers: Readonly<Record<string, string>>, error: unknown): string | undefined {
  const said = headers['x-amz-bucket-region'] ?? ((error ?? {}) as { Region?: unknown }).Region
  return typeof said === 'string' && /^[a-z0-9-]{1,40}$/.test(said) ? said : undefined
}

/** Names that the SDK gives where the answer has no code of its own. */
const unnamed = new Set([
  '',
  'Error',
  'Unknown',
  'UnknownError',
  'NotFound',
  'S3ServiceException',
  'TypeError',
  'SyntaxError',
])

function codeOf(error: unknown): string | undefined {
  const { Code, name, $fault } = (error ?? {}) as { Code?: unknown; name?: unknown; $fault?: unknown }
  const code = typeof Code === 'string' ? Code : $fault === undefined ? undefined : name
  return typeof code === 'string' && /^[A-Za-z][\w.]{0,79}$/.test(code) && !unnamed.has(code) ? code : undefined
}

function answerOf(error: unknown): Seen | undefined {
  const { $metadata, $response } = (error ?? {}) as {
    $metadata?: { httpStatusCode?: unknown }
    $response?: { headers?: Record<string, string> }
  }
  const status = $metadata?.httpStatusCode
  return typeof status === 'number' ? { status, headers: $response?.headers ?? {} } : undefined
}

/** No answer at all: the connection, TLS, the credentials, or the request itself. */
function unanswered(errors: ErrorMaker, thrown: unknown, purpose: Purpose): Verdict {
  const meaning = brokenMeaning(thrown)
  const hint = meaning.reason === 'CREDENTIALS' ? '; no usable credentials were found' : ''
  return {
    error: errorOf(errors, purpose, meaning, `failed: ${wordsOf(thrown)}${hint}`, { cause: cleanCause(thrown) }),
    status: undefined,
    code: undefined,
    spoke: false,
  }
}

function brokenMeaning(thrown: unknown): Meaning {
  const { code, name } = (thrown ?? {}) as NodeJS.ErrnoException
  const message = thrown instanceof Error ? thrown.message : ''
  if (typeof name === 'string' && /^(Credentials|Token)ProviderError$|^(SSO|Sso).*Exception$/.test(name))
    return credentials
  if (/^(region (is missing|not accepted)|invalid region)/i.test(message)) return region
  if (name === 'EndpointError') return region
  if (code === 'ERR_INVALID_CHAR' || code === 'ERR_HTTP_INVALID_HEADER_VALUE') return refused
  const broken = brokenBy(thrown)
  if (broken?.reason === 'TLS') return rejected('DENIED', 'TLS')
  if (broken !== undefined) {
    // The kernel's own patience is minutes: what it gave up on is tried again as any other connection that broke.
    const reason = broken.reason === 'TIMEOUT' ? 'NETWORK' : broken.reason
    return broken.isSent ? unsettled(reason) : rejected('UNAVAILABLE', reason)
  }
  if (/did not establish a connection/.test(message)) return rejected('UNAVAILABLE', 'NETWORK')
  return unsettled(name === 'TimeoutError' ? 'TIMEOUT' : 'SERVER')
}
