import { unlessAborted } from '../core/abort.ts'
import { HoldfastError } from '../core/errors.ts'
import type { Clock } from '../core/ports.ts'
import type { Provider, RemoteBody } from '../core/provider.ts'
import { systemClock } from '../core/system.ts'
import { decide, type FaultyCall, type FaultyOperation, type Faults, type ProviderFault } from './faulty/rules.ts'
import {
  brokenBytes,
  brokenItems,
  brokenSource,
  dripping,
  flipped,
  keptSource,
  muchLater,
  silence,
} from './faulty/streams.ts'

/** Of `faulty`. */
export interface FaultyOptions {
  /** For faults that take time, and for the times of calls. Default the machine's. */
  readonly clock?: Clock
}

interface Begun {
  readonly call: FaultyCall
  readonly fault: ProviderFault | undefined
}

type BreakingFault = ProviderFault & { readonly kind: 'cut' | 'stall' | 'short' }

let lies = 0

/**
 * The inner provider, doing wrong what `faults` says while it says so; with `{}` nobody can tell the two apart. It has the inner one's
 * name and place, and its way of failing: what a fault does wrong is all that is wrong, the rest of the contract holds.
 */
export function faulty(inner: Provider, faults: Faults, options: FaultyOptions = {}): Provider {
  const clock = options.clock ?? systemClock

  function begin(
    operation: FaultyOperation,
    key: string | undefined,
    more: { readonly conditional?: boolean; readonly size?: number } = {},
  ): Begun {
    const fault = decide(faults.rules ?? [], operation, key)
    const { conditional = false, size } = more
    const call: FaultyCall = {
      operation,
      key,
      conditional,
      size,
      at: clock.now(),
      fault: fault?.kind,
      state: 'running',
    }
    faults.calls ??= []
    faults.calls.push(call)
    return { call, fault }
  }

  /** Does the call with whatever can go wrong before or after any; what goes wrong within is in `run`. */
  async function treat<T>({ call, fault }: Begun, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    try {
      await beforehand(call, fault, signal)
      const result = await run()
      if (fault?.kind === 'after') await unlessAborted(fault.run(call), signal)
      if (fault?.kind === 'lose-answer') throw lost(call)
      call.state = 'resolved'
      return result
    } catch (error) {
      call.state = 'rejected'
      throw error
    }
  }

  async function beforehand(call: FaultyCall, fault: ProviderFault | undefined, signal: AbortSignal): Promise<void> {
    if (fault === undefined) return
    signal.throwIfAborted()
    if (fault.kind === 'fail') throw failing(call, fault)
    if (fault.kind === 'hang') await silence(signal)
    if (fault.kind === 'slow') await clock.sleep(fault.ms, signal)
    if (fault.kind === 'before') await unlessAborted(fault.run(call), signal)
  }

  function failing(call: FaultyCall, fault: ProviderFault & { readonly kind: 'fail' }): HoldfastError {
    const { kind: _kind, code, message, ...details } = fault
    const write = call.operation === 'put' || call.operation === 'delete'
    return new HoldfastError(code, message ?? `${inner.name}: ${fault.reason}, on purpose`, {
      ...(write && { outcome: 'rejected' }),
      ...details,
      provider: inner.name,
      ...(call.key !== undefined && { key: call.key }),
    })
  }

  function lost(call: FaultyCall): HoldfastError {
    return failing(call, { kind: 'fail', code: 'UNAVAILABLE', reason: 'NETWORK', outcome: 'unknown' })
  }

  /** What happens at the place where a body or a listing breaks. */
  function breaking(call: FaultyCall, fault: BreakingFault, signal: AbortSignal): () => Promise<void> {
    return async () => {
      if (fault.kind === 'cut') throw lost(call)
      if (fault.kind === 'stall') await silence(signal)
    }
  }

  function faultyBody({ call, fault }: Begun, found: RemoteBody, signal: AbortSignal): RemoteBody {
    const { object, start, end, body } = found
    const shared = { object, start, end, close: () => found.close() }
    if (fault?.kind === 'drip') {
      return { ...shared, body: dripping(body, fault.bytes, () => clock.sleep(fault.ms, signal)) }
    }
    if (fault?.kind === 'corrupt') return { ...shared, body: flipped(body, fault.atByte) }
    return breaks(fault) ? { ...shared, body: brokenBytes(body, fault.after, breaking(call, fault, signal)) } : found
  }

  return {
    name: inner.name,
    kind: inner.kind,
    location: inner.location,
    limits: inner.limits,
    get capabilities() {
      return inner.capabilities
    },
    refuseKey: key => inner.refuseKey(key),
    ...(inner.refuseFeatures === undefined ? {} : { refuseFeatures: features => inner.refuseFeatures?.(features) }),
    classify: error => inner.classify(error),

    learn: (remembered, signal) => treat(begin('learn', undefined), signal, () => inner.learn(remembered, signal)),
    head(key, signal) {
      const begun = begin('head', key)
      return treat(begun, signal, async () => (begun.fault?.kind === 'absent' ? undefined : inner.head(key, signal)))
    },

    put(request, signal) {
      const { key, source } = request
      const begun = begin('put', key, { conditional: request.condition !== undefined, size: source.size })
      const { call, fault } = begun
      return treat(begun, signal, async () => {
        if (fault?.kind === 'lie') {
          return { token: `lie-${++lies}`, etag: source.md5, proof: 'server-full', serverTime: clock.now() }
        }
        if (fault?.kind === 'late') {
          const kept = { ...request, source: await keptSource(source, signal) }
          call.applied = muchLater(clock, fault.ms, own => inner.put(kept, own))
          throw lost(call)
        }
        if (fault?.kind === 'strip') {
          return await inner.put(
            { ...request, headers: { contentType: 'application/x-stripped' }, metadata: {} },
            signal,
          )
        }
        if (fault?.kind === 'corrupt') {
          return await inner.put({ ...request, source: await keptSource(source, signal, fault.atByte) }, signal)
        }
        if (!breaks(fault)) return await inner.put(request, signal)
        const broken = brokenSource(source, fault.after, breaking(call, fault, signal))
        return await inner.put({ ...request, source: broken }, signal)
      })
    },

    get(request, signal) {
      const begun = begin('get', request.key, { conditional: request.token !== undefined })
      return treat(begun, signal, async () => {
        if (begun.fault?.kind === 'absent') return undefined
        const found = await inner.get(request, signal)
        return found && faultyBody(begun, found, signal)
      })
    },

    delete(key, token, signal) {
      const begun = begin('delete', key, { conditional: token !== undefined })
      const { call, fault } = begun
      return treat(begun, signal, async () => {
        if (fault?.kind === 'lie') return { serverTime: clock.now() }
        if (fault?.kind !== 'late') return await inner.delete(key, token, signal)
        call.applied = muchLater(clock, fault.ms, own => inner.delete(key, token, own))
        throw lost(call)
      })
    },

    async *list(request, signal) {
      const { call, fault } = begin('list', request.prefix)
      try {
        await beforehand(call, fault, signal)
        if (fault?.kind !== 'empty-list') {
          const entries = inner.list(request, signal)
          yield* breaks(fault) ? brokenItems(entries, fault.after, breaking(call, fault, signal)) : entries
        }
        if (fault?.kind === 'after') await unlessAborted(fault.run(call), signal)
        call.state = 'resolved'
      } finally {
        if (call.state === 'running') call.state = 'rejected'
      }
    },

    sign: (request, signal) => treat(begin('sign', request.key), signal, () => inner.sign(request, signal)),
    abandon: (key, upload, signal) => treat(begin('abandon', key), signal, () => inner.abandon(key, upload, signal)),
  }
}

function breaks(fault: ProviderFault | undefined): fault is BreakingFault {
  return fault?.kind === 'cut' || fault?.kind === 'stall' || fault?.kind === 'short'
}
