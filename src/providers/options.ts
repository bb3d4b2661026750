import { invalid, shown } from '../core/errors.ts'
import { suggestion } from '../core/suggest.ts'

/** What `typeof` says of an option; null is no object. */
export type OptionType = 'string' | 'number' | 'boolean' | 'object' | 'object or function'

/**
 * That a driver was given an object, with options that it knows, each of its JavaScript type. INVALID, field `options`, rule `unknown` for
 * a name that it does not know, with the one that may have been meant; TypeError for the rest, also where `needed` is missing.
 */
export function checkOptions<Options extends object>(
  driver: string,
  options: Options,
  types: Readonly<Record<keyof Options, OptionType>>,
  needed?: keyof Options,
): void {
  if (typeof options !== 'object' || options === null) throw new TypeError(`${driver}() wants an object of options`)
  const names = Object.keys(types) as (keyof Options & string)[]
  for (const name of Object.keys(options)) {
    if ((names as string[]).includes(name)) continue
    throw invalid('options', 'unknown', `${driver}() has no option ${shown(name)}${suggestion(name, names)}`)
  }
  for (const name of names) {
    const value: unknown = options[name]
    const wanted = types[name]
    const isLeftOut = value === undefined && name !== needed
    if (isLeftOut || (value !== null && wanted.split(' or ').includes(typeof value))) continue
    const article = wanted.startsWith('object') ? 'an' : 'a'
    throw new TypeError(`${driver}() wants option ${name} to be ${article} ${wanted}, got ${kindOf(value)}`)
  }
}

/** Never the value: it may be a secret that was given under the wrong name. */
function kindOf(value: unknown): string {
  return ['string', 'number', 'bigint', 'boolean'].includes(typeof value) ? `a ${typeof value}` : shown(value)
}
