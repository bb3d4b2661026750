import type { CallOptions } from './put.ts'
import { checkSignal, flag, take } from './take.ts'

/** Of `inspect`. */
export interface InspectOptions extends CallOptions {
  /** Reads the bytes at every provider, and compares them. Default false: what the provider says of them is enough. */
  readonly deep?: boolean
}

export interface CheckedInspect {
  readonly deep: boolean
  readonly signal: AbortSignal | undefined
}

/** INVALID, field `deep`, rule `type`. */
export function checkInspect(options: unknown): CheckedInspect {
  const { deep, signal } = take(options, ['deep', 'signal'], 'inspect')
  return { deep: flag('deep', deep, false), signal: checkSignal(signal) }
}
