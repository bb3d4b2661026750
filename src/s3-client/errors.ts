import type { S3ServiceException } from '@aws-sdk/client-s3'
import { randomUUID } from 'node:crypto'
import { HoldfastError } from '../index.ts'
import { sdk } from './sdk.ts'

type Sdk = typeof import('@aws-sdk/client-s3')

/** As the SDK has it of every answer. Nothing was sent, so nothing was tried again. */
export interface Metadata {
  readonly httpStatusCode: number
  /** `holdfast-…`: this answer came from here. */
  readonly requestId: string
  readonly attempts: number
  readonly totalRetryDelay: number
}

export function metadata(httpStatusCode: number): Metadata {
  return { httpStatusCode, requestId: `holdfast-${randomUUID()}`, attempts: 1, totalRetryDelay: 0 }
}

/** What an error has besides: `cause`, and fields of S3's error documents such as `Key` or `Condition`. */
export interface ErrorFields {
  readonly cause?: unknown
  readonly [field: string]: unknown
}

/**
 * An error as the SDK would have made it of S3's answer: of the class that the SDK has for this code, else S3ServiceException. `$fault` is
 * 'server' from 500 on.
 */
export function s3Error(
  name: string,
  status: number,
  message: string,
  { cause, ...fields }: ErrorFields = {},
): S3ServiceException {
  const $fault = status >= 500 ? 'server' : 'client'
  const error: S3ServiceException & { Code?: unknown } = new (classOf(name))({
    name,
    $fault,
    message,
    $metadata: metadata(status),
  })
  Object.assign(error, { name, $fault, Code: name }, fields)
  if (error.Code === undefined) delete error.Code
  if (status >= 500 && status !== 501) Object.assign(error, { $retryable: { throttling: name === 'SlowDown' } })
  if (cause !== undefined) Object.defineProperty(error, 'cause', { value: cause, configurable: true, writable: true })
  return error
}

/**
 * An error of an answer without a document, as to a HEAD, or with status 304: the SDK has no code to name it by. From the status alone it knows
 * NotFound; else it says Unknown, or, before it had schemas, the status.
 */
export function bareError(status: number, cause?: unknown): S3ServiceException {
  const name = status === 404 ? 'NotFound' : 'PutObject$' in sdk() ? 'Unknown' : String(status)
  return s3Error(name, status, 'UnknownError', { Code: undefined, cause })
}

export function noSuchKey(key: string): S3ServiceException {
  return s3Error('NoSuchKey', 404, 'The specified key does not exist.', { Key: key })
}

/** `condition`: the header that did not hold. */
export function preconditionFailed(condition: string, cause?: unknown): S3ServiceException {
  const message = 'At least one of the pre-conditions you specified did not hold'
  return s3Error('PreconditionFailed', 412, message, { Condition: condition, cause })
}

export function invalidArgument(name: string, value: unknown, message: string): S3ServiceException {
  return s3Error('InvalidArgument', 400, message, { ArgumentName: name, ArgumentValue: String(value) })
}

function classOf(name: string): Sdk['S3ServiceException'] {
  const all = sdk()
  const other = all.S3ServiceException
  const found = (all as unknown as Readonly<Record<string, unknown>>)[name]
  const isOne = typeof found === 'function' && found.prototype instanceof other
  return isOne ? (found as Sdk['S3ServiceException']) : other
}

/** What the SDK rejects with when the app's signal aborts: no S3ServiceException, and no HoldfastError. */
export function abortError(reason: unknown): Error {
  const isError = reason instanceof Error
  const text = typeof reason === 'string' ? reason : 'Request aborted'
  const error = new Error(text, isError ? { cause: reason } : undefined)
  error.name = 'AbortError'
  return error
}

/** Of a write that the app's client sends again when it sees one of these, and then finds done. */
const serverErrors = {
  UNAVAILABLE: ['ServiceUnavailable', 503],
  NO_SPACE: ['SlowDown', 503],
  CORRUPT: ['InternalError', 500],
  CLOSED: ['InternalError', 500],
  ACK_TIMEOUT: ['RequestTimeout', 400],
  BLOCKED: ['OperationAborted', 409],
  DENIED: ['AccessDenied', 403],
  CHECKSUM: ['BadDigest', 400],
  PRECONDITION: ['PreconditionFailed', 412],
  UNSUPPORTED: ['NotImplemented', 501],
} as const

/**
 * Anything that a store rejects with, as S3 would say it; the HoldfastError is its `cause`, and its message is the message. What the SDK made already,
 * and what is neither, is given back as it is.
 */
export function asS3Error(error: unknown, key?: string): unknown {
  if (!(error instanceof HoldfastError)) return error
  // The app's own stream failed: that is what the SDK would have rejected with.
  if (error.field === 'body' && error.rule === 'source' && error.cause instanceof Error) return error.cause
  const fields = { cause: error, ...(key === undefined ? {} : { Key: key }) }
  if (error.code === 'INVALID') {
    const [name, status] = invalidAs(error)
    return s3Error(name, status, error.message, fields)
  }
  const [name, status] = serverErrors[error.code]
  return s3Error(name, status, error.message, fields)
}

/** S3's word for an input that breaks a rule. */
function invalidAs({ field = '', rule = '' }: HoldfastError): readonly [string, number] {
  if (field.startsWith('features')) return rule === 'provider' ? ['NotImplemented', 501] : ['InvalidArgument', 400]
  if (field === 'key') return rule === 'length' ? ['KeyTooLongError', 400] : ['InvalidArgument', 400]
  if (field === 'metadata')
    return rule === 'length' || rule === 'size' ? ['MetadataTooLarge', 400] : ['InvalidArgument', 400]
  if (field === 'size' || rule === 'size') return ['EntityTooLarge', 400]
  if (field === 'upload') return ['NoSuchUpload', 404]
  if (field === 'range') return ['InvalidRange', 416]
  if (field === 'body' && rule === 'source') return ['IncompleteBody', 400]
  return ['InvalidArgument', 400]
}
