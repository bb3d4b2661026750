import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { digestsOf } from '../../core/digest.ts'
import { type ErrorCode, HoldfastError, type Reason } from '../../core/errors.ts'
import type { ProviderFeatures } from '../../core/features.ts'
import { compareKeys } from '../../core/key.ts'
import type { PartRun } from '../../core/layout.ts'
import {
  type Capabilities,
  type ContentHeaders,
  type ListRequest,
  noMemo,
  type Provider,
  type PutCondition,
  type PutResult,
  type RemoteBody,
  type RemoteEntry,
  type RemoteObject,
  type UploadMemo,
} from '../../core/provider.ts'
import type { Source } from '../../core/source.ts'

/** What to test, with which test runner. */
export interface ConformanceOptions {
  /** Registers one test: `test` of vitest, node:test, jest, or anything that takes a name and a function. */
  readonly test: (name: string, run: () => Promise<void>) => unknown
  /** Goes before the name of each test. */
  readonly name: string
  /**
   * What to test; called at the start of each test, `close` at its end. Every test keeps to a random prefix of its own below
   * `conformance/`, so that all may be given the same bucket, with leftovers in it; nothing is cleaned up.
   */
  create(): Promise<Created>
  /** Bytes of bodies to try besides 0, 1 and 100,000: a byte below, at and above every size where the driver changes its way. */
  readonly sizes?: readonly number[]
  /** How many keys the test of long listings writes: some more than a page of the service. Default 40. */
  readonly pageProbe?: number
  /** Milliseconds after which a call that hangs fails its test. Default 20,000. */
  readonly timeoutMs?: number
  /** Providers that something is wrong with, as far as they can be made: no such bucket; bad credentials; nobody listening. */
  readonly broken?: {
    /** In a bucket that does not exist. */
    readonly gone?: () => Promise<Created>
    /** With credentials that the service refuses. */
    readonly denied?: () => Promise<Created>
    /** At an address where nobody listens. */
    readonly unreachable?: () => Promise<Created>
  }
}

/** A provider for one test. */
export interface Created {
  readonly provider: Provider
  /** Called when the test is over, however it ended. */
  close?(): Promise<void>
}

/** What one test works with. */
export interface Bench {
  readonly provider: Provider
  /** As learned. */
  readonly capabilities: Capabilities
  /** Aborts when the test has taken too long. */
  readonly signal: AbortSignal
  /** This test's own prefix, with a slash at the end. */
  readonly under: string
  /** Sizes of bodies to try, ascending. */
  readonly sizes: readonly number[]
  readonly largest: number
  readonly pageProbe: number
  put(key: string, body: Uint8Array | string | Source, more?: PutMore): Promise<PutResult>
  head(key: string): Promise<RemoteObject | undefined>
  /** The whole body as text; `undefined` where there is none. */
  text(key: string): Promise<string | undefined>
  list(request: Partial<ListRequest>): Promise<RemoteEntry[]>
}

interface PutMore {
  readonly headers?: ContentHeaders
  readonly metadata?: Readonly<Record<string, string>>
  readonly condition?: PutCondition
  readonly features?: ProviderFeatures
  readonly parts?: readonly PartRun[]
  readonly upload?: UploadMemo
  readonly signal?: AbortSignal
}

/** Adds tests to the suite. */
export type Check = (name: string, run: (bench: Bench) => Promise<void>) => void

export const plainHeaders: ContentHeaders = { contentType: 'application/octet-stream' }

/** Makes the function that registers tests. What is learned of a provider is learned once a suite, unless it is another place each time. */
export function checks(options: ConformanceOptions): Check {
  const learned = new Map<string, Capabilities>()
  const sizes = [...new Set([0, 1, 100_000, ...(options.sizes ?? [])])].sort((a, b) => a - b)
  return (name, run) => {
    options.test(`${options.name}: ${name}`, async () => {
      const { provider, close } = await options.create()
      const signal = AbortSignal.timeout(options.timeoutMs ?? 20_000)
      try {
        const capabilities = await provider.learn(learned.get(provider.location), signal)
        learned.set(provider.location, capabilities)
        const under = `conformance/${randomBytes(6).toString('hex')}/`
        await run(benchOf({ provider, capabilities, signal, under, sizes, pageProbe: options.pageProbe ?? 40 }))
      } finally {
        await close?.()
      }
    })
  }
}

function benchOf(given: Pick<Bench, 'provider' | 'capabilities' | 'signal' | 'under' | 'sizes' | 'pageProbe'>): Bench {
  const { provider, signal } = given
  return {
    ...given,
    largest: given.sizes.at(-1) ?? 0,
    put: (key, body, more = {}) =>
      provider.put(
        {
          key,
          source: typeof body === 'string' || body instanceof Uint8Array ? sourceOf(body) : body,
          headers: more.headers ?? plainHeaders,
          metadata: more.metadata ?? {},
          condition: more.condition,
          ...(more.features === undefined ? {} : { features: more.features }),
          ...(more.parts === undefined ? {} : { parts: more.parts }),
          upload: more.upload ?? noMemo,
        },
        more.signal ?? signal,
      ),
    head: key => provider.head(key, signal),
    async text(key) {
      const found = await provider.get({ key, range: undefined, token: undefined }, signal)
      return found && (await bytesOf(found)).toString('utf8')
    },
    list: request => collect(provider.list({ prefix: given.under, delimiter: '', startAfter: '', ...request }, signal)),
  }
}

/** Bytes that look random, the same for the same seed; no stretch of them is like another. */
export function content(size: number, seed = 1): Uint8Array {
  const words = new Uint32Array(Math.ceil(size / 4))
  let state = (seed * 2_654_435_761) >>> 0 || 1
  for (let i = 0; i < words.length; i++) {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[i] = state
  }
  return new Uint8Array(words.buffer, 0, size)
}

/** A source in chunks of this many bytes. `before` runs before each chunk with the place where the chunk begins. */
export function sourceOf(
  body: Uint8Array | string,
  how: { chunkBytes?: number; before?: (at: number) => void | Promise<void> } = {},
): Source {
  const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body
  const step = how.chunkBytes ?? 65_536
  return {
    size: bytes.byteLength,
    ...digestsOf(bytes),
    async *open(start, end) {
      for (let at = start; at < end; at += step) {
        await how.before?.(at)
        yield bytes.subarray(at, Math.min(end, at + step))
      }
    },
  }
}

/** Reads a body to its end, and holds it to what it said that it would yield. */
export async function bytesOf(found: RemoteBody): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of found.body) {
    assert.ok(chunk instanceof Uint8Array, 'a chunk is bytes')
    chunks.push(Uint8Array.from(chunk))
  }
  const bytes = Buffer.concat(chunks)
  assert.equal(bytes.byteLength, found.end - found.start, 'the body ends after exactly end - start bytes')
  return bytes
}

export async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const item of items) all.push(item)
  return all
}

/** What a listing of these keys must be. */
export function expectedList(keys: Iterable<string>, request: ListRequest): string[] {
  const { prefix, delimiter, startAfter } = request
  const listed = new Set<string>()
  for (const key of [...keys].sort(compareKeys)) {
    if (!key.startsWith(prefix) || compareKeys(key, startAfter) <= 0) continue
    const at = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    listed.add(at < 0 ? `object ${key}` : `prefix ${key.slice(0, at + delimiter.length)}`)
  }
  return [...listed]
}

/** Entries in the form of `expectedList`. */
export function shape(entries: readonly RemoteEntry[]): string[] {
  return entries.map(entry => (entry.type === 'object' ? `object ${entry.key}` : `prefix ${entry.prefix}`))
}

/** The error that it rejects with: a HoldfastError with this code, and this reason or one of these. */
export async function refused(
  promise: Promise<unknown>,
  code: ErrorCode,
  ...reasons: readonly Reason[]
): Promise<HoldfastError> {
  const error = await failure(promise)
  assert.ok(error instanceof HoldfastError, `rejects with a HoldfastError, not ${String(error)}`)
  assert.equal(error.code, code, `${code} was due: ${error.message}`)
  if (reasons.length > 0) {
    assert.ok(
      error.reason !== undefined && reasons.includes(error.reason),
      `${reasons.join(' or ')}, not ${error.reason}: ${error.message}`,
    )
  }
  return error
}

/** What it rejects with; fails when it resolves. */
export async function failure(promise: Promise<unknown>): Promise<unknown> {
  let resolved: unknown
  try {
    resolved = await promise
  } catch (error) {
    return error
  }
  return assert.fail(`resolved, where a rejection was due: ${JSON.stringify(resolved) ?? 'undefined'}`)
}

/** As the promise; fails when that takes longer. For what has to come at once. */
export async function soon<T>(promise: Promise<T>, what: string, ms = 5_000): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new assert.AssertionError({ message: `${what} took longer than ${ms} ms` })), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Runs it for each item, at most `width` at a time. */
export async function each<T>(
  items: readonly T[],
  width: number,
  run: (item: T, index: number) => Promise<void>,
): Promise<void> {
  const left = items.entries()
  const worker = async (): Promise<void> => {
    for (const [index, item] of left) await run(item, index)
  }
  await Promise.all(Array.from({ length: width }, worker))
}
