import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { metadataBytes } from '../../src/core/attributes.ts'
import { checkMetadata, demandRoom } from '../../src/holdfast/input/metadata.ts'
import { likeAzure, likeGcs, likeS3, provider, refusalOf } from './support.ts'

const s3 = provider({ name: 's3:photos', metadata: likeS3 })
const azure = provider({ name: 'azure:photos', metadata: likeAzure })
const gcs = provider({ name: 'gcs:photos', metadata: likeGcs })
const all = [s3, azure, gcs]

class Tags {
  a = 'x'
}

function refused(metadata: unknown): ReturnType<typeof refusalOf> {
  return refusalOf(() => checkMetadata(metadata, all))
}

describe('metadata that is no map of strings is refused: rule type', () => {
  const throwing = {
    get a(): string {
      throw new RangeError('mine')
    },
  }
  const table: Record<string, unknown> = {
    null: null,
    'a string': 'a=b',
    'a number': 1,
    'a function': () => ({}),
    'an array': ['a'],
    'a class instance': new Tags(),
    'a Map': new Map([['a', 'b']]),
    'a Date': new Date(),
    'a Buffer': Buffer.from('a'),
    'an object that inherits': Object.create({ a: 'x' }),
    'a getter that throws': throwing,
    'a proxy': new Proxy({ a: 'b' }, {}),
    'a proxy that throws': new Proxy(
      {},
      {
        getPrototypeOf: () => {
          throw new RangeError('mine')
        },
      },
    ),
    'a number for a value': { a: 1 },
    'a boolean for a value': { a: true },
    'null for a value': { a: null },
    'undefined for a value': { a: undefined },
    'an object for a value': { a: {} },
    'a Date for a value': { a: new Date(0) },
    'a Buffer for a value': { a: Buffer.from('x') },
    'a String object for a value': { a: Object('x') },
  }
  for (const [name, metadata] of Object.entries(table)) {
    test(name, () => expect(refused(metadata)).toMatchObject({ code: 'INVALID', field: 'metadata', rule: 'type' }))
  }

  test('the message names the entry, and for a Map what to do', () => {
    expect(refused({ foo: 1 }).message).toBe('metadata.foo must be a string, got 1')
    expect(refused(new Map()).message).toContain('Object.fromEntries(map)')
  })
})

describe('names are refused: rule name', () => {
  const table: Record<string, unknown> = {
    'the empty name': { '': 'x' },
    'over 128 characters': { ['n'.repeat(129)]: 'x' },
    'a space': { 'a b': 'x' },
    'a colon': { 'a:b': 'x' },
    'a line break': { 'a\r\nb': 'x' },
    'beyond ASCII': { é: 'x' },
    'the Kelvin sign, which is k in lower case': { '\u212a': 'x' },
    'an unpaired surrogate': { '\ud800': 'x' },
    __proto__: JSON.parse('{"__proto__":"x"}'),
    __PROTO__: { __PROTO__: 'x' },
    constructor: { constructor: 'x' },
    prototype: { prototype: 'x' },
    'our own entry': { holdfast: 'x' },
    'our packed entry': { holdfast_meta: 'x' },
    'ours in other case': { Holdfast: 'x' },
    'anything that begins like ours': { holdfastic: 'x' },
    'the same in other case': { a: '1', A: '2' },
    'a symbol': { [Symbol('a')]: 'x' },
  }
  for (const [name, metadata] of Object.entries(table)) {
    test(name, () => expect(refused(metadata)).toMatchObject({ code: 'INVALID', field: 'metadata', rule: 'name' }))
  }
})

describe('values are refused: rule value', () => {
  const table: Record<string, string> = {
    CR: 'a\rb',
    LF: 'a\nb',
    NUL: 'a\0b',
    TAB: 'a\tb',
    DEL: 'a\u007fb',
    'a C1 control': 'a\u0085b',
    'a lone high surrogate': 'a\ud800',
    'a lone low surrogate': '\udfff',
  }
  for (const [name, value] of Object.entries(table)) {
    test(name, () => {
      expect(refused({ a: value })).toMatchObject({ code: 'INVALID', field: 'metadata', rule: 'value' })
    })
  }

  test('the message says where', () => {
    expect(refused({ a: 'xy\nz' }).message).toBe('metadata.a has a line break at index 2: "xy\\nz"')
  })
})

describe('size is measured as the provider with the least room holds it: rule size', () => {
  /** The longest value of one entry that fits. */
  function longest(limits: typeof likeS3): string {
    return 'x'.repeat(limits.bytes - metadataBytes({ a: '' }, limits))
  }

  test('exactly at the limit fits, one byte more does not', () => {
    const value = longest(likeS3)
    expect(checkMetadata({ a: value }, all)['a']).toBe(value)
    const refusal = refused({ a: `${value}x` })
    expect(refusal).toMatchObject({ code: 'INVALID', field: 'metadata', rule: 'size', provider: 's3:photos' })
    expect(refusal.message).toContain('metadata is 2049 bytes at provider "s3:photos", limit 2048')
  })

  test('what must be encoded counts encoded', () => {
    const value = 'é'.repeat(700)
    expect(checkMetadata({ a: value }, [gcs])['a']).toBe(value)
    expect(refused({ a: value })).toMatchObject({ rule: 'size', provider: 's3:photos' })
  })

  test('64 entries fit, 65 do not', () => {
    const entries = (n: number): Record<string, string> =>
      Object.fromEntries(Array.from({ length: n }, (_, i) => [`n${i}`, '']))
    expect(Object.keys(checkMetadata(entries(64), [gcs]))).toHaveLength(64)
    expect(refused(entries(65)).message).toBe('metadata has 65 entries, limit 64')
    expect(refused(entries(65)).rule).toBe('size')
  })

  test('the metadata of a foreign object is measured by itself', () => {
    expect(() => demandRoom({ a: 'x' }, all)).not.toThrow()
    expect(refusalOf(() => demandRoom({ a: 'x'.repeat(2000) }, all)).rule).toBe('size')
  })
})

describe('metadata that must work', () => {
  const table: Record<string, Record<string, string>> = {
    nothing: {},
    'an empty value': { a: '' },
    'blanks at the ends': { a: '  x ' },
    'beyond ASCII': { a: 'naïve 日本 😀' },
    'what looks encoded': { a: '=?UTF-8?B?YQ==?=' },
    'hyphens and dots': { 'a-b.c': 'x' },
    'all characters of a token': { "!#$%&'*+-.^_`|~09az": 'x' },
    'digits first': { '1a': 'x' },
    'a name of 128 characters': { ['n'.repeat(128)]: 'x' },
    'line separators, which are no control characters': { a: 'x\u2028y' },
    'other names of Object.prototype': { tostring: 'x', hasownproperty: 'y', valueof: 'z' },
  }
  for (const [name, metadata] of Object.entries(table)) {
    test(name, () => expect({ ...checkMetadata(metadata, all) }).toEqual(metadata))
  }

  test('names come back in lower case, in a copy without prototype (I45)', () => {
    const given = { 'X-Owner': 'Ann', toString: 'x' }
    const checked = checkMetadata(given, all)
    given['X-Owner'] = 'Bob'
    expect(Object.getPrototypeOf(checked)).toBeNull()
    expect({ ...checked }).toEqual({ 'x-owner': 'Ann', tostring: 'x' })
  })

  test('objects without prototype, and objects of another realm', () => {
    expect(checkMetadata(Object.assign(Object.create(null), { a: 'x' }), all)['a']).toBe('x')
    expect(checkMetadata(runInNewContext('({ a: "x" })'), all)['a']).toBe('x')
  })

  test('each value is read once', () => {
    let reads = 0
    const checked = checkMetadata(
      {
        get a() {
          return `read ${++reads}`
        },
      },
      all,
    )
    expect(checked['a']).toBe('read 1')
  })

  test('Object.prototype is what it was (I45)', () => {
    refused(JSON.parse('{"__proto__":{"polluted":"x"}}'))
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false)
  })
})
