import { HoldfastError } from '../core/errors.ts'
import { identityKey } from '../core/key.ts'
import type { Capabilities, Proof, Provider, RemoteObject } from '../core/provider.ts'
import type { Slot } from '../core/limiter.ts'
import type { Version } from '../core/version.ts'
import { maxClockLeadMs, versionTime } from '../core/version.ts'

/** One provider as the replicator sees it: its id in the journal, and a driver whose every call ends in bounded time. */
export interface Target {
  readonly id: number
  readonly provider: Provider
  readonly capabilities: Capabilities
  /** Its clock minus ours, milliseconds, as far as its answers told. One object for all that use the provider. */
  readonly skew: { offsetMs: number | undefined }
}

/** The same provider, of which each call waits for its turn under the request rate. */
export function paced(provider: Provider, slot: Slot): Provider {
  const afterTurn = async <T>(signal: AbortSignal, call: () => Promise<T>): Promise<T> => {
    await slot.request(signal)
    return call()
  }
  return {
    ...provider,
    // A getter of the original: spreading would have read it once.
    get capabilities() {
      return provider.capabilities
    },
    put: (request, signal) => afterTurn(signal, () => provider.put(request, signal)),
    head: (key, signal) => afterTurn(signal, () => provider.head(key, signal)),
    get: (request, signal) => afterTurn(signal, () => provider.get(request, signal)),
    delete: (key, token, signal) => afterTurn(signal, () => provider.delete(key, token, signal)),
    // A page of it is a request: more than one is read nowhere here.
    async *list(request, signal) {
      await slot.request(signal)
      yield* provider.list(request, signal)
    },
    abandon: (key, upload, signal) => afterTurn(signal, () => provider.abandon(key, upload, signal)),
  }
}

/** Remembers the provider's clock from an answer. */
export function noteClock(target: Target, serverTime: number | undefined, now: number): void {
  if (serverTime !== undefined) target.skew.offsetMs = serverTime - now
}

/**
 * Whether a stamp is too far ahead of the provider's own clock to be followed: such a version would win over every honest write until
 * the clocks caught up.
 */
export function isAhead(version: Version, target: Target, now: number): boolean {
  return versionTime(version) > now + (target.skew.offsetMs ?? 0) + maxClockLeadMs
}

/**
 * The same of a write of ours, by what the provider's clock says now: what is remembered may be of an answer that this process read long after it came, because it stood
 * still, or of a time when this machine's clock was wrong. Nothing is sent of what is ahead, so that nothing else would ever correct it.
 */
export async function isAheadNow(
  version: Version,
  target: Target,
  now: () => number,
  signal: AbortSignal,
): Promise<boolean> {
  if (!isAhead(version, target, now())) return false
  const identity = await target.provider.head(identityKey, signal)
  noteClock(target, identity?.serverTime, now())
  return isAhead(version, target, now())
}

/** A newer write is there: this one needs to go nowhere any more. */
export interface Overtaken {
  readonly is: 'overtaken'
  readonly by: Version
  readonly foreign: RemoteObject | undefined
}

/** Where one write stands at one provider after everything possible was done now. */
export type Settled =
  /** It is there, under this token. `found`: it was there already. */
  | { readonly is: 'stored'; readonly token: string; readonly etag: string | undefined; readonly proof: Proof }
  | Overtaken
  /** The condition of a conditional write does not hold. */
  | {
      readonly is: 'refused'
      readonly code: 'PRECONDITION' | 'UNAVAILABLE' | 'UNSUPPORTED'
      readonly message: string
      readonly outcome: 'rejected' | 'unknown'
      /** The next write is to be newer than this. */
      readonly seen?: Version
    }

export function conflict(
  message: string,
  reason: 'CONFLICT' | 'CLOCK' | 'TOO_OLD' | 'MISMATCH',
  key: string,
): HoldfastError {
  return new HoldfastError('BLOCKED', message, { reason, key, retryable: false })
}

export function isPrecondition(error: unknown): boolean {
  return error instanceof HoldfastError && error.code === 'PRECONDITION'
}

export function busy({ provider: { name } }: Pick<Target, 'provider'>, key: string): HoldfastError {
  return new HoldfastError('UNAVAILABLE', `others write this key at ${name} faster than it can be looked at`, {
    provider: name,
    key,
    reason: 'SERVER',
    outcome: 'rejected',
  })
}
