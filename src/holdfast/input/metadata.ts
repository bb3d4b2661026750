import { types } from 'node:util'
import { metadataBytes } from '../../core/attributes.ts'
import type { ChecksumAlgorithm } from '../../core/checksum.ts'
import { invalid, shown } from '../../core/errors.ts'
import type { Provider } from '../../core/provider.ts'
import { reading } from './take.ts'

const mostEntries = 64
const longestName = 128
const nameForm = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/
/** Objects have these already: in somebody's map they would not be data. */
export const unsafeNames: ReadonlySet<string> = new Set(['__proto__', 'constructor', 'prototype'])

/**
 * A copy without prototype, names in lower case. INVALID, field `metadata`: rule `type` (not a plain object, a value that is no string,
 * a getter that throws), `name` (no HTTP token, over 128 characters, twice in different case, reserved for Holdfast, `__proto__` and
 * its kin), `value` (control characters, unpaired surrogates), `size` (over 64 entries, or more bytes than fit beside our own entries
 * at the provider that has the least room; `checksum`: of the kind that is to be kept with it).
 */
export function checkMetadata(
  metadata: unknown,
  providers: readonly Provider[],
  checksum?: ChecksumAlgorithm,
): Readonly<Record<string, string>> {
  const copy: Record<string, string> = Object.create(null)
  for (const [given, value] of entriesOf(metadata)) {
    const name = checkName(given)
    if (Object.hasOwn(copy, name)) {
      throw invalid('metadata', 'name', `metadata has ${shown(name)} twice: names differ by more than case`)
    }
    copy[name] = checkValue(name, value)
  }
  demandRoom(copy, providers, checksum)
  return copy
}

/** INVALID, field `metadata`, rule `size`, where this metadata (that of a foreign object, say) does not fit at every provider. */
export function demandRoom(
  metadata: Readonly<Record<string, string>>,
  providers: readonly Provider[],
  checksum?: ChecksumAlgorithm,
): void {
  for (const { name, limits } of providers) {
    const bytes = metadataBytes(metadata, limits.metadata, checksum)
    if (bytes <= limits.metadata.bytes) continue
    const text = `metadata is ${bytes} bytes at provider ${shown(name)}, limit ${limits.metadata.bytes}; both include Holdfast's own entry`
    throw invalid('metadata', 'size', text, { provider: name })
  }
}

function entriesOf(metadata: unknown): [string, unknown][] {
  return reading('metadata', 'metadata', () => {
    if (!isPlain(metadata)) {
      const hint = types.isMap(metadata) ? ' (give Object.fromEntries(map))' : ''
      throw invalid('metadata', 'type', `metadata must be a plain object of strings, got ${shown(metadata)}${hint}`)
    }
    if (Object.getOwnPropertySymbols(metadata).length > 0) {
      throw invalid('metadata', 'name', 'metadata has a symbol for a name')
    }
    const names = Object.keys(metadata)
    if (names.length > mostEntries) {
      throw invalid('metadata', 'size', `metadata has ${names.length} entries, limit ${mostEntries}`)
    }
    return names.map(name => [name, metadata[name]])
  })
}

/** Made by a literal, JSON.parse or Object.create(null), in any realm. */
export function isPlain(value: unknown): value is Record<string, unknown> {
  if (typeof value !== 'object' || value === null || types.isProxy(value)) return false
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === null) return true
  return Object.getPrototypeOf(prototype) === null && Object.hasOwn(prototype as object, 'hasOwnProperty')
}

function checkName(given: string): string {
  const refuse = (why: string): Error => invalid('metadata', 'name', `metadata name ${shown(given)} ${why}`)
  const name = given.toLowerCase()
  if (unsafeNames.has(name)) throw refuse('is not allowed')
  if (given.length > longestName) throw refuse(`has ${given.length} characters, limit ${longestName}`)
  // As it came: in lower case the Kelvin sign would be an ASCII letter.
  if (!nameForm.test(given)) throw refuse("must be letters, digits and !#$%&'*+-.^_`|~")
  if (name.startsWith('holdfast')) throw refuse('is reserved for Holdfast')
  return name
}

function checkValue(name: string, value: unknown): string {
  if (typeof value !== 'string') {
    throw invalid('metadata', 'type', `metadata.${name} must be a string, got ${shown(value)}`)
  }
  const refuse = (what: string, index: number): Error =>
    invalid('metadata', 'value', `metadata.${name} has ${what} at index ${index}: ${shown(value)}`)
  const control = value.search(/\p{Cc}/u)
  if (control >= 0) {
    throw refuse(/[\r\n]/.test(value[control] as string) ? 'a line break' : 'a control character', control)
  }
  if (!value.isWellFormed()) throw refuse('an unpaired surrogate', value.search(/\p{Surrogate}/u))
  return value
}
