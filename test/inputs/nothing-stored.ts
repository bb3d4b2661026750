import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { expect } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Provider } from '../../src/core/provider.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import type { HoldfastOptions } from '../../src/holdfast/options.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults, FaultyCall } from '../../src/testing/faulty/rules.ts'
import { testDirectory } from '../support/store.ts'

/** How a bad input is to be refused. `says`: what its message must have in it, each. */
export interface Refused {
  /** Default INVALID. */
  readonly code?: 'INVALID' | 'UNSUPPORTED' | 'CHECKSUM' | 'NO_SPACE' | 'PRECONDITION' | 'UNAVAILABLE' | 'CLOSED'
  readonly field?: string
  readonly rule?: string
  readonly provider?: string
  readonly retryable?: boolean
  readonly says: string | RegExp | readonly (string | RegExp)[]
}

/** Everything that a refused input could have left behind. */
export interface Traces {
  readonly accepted: number
  readonly writes: readonly number[]
  readonly stageBytes: number
  readonly journal: string
  readonly files: Readonly<Record<'bodies' | 'drafts' | 'cache', readonly string[]>>
  /** Calls to providers that change something, but for what a bucket is admitted with. */
  readonly sent: readonly string[]
}

export const noTraces: Traces = {
  accepted: 0,
  writes: [0, 0, 0, 0, 0, 0],
  stageBytes: 0,
  journal: 'open',
  files: { bodies: [], drafts: [], cache: [] },
  sent: [],
}

/** One open store that many bad inputs are tried on. */
export interface Watched extends AsyncDisposable {
  readonly path: string
  readonly store: Holdfast
  /** All calls to the providers, but for what buckets are admitted with: `get k`. */
  askedAbout(): readonly string[]
  traces(): Promise<Traces>
  /** The call rejects as it is to, and leaves everything as it was; answers the error. */
  refuses(call: (store: Holdfast) => unknown, refused: Refused): Promise<HoldfastError>
  /** The same, with TypeError: an argument of a wrong JavaScript type. */
  refusesType(call: (store: Holdfast) => unknown, says: RegExp): Promise<void>
}

/** A store over these providers, each behind `faulty`. `rules`: what they do wrong, from the beginning. */
export async function watched(
  providers: readonly [Provider, Provider],
  options: Partial<HoldfastOptions> & { readonly rules?: Faults['rules'] } = {},
): Promise<Watched> {
  const { rules = [], ...rest } = options
  const faults: Faults = { rules, calls: [] }
  const directory = await testDirectory()
  const [primary, secondary] = providers
  const store = await directory.open([faulty(primary, faults), faulty(secondary, faults)], rest)
  const calls = () => (faults.calls ?? []).filter(({ operation, key }) => operation !== 'learn' && !isAdmission(key))

  async function traces(): Promise<Traces> {
    const { accepted, done, superseded, pending, held, blocked, repairs, stage } = await store.status()
    const files = async (tree: string) => (await readdir(join(directory.path, tree))).toSorted()
    const changing = calls().filter(({ operation }) => ['put', 'delete', 'abandon', 'sign'].includes(operation))
    return {
      accepted,
      writes: [done, superseded, pending.writes, held.writes, blocked.writes, repairs.writes],
      stageBytes: stage.bytes,
      journal: stage.journal,
      files: { bodies: await files('bodies'), drafts: await files('drafts'), cache: await files('cache') },
      sent: changing.map(shortly),
    }
  }

  async function leavesNothing<T>(run: () => Promise<T>): Promise<T> {
    const before = await traces()
    const prototype = shapeOfPrototypes()
    const answer = await run()
    expect(await traces()).toEqual(before)
    expect(shapeOfPrototypes()).toEqual(prototype)
    return answer
  }

  return {
    path: directory.path,
    store,
    askedAbout: () => calls().map(shortly),
    traces,
    refuses: (call, refused) => leavesNothing(async () => expectRefusal(await rejection(() => call(store)), refused)),
    refusesType: (call, says) =>
      leavesNothing(async () => {
        const error = await rejection(() => call(store))
        expect(error).toBeInstanceOf(TypeError)
        expect((error as TypeError).message).toMatch(says)
      }),
    [Symbol.asyncDispose]: () => directory[Symbol.asyncDispose](),
  }
}

function shortly({ operation, key }: FaultyCall): string {
  return `${operation} ${key}`
}

function isAdmission(key: string | undefined): boolean {
  return /^\.holdfast\/(identity|attended|probe\/|canary\/)/.test(key ?? '')
}

/** Some calls throw where others reject: to a caller who awaits them it is the same. */
export async function rejection(call: () => unknown): Promise<unknown> {
  try {
    await call()
  } catch (error) {
    return error
  }
  throw new Error('nothing was refused')
}

/** One of ours, with all that a caller acts on, and a message for a person that no input can garble. */
export function expectRefusal(error: unknown, refused: Refused): HoldfastError {
  if (!(error instanceof HoldfastError)) throw new Error(`not a HoldfastError: ${String(error)}`, { cause: error })
  const { code = 'INVALID', retryable = code === 'UNAVAILABLE', field, rule, provider } = refused
  expect({
    code: error.code,
    field: error.field,
    rule: error.rule,
    provider: error.provider,
    outcome: error.outcome,
    retryable: error.retryable,
    message: error.message,
  }).toEqual({ code, field, rule, provider, outcome: 'rejected', retryable, message: error.message })
  const says = Array.isArray(refused.says) ? refused.says : [refused.says]
  for (const part of says as readonly (string | RegExp)[]) {
    if (typeof part === 'string') expect(error.message).toContain(part)
    else expect(error.message).toMatch(part)
  }
  expect(error.message.length).toBeLessThan(600)
  expect(error.message).not.toMatch(/[\p{Cc}\p{Surrogate}\u2028\u2029\u202a-\u202e]/u)
  return error
}

/** A body that nobody may begin to read. */
export interface Unread {
  readonly body: AsyncIterable<Uint8Array>
  readonly isRead: () => boolean
}

export function unread(): Unread {
  let isRead = false
  async function* generate(): AsyncGenerator<Uint8Array> {
    isRead = true
    yield Buffer.from('read')
  }
  return { body: generate(), isRead: () => isRead }
}

/** An object whose property throws when it is read. */
export function throwing(name: string): object {
  return Object.defineProperty({}, name, {
    enumerable: true,
    get() {
      throw new RangeError('mine')
    },
  })
}

/** An object that throws whatever is asked of it. */
export const hostile: object = new Proxy(
  {},
  {
    get() {
      throw new RangeError('mine')
    },
    ownKeys() {
      throw new RangeError('mine')
    },
  },
)

/** What a caller's object could have been made to change for everybody (I45). */
function shapeOfPrototypes(): unknown {
  return [Object.prototype, Array.prototype, Function.prototype].map(prototype =>
    Reflect.ownKeys(prototype).map(String).toSorted(),
  )
}
