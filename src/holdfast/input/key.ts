import { invalid, shown } from '../../core/errors.ts'
import { markerKey, reservedPrefix } from '../../core/key.ts'
import type { KeyRefusal, Provider } from '../../core/provider.ts'

/** Bytes of UTF-8: more than any service holds (1,024 bytes, or as many characters), so that what scans a key has an end. */
const longestKeyBytes = 4096

/**
 * The key, if every provider can hold it and the marker of its delete verbatim. INVALID, field `key`: rule `type` (no string, or an
 * empty one), `unicode` (unpaired surrogates), `length`, `reserved` (under `.holdfast/`), or the rule of the provider that refuses it,
 * which is then named. `what` is the argument's name, for the message.
 */
export function checkKey(key: unknown, providers: readonly Provider[], what = 'key'): string {
  if (typeof key !== 'string' || key === '') {
    throw invalid('key', 'type', `${what} must be a non-empty string, got ${shown(key)}`)
  }
  if (key.length > longestKeyBytes || Buffer.byteLength(key) > longestKeyBytes) {
    throw invalid('key', 'length', `${what} is longer than ${longestKeyBytes} bytes: ${shown(key)}`)
  }
  if (!key.isWellFormed()) {
    const index = key.search(/\p{Surrogate}/u)
    throw invalid('key', 'unicode', `${what} has an unpaired surrogate at index ${index}: ${shown(key)}`, { key })
  }
  if (`${key}/`.startsWith(reservedPrefix)) {
    throw invalid('key', 'reserved', `${what} lies in ${reservedPrefix}, which belongs to Holdfast: ${shown(key)}`, {
      key,
    })
  }
  const marker = markerKey(key)
  for (const provider of providers) {
    const refusal = provider.refuseKey(key)
    if (refusal !== undefined) throw refused(provider, refusal, what, key)
    const unmarkable = provider.refuseKey(marker)
    if (unmarkable !== undefined) throw refused(provider, unmarkable, `the marker of a delete of ${what}`, key)
  }
  return key
}

function refused(provider: Provider, { rule, index, message }: KeyRefusal, what: string, key: string): Error {
  const place = index === undefined || message.includes(`index ${index}`) ? '' : ` at index ${index}`
  const text = `${what} ${message}${place}: provider ${shown(provider.name)} cannot hold ${shown(key)}`
  return invalid('key', rule, text, { key, provider: provider.name })
}
