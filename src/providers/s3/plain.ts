import type { S3Client } from '@aws-sdk/client-s3'
import type { Sdk } from './call.ts'

/** A step of a client's middleware: the function, and what says where it stands. */
interface Step {
  readonly middleware: unknown
  readonly place: string
}

/** Of the SDK's stack, what is used here: it shows its steps to another stack. */
interface Stack {
  identify(): string[]
  applyToStack(other: {
    add(middleware: unknown, options: Placed): void
    addRelativeTo(middleware: unknown, options: Placed): void
  }): void
}

type Placed = Readonly<Partial<Record<'name' | 'step' | 'priority' | 'relation' | 'toMiddleware', string>>>

/** What decides what a client sends, as it was when it was looked at. */
type Parts = readonly unknown[]

/** A client as the SDK makes it, for comparison. One for each SDK. */
const fresh = new WeakMap<Sdk, S3Client>()

/**
 * Tells, at any moment, whether a client that a user brought is as the SDK made it: no middleware added, taken away or replaced, nothing around `send`, the
 * SDK's own request handler, signer and silent logger. To be asked before each request: what is still as it was costs a few comparisons. `changed` is called
 * when it is asked first, and whenever something is not as it was.
 */
export function plainWatch(sdk: Sdk, client: S3Client, changed: () => void): () => boolean {
  let seen: Parts = []
  let isPlain = false
  return () => {
    const now = partsOf(client)
    if (now.length === seen.length && now.every((part, index) => part === seen[index])) return isPlain
    changed()
    seen = now
    isPlain = isAsMade(sdk, client)
    return isPlain
  }
}

function partsOf(client: S3Client): Parts {
  const { config, send } = client
  const { requestHandler, signer, logger, endpoint, endpointProvider, region, forcePathStyle } = config
  const { handle } = requestHandler
  const parts: unknown[] = [
    send,
    requestHandler,
    handle,
    signer,
    logger,
    endpoint,
    endpointProvider,
    region,
    forcePathStyle,
  ]
  const note = (middleware: unknown): void => void parts.push(middleware)
  stackOf(client).applyToStack({ add: note, addRelativeTo: note })
  return parts
}

/** Middleware is made anew for each client: what is compared is its names, places and text. */
function isAsMade(sdk: Sdk, client: S3Client): boolean {
  if (!(client instanceof sdk.S3Client) || isWrapped(client.send)) return false
  const model = modelOf(sdk)
  const same = (of: (from: S3Client) => unknown): boolean => of(client) === of(model)
  return (
    same(({ send }) => send) &&
    same(({ config }) => config.requestHandler.constructor) &&
    same(({ config }) => config.requestHandler.handle) &&
    same(({ config }) => config.logger.constructor) &&
    same(({ config }) => String(config.signer)) &&
    same(from => stackOf(from).identify().join('\n')) &&
    same(from =>
      stepsOf(from)
        .map(({ middleware, place }) => `${place} ${String(middleware)}`)
        .join('\n'),
    )
  )
}

/** Tracers put their own function around the SDK's, for all clients, and leave their marks on it. */
function isWrapped(send: unknown): boolean {
  return Reflect.ownKeys(send as object).some(name => name !== 'length' && name !== 'name' && name !== 'prototype')
}

function modelOf(sdk: Sdk): S3Client {
  const known = fresh.get(sdk)
  if (known !== undefined) return known
  const model = new sdk.S3Client({
    region: 'us-east-1',
    credentials: { accessKeyId: 'none', secretAccessKey: 'none' },
  })
  fresh.set(sdk, model)
  return model
}

function stackOf({ middlewareStack }: S3Client): Stack {
  return middlewareStack as unknown as Stack
}

function stepsOf(client: S3Client): readonly Step[] {
  const steps: Step[] = []
  const note = (middleware: unknown, { name, step, priority, relation, toMiddleware }: Placed): void => {
    steps.push({ middleware, place: [name, step, priority, relation, toMiddleware].join() })
  }
  stackOf(client).applyToStack({ add: note, addRelativeTo: note })
  return steps
}
