import { randomBytes } from 'node:crypto'
import type { OutgoingHttpHeaders } from 'node:http'
import type { Answer } from '../answer.ts'

/** Why the service does not do what it was asked. */
export interface Refusal {
  readonly status: number
  /** Google's word for it: `notFound`, `conditionNotMet`. */
  readonly reason: string
  readonly message: string
  readonly headers?: OutgoingHttpHeaders
  /** The XML side's word, where that is asked. */
  readonly xml?: string
}

/** Ends the work on a request. An Error only so that nothing is lost if nobody catches it. */
export function refuse(refusal: Refusal): never {
  throw Object.assign(new Error(refusal.message), { refusal })
}

/** The refusal that was thrown, if it was one. */
export function refusalOf(error: unknown): Refusal | undefined {
  return error instanceof Error && 'refusal' in error ? (error.refusal as Refusal) : undefined
}

/** Which of its languages the service answers in: errors of downloads are bare text. */
export type Language = 'json' | 'xml' | 'text'

export function refusalAnswer(refusal: Refusal, language: Language): Answer {
  const { status, message, headers = {} } = refusal
  const bodies: Readonly<Record<Language, () => string>> = {
    json: () => JSON.stringify({ error: jsonError(refusal) }),
    xml: () => xmlError(refusal),
    text: () => message,
  }
  const types: Readonly<Record<Language, string>> = {
    json: 'application/json; charset=UTF-8',
    xml: 'application/xml; charset=UTF-8',
    text: 'text/html; charset=UTF-8',
  }
  const common = { ...serviceHeaders(), 'content-type': types[language], ...headers }
  return status === 304 ? { status, headers: common } : { status, headers: common, body: bodies[language]() }
}

/** On every answer of the service, and on nothing else. */
export function serviceHeaders(): OutgoingHttpHeaders {
  return { 'x-guploader-uploadid': randomBytes(24).toString('base64url'), server: 'UploadServer' }
}

const places: Readonly<Record<string, { locationType: string; location: string }>> = {
  conditionNotMet: { locationType: 'header', location: 'If-Match' },
  authError: { locationType: 'header', location: 'Authorization' },
  required: { locationType: 'header', location: 'Authorization' },
  accountDisabled: { locationType: 'header', location: 'Authorization' },
}

function jsonError({ status, reason, message }: Refusal): unknown {
  const domain = reason === 'rateLimitExceeded' ? 'usageLimits' : 'global'
  return { code: status, message, errors: [{ message, domain, reason, ...places[reason] }] }
}

function xmlError({ status, message, xml }: Refusal): string {
  const code = xml ?? xmlCodes[status] ?? 'InternalError'
  return `<?xml version='1.0' encoding='UTF-8'?><Error><Code>${code}</Code><Message>${escaped(message)}</Message></Error>`
}

const xmlCodes: Readonly<Record<number, string>> = {
  400: 'InvalidArgument',
  401: 'AuthenticationRequired',
  403: 'AccessDenied',
  404: 'NoSuchKey',
  405: 'MethodNotAllowed',
  412: 'PreconditionFailed',
  416: 'InvalidRange',
  429: 'SlowDown',
  503: 'ServiceUnavailable',
}

function escaped(text: string): string {
  return text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
}

/** What the service says with a status when nothing else is asked of it. */
export const usual: Readonly<Record<number, { reason: string; message: string }>> = {
  400: { reason: 'invalid', message: 'Invalid argument.' },
  401: { reason: 'authError', message: 'Invalid Credentials' },
  403: { reason: 'forbidden', message: 'Forbidden' },
  404: { reason: 'notFound', message: 'Not Found' },
  408: { reason: 'uploadBrokenConnection', message: 'The request timed out.' },
  409: { reason: 'conflict', message: 'Conflict' },
  410: { reason: 'gone', message: 'The upload session is terminated.' },
  412: { reason: 'conditionNotMet', message: 'At least one of the pre-conditions you specified did not hold.' },
  413: { reason: 'uploadTooLarge', message: 'The request is too large.' },
  416: { reason: 'requestedRangeNotSatisfiable', message: 'The requested range cannot be satisfied.' },
  429: { reason: 'rateLimitExceeded', message: 'The rate of requests is over the limit. Please reduce it.' },
  500: { reason: 'internalError', message: 'We encountered an internal error. Please try again.' },
  502: { reason: 'backendError', message: 'Bad Gateway' },
  503: { reason: 'backendError', message: 'We encountered an internal error. Please try again.' },
  504: { reason: 'gatewayTimeout', message: 'Gateway Timeout' },
}

/** 304 of a read, 412 of anything else. */
export function conditionRefused(notModified: boolean): Refusal {
  const status = notModified ? 304 : 412
  return { status, reason: 'conditionNotMet', message: usual[412]?.message ?? '' }
}

export function invalidArgument(message: string): Refusal {
  return { status: 400, reason: 'invalid', message }
}

export function noBucket(): Refusal {
  return { status: 404, reason: 'notFound', message: 'The specified bucket does not exist.', xml: 'NoSuchBucket' }
}

export function noObject(bucket: string, key: string): Refusal {
  return { status: 404, reason: 'notFound', message: `No such object: ${bucket}/${key}`, xml: 'NoSuchKey' }
}
