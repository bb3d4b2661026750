import * as fc from 'fast-check'

/** What is dangerous in a key, and what only looks so: more often than chance would have it. */
const pieces = [
  '/',
  '//',
  '.',
  '..',
  '../',
  './',
  '...',
  ' ',
  '\t',
  '\r\n',
  '\0',
  '\u007f',
  '\u0085',
  '\u00a0',
  '\u2028',
  '\u202e',
  '\ufeff',
  '\ufffd',
  '\ufffe',
  '\uffff',
  '\ue000',
  '\u{f0000}',
  '\u{1fffe}',
  '\ufdd0',
  '\\',
  '!',
  '!4',
  '!41',
  '!2F',
  '!2f',
  '!2E!2E',
  '!C3!A9',
  '!FF',
  '!21',
  '%',
  '%2e',
  '%2F',
  '%41',
  '%%',
  '+',
  '?',
  '#',
  '&',
  ';',
  '*',
  "'",
  '(',
  ')',
  '~',
  ':',
  '@',
  '$root',
  'soap',
  '.well-known/acme-challenge/',
  '.holdfas',
  'con',
  'é',
  'e\u0301',
  '日本',
  '🎞️',
  '𝒳',
  'A',
  'F0',
  '0',
  'a',
  'key.txt',
  'photos/',
]

/** Keys that the app may want to have: well-formed, not empty, none of Holdfast's own. */
export const anyKey: fc.Arbitrary<string> = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.constantFrom(...pieces) },
      fc.nat(0x10_ffff).map(point => String.fromCodePoint(point).toWellFormed()),
    ),
    {
      minLength: 1,
      maxLength: 9,
    },
  )
  .map(parts => parts.join(''))
  .filter(key => key !== '' && key.isWellFormed() && !`${key}/`.startsWith('.holdfast/'))

/** So many different ones, of a seed. */
export function someKeys(seed: number, count: number): readonly string[] {
  return [...new Set(fc.sample(anyKey, { seed, numRuns: count }))]
}
