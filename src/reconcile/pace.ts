import type { Clock } from '../core/ports.ts'
import type { Provider, RemoteEntry } from '../core/provider.ts'

export interface Pace {
  readonly clock: Clock
  /** Of each provider. May be a fraction. */
  readonly requestsPerSecond: number
  /** Of bodies, of all providers together that share this pace. `undefined`: unlimited. */
  readonly bytesPerSecond: number | undefined
}

/** Entries of a listing that count as one request: services give so many at a time. */
const entriesPerRequest = 1000
/** What was not used in so many milliseconds may be used at once. */
const burstMs = 100

/**
 * The same providers, each of which is asked no more than so often, and whose bodies move no faster than that. For looking: what writes is not slowed
 * down here.
 */
export function pacedProviders(providers: readonly Provider[], pace: Pace): readonly Provider[] {
  const { clock, requestsPerSecond, bytesPerSecond } = pace
  const bytes = bytesPerSecond === undefined ? undefined : turns(clock, bytesPerSecond)
  return providers.map(provider => paced(provider, turns(clock, requestsPerSecond), bytes))
}

/** Resolves when it is the caller's turn. */
type Turn = (amount: number, signal: AbortSignal) => Promise<void>

function turns(clock: Clock, perSecond: number): Turn {
  let next = Number.NEGATIVE_INFINITY
  return async (amount, signal) => {
    const now = clock.monotonic()
    const from = Math.max(next, now - burstMs)
    next = from + (amount * 1000) / perSecond
    if (from > now) await clock.sleep(Math.ceil(from - now), signal)
    signal.throwIfAborted()
  }
}

function paced(provider: Provider, request: Turn, bytes: Turn | undefined): Provider {
  return {
    ...provider,
    // A getter of the original: spreading would have read it once.
    get capabilities() {
      return provider.capabilities
    },
    async head(key, signal) {
      await request(1, signal)
      return provider.head(key, signal)
    },
    async get(wanted, signal) {
      await request(1, signal)
      const answer = await provider.get(wanted, signal)
      if (answer === undefined || bytes === undefined) return answer
      return { ...answer, body: slowed(answer.body, bytes, signal), close: () => answer.close() }
    },
    list(wanted, signal) {
      const items = provider.list(wanted, signal)[Symbol.asyncIterator]()
      let asked = 0
      return {
        [Symbol.asyncIterator]() {
          return this
        },
        next: () => (asked++ % entriesPerRequest === 0 ? request(1, signal).then(() => items.next()) : items.next()),
        return: async () => (await items.return?.()) ?? { done: true, value: undefined },
      } satisfies AsyncIterableIterator<RemoteEntry>
    },
  }
}

async function* slowed(body: AsyncIterable<Uint8Array>, bytes: Turn, signal: AbortSignal): AsyncIterable<Uint8Array> {
  for await (const chunk of body) {
    await bytes(chunk.byteLength, signal)
    yield chunk
  }
}
