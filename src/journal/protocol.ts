import { type ErrorCode, type ErrorDetails, HoldfastError } from '../core/errors.ts'
import type { BucketChanges } from './buckets.ts'
import type { Ledger } from './ledger.ts'
import type { SettleChanges } from './settle.ts'
import type { UploadChanges } from './uploads.ts'

/** What the two threads say to each other. */

/** Every change that the writer makes, by name. */
export type Book = Ledger & BucketChanges & UploadChanges & SettleChanges

export interface WorkerOptions {
  /** The directory's path and uuid. */
  readonly path: string
  readonly directory: string
  readonly writer: string
}

export interface Request {
  readonly id: number
  readonly op: string
  readonly args: readonly unknown[]
}

export type Answer =
  | { readonly id: number; readonly ok: true; readonly value: unknown }
  | {
      readonly id: number
      readonly ok: false
      readonly code: ErrorCode
      readonly message: string
      readonly details: ErrorDetails
    }

/** Makes one change within the transaction of the moment. A HoldfastError is an answer, and nothing was changed; anything else is thrown, and ends the transaction. */
export function answerTo(book: Book, { id, op, args }: Request): Answer {
  try {
    const change = book[op as keyof Book] as (...args: readonly unknown[]) => unknown
    return { id, ok: true, value: change(...args) }
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    return failure(id, error)
  }
}

export interface Opened {
  /** A write had failed when the directory was last open: all bodies are to be verified before anything is accepted. */
  readonly poisoned: boolean
}

/** Errors lose their class between threads, so they travel as plain values. */
export function failure(id: number, error: Error): Answer {
  const known = error instanceof HoldfastError ? error : new HoldfastError('CORRUPT', error.message)
  const { code, message, field, rule, reason, retryable, outcome, version, key } = known
  const cause = known.cause instanceof Error ? known.cause.message : undefined
  const details = { field, rule, reason, retryable, outcome, version, key, cause } as ErrorDetails
  return { id, ok: false, code, message, details }
}

export function rebuild(answer: Extract<Answer, { ok: false }>): HoldfastError {
  const { cause, ...details } = answer.details
  return new HoldfastError(
    answer.code,
    answer.message,
    cause === undefined ? details : { ...details, cause: new Error(cause as string) },
  )
}
