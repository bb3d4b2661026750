import { sha256Hex } from './digest.ts'

/** Names that belong to Holdfast itself, at every provider; see FORMAT.md. */
export const reservedPrefix = '.holdfast/'
export const identityKey = '.holdfast/identity'
/** When somebody last replicated to the bucket. */
export const attendedKey = '.holdfast/attended'
/** Under which the markers of deletes are. */
export const markerPrefixes = ['.holdfast/deleted/', '.holdfast/deleted-long/'] as const

/** Longest key whose delete marker carries the key in its name. */
const longestMarkedBytes = 700
const mostMarkedSegments = 200

/** Where the marker of a delete of this key is. */
export function markerKey(key: string): string {
  const short = Buffer.byteLength(key) <= longestMarkedBytes && key.split('/').length <= mostMarkedSegments
  const [whole, hashed] = markerPrefixes
  return short ? `${whole}${key}` : `${hashed}${sha256Hex(key)}`
}

/**
 * The order that all services list in: of the keys' UTF-8 bytes. Not the order of `<`, which compares UTF-16 units and puts
 * U+E000…U+FFFF after the emoji.
 */
export function compareKeys(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i)
    const y = b.charCodeAt(i)
    if (x !== y) return (aboveSurrogates(x) ? x - 0x800 : lift(x)) - (aboveSurrogates(y) ? y - 0x800 : lift(y))
  }
  return a.length - b.length
}

function aboveSurrogates(unit: number): boolean {
  return unit >= 0xe000
}

/** Surrogates stand for code points above all other units, so they sort last. */
function lift(unit: number): number {
  return unit >= 0xd800 ? unit + 0x2000 : unit
}
