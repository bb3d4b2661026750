import type { S3Client } from '@aws-sdk/client-s3'
import type { Holdfast } from '../index.ts'

/**
 * What answers one command for a wrapped bucket. Resolves with what the plain client would, `$metadata` included (`metadata` in errors.ts makes it);
 * rejects with the SDK's own errors, or with a HoldfastError or the signal's reason, which whoever called turns into one (`asS3Error`).
 * The input is the app's: never changed, nor kept beyond the call.
 *
 * A method, so that a table may hold handlers of several inputs: who looks one up by the command's name gives it that command's input.
 */
export type Handler<Input extends object = object, Output extends object = object> = {
  handle(call: Call<Input>): Promise<Output>
}['handle']

export interface Call<Input extends object = object> {
  /** In the schema's words: `PutObject`. */
  readonly command: string
  /** As the app's middleware left it. Every field was judged: those that are here may be used, or are ignored as the field table says. */
  readonly input: Input
  readonly store: Holdfast
  readonly bucket: string
  readonly settings: Settings
  /** Of the client: `requestChecksumCalculation()`, `responseChecksumValidation()`. */
  readonly config: S3Client['config']
  readonly signal: AbortSignal | undefined
  /** The store of a wrapped bucket, of this one or another. */
  storeOf(bucket: string): Holdfast | undefined
  /** Sends a command of our own by the plain client, with the app's signal: for what is no wrapped bucket's. */
  plain: S3Client['send']
  /** What the plain client does with this command: the request goes to the primary as it is. */
  next(): Promise<object>
}

/** The options of `withHoldfast`, checked. */
export interface Settings {
  readonly multipart: 'local' | 'provider'
  readonly listWhenDown: 'local' | 'fail'
  /** Fields that may be gone without where they cannot be kept. */
  readonly relax: readonly string[]
}
