import type { S3Client } from '@aws-sdk/client-s3'
import type { Holdfast } from '../index.ts'
import { decide } from './commands.ts'
import { sourceOf } from './copy-source.ts'
import { abortError, asS3Error, s3Error } from './errors.ts'
import type { HandledCommand } from './fields.ts'
import type { Call, Settings } from './handler.ts'
import { copiesOut, handlers } from './handlers.ts'
import { judge } from './judge.ts'
import { endingWith } from './last.ts'
import { oncePassed } from './on-its-way.ts'
import { membersOf, nameOf } from './schema.ts'
import type { Command, Middleware, Next, Stack } from './stack.ts'

/** What one `send` knows. */
export interface Sending {
  readonly client: S3Client
  readonly buckets: ReadonlyMap<string, Wrapped>
  readonly signal: AbortSignal | undefined
}

/** A bucket's store, and the options that it was wrapped with. */
export interface Wrapped {
  readonly store: Holdfast
  readonly settings: Settings
}

/**
 * The command, which resolves with our handler as the last of the initialize step: whatever the app has there, on the client
 * or on the command, runs before it. Neither the command nor a stack is changed.
 */
export function redirected(command: Command, sending: Sending): Command {
  return endedBy(command, middlewareOf(command, sending))
}

function endedBy(command: Command, middleware: Middleware): Command {
  // Its own fields, as of the command itself: middleware may spread what it is given.
  return Object.assign(Object.create(Object.getPrototypeOf(command) as object) as Command, command, {
    resolveMiddleware: (stack: Stack, config: unknown, options: unknown) =>
      command.resolveMiddleware(endingWith(stack, middleware), config, options),
  })
}

type Input = Readonly<Record<string, unknown>>

function middlewareOf(command: Command, sending: Sending): Middleware {
  return (next, context) => async given => {
    const input = given.input as Input
    // The SDK writes its defaults into the input that it is given.
    const pass: Next = async () => await next({ ...given, input: { ...input } })
    const name = nameOf(command) ?? nameIn(context) ?? 'a command without a name'
    const run = answerer(name, command, input, sending, pass)
    if (run === undefined) return await pass(given)
    const { signal } = sending
    const isAborted = (): boolean => signal?.aborted === true
    if (isAborted()) throw abortError(signal?.reason)
    try {
      const output = await run()
      const { httpStatusCode = 200 } = (output as { $metadata?: { httpStatusCode?: number } }).$metadata ?? {}
      return { output, response: { statusCode: httpStatusCode, headers: {} } }
    } catch (error) {
      if (isAborted() && error === signal?.reason) throw abortError(error)
      throw asS3Error(error)
    }
  }
}

/** Where minifiers rename classes and the SDK has no schemas yet: the name that the command was built with. */
function nameIn({ commandName }: Readonly<Record<string, unknown>>): string | undefined {
  return typeof commandName === 'string' ? commandName.replace(/Command$/, '') : undefined
}

/** `undefined`: none of ours. */
function answerer(
  name: string,
  command: Command,
  input: Input,
  sending: Sending,
  pass: Next,
): (() => Promise<object>) | undefined {
  const { Bucket: bucket, CopySource } = input
  const { client, buckets, signal } = sending
  const own = typeof bucket === 'string' ? buckets.get(bucket) : undefined
  const next = async (): Promise<object> => (await pass({ input })).output
  const call = {
    command: name,
    input: given(input),
    config: client.config,
    signal,
    storeOf: (name: string) => buckets.get(name)?.store,
    plain: sendPlain(client, signal),
    next,
  }

  if (own === undefined) {
    const copyOut = Object.hasOwn(copiesOut, name) ? copiesOut[name] : undefined
    const source = copyOut === undefined ? undefined : sourceOf(CopySource)
    const from = source === undefined ? undefined : buckets.get(source.bucket)
    if (copyOut === undefined || from === undefined) return undefined
    return () => copyOut({ ...call, ...from, bucket: bucket as string })
  }
  const decision = decide(name, 'Key' in input)
  const isOfNewest = typeof input['Key'] === 'string' && given(input)['VersionId'] === undefined
  if (decision.go === 'pass' && !isOfNewest) return undefined
  return async () => {
    if (decision.go === 'pass') return await oncePassed({ ...call, ...own, bucket: bucket as string })
    if (decision.go === 'refused')
      throw notImplemented(`${name} on the bucket ${String(bucket)} is refused: ${decision.why}`)
    return await handle(decision.command, command, { ...call, ...own, bucket: bucket as string })
  }
}

/** Without what is `null` or `undefined`: to the SDK that is not given. What it sends the same whatever its type is has the type that it is to have. */
function given(input: Input): Input {
  const pairs = Object.entries(input).filter(([, value]) => value !== undefined && value !== null)
  return Object.fromEntries(pairs.map(([name, value]) => [name, typed(name, value)]))
}

const numbers = new Set(['ContentLength', 'PartNumber', 'MaxKeys', 'MaxParts', 'MaxUploads', 'MpuObjectSize'])

/** Of code without types: a length out of a request's header is text, an id that serves as a key is a number. */
function typed(name: string, value: unknown): unknown {
  if (numbers.has(name) && typeof value === 'string' && /^\d{1,16}$/.test(value)) return Number(value)
  return name === 'Key' && typeof value === 'number' ? String(value) : value
}

async function handle(name: HandledCommand, command: Command, call: Call): Promise<object> {
  const verdict = judge(name, call.input as Input, call.settings.relax, membersOf(command))
  if ('refused' in verdict) {
    const { refused: field, why, canRelax } = verdict
    const advice = canRelax ? `, or leave it out with withHoldfast(…, { relax: ['${field}'] })` : ''
    throw notImplemented(`${name}: ${field} is refused: ${why}${advice}`, { Header: field })
  }
  if (verdict.go === 'primary') return await call.next()
  return await handlers[name](call)
}

/** Nobody sends it again: what is not carried today is not carried in a second. */
function notImplemented(message: string, fields: Readonly<Record<string, string>> = {}): Error {
  return s3Error('NotImplemented', 501, message, fields)
}

/**
 * For commands of our own. The app's middleware sees them, as all that its client sends, but their input stays: what it would write into it, it has
 * written into the command that they serve.
 */
function sendPlain(client: S3Client, abortSignal: AbortSignal | undefined): S3Client['send'] {
  const send = client.send.bind(client) as (command: unknown, options: unknown) => unknown
  return ((command: Command) => {
    const asItIs = endedBy(command, next => given => next({ ...given, input: { ...command.input } }))
    return send(asItIs, abortSignal === undefined ? {} : { abortSignal })
  }) as S3Client['send']
}
