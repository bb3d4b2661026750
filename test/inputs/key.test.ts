import { describe, expect, test } from 'vitest'
import { markerKey } from '../../src/core/key.ts'
import { checkKey } from '../../src/holdfast/input/key.ts'
import { memory } from '../../src/providers/memory.ts'
import { provider, refusalOf, refuseStrictly } from './support.ts'

const roomy = [memory(), memory()]
const strict = [memory(), provider({ name: 'strict', refuseKey: refuseStrictly })]

const revoked = Proxy.revocable({}, {})
revoked.revoke()

describe('a key of another type is refused', () => {
  const table: Record<string, unknown> = {
    undefined: undefined,
    null: null,
    'a number': 42,
    NaN: Number.NaN,
    'a bigint': 10n,
    true: true,
    'a symbol': Symbol('key'),
    'a Buffer': Buffer.from('key'),
    'an array': ['key'],
    'an object with toString': { toString: () => 'key' },
    'a String object': Object('key'),
    'a function': () => 'key',
    'a null-prototype object': Object.create(null),
    'a proxy that throws': new Proxy(
      {},
      {
        get: () => {
          throw new RangeError('mine')
        },
      },
    ),
    'a revoked proxy': revoked.proxy,
    'a class whose name is hostile': { constructor: { name: Symbol('x') } },
    'the empty string': '',
  }
  for (const [name, key] of Object.entries(table)) {
    test(name, () => {
      const refusal = refusalOf(() => checkKey(key, roomy))
      expect(refusal).toMatchObject({ code: 'INVALID', field: 'key', rule: 'type' })
      expect(refusal.message).toMatch(/^key must be a non-empty string, got /)
    })
  }
})

describe('what no provider could hold is refused, whatever is configured', () => {
  const table: Record<string, [key: string, rule: string, message: RegExp]> = {
    'a lone high surrogate': ['a\ud800b', 'unicode', /unpaired surrogate at index 1/],
    'a lone low surrogate': ['\udc00', 'unicode', /unpaired surrogate at index 0/],
    'a pair the wrong way round': ['\ude00\ud83d', 'unicode', /index 0/],
    'more than 4,096 bytes': ['x'.repeat(4097), 'length', /longer than 4096 bytes/],
    'more than 4,096 bytes in fewer characters': ['€'.repeat(1366), 'length', /longer than 4096 bytes/],
    'the reserved prefix': ['.holdfast/identity', 'reserved', /belongs to Holdfast/],
    'the reserved prefix alone': ['.holdfast/', 'reserved', /belongs to Holdfast/],
    'the reserved segment alone': ['.holdfast', 'reserved', /belongs to Holdfast/],
  }
  for (const [name, [key, rule, message]] of Object.entries(table)) {
    test(name, () => {
      const refusal = refusalOf(() => checkKey(key, roomy))
      expect(refusal).toMatchObject({ code: 'INVALID', field: 'key', rule, provider: undefined })
      expect(refusal.message).toMatch(message)
    })
  }
})

describe('what one provider cannot hold is refused with its rule and its name, and taken where all can', () => {
  const controls = [0, 1, 9, 10, 13, 0x1f, 0x7f, 0x80, 0x85, 0x9f, 0x2028, 0x2029]
  const table: Record<string, [key: string, rule: string]> = {
    'U+FFFE': ['a\ufffe', 'unicode'],
    'U+FFFF': ['a\uffff', 'unicode'],
    'a byte order mark first': ['\ufeffa', 'unicode'],
    'the segment "."': ['.', 'segment'],
    'the segment ".."': ['..', 'segment'],
    'a/../b': ['a/../b', 'segment'],
    '../x': ['../x', 'segment'],
    './x': ['./x', 'segment'],
    'a/.': ['a/.', 'segment'],
    'a/..': ['a/..', 'segment'],
    'a slash first': ['/lead', 'slash'],
    'a slash last': ['trail/', 'slash'],
    'two slashes': ['a//b', 'slash'],
    'a backslash': ['\\', 'slash'],
    'dots between backslashes': ['a\\..\\b', 'slash'],
    'nothing but slashes': ['///', 'slash'],
    'over 254 segments': [Array.from({ length: 255 }, () => 'a').join('/'), 'length'],
    'a segment of 256 bytes': ['x'.repeat(256), 'length'],
    'the challenges of Cloud Storage': ['.well-known/acme-challenge/x', 'reserved'],
    soap: ['soap', 'reserved'],
    'a dot at the end of a segment': ['a./b', 'reserved'],
    'a blank at the end': ['a ', 'reserved'],
    CON: ['CON', 'reserved'],
    'a/nul': ['a/nul', 'reserved'],
    COM1: ['COM1', 'reserved'],
  }
  for (const code of controls) {
    table[`U+${code.toString(16).padStart(4, '0')}`] = [`a${String.fromCharCode(code)}b`, 'control']
  }
  for (const [name, [key, rule]] of Object.entries(table)) {
    test(name, () => {
      const refusal = refusalOf(() => checkKey(key, strict))
      expect(refusal).toMatchObject({ code: 'INVALID', field: 'key', rule, provider: 'strict' })
      expect(refusal.message).toMatch(/^key (has|is) .*: provider "strict" cannot hold /)
      expect(checkKey(key, roomy)).toBe(key)
    })
  }

  test('one emoji over the limit of a provider', () => {
    const key = `${'x'.repeat(1021)}😀`
    expect(refusalOf(() => checkKey(key, roomy))).toMatchObject({
      field: 'key',
      rule: 'length',
      provider: roomy[0]?.name,
    })
    expect(checkKey(key.slice(1), roomy)).toBe(key.slice(1))
  })

  test('the message says the place that is to blame, once', () => {
    expect(refusalOf(() => checkKey('a\nb', strict)).message).toBe(
      'key has the control character U+000A at index 1: provider "strict" cannot hold "a\\nb"',
    )
    const twice = provider({ name: 'twice', refuseKey: () => ({ rule: 'x', index: 3, message: 'is bad at index 3' }) })
    expect(refusalOf(() => checkKey('abcdef', [twice])).message).toBe(
      'key is bad at index 3: provider "twice" cannot hold "abcdef"',
    )
  })

  test('a key whose delete marker a provider cannot hold', () => {
    const shallow = provider({
      name: 'shallow',
      refuseKey: key => (key.split('/').length > 4 ? { rule: 'length', message: 'has over 4 segments' } : undefined),
    })
    expect(checkKey('a/b', [shallow])).toBe('a/b')
    expect(markerKey('a/b/c').split('/')).toHaveLength(5)
    expect(refusalOf(() => checkKey('a/b/c', [memory(), shallow]))).toMatchObject({
      code: 'INVALID',
      field: 'key',
      rule: 'length',
      provider: 'shallow',
      message: 'the marker of a delete of key has over 4 segments: provider "shallow" cannot hold "a/b/c"',
    })
  })

  test('the argument is called what the caller calls it', () => {
    expect(refusalOf(() => checkKey(5, roomy, 'from')).message).toMatch(/^from must be/)
  })
})

describe('keys that must work', () => {
  const table: Record<string, string> = {
    'one character': 'a',
    'exactly 1,024 bytes': 'x'.repeat(1024),
    'exactly 1,024 bytes of emoji': '😀'.repeat(256),
    'all of 0x20–0x7E': Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i)).join(''),
    'right to left': 'שלום/عالم',
    'combining characters, not normalised': 'e\u0301',
    'bidi overrides': 'a\u202eb',
    'percent text that nothing may decode': '%2e%2e/x',
    'a key that begins like the reserved prefix': '.holdfast-notes/a',
    'the reserved segment further on': 'a/.holdfast/b',
    'the reserved prefix in other case': '.Holdfast/a',
    'names of the prototype': '__proto__',
  }
  for (const [name, key] of Object.entries(table)) {
    test(name, () => expect(checkKey(key, roomy)).toBe(key))
  }

  test('percent text and bidi overrides also where the provider is strict', () => {
    expect(checkKey('%2e%2e/x', strict)).toBe('%2e%2e/x')
    expect(checkKey('a\u202eb', strict)).toBe('a\u202eb')
  })

  test('two keys that are equal under NFC are two keys', () => {
    expect(checkKey('e\u0301', roomy)).not.toBe(checkKey('\u00e9', roomy))
  })
})
