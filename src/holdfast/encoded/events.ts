import { decodeKey, keyOfName } from '../../core/encode.ts'
import type { HoldfastEvents } from '../events.ts'
import { keyedError } from './names.ts'

/** What of an event has keys in it. An event that is missing here is an error of types. */
const keysIn: Readonly<Record<keyof HoldfastEvents, 'key' | 'prefix' | 'cursor' | 'nothing'>> = {
  provider: 'nothing',
  stored: 'key',
  verified: 'key',
  released: 'key',
  lost: 'key',
  blocked: 'key',
  restored: 'key',
  superseded: 'key',
  foreign: 'key',
  retry: 'key',
  'stale-provider': 'nothing',
  lease: 'nothing',
  failover: 'key',
  hedge: 'key',
  corrupt: 'key',
  stale: 'key',
  partial: 'prefix',
  ahead: 'key',
  repair: 'key',
  scrub: 'cursor',
  drift: 'key',
  abandoned: 'key',
  'bucket-accepted': 'nothing',
  poisoned: 'nothing',
}

/** What a listener is told: keys for names. */
export function payloadOf<E extends keyof HoldfastEvents>(event: E, payload: HoldfastEvents[E]): HoldfastEvents[E] {
  const given = payload as {
    readonly key?: string
    readonly prefix?: string
    readonly cursor?: string
    readonly error?: unknown
  }
  const what = keysIn[event]
  return {
    ...payload,
    ...(what === 'key' && given.key !== undefined ? { key: keyOfName(given.key) } : {}),
    ...(what === 'prefix' && given.prefix !== undefined ? { prefix: decodeKey(given.prefix) } : {}),
    ...(what === 'cursor' && given.cursor !== undefined ? { cursor: keyOfName(given.cursor) } : {}),
    ...(what === 'cursor' && given.cursor !== undefined ? { cursor: keyOfName(given.cursor) } : {}),
    ...(given.error === undefined ? {} : { error: keyedError(given.error) }),
  }
}
