import { HoldfastError, invalid, shown } from '../../core/errors.ts'
import { suggestion } from '../../core/suggest.ts'

/**
 * The options of one call, each read once: a getter or a proxy cannot say one thing to a check and another to the work. `undefined` is
 * taken for an empty object. TypeError where it is no object; INVALID, field its name, rule `unknown` for a name that is not among
 * `names`, with the one that may have been meant; INVALID, field `options`, rule `type` where reading throws.
 */
export function take<Name extends string>(options: unknown, names: readonly Name[], of: string): Record<Name, unknown> {
  const given = options === undefined ? {} : options
  if (typeof given !== 'object' || given === null || isArray(given)) {
    throw new TypeError(`the options of ${of} must be an object, got ${shown(given)}`)
  }
  return reading('options', `the options of ${of}`, () => {
    for (const name of Object.keys(given)) demandKnown(name, names, of)
    const taken: Record<string, unknown> = {}
    for (const name of names) taken[name] = (given as Record<string, unknown>)[name]
    return taken as Record<Name, unknown>
  })
}

/** Options inside an option: a caller's mistake in them is INVALID like any other, with its path for a field. */
export function takeInner<Name extends string>(
  field: string,
  options: unknown,
  known: readonly Name[],
): Record<Name, unknown> {
  try {
    return take(options, known, field)
  } catch (error) {
    if (!(error instanceof HoldfastError)) {
      throw invalid(field, 'type', `${field} must be an object, got ${shown(options)}`, { cause: error })
    }
    const path = error.field === 'options' || error.field === undefined ? field : `${field}.${error.field}`
    throw invalid(path, error.rule ?? 'type', error.message, { cause: error.cause })
  }
}

function demandKnown(name: string, names: readonly string[], of: string): void {
  if (names.includes(name)) return
  const field = /^[\w.-]{1,64}$/.test(name) ? name : 'options'
  throw invalid(field, 'unknown', `${of} has no option ${shown(name)}${suggestion(name, names)}`)
}

/** Runs what reads a caller's object. What its getters and proxies throw becomes INVALID, rule `type`. */
export function reading<T>(field: string, what: string, read: () => T): T {
  try {
    return read()
  } catch (error) {
    if (error instanceof HoldfastError) throw error
    throw invalid(field, 'type', `${what} cannot be read: a getter or a proxy throws`, { cause: error })
  }
}

/** Array.isArray, for anything: it throws for a revoked proxy. */
function isArray(value: object): boolean {
  try {
    return Array.isArray(value)
  } catch {
    return false
  }
}

/** One of these texts, or `otherwise` where none is given. INVALID, rule `type` or `value`. */
export function oneOf<Value extends string, Otherwise>(
  field: string,
  value: unknown,
  values: readonly Value[],
  otherwise: Otherwise,
): Value | Otherwise {
  if (value === undefined) return otherwise
  const found = values.find(each => each === value)
  if (found !== undefined) return found
  const rule = typeof value === 'string' ? 'value' : 'type'
  throw invalid(field, rule, `${field} must be ${values.map(shown).join(' or ')}, got ${shown(value)}`)
}

/** A whole number in these bounds. INVALID, rule `type` or `range`. */
export function whole(field: string, value: unknown, least: number, most: number): number {
  if (typeof value !== 'number') {
    throw invalid(field, 'type', `${field} must be a number, got ${shown(value)}`)
  }
  if (Number.isSafeInteger(value) && value >= least && value <= most) return value
  throw invalid(field, 'range', `${field} must be a whole number from ${least} to ${most}, got ${shown(value)}`)
}

export function flag(field: string, value: unknown, otherwise: boolean): boolean {
  if (value === undefined) return otherwise
  if (typeof value === 'boolean') return value
  throw invalid(field, 'type', `${field} must be true or false, got ${shown(value)}`)
}

/** A caller's signal. TypeError for anything else. */
export function checkSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined || signal instanceof AbortSignal) return signal
  throw new TypeError(`signal must be an AbortSignal, got ${shown(signal)}`)
}
