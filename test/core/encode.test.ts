import { expect, test } from 'vitest'
import { decodeKey, encodeKey, isEncoded, keyOfName, namePrefixes } from '../../src/core/encode.ts'
import { checkEncoding, checkPrefixes, seedOf } from './encode-properties.ts'

const seed = seedOf('encoded keys')

// What is written here is at users' providers: a line that changes is a new format.
const written: readonly (readonly [key: string, name: string])[] = [
  ['photos/2024/cat.jpg', 'photos/2024/cat.jpg'],
  ['é/日本 🎞️.txt', 'é/日本 🎞️.txt'],
  ['100%/%2e+?#&', '100%/%2e+?#&'],
  ['a//b', 'a/!2Fb'],
  ['a///b', 'a/!2F!2Fb'],
  ['/lead', '!2Flead'],
  ['trail/', 'trail!2F'],
  ['a//', 'a/!2F'],
  ['/', '!2F'],
  ['//', '!2F!2F'],
  ['.', '!2E'],
  ['..', '!2E!2E'],
  ['x/../y', 'x/!2E!2E/y'],
  ['./x', '!2E/x'],
  ['...', '..!2E'],
  ['a./b', 'a!2E/b'],
  ['a.b/..c', 'a.b/..c'],
  ['a /b ', 'a!20/b!20'],
  [' a', ' a'],
  ['a\\b', 'a!5Cb'],
  ['a\tb\r\n', 'a!09b!0D!0A'],
  ['\u0000\u007f\u0085', '!00!7F!C2!85'],
  ['\ue000\ufdd0\ufffe\u{f0000}', '!EE!80!80!EF!B7!90!EF!BF!BE!F3!B0!80!80'],
  ['\ufffd', '!EF!BF!BD'],
  ['Hello!', 'Hello!'],
  ['a!2f', 'a!2f'],
  ['a!41', 'a!2141'],
  ['Wow!2021.jpg', 'Wow!212021.jpg'],
  ['a!/', 'a!!2F'],
  ['soap', '!73oap'],
  ['soap/x', 'soap/x'],
  ['.well-known/acme-challenge/t', '!2Ewell-known/acme-challenge/t'],
]

test.each(written)('%j is stored as %j, everywhere and for ever', (key, name) => {
  expect(encodeKey(key)).toBe(name)
  expect(decodeKey(name)).toBe(key)
  expect(keyOfName(name)).toBe(key)
})

test.each(['a//b', 'a/', '/a', '.', 'a\\b', 'a!41', 'a!2Fb', 'Wow!2021.jpg', 'a!FF', 'a!2Eb', '.holdfast!2F'])(
  'the name %j, which no key is stored under, stands for itself',
  name => {
    expect(isEncoded(name)).toBe(false)
    expect(keyOfName(name)).toBe(name)
  },
)

test('what is no Unicode is given back: no name can stand for it', () => {
  expect(encodeKey('a\ud83d')).toBe('a\ud83d')
})

test.each([
  ['', ['']],
  ['photos/', ['photos!2F', 'photos/']],
  ['photos', ['photos']],
  ['a.', ['a!2E', 'a.']],
  ['a/..', ['a/!2E!2E', 'a/..']],
  ['//', ['!2F!2F', '//']],
  ['so', ['!73o', 'so']],
  ['a!4', ['a!214', 'a!4']],
])('names of keys that begin with %j begin with one of %j', (prefix, ranges) => {
  expect(namePrefixes(prefix)).toEqual(ranges)
})

test('100,000 keys of any kind have names of their own that every provider takes, and lead back to them', () => {
  checkEncoding(seed, 100_000)
}, 60_000)

test('10,000 keys are found under each of their beginnings, and have delete markers and prefixes that every provider takes', () => {
  checkPrefixes(seed, 10_000)
}, 60_000)
