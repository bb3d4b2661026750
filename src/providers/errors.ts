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
  /** What nothing is known of: worth another try, and of a write nobody knows whether it was applied. */
  unknown(error: unknown): HoldfastError
}

/** `provider` is the name of the one whose errors these are. */
export function errorMaker(provider: string): ErrorMaker {
  const because: ErrorMaker['because'] = (code, reason, message, details = {}) =>
    new HoldfastError(code, `${provider}: ${message}`, { ...details, reason, provider })
  return {
    because,
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
