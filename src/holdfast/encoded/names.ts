import { encodeKey, isEncoded, isReserved, keyOfName } from '../../core/encode.ts'
import { HoldfastError } from '../../core/errors.ts'

/** So long may a key be that is looked at here; what is longer goes on as it is, to be refused where keys are checked. */
const longestKey = 4096

/** The name to be used at the store inside. What is no key goes on as it is: it is refused there, in the same words as ever. */
export function nameOf(key: string): string {
  const isKey = typeof key === 'string' && key.length <= longestKey && !isReserved(key)
  return isKey ? encodeKey(key) : key
}

/**
 * Where an object of this key may be besides: under the key itself, if that was written past Holdfast or under 'strict' and is the name of no
 * other key.
 */
export function plainNameOf(key: string): string | undefined {
  return nameOf(key) === key || isEncoded(key) ? undefined : key
}

/** The same with the key in place of the name. */
export function keyed<T extends { readonly key: string }>(value: T): T {
  return { ...value, key: keyOfName(value.key) }
}

/** As `keyed`, of errors that have a key; all others are given back as they are. */
export function keyedError(error: unknown): unknown {
  if (!(error instanceof HoldfastError) || error.key === undefined) return error
  const key = keyOfName(error.key)
  if (key === error.key) return error
  const told = new HoldfastError(error.code, error.message, Object.assign({}, error, { cause: error.cause, key }))
  if (error.stack !== undefined) told.stack = error.stack
  return told
}

/** Settles as the answer does; its error has the key. */
export async function told<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer
  } catch (error) {
    throw keyedError(error)
  }
}

/** As the answer; `undefined` where no provider could hold an object of this name, so that there is none. */
export async function unlessRefused<T>(answer: Promise<T>): Promise<T | undefined> {
  try {
    return await answer
  } catch (error) {
    if (error instanceof HoldfastError && error.code === 'INVALID' && error.field === 'key') return undefined
    throw error
  }
}

/** For options that are optional. */
export function withSignal(signal: AbortSignal | undefined): { readonly signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}
