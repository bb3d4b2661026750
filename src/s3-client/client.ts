import type { S3Client } from '@aws-sdk/client-s3'
import { invalid } from '../core/errors.ts'
import type { Holdfast } from '../index.ts'
import type { Settings } from './handler.ts'
import { redirected, type Wrapped } from './redirect.ts'
import { type SendOptions, signalOf } from './signal.ts'
import type { Command } from './stack.ts'

/** Of wrapped clients: what they wrap, and for which buckets. */
const wrapped = new WeakMap<object, { readonly client: S3Client; readonly buckets: ReadonlyMap<string, Wrapped> }>()

/**
 * A proxy with a `send` of its own. Everything else is the client's: read from it, set on it; and what calls `this.send`, as methods of aggregated
 * clients do, calls ours. Of a client that is wrapped already: the one within, with these buckets more.
 */
export function wrap<Client extends S3Client>(
  given: Client,
  stores: ReadonlyMap<string, Holdfast>,
  settings: Settings,
): Client {
  const inner = wrapped.get(given)
  const client = (inner?.client ?? given) as Client
  const buckets = new Map(inner?.buckets)
  for (const [bucket, store] of stores) {
    const before = buckets.get(bucket)?.store
    if (before !== undefined && before !== store) {
      throw invalid('buckets', 'taken', `the client has another store for ${bucket} already`)
    }
    buckets.set(bucket, { store, settings })
  }

  const sendHere = (command: unknown, optionsOrCallback?: unknown, callback?: unknown): unknown => {
    const send = client.send as unknown as (...given: readonly unknown[]) => unknown
    if (!isCommand(command)) return send.call(client, command, optionsOrCallback, callback)
    const isCallback = typeof optionsOrCallback === 'function'
    // Never undefined: without options a client may use a chain of middleware that it made before, without ours.
    const options = (isCallback ? undefined : optionsOrCallback) ?? {}
    const answerTo = isCallback ? optionsOrCallback : callback
    const signal = signalOf(options as SendOptions)
    const ours = redirected(command, { client, buckets, signal })
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
  wrapped.set(proxy, { client, buckets })
  return proxy
}

function isCommand(command: unknown): command is Command {
  return typeof (command as Partial<Command> | undefined | null)?.resolveMiddleware === 'function'
}
