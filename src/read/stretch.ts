import type { Ticket } from '../core/breaker.ts'
import { type Recognised, recognise } from '../core/entry.ts'
import { HoldfastError, shown } from '../core/errors.ts'
import { guardedItems, withLimits } from '../core/guard.ts'
import type { ByteRange, RemoteBody, RemoteObject } from '../core/provider.ts'
import { cutRange } from '../core/range.ts'
import type { Source } from '../core/source.ts'
import { asError, enter } from './enter.ts'
import type { ReadDeps, ReadProvider } from './types.ts'

/** Bytes that come from one place without a break. Exactly one of `finished`, `failed` and `left` ends it. */
export interface Stretch {
  /** 'local', or the provider's name. */
  readonly from: string
  next(): Promise<IteratorResult<Uint8Array, undefined>>
  /** All bytes that were wanted came. */
  finished(): void
  failed(error: unknown): void
  /** The bytes are not wanted any more. */
  left(): void
}

/** An answer of a provider whose first byte has come. */
export interface Opened {
  readonly object: RemoteObject
  readonly recognised: Recognised
  /** What `stretch` yields: start <= byte < end. */
  readonly start: number
  readonly end: number
  readonly stretch: Stretch
}

export interface OpenRequest {
  readonly key: string
  readonly range: ByteRange | undefined
  readonly token: string | undefined
  /** Until the first byte of the body is there (of an empty one: its headers), ms. */
  readonly patienceMs: number
  readonly signal: AbortSignal
}

/**
 * Asks one provider for a body. `undefined`: it proved that there is none. Rejects with what it said, with TIMEOUT after the patience
 * (it is not waited for any longer), or at once when its breaker is open. The breaker hears of it at the end of the body.
 */
export async function openRemote(deps: ReadDeps, at: ReadProvider, request: OpenRequest): Promise<Opened | undefined> {
  const { clock, options } = deps
  const { key, range, token, patienceMs, signal } = request
  const { provider } = at
  // Lives as long as the body, which is longer than this limit.
  const connection = new AbortController()
  const ticket = enter(deps, at, 'read')
  const asked = clock.monotonic()
  try {
    const opened = await withLimits(
      {
        clock,
        idleMs: options.idleMs,
        deadlineMs: patienceMs,
        signal,
        connection,
        about: { what: 'the first byte', provider: provider.name, key },
      },
      async (_, progress) => {
        const body = await at.open({ key, range, token }, connection, signal)
        if (body === undefined) return undefined
        progress()
        return await firstChunk(body, range, provider.name)
      },
      late => late?.close(),
    )
    if (opened === undefined) {
      ticket.succeeded(clock.monotonic() - asked)
      return undefined
    }
    const { object, start, end } = opened.body
    const latencyMs = clock.monotonic() - asked
    const stretch = remoteStretch(provider.name, opened, ticket, latencyMs)
    return { object, recognised: recognise(object), start, end, stretch }
  } catch (error) {
    const known = signal.aborted ? error : asError(provider, error)
    ticket.failed(known)
    throw known
  }
}

interface Begun {
  readonly body: RemoteBody
  readonly items: AsyncIterator<Uint8Array, undefined>
  readonly first: IteratorResult<Uint8Array, undefined> | undefined
  close(): void
}

async function firstChunk(body: RemoteBody, range: ByteRange | undefined, provider: string): Promise<Begun> {
  const { object, start, end } = body
  const close = (): void => void body.close().catch(() => {})
  const expected = cutRange(range, object.size)
  if (expected?.start !== start || expected.end !== end) {
    close()
    throw new HoldfastError(
      'UNAVAILABLE',
      `${provider}: another range of ${shown(object.key)} came than was asked for`,
      {
        reason: 'PROTOCOL',
        provider,
        key: object.key,
      },
    )
  }
  const items = body.body[Symbol.asyncIterator]() as AsyncIterator<Uint8Array, undefined>
  return { body, items, first: start === end ? undefined : await items.next(), close }
}

function remoteStretch(from: string, { items, first, close }: Begun, ticket: Ticket, latencyMs: number): Stretch {
  let ahead = first
  return {
    from,
    next() {
      const step = ahead
      if (step === undefined) return items.next()
      ahead = undefined
      return Promise.resolve(step)
    },
    finished() {
      ticket.succeeded(latencyMs)
      // The end of the answer is still to be read, so that the connection can be used again; nobody waits for it.
      items.next().then(close, close)
    },
    failed(error) {
      ticket.failed(error)
      close()
    },
    left() {
      ticket.abandoned()
      close()
    },
  }
}

/** Bytes from local disk. A disk that hangs fails it after `idleMs`. */
export function localStretch(deps: ReadDeps, source: Source, start: number, end: number, signal: AbortSignal): Stretch {
  const { clock, options } = deps
  const items = guardedItems(source.open(start, end), {
    clock,
    idleMs: options.idleMs,
    signal,
    about: { what: 'the local copy' },
    leave: () => {},
  })
  const leave = (): void => void items.return?.().catch(() => {})
  return { from: 'local', next: () => items.next(), finished: leave, failed: leave, left: leave }
}
