import { HoldfastError, shown } from './errors.ts'
import { featureRefusal } from './features.ts'
import { type About, type CallLimits, guardedItems, guardedSource, timeout, withLimits } from './guard.ts'
import type { Clock } from './ports.ts'
import type { GetRequest, Provider, RemoteBody } from './provider.ts'

/** How slowly a service may put uploaded parts together before it counts as silent. S3 says that it may take minutes. */
const joinedBytesPerSecond = 32 * 2 ** 20

export interface ProviderLimits {
  readonly clock: Clock
  /** Longest time without a byte, ms. */
  readonly idleMs: number
  /** Longest time for a call without a body, ms. */
  readonly deadlineMs: number
  /** A body that moves more slowly than this is as good as none; calls with a body get as much longer as it allows. */
  readonly minBytesPerSecond: number
}

/**
 * The same provider, of which no call, no body and no listing hangs: each rejects with UNAVAILABLE, reason TIMEOUT (of a put or a
 * delete: outcome 'unknown'), and lets go of its connection.
 */
export function guardProvider(provider: Provider, limits: ProviderLimits): Provider {
  const { clock, idleMs, deadlineMs, minBytesPerSecond } = limits
  const about = (what: string, key?: string): About => ({
    what,
    provider: provider.name,
    ...(key === undefined ? {} : { key }),
  })
  const call = (signal: AbortSignal, what: About): CallLimits => ({ clock, idleMs, deadlineMs, signal, about: what })
  const write = (what: string, key: string): About => ({ ...about(what, key), outcome: 'unknown' })

  return {
    name: provider.name,
    kind: provider.kind,
    location: provider.location,
    limits: provider.limits,
    get capabilities() {
      return provider.capabilities
    },
    refuseKey: key => provider.refuseKey(key),
    refuseFeatures: features => featureRefusal(provider, features),
    classify: error => provider.classify(error),

    // Asks one thing after the other, so silence cannot be told from work: only the whole is limited.
    learn: (remembered, signal) =>
      withLimits({ ...call(signal, about('learn')), idleMs: Number.POSITIVE_INFINITY }, inner =>
        provider.learn(remembered, inner),
      ),

    put(request, signal) {
      const { source, upload, key } = request
      const forBody = Math.ceil((source.size / minBytesPerSecond) * 1000)
      // Putting the parts of a large object together is silent work of the service, and takes its time.
      const forJoining = Math.floor(source.size / joinedBytesPerSecond) * 1000
      const limited = {
        ...call(signal, write('put', key)),
        idleMs: idleMs + forJoining,
        deadlineMs: deadlineMs + forBody,
      }
      return withLimits(limited, (inner, progress) => {
        const save = async (state: string): Promise<void> => {
          progress()
          await upload.save(state)
          progress()
        }
        const memo = { saved: upload.saved, save }
        return provider.put({ ...request, source: guardedSource(source, progress), upload: memo }, inner)
      })
    },

    head: (key, signal) => withLimits(call(signal, about('head', key)), inner => provider.head(key, inner)),

    get(request, signal) {
      const connection = new AbortController()
      return withLimits(
        { ...call(signal, about('get', request.key)), connection },
        () => openGuarded(provider, request, { clock, idleMs, minBytesPerSecond, signal, connection }),
        late => void late?.close().catch(() => {}),
      )
    },

    delete: (key, token, signal) =>
      withLimits(call(signal, write('delete', key)), inner => provider.delete(key, token, inner)),

    list(request, signal) {
      const connection = new AbortController()
      const items = provider.list(request, connection.signal)
      const leave = (reason: unknown): void => connection.abort(reason)
      return guardedItems(items, { clock, idleMs, signal, about: about('list'), leave })
    },

    sign: (request, signal) =>
      withLimits(call(signal, about('sign', request.key)), inner => provider.sign(request, inner)),

    abandon: (key, upload, signal) =>
      withLimits(call(signal, about('abandon', key)), inner => provider.abandon(key, upload, inner)),
  }
}

/**
 * Asks a provider for a body, and guards that; how long its answer may take is the caller's to limit, who aborts the connection where it takes
 * too long. Once it is there, the signal closes it.
 */
export async function openGuarded(
  provider: Provider,
  request: GetRequest,
  limits: Omit<BodyLimits, 'provider'> & { readonly connection: AbortController },
): Promise<RemoteBody | undefined> {
  const opened = await provider.get(request, limits.connection.signal)
  return opened && guardedBody(opened, { ...limits, provider: provider.name })
}

export interface BodyLimits {
  readonly clock: Clock
  /** From asking for a chunk until it is there, ms. A reader who does not read is not timed. */
  readonly idleMs: number
  /** Counted over the time in which somebody waited for bytes, after a first `idleMs`. */
  readonly minBytesPerSecond: number
  readonly provider: string
  readonly signal: AbortSignal | undefined
  /** Aborted when the body is left before its end: the signal of the call that opened it. */
  readonly connection?: AbortController
}

/**
 * The same body: exactly `end - start` bytes, every chunk within `idleMs`, or an error (UNAVAILABLE; reason TIMEOUT, NETWORK
 * where it ended early, PROTOCOL where it did not end). The connection is let go on every way out, `close` included.
 */
export function guardedBody(remote: RemoteBody, limits: BodyLimits): RemoteBody {
  const { clock, idleMs, minBytesPerSecond, provider, signal, connection } = limits
  const { object, start, end, body } = remote
  const expected = end - start
  const about: About = { what: 'the body', provider, key: object.key }
  const wrong = (reason: 'NETWORK' | 'PROTOCOL', message: string): HoldfastError =>
    new HoldfastError('UNAVAILABLE', `${provider}: the body of ${shown(object.key)} ${message}`, {
      reason,
      provider,
      key: object.key,
    })
  let received = 0
  let waited = 0

  const items = guardedItems(body, {
    clock,
    idleMs,
    signal,
    about,
    accept(step, waitedMs) {
      if (step.done === true) {
        if (received < expected) throw wrong('NETWORK', `ended after ${received} of ${expected} bytes`)
        return
      }
      received += step.value.byteLength
      if (received > expected) throw wrong('PROTOCOL', `has more than the ${expected} bytes announced`)
      // One long wait is the idle limit's business, and may have been our own standing still: it counts half.
      waited += Math.min(waitedMs, idleMs / 2)
      if (received < expected && waited > idleMs + (received / minBytesPerSecond) * 1000) {
        throw timeout(about, `came at less than ${minBytesPerSecond} bytes a second`)
      }
    },
    leave(reason) {
      connection?.abort(reason)
      remote.close().catch(() => {})
    },
  })
  return { object, start, end, body: items, close: async () => void (await items.return?.()) }
}
