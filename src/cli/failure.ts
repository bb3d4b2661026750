import type { ErrorCode, HoldfastError } from '../index.ts'
import { inert } from './format.ts'
import { Interrupted } from './io.ts'

/** What the program ends with. Scripts rely on these: docs/cli.md names them. */
export const exitCodes = {
  ok: 0,
  error: 1,
  usage: 2,
  differences: 3,
  guard: 4,
  interrupted: 130,
  terminated: 143,
} as const

/** Something is wrong with what the user gave: a flag, an argument, the config file. Ends with 2. */
export class Usage extends Error {
  override readonly name = 'Usage'
}

/** The work ended as it should, and its answer is no 0: the message says why. */
export class Unsettled extends Error {
  override readonly name = 'Unsettled'
}

/** Something that should have worked did not, for a reason that is not the store's. Ends with 1. */
export class Failed extends Error {
  override readonly name = 'Failed'
}

/** An error of the store, also where it comes from another copy of the package: the one that the config file imports. */
export function isHoldfastError(error: unknown): error is HoldfastError {
  return error instanceof Error && error.name === 'HoldfastError' && typeof (error as HoldfastError).code === 'string'
}

/** The exit code for what ended a command. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Interrupted) {
    // Whoever stopped reading, as `head` does, had what was wanted.
    if (error.by === 'EPIPE') return exitCodes.ok
    return error.by === 'SIGINT' ? exitCodes.interrupted : exitCodes.terminated
  }
  if (error instanceof Usage) return exitCodes.usage
  if (error instanceof Unsettled) return exitCodes.differences
  if (!isHoldfastError(error)) return exitCodes.error
  if (error.code === 'INVALID') return exitCodes.usage
  if (error.code === 'BLOCKED') return error.field === 'guard' ? exitCodes.guard : exitCodes.differences
  return exitCodes.error
}

/** What to do about it, where the message of the error does not say so itself. */
const remedies: Partial<Readonly<Record<ErrorCode, string>>> = {
  UNAVAILABLE: '`holdfast status` says how the providers are, `holdfast check` what is wrong with them',
  ACK_TIMEOUT: '`holdfast status` says what it waits for',
}

/** The error in one line that does nothing to a terminal, without the name of the program. */
export function lineOf(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error)
  const line = inert(message.replaceAll(/\s*[\r\n]+\s*/g, ' ').trim())
  if (!isHoldfastError(error)) return line
  const remedy = error.code === 'BLOCKED' ? blockedRemedy(error) : remedies[error.code]
  return remedy === undefined ? line : `${line}; ${remedy}`
}

function blockedRemedy({ field, rule }: HoldfastError): string {
  if (field !== 'guard') return '`holdfast blocked` lists what is blocked, and how to settle it'
  if (rule === 'identity' || rule === 'listing') return 'nothing was changed, and --confirm does not overrule this'
  return 'look at it, and say --confirm if it is meant'
}

/** The error as one line of JSON has it. */
export function jsonOf(error: unknown): object {
  if (isHoldfastError(error)) {
    const { code, field, rule, reason, provider, key, version, outcome, retryable } = error
    return { error: { code, message: lineOf(error), field, rule, reason, provider, key, version, outcome, retryable } }
  }
  const code = error instanceof Usage ? 'USAGE' : error instanceof Unsettled ? 'UNSETTLED' : 'ERROR'
  return { error: { code, message: lineOf(error) } }
}
