import type { Carried } from './carried.ts'
import { type ErrorCode, type ErrorDetails, HoldfastError, type Reason, shown } from '../core/errors.ts'

/** Makes the errors of one provider, so that each names it and says a reason. */
export interface ErrorMaker {
  /** Another object, or none, is where the condition wanted one. Nothing was changed. */
  condition(key: string, cause?: unknown): HoldfastError
  /** The range begins at or past the end of the object. */
  range(key: string, size: number): HoldfastError
  /** The bytes were not those that the source announced. Nothing was stored. */
  digest(key: string, message: string): HoldfastError
  /** Something that `capabilities` says the service cannot do. Nothing was sent. */
  unsupported(what: string, key?: string): HoldfastError
  /** Anything else, with a reason. */
  because(code: ErrorCode, reason: Reason, message: string, details?: ErrorDetails): HoldfastError
  /** The words of others, without anything that the requests of this provider carried and that opens doors. */
  without(text: string): string
  /** What nothing is known of: worth another try, and of a write nobody knows whether it was applied. */
  unknown(error: unknown): HoldfastError
}

/** `provider` is the name of the one whose errors these are. What its requests carried is in none of them, cause included. */
export function errorMaker(provider: string, carried?: Carried): ErrorMaker {
  const without = (text: string): string => carried?.without(text) ?? text
  const because: ErrorMaker['because'] = (code, reason, message, details = {}) => {
    const { cause } = details
    return new HoldfastError(code, `${provider}: ${without(message)}`, {
      ...details,
      ...(cause === undefined ? {} : { cause: causeWithout(cause, without) }),
      reason,
      provider,
    })
  }
  return {
    because,
    without,
    condition: (key, cause) =>
      because('PRECONDITION', 'CONDITION', `the condition on ${shown(key)} did not hold`, {
        key,
        cause,
        outcome: 'rejected',
      }),
    range: (key, size) =>
      because('INVALID', 'RANGE', `the range begins past the end of ${shown(key)}, which has ${size} bytes`, {
        key,
        field: 'range',
        rule: 'end',
        outcome: 'rejected',
      }),
    digest: (key, message) =>
      because('CHECKSUM', 'DIGEST', `the bytes of ${shown(key)} are not those announced: ${message}`, {
        key,
        outcome: 'rejected',
      }),
    unsupported: (what, key) =>
      new HoldfastError('UNSUPPORTED', `${provider} cannot ${what}`, {
        provider,
        outcome: 'rejected',
        ...(key === undefined ? {} : { key }),
      }),
    unknown: error =>
      because(
        'UNAVAILABLE',
        'SERVER',
        `failed unexpectedly: ${error instanceof Error ? error.message : shown(error)}`,
        {
          cause: error,
          outcome: 'unknown',
        },
      ),
  }
}

/** Causes of causes that are looked through; what lies deeper, or leads back, is left out of a copy. */
const mostCauses = 8

/** The cause itself, where no text of it changes; else a copy of what it says. */
function causeWithout(cause: unknown, without: (text: string) => string, depth = 1): unknown {
  if (!(cause instanceof Error) || cause instanceof HoldfastError) return cause
  const own: readonly (readonly [string, unknown])[] = Object.getOwnPropertyNames(cause).map(
    name => [name, Reflect.get(cause, name)] as const,
  )
  const texts = [...own, ['name', cause.name] as const].flatMap(([name, value]: readonly [string, unknown]) =>
    typeof value === 'string' ? [[name, without(value), value] as const] : [],
  )
  const inner =
    cause.cause === undefined || depth === mostCauses ? undefined : causeWithout(cause.cause, without, depth + 1)
  if (inner === cause.cause && texts.every(([, now, before]) => now === before)) return cause
  const copy = new Error('', inner === undefined ? undefined : { cause: inner })
  for (const [property, value] of texts) {
    Object.defineProperty(copy, property, { value, configurable: true, writable: true })
  }
  return copy
}
