import type {
  $Command,
  S3Client,
  S3ClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes,
} from '@aws-sdk/client-s3'
import { unlessAborted } from '../../core/abort.ts'
import type { Carried } from '../carried.ts'
import type { ErrorMaker } from '../errors.ts'
import { hasRequestId, judge, notProvider, protocolError, type Purpose, type Seen, type Verdict } from './classify.ts'
import type { Renewal } from './credentials.ts'
import type { Dialect } from './dialect.ts'
import type { Direct, SignedRequest } from './direct.ts'
import { readBody } from './read-body.ts'

export type Sdk = typeof import('@aws-sdk/client-s3')

/** A bucket, how to reach it, and how it speaks. */
export interface Target {
  readonly sdk: Sdk
  readonly client: S3Client
  readonly bucket: string
  readonly errors: ErrorMaker
  /** Is told of every request. */
  readonly carried: Carried
  readonly credentials: Renewal
  /** Past the SDK's middleware, where the client is one whose middleware is known. */
  readonly direct: Direct
  /** What is known of it at this moment. */
  dialect(): Dialect
}

export interface Asking extends Purpose {
  /** Sent as they are, and signed: what a request must not lack because the SDK's model is older or newer than it. */
  readonly headers?: Readonly<Record<string, string>>
  /** The body of a good answer is handed on unread. Else it is read, and at most `mostAnswerBytes` long. */
  readonly streams?: boolean
  /** Makes a good answer S3's even if the service gives its answers no names (quirk `request-id`). `body`: how it begins. */
  speaks(answer: Seen, body: string): boolean
  /** Whether all of the request went out. Default: yes. */
  isSent?(): boolean
}

export interface Answer<Output> extends Seen {
  readonly output: Output
  readonly refused?: undefined
  /** How the body begins, before the SDK has made something of it; '' of one that is handed on unread. */
  readonly begins: string
  /** Closes the connection of an answer that is still being read. From the end of `ask` on, the signal does that no more. */
  letGo(): void
}

export interface Refusal {
  readonly refused: Verdict
}

export type Command<Input extends ServiceInputTypes, Output extends ServiceOutputTypes> = $Command<
  Input,
  Output,
  S3ClientResolvedConfig,
  ServiceInputTypes,
  ServiceOutputTypes
>

/** Made once: a reason of its own for each call would cost more than the call. */
export const over: Error = new Error('the call is over')

export const mostErrorBytes = 65_536
/** A page of a listing has a thousand keys of at most 1,024 bytes, each written with three. */
export const mostAnswerBytes: number = 16 * 2 ** 20

/**
 * Asks once, and says what came of it: what S3 answered, or why there is no answer. Rejects only with the reason of the signal, at once
 * when it aborts; the connection is let go of then. Whatever client the user brought, this call is one attempt, follows no redirect,
 * computes no checksum of its own and does not wait for a "100 Continue": all of that is switched off on the command's own
 * middleware stack, which the SDK merges into a copy of the client's. The client itself is never changed.
 */
export async function ask<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
  target: Target,
  command: Command<Input, Output>,
  asking: Asking,
  signal: AbortSignal,
): Promise<Answer<Output> | Refusal> {
  signal.throwIfAborted()
  const { errors, client, credentials } = target
  if (credentials.isDue) await unlessAborted(credentials.renew(), signal)
  // One of our own: the SDK does not always take its listener off a signal again.
  const inner = new AbortController()
  const seen: Watched = {}
  onlyOnce(command)
  plainRequest(command, asking.headers ?? {})
  const { key } = asking
  const learn = (request: SignedRequest): void => void (key !== undefined && target.direct.learn(request, key))
  watch(command, seen, asking.streams === true, { learn, note: ({ headers }) => target.carried.note(headers, '') })
  try {
    const sent = client.send(command, { abortSignal: inner.signal, requestTimeout: 0 })
    const output = await unlessAborted(sent, signal, () => inner.abort(signal.reason))
    const { answer } = seen
    if (answer === undefined) return refusal(notProvider(errors, asking, 'was answered by something in the client'))
    if (!hasRequestId(answer.headers) && !isSpoken(target.dialect(), asking, answer, seen.body)) {
      return refusal(notProvider(errors, asking, `got ${answer.status} without the headers of S3`))
    }
    if (asking.isSent?.() === false) {
      return refusal(protocolError(errors, asking, `got ${answer.status} before all of the body was sent`))
    }
    return { ...answer, output, begins: seen.body ?? '', letGo: () => inner.abort(over) }
  } catch (error) {
    signal.throwIfAborted()
    inner.abort(over)
    if (seen.isTooLong === true) return refusal(protocolError(errors, asking, 'got an answer without end'))
    const refused = judge(errors, error, asking, seen.answer)
    if (seen.answer !== undefined && refused.error.reason === 'CREDENTIALS') credentials.refused()
    return { refused }
  }

  /** What is left of the request, or of the answer, is of no use. Does nothing where both are at their end. */
  function refusal(error: Verdict['error']): Refusal {
    inner.abort(over)
    return { refused: { error, status: seen.answer?.status, code: undefined, spoke: false } }
  }
}

/** As `ask`, but every answer that is not a good one is thrown. */
export async function call<Input extends ServiceInputTypes, Output extends ServiceOutputTypes>(
  target: Target,
  command: Command<Input, Output>,
  asking: Asking,
  signal: AbortSignal,
): Promise<Answer<Output>> {
  const answer = await ask(target, command, asking, signal)
  if (answer.refused !== undefined) throw answer.refused.error
  return answer
}

export function isSpoken(dialect: Dialect, asking: Asking, answer: Seen, body = ''): boolean {
  return dialect.quirks['request-id'] === 'never' && asking.speaks(answer, body)
}

/** What the SDK says of its middleware, as far as it is used here. */
interface Stack {
  add(middleware: Middleware, options: Readonly<Record<string, unknown>>): void
  addRelativeTo(middleware: Middleware, options: Readonly<Record<string, unknown>>): void
}
type Middleware = (next: Handler) => Handler
type Handler = (args: { request: HttpRequest }) => Promise<{ response: HttpResponse }>
interface HttpRequest extends SignedRequest {
  headers: Record<string, string>
}
interface HttpResponse {
  readonly statusCode: number
  readonly headers: Record<string, string>
  body?: unknown
}
type HasStack = { readonly middlewareStack: unknown }

const stackOf = ({ middlewareStack }: HasStack): Stack => middlewareStack as Stack

/**
 * Takes the place of the client's retries for this command: one with the name, step and priority of theirs and `override` does.
 * What comes back a second time (region redirects are followed further out) gets the first failure again, unsent.
 */
export function onlyOnce(command: HasStack): void {
  let failed: { readonly error: unknown } | undefined
  stackOf(command).add(
    next => async args => {
      if (failed !== undefined) throw failed.error
      try {
        return await next(args)
      } catch (error) {
        failed = { error }
        throw error
      }
    },
    { name: 'retryMiddleware', step: 'finalizeRequest', priority: 'high', override: true },
  )
}

/**
 * The request as it was meant. The SDK leaves a body alone (no checksum, no aws-chunked framing) when it sees a header with this
 * prefix; it is taken off again before signing, with what other middleware has added.
 */
export function plainRequest(command: HasStack, headers: Readonly<Record<string, string>>): void {
  const placeholder = 'x-amz-checksum-none'
  const stack = stackOf(command)
  stack.add(
    next => args => {
      args.request.headers[placeholder] = ''
      return next(args)
    },
    { name: 'holdfastNoChecksum', step: 'build', priority: 'high' },
  )
  stack.add(
    next => args => {
      for (const name of [placeholder, 'x-amz-sdk-checksum-algorithm', 'x-amz-checksum-mode', 'Expect', 'expect']) {
        delete args.request.headers[name]
      }
      Object.assign(args.request.headers, headers)
      return next(args)
    },
    { name: 'holdfastHeaders', step: 'build', priority: 'low' },
  )
}

interface Watched {
  answer?: Seen
  /** Of an answer that is read whole, the beginning. */
  body?: string
  isTooLong?: boolean
}

/** Sits next to the connection: sees status and headers before anything else does, and reads bodies up to a limit. */
function watch(
  command: HasStack,
  seen: Watched,
  streams: boolean,
  { learn, note }: Readonly<Record<'learn' | 'note', (request: SignedRequest) => void>>,
): void {
  stackOf(command).addRelativeTo(
    next => async args => {
      note(args.request)
      const result = await next(args)
      const { response } = result
      if (response.statusCode < 300) learn(args.request)
      const { statusCode: status } = response
      seen.answer = { status, headers: { ...response.headers } }
      if (status < 300 && streams) {
        // Else the SDK checks them, with its own slow arithmetic; the digests of the caller are checked by the caller.
        for (const name of Object.keys(response.headers)) {
          if (name.startsWith('x-amz-checksum-')) delete response.headers[name]
        }
        return result
      }
      const read = await readBody(response.body, status < 300 ? mostAnswerBytes : mostErrorBytes)
      if (status < 300 && read.error !== undefined) throw read.error
      seen.isTooLong = status < 300 && !read.isWhole
      if (seen.isTooLong) throw new Error('the answer is too long')
      // Completing an upload can take minutes, during which S3 sends blanks.
      seen.body = read.bytes.toString('latin1', 0, 4096)
      response.body = read.bytes
      return result
    },
    { name: 'holdfastAnswer', relation: 'after', toMiddleware: 'deserializerMiddleware' },
  )
}
