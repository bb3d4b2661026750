import type { S3Client } from '@aws-sdk/client-s3'
import { invalid } from '../core/errors.ts'
import type { Holdfast } from '../index.ts'
import type { Settings } from './handler.ts'
import { redirected } from './redirect.ts'
import { type SendOptions, signalOf } from './signal.ts'
import type { Command } from './stack.ts'

/** What each wrapped client was wrapped with, those inside it included. */
const wrapped = new WeakMap<object, ReadonlyMap<string, Holdfast>>()

/**
 * A proxy with a `send` of its own. Everything else is the client's: read from it, set on it; and what calls `this.send`, as methods of aggregated
 * clients do, calls ours.
 */
export function wrap<Client extends S3Client>(
  client: Client,
  stores: ReadonlyMap<string, Holdfast>,
  settings: Settings,
): Client {
  const inner = wrapped.get(client) ?? new Map<string, Holdfast>()
  for (const [bucket, store] of stores) {
    const before = inner.get(bucket)
    if (before === undefined || before === store) continue
    throw invalid('buckets', 'taken', `the client has another store for ${bucket} already`)
  }
  const all = new Map([...inner, ...stores])

  const sendHere = (command: unknown, optionsOrCallback?: unknown, callback?: unknown): unknown => {
    const send = client.send as unknown as (...given: readonly unknown[]) => unknown
    if (!isCommand(command)) return send.call(client, command, optionsOrCallback, callback)
    const isCallback = typeof optionsOrCallback === 'function'
    // Never undefined: without options a client may use a chain of middleware that it made before, without ours.
    const options = (isCallback ? undefined : optionsOrCallback) ?? {}
    const answerTo = isCallback ? optionsOrCallback : callback
    const signal = signalOf(options as SendOptions)
    const ours = redirected(command, { client, stores, storeOf: bucket => all.get(bucket), settings, signal })
    return answerTo === undefined ? send.call(client, ours, options) : send.call(client, ours, options, answerTo)
  }

  let send: unknown = sendHere
  const proxy = new Proxy(client, {
    get: (target, name, receiver) => (name === 'send' ? send : Reflect.get(target, name, receiver)),
    set(target, name, value) {
      // A test may put its own in place, and take it away again.
      if (name === 'send') send = value
      return name === 'send' || Reflect.set(target, name, value)
    },
    deleteProperty(target, name) {
      if (name === 'send') send = sendHere
      return name === 'send' || Reflect.deleteProperty(target, name)
    },
  })
  wrapped.set(proxy, all)
  return proxy
}

function isCommand(command: unknown): command is Command {
  return typeof (command as Partial<Command> | undefined | null)?.resolveMiddleware === 'function'
}
