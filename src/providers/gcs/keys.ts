import type { KeyRefusal, Limits } from '../../core/provider.ts'
import { refuseAnywhere } from '../keys.ts'

const keyBytes = 1024

/** https://cloud.google.com/storage/quotas: 5 TiB an object, 8 KiB of custom metadata, names and values together. */
export const gcsLimits: Limits = {
  objectBytes: 5 * 2 ** 40,
  keyBytes,
  metadata: {
    bytes: 8192,
    /** JSON carries any text. An empty value is kept from it: clients take it for a wish to remove the entry. */
    holds: (_name, value) => value !== '',
  },
}

/**
 * https://cloud.google.com/storage/docs/objects#naming. Google forbids CR and LF and advises against the rest of what XML cannot say;
 * all of it is refused, since half of the tools for a bucket list it in XML. `a/../b` is one name like any other: it travels as one
 * path segment.
 */
export function refuseGcsKey(key: string): KeyRefusal | undefined {
  const anywhere = refuseAnywhere(key, keyBytes)
  if (anywhere !== undefined) return anywhere
  const control = key.search(/[\p{Cc}\ufffe\uffff]/u)
  if (control >= 0) {
    const code = key.charCodeAt(control).toString(16).toUpperCase().padStart(4, '0')
    return { rule: 'control', index: control, message: `has the character U+${code} at index ${control}` }
  }
  if (key === '.' || key === '..') return { rule: 'segment', index: 0, message: `is ${JSON.stringify(key)}` }
  return key.startsWith('.well-known/acme-challenge/')
    ? {
        rule: 'reserved',
        index: 0,
        message: 'begins with ".well-known/acme-challenge/", which Google keeps for itself',
      }
    : undefined
}
