import { type ErrorCode, HoldfastError, type Outcome, type Reason, shown } from '../../core/errors.ts'
import type { ErrorMaker } from '../errors.ts'
import { brokenBy, cleanCause, cleanText, httpDate, retryAfterMs, wordsOf } from '../transport.ts'

/** What a request was for, as far as it changes what its failure means. */
export interface Purpose {
  /** For messages: `put`, `head`, `list` … */
  readonly call: string
  readonly key?: string
  /** `none` reads. `writes` may have changed something although no good answer came. `prepares` a write that cannot be there yet. */
  readonly effect: 'none' | 'prepares' | 'writes'
}

/** An answer that is not the one hoped for. */
interface Refusal {
  readonly status: number
  /** As the service names it: `BlobAlreadyExists`. '' where it did not say. */
  readonly code: string
  readonly text: string
  readonly header: (name: string) => string | undefined
  readonly asked: (name: string) => string | undefined
}

interface Meaning {
  readonly code: ErrorCode
  readonly reason: Reason
  readonly outcome: Outcome
  readonly retryable?: boolean
  readonly hint?: string
}

const rejected = (code: ErrorCode, reason: Reason, hint?: string): Meaning => ({
  code,
  reason,
  outcome: 'rejected',
  retryable: code === 'UNAVAILABLE',
  ...(hint === undefined ? {} : { hint }),
})
/** Taken, perhaps done, and no good answer. */
const unsettled = (reason: Reason): Meaning => ({ code: 'UNAVAILABLE', reason, outcome: 'unknown' })

/** The error of anything that the official client threw during a call. */
export function callError(errors: ErrorMaker, purpose: Purpose, error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error
  const refusal = refusalOf(error)
  if (refusal === undefined) return brokenError(errors, purpose, error)
  // Of a good status: the client could not read what came with it.
  const isGood = refusal.status < 300
  const meaning = isGood ? unsettled(spoke(refusal) ? 'PROTOCOL' : 'NOT_PROVIDER') : meaningOf(refusal)
  const words = meaning.reason === 'CREDENTIALS' ? '' : messageIn(errors.without(refusal.text))
  const said = [refusal.status, refusal.code, words]
  const requestId = refusal.header('x-ms-request-id')
  const trace = requestId === undefined ? '' : ` (request ${clean(requestId)})`
  return errorOf(errors, purpose, meaning, `answered ${said.filter(Boolean).join(' ')}${trace}`, {
    cause: causeOf(error),
    retryAfterMs: retryAfterMs(refusal.header('retry-after'), refusal.header('date')),
  })
}

/** Whether the service proved that there is no such object: a 404 in its own words, about the object and not the container. */
export function isAbsent(error: unknown): boolean {
  const refusal = refusalOf(error)
  return refusal?.status === 404 && refusal.code === 'BlobNotFound' && spoke(refusal)
}

/** The `Date` of the answer that an error is about, ms since 1970. */
export function timeOf(error: unknown): number | undefined {
  return httpDate(refusalOf(error)?.header('date'))
}

/** A good status from something that does not speak like Azure Blob Storage. */
export function notProvider(errors: ErrorMaker, purpose: Purpose, what: string): HoldfastError {
  return errorOf(errors, purpose, unsettled('NOT_PROVIDER'), what)
}

/** An answer of the service that makes no sense. */
export function protocolError(errors: ErrorMaker, purpose: Purpose, what: string): HoldfastError {
  return errorOf(errors, purpose, unsettled('PROTOCOL'), what)
}

/** Anything thrown, by whomever: what it was for is told by the request that it carries, if it carries one. */
export function classifyAzure(errors: ErrorMaker, error: unknown): HoldfastError {
  const method = (error as { request?: { method?: unknown } } | null | undefined)?.request?.method
  const reads = method === 'GET' || method === 'HEAD'
  return callError(errors, { call: 'call', effect: reads ? 'none' : 'writes' }, error)
}

function errorOf(
  errors: ErrorMaker,
  purpose: Purpose,
  meaning: Meaning,
  what: string,
  more: { cause?: unknown; retryAfterMs?: number | undefined } = {},
): HoldfastError {
  const { code, reason, retryable, hint = hints[reason] } = meaning
  const subject = purpose.key === undefined ? purpose.call : `${purpose.call} of ${shown(purpose.key)}`
  return errors.because(code, reason, `${subject} ${what}${hint === undefined ? '' : `; ${hint}`}`, {
    ...(purpose.key === undefined ? {} : { key: purpose.key }),
    ...(purpose.effect === 'writes' ? { outcome: meaning.outcome } : {}),
    ...(purpose.effect === 'prepares' ? { outcome: 'rejected' as const } : {}),
    ...(reason === 'RANGE' ? { field: 'range', rule: 'end' } : {}),
    ...(retryable === undefined ? {} : { retryable }),
    ...(more.cause === undefined ? {} : { cause: more.cause }),
    ...(more.retryAfterMs === undefined ? {} : { retryAfterMs: more.retryAfterMs }),
  })
}

const hints: Partial<Record<Reason, string>> = {
  CREDENTIALS: 'check the account key, SAS or token, the network rules of the account, and the clock of this machine',
  ACCOUNT: 'the account is disabled or closed',
  BUCKET: 'the container is gone, or was never there',
  CLOCK: 'the clock of this machine is more than 15 minutes off',
}

/** https://learn.microsoft.com/rest/api/storageservices/blob-service-error-codes, and what the emulator answers instead. */
const byCode: Readonly<Record<string, Meaning>> = Object.assign(Object.create(null) as Record<string, Meaning>, {
  ServerBusy: unsettled('THROTTLED'),
  AccountIOPSLimitExceeded: unsettled('THROTTLED'),
  TooManyRequests: rejected('UNAVAILABLE', 'THROTTLED'),
  InternalError: unsettled('SERVER'),
  OperationTimedOut: unsettled('SERVER'),
  PendingCopyOperation: rejected('UNAVAILABLE', 'SERVER'),

  BlobAlreadyExists: rejected('PRECONDITION', 'CONDITION'),
  ConditionNotMet: rejected('PRECONDITION', 'CONDITION'),
  TargetConditionNotMet: rejected('PRECONDITION', 'CONDITION'),
  UnauthorizedBlobOverwrite: rejected('DENIED', 'FORBIDDEN', 'the SAS may create blobs, not replace them'),

  Md5Mismatch: rejected('CHECKSUM', 'DIGEST'),
  Crc64Mismatch: rejected('CHECKSUM', 'DIGEST'),
  InvalidBlockList: rejected('UNAVAILABLE', 'UPLOAD_GONE'),
  InvalidBlobOrBlock: rejected(
    'DENIED',
    'CONFLICT',
    'somebody else left unfinished blocks with ids of another length; the service drops them after a week',
  ),
  RequestEntityTooLargeBlockCountExceedsLimit: rejected(
    'DENIED',
    'CONFLICT',
    'more than 100,000 unfinished blocks are left there; the service drops them after a week',
  ),
  BlockCountExceedsLimit: rejected('DENIED', 'CONFLICT'),
  InvalidBlobType: rejected('DENIED', 'CONFLICT', 'an append or page blob of somebody else is there'),
  ResourceTypeMismatch: rejected('DENIED', 'CONFLICT', 'a directory is there'),
  InvalidRange: rejected('INVALID', 'RANGE'),

  AuthenticationFailed: rejected('DENIED', 'CREDENTIALS'),
  InvalidAuthenticationInfo: rejected('DENIED', 'CREDENTIALS'),
  NoAuthenticationInformation: rejected('DENIED', 'CREDENTIALS'),
  // Of the account as a whole, in Azure (network rules) as in the emulator (a wrong key): no object can be read with it.
  AuthorizationFailure: rejected('DENIED', 'CREDENTIALS'),
  AuthorizationProtocolMismatch: rejected('DENIED', 'CREDENTIALS', 'the SAS asks for https'),
  AuthorizationServiceMismatch: rejected('DENIED', 'CREDENTIALS', 'the SAS is not for blobs'),
  AuthorizationSourceIPMismatch: rejected('DENIED', 'CREDENTIALS', 'the SAS is for another IP address'),
  KeyBasedAuthenticationNotPermitted: rejected('DENIED', 'CREDENTIALS', 'the account takes Entra ID only, no keys'),
  AuthorizationPermissionMismatch: rejected('DENIED', 'FORBIDDEN', 'the role or SAS lacks this permission'),
  AuthorizationResourceTypeMismatch: rejected('DENIED', 'FORBIDDEN', 'the SAS lacks this type of resource'),
  InsufficientAccountPermissions: rejected('DENIED', 'FORBIDDEN'),
  AccountIsDisabled: rejected('DENIED', 'ACCOUNT'),
  AccountBeingCreated: rejected('UNAVAILABLE', 'SERVER'),

  ContainerNotFound: rejected('DENIED', 'BUCKET'),
  ContainerBeingDeleted: rejected('DENIED', 'BUCKET', 'the container is being deleted'),
  ContainerDisabled: rejected('DENIED', 'BUCKET', 'the container is disabled'),
  ResourceNotFound: rejected('DENIED', 'BUCKET'),

  BlobImmutableDueToPolicy: rejected('DENIED', 'RETENTION'),
  BlobImmutableDueToLegalHold: rejected('DENIED', 'RETENTION'),
  SnapshotsPresent: rejected(
    'DENIED',
    'RETENTION',
    'the blob has snapshots, which Holdfast did not make and does not delete',
  ),
  LeaseAlreadyPresent: rejected('DENIED', 'RETENTION', 'somebody holds a lease on it'),
  LeaseIdMismatchWithBlobOperation: rejected('DENIED', 'RETENTION', 'somebody holds a lease on it'),
  LeaseIdMissing: rejected('DENIED', 'RETENTION', 'somebody holds a lease on it'),
  LeaseLost: rejected('DENIED', 'RETENTION', 'somebody held a lease on it'),
  BlobArchived: rejected('UNSUPPORTED', 'RETENTION', 'the blob is in the archive tier; rehydrate it first'),
  BlobBeingRehydrated: rejected(
    'UNAVAILABLE',
    'RETENTION',
    'the blob comes back from the archive tier, which takes hours',
  ),
  BlobUsesCustomerSpecifiedEncryption: rejected('DENIED', 'KMS', 'the blob is encrypted with a key of a customer'),
  KeyVaultEncryptionKeyNotFound: rejected('DENIED', 'KMS'),
  KeyVaultAccessTokenCannotBeAcquired: rejected('DENIED', 'KMS'),
  KeyVaultVaultNotFound: rejected('DENIED', 'KMS'),
} satisfies Record<string, Meaning>)

/** The status decides first where nobody of the service spoke: a proxy's page must not pass for a verdict. */
function meaningOf(refusal: Refusal): Meaning {
  const { status, code } = refusal
  if (!spoke(refusal) && status < 500 && status !== 429) {
    // The service's front door refuses malformed requests before the service sees them.
    const isFrontDoor = status === 400 && /^Microsoft-HTTPAPI/i.test(refusal.header('server') ?? '')
    return isFrontDoor ? rejected('INVALID', 'REFUSED') : unsettled('NOT_PROVIDER')
  }
  if (code === 'AuthenticationFailed' && clockIsOff(refusal)) return rejected('DENIED', 'CLOCK')
  if (code === 'InvalidOperation' && /md5 doesn't match/i.test(refusal.text)) return rejected('CHECKSUM', 'DIGEST')
  if (code === 'InvalidHeaderValue' && /x-ms-version/.test(refusal.text)) {
    return rejected('UNSUPPORTED', 'REFUSED', 'the service is older than @azure/storage-blob; install an older one')
  }
  return byCode[code] ?? byStatus(status, code)
}

function byStatus(status: number, code: string): Meaning {
  switch (status) {
    case 304:
    case 412:
      return rejected('PRECONDITION', 'CONDITION')
    case 401:
      return rejected('DENIED', 'CREDENTIALS')
    case 403:
      return rejected('DENIED', 'FORBIDDEN')
    case 404:
      // Callers for whom an absent blob is no error have looked before.
      return code === 'BlobNotFound' ? rejected('UNAVAILABLE', 'UPLOAD_GONE') : unsettled('NOT_PROVIDER')
    case 408:
      return unsettled('TIMEOUT')
    case 409:
      return rejected('DENIED', 'CONFLICT')
    case 416:
      return rejected('INVALID', 'RANGE')
    case 429:
      return rejected('UNAVAILABLE', 'THROTTLED')
    case 501:
    case 505:
      return rejected('UNSUPPORTED', 'REFUSED')
    case 503:
      return unsettled('THROTTLED')
    default:
      if (status >= 500) return unsettled('SERVER')
      return status >= 400 ? rejected('INVALID', 'REFUSED') : unsettled('NOT_PROVIDER')
  }
}

function spoke({ header }: Refusal): boolean {
  return header('x-ms-request-id') !== undefined || header('x-ms-error-code') !== undefined
}

/** Requests are refused when their time is more than 15 minutes off. Both times are known, so there is no need to read it out of the text. */
function clockIsOff({ header, asked, text }: Refusal): boolean {
  const apart = Math.abs(Date.parse(header('date') ?? '') - Date.parse(asked('x-ms-date') ?? ''))
  return apart > 14 * 60_000 || /date header too old|request is too old/i.test(text)
}

function refusalOf(error: unknown): Refusal | undefined {
  const { statusCode, code, response, request, message } = (error ?? {}) as RestErrorLike
  if (typeof statusCode !== 'number') return undefined
  const header = reader(response?.headers)
  const text =
    typeof response?.bodyAsText === 'string' ? response.bodyAsText : typeof message === 'string' ? message : ''
  const inBody = /<Code>([A-Za-z0-9]{1,80})<\/Code>/.exec(text)?.[1]
  const given = typeof code === 'string' && /^[A-Z][a-z0-9]\w{1,80}$/.test(code) ? code : undefined
  const inHeader = /^[A-Za-z0-9]{1,80}$/.exec(header('x-ms-error-code') ?? '')?.[0]
  const named = inHeader ?? inBody ?? given ?? ''
  return { status: statusCode, code: named, text, header, asked: reader(request?.headers) }
}

/** `RestError` of @azure/core-rest-pipeline, told by its looks: the caller's client may be of another copy of it. */
interface RestErrorLike {
  readonly statusCode?: unknown
  readonly code?: unknown
  readonly message?: unknown
  readonly response?: { readonly headers?: HeadersLike; readonly bodyAsText?: unknown }
  readonly request?: { readonly headers?: HeadersLike }
}

interface HeadersLike {
  get?(name: string): string | undefined
}

function reader(headers: HeadersLike | undefined): (name: string) => string | undefined {
  return name => (typeof headers?.get === 'function' ? (headers.get(name) ?? undefined) : undefined)
}

/** No answer, or lost half-way. */
function brokenError(errors: ErrorMaker, purpose: Purpose, error: unknown): HoldfastError {
  return errorOf(errors, purpose, brokenMeaning(error), `failed: ${clean(wordsOf(error))}`, { cause: causeOf(error) })
}

function brokenMeaning(error: unknown): Meaning {
  const { code, name, message } = (error ?? {}) as NodeJS.ErrnoException
  // @azure/identity: no token could be had, so nothing was sent.
  if (/^(CredentialUnavailable|Authentication|AggregateAuthentication|AuthenticationRequired)Error$/.test(name ?? '')) {
    return rejected('DENIED', 'CREDENTIALS')
  }
  // What the client makes of a good answer without the headers that the service sends, or without a listing in it.
  if (name === 'RangeError' && /valid (etag|content length) header/.test(message ?? ''))
    return unsettled('NOT_PROVIDER')
  const broken = brokenBy(error)
  // Names that the client gives to what has none.
  if (broken === undefined) return unsettled(/^(REQUEST_SEND|PARSE)_ERROR$/.test(code ?? '') ? 'NETWORK' : 'SERVER')
  if (broken.reason === 'TLS') return rejected('DENIED', 'TLS')
  return broken.isSent ? unsettled(broken.reason) : rejected('UNAVAILABLE', broken.reason)
}

/** What the service says, without the request id and time that it appends on lines of their own. */
function messageIn(text: string): string {
  const message = /<Message>([^<]{1,2000})/.exec(text)?.[1] ?? (text.includes('<') ? '' : text)
  return clean(message.split(/[\r\n]/)[0] ?? '')
}

/** An error that may be shown: the client's own carry the request, and with it signatures and tokens. */
export function causeOf(error: unknown): Error | undefined {
  const { statusCode, message } = (error ?? {}) as RestErrorLike
  const text = typeof message === 'string' ? message : ''
  if (typeof statusCode === 'number') return cleanCause(error, { words: messageIn(text), fields: { statusCode } })
  const words = text.replace(signed, '[hidden]')
  return words === text ? cleanCause(error) : cleanCause(error, { words })
}

/** The service explains a signature that does not fit with the one that would, and with what was signed. */
const signed = /(?:signature|string[ -]to[ -]sign)\b[^]*/gi

function clean(text: string): string {
  return cleanText(text.replace(signed, '[hidden]'))
}
