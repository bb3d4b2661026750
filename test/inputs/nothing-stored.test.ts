import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { memory } from '../../src/providers/memory.ts'
import { eventually } from '../support/store.ts'
import {
  hostile,
  noTraces,
  type Refused,
  rejection,
  throwing,
  unread,
  type Watched,
  watched,
} from './nothing-stored.ts'

/**
 * Section 4 of the reliability notes, row by row, through a real store: a bad input is refused with what a caller can act on, before its
 * body is read, and nothing is left on disk, in the journal or at a provider (I36, I37, I45). Here: keys, metadata, headers and options of a
 * put. Bodies, other calls, what only one kind of provider refuses, and options of the store are in the files beside this.
 */

let at: Watched
beforeAll(async () => {
  at = await watched([memory({ name: 'a' }), memory({ name: 'b' })])
})
afterAll(async () => {
  expect(await at.traces()).toEqual(noTraces)
  await at[Symbol.asyncDispose]()
})

/** A put that is refused for its options, its body untouched. */
async function refusesPut(options: unknown, refused: Refused): Promise<void> {
  const { body, isRead } = unread()
  await at.refuses(store => store.put('k', body, options as never), refused)
  expect(isRead()).toBe(false)
}

describe('keys, in every call that takes one', () => {
  const calls: Readonly<Record<string, (store: Holdfast, key: never, body: AsyncIterable<Uint8Array>) => unknown>> = {
    put: (store, key, body) => store.put(key, body),
    get: (store, key) => store.get(key),
    head: (store, key) => store.head(key),
    delete: (store, key) => store.delete(key),
    'copy from': (store, key) => store.copy(key, 'to'),
    'copy to': (store, key) => store.copy('from', key),
    adopt: (store, key) => store.adopt(key),
    signedUrl: (store, key) => store.signedUrl(key, { method: 'GET', expiresInSeconds: 60 }),
  }
  const type = (got: string): Refused => ({
    field: 'key',
    rule: 'type',
    says: `must be a non-empty string, got ${got}`,
  })
  const table: Readonly<Record<string, [key: unknown, refused: Refused]>> = {
    undefined: [undefined, type('undefined')],
    null: [null, type('null')],
    'a number': [42, type('42')],
    'a symbol': [Symbol('key'), type('a symbol')],
    'a Buffer': [Buffer.from('key'), type('a Buffer')],
    'an array': [['key'], type('an array')],
    'an object with toString': [{ toString: () => 'key' }, type('an object')],
    'a String object': [Object('key'), type('a String')],
    'a proxy that throws': [hostile, type('an object')],
    'the empty string': ['', type('""')],
    'a lone high surrogate': [
      'a\ud800b',
      { field: 'key', rule: 'unicode', says: ['unpaired surrogate at index 1', '"a\\ud800b"'] },
    ],
    'a lone low surrogate': ['\udc00', { field: 'key', rule: 'unicode', says: 'unpaired surrogate at index 0' }],
    '1,025 bytes': [
      'x'.repeat(1025),
      { field: 'key', rule: 'length', provider: 'a', says: ['is 1025 bytes, limit 1024', 'provider "a"'] },
    ],
    'one emoji over 1,024 bytes': [
      `${'x'.repeat(1021)}😀`,
      { field: 'key', rule: 'length', provider: 'a', says: 'is 1025 bytes, limit 1024' },
    ],
    'a megabyte': ['x'.repeat(1e6), { field: 'key', rule: 'length', says: 'longer than 4096 bytes' }],
    'our own identity': ['.holdfast/identity', { field: 'key', rule: 'reserved', says: 'belongs to Holdfast' }],
    'a marker of ours': ['.holdfast/deleted/k', { field: 'key', rule: 'reserved', says: '".holdfast/deleted/k"' }],
    'our prefix': ['.holdfast/', { field: 'key', rule: 'reserved', says: 'belongs to Holdfast' }],
    'our prefix without its slash': ['.holdfast', { field: 'key', rule: 'reserved', says: 'belongs to Holdfast' }],
  }
  for (const [name, [key, refused]] of Object.entries(table)) {
    test(`${name}: ${refused.rule}`, async () => {
      for (const call of Object.values(calls)) {
        const { body, isRead } = unread()
        await at.refuses(store => call(store, key as never, body), refused)
        expect(isRead()).toBe(false)
      }
      expect(at.askedAbout()).toEqual([])
    })
  }
})

describe('metadata', () => {
  class Tags {
    a = 'x'
  }
  const type = (says: Refused['says']): Refused => ({ field: 'metadata', rule: 'type', says })
  const name = (says: Refused['says']): Refused => ({ field: 'metadata', rule: 'name', says })
  const value = (says: Refused['says']): Refused => ({ field: 'metadata', rule: 'value', says })
  const plain = 'metadata must be a plain object of strings, got'
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, i) => [`n${i}`, 'x']))
  const table: Readonly<Record<string, [metadata: unknown, refused: Refused]>> = {
    null: [null, type(`${plain} null`)],
    'a string': ['a=b', type(`${plain} "a=b"`)],
    'an array': [['a'], type(`${plain} an array`)],
    'a class instance': [new Tags(), type(`${plain} a Tags`)],
    'a Map': [new Map([['a', 'b']]), type([`${plain} a Map`, 'Object.fromEntries'])],
    'a Date': [new Date(), type(plain)],
    'a getter that throws': [throwing('a'), type('a getter or a proxy throws')],
    'a proxy': [new Proxy({ a: 'b' }, {}), type(plain)],
    'a hostile proxy': [hostile, type(plain)],
    'a number for a value': [{ foo: 1 }, type('metadata.foo must be a string, got 1')],
    'a boolean for a value': [{ foo: true }, type('metadata.foo must be a string, got true')],
    'null for a value': [{ foo: null }, type('metadata.foo must be a string, got null')],
    'undefined for a value': [{ foo: undefined }, type('metadata.foo must be a string, got undefined')],
    'an object for a value': [{ foo: { a: 'b' } }, type('metadata.foo must be a string, got an object')],
    'a Date for a value': [{ foo: new Date(0) }, type('metadata.foo must be a string, got a Date')],
    'a Buffer for a value': [{ foo: Buffer.from('x') }, type('metadata.foo must be a string, got a Buffer')],
    'the empty name': [{ '': 'x' }, name('metadata name ""')],
    'a name of 129 characters': [{ ['n'.repeat(129)]: 'x' }, name('has 129 characters, limit 128')],
    'a space in a name': [{ 'a b': 'x' }, name('metadata name "a b"')],
    'a line break in a name': [{ 'a\r\nx-evil': 'x' }, name('metadata name "a\\r\\nx-evil"')],
    'a name beyond ASCII': [{ é: 'x' }, name('metadata name "é"')],
    'a name that is a lone surrogate': [{ '\ud800': 'x' }, name('metadata name "\\ud800"')],
    'the name __proto__': [JSON.parse('{"__proto__":"x"}'), name('"__proto__" is not allowed')],
    'the name constructor': [{ constructor: 'x' }, name('"constructor" is not allowed')],
    'the name prototype': [{ prototype: 'x' }, name('"prototype" is not allowed')],
    'our own entry': [{ holdfast: 'x' }, name('"holdfast" is reserved')],
    'our packed entry': [{ holdfast_meta: 'x' }, name('"holdfast_meta" is reserved')],
    'our name in other case': [{ HoldFast: 'x' }, name('"HoldFast" is reserved')],
    'two names that differ by case': [{ a: '1', A: '2' }, name('"a" twice')],
    'a symbol for a name': [{ [Symbol('a')]: 'x' }, name('a symbol')],
    'CR in a value': [{ foo: 'a\rb' }, value('metadata.foo has a line break at index 1: "a\\rb"')],
    'LF in a value': [{ foo: 'ab\nc' }, value('metadata.foo has a line break at index 2')],
    'NUL in a value': [{ foo: '\0' }, value('metadata.foo has a control character at index 0')],
    'a lone surrogate in a value': [{ foo: 'x\udfff' }, value('metadata.foo has an unpaired surrogate at index 1')],
    '65 entries': [many, { field: 'metadata', rule: 'size', says: 'metadata has 65 entries, limit 64' }],
    'more than fits at the provider with the least room': [
      { a: 'x'.repeat(8192) },
      { field: 'metadata', rule: 'size', provider: 'a', says: [/metadata is \d+ bytes at provider "a", limit 8192/] },
    ],
  }
  for (const [what, [metadata, refused]] of Object.entries(table))
    test(`${what}: ${refused.rule}`, async () => {
      await refusesPut({ metadata }, refused)
      await at.refuses(store => store.copy('from', 'to', { metadata } as never), refused)
    })
})

describe('headers', () => {
  const good = {
    contentType: 'text/plain',
    cacheControl: 'max-age=60',
    contentDisposition: 'attachment',
    contentEncoding: 'gzip',
    contentLanguage: 'en',
  } as const
  const longest = {
    contentType: 255,
    cacheControl: 1024,
    contentDisposition: 2048,
    contentEncoding: 255,
    contentLanguage: 100,
  } as const
  for (const field of Object.keys(good) as (keyof typeof good)[]) {
    const table: Readonly<Record<string, [value: unknown, rule: string, says: string | RegExp]>> = {
      'a number': [5, 'type', `${field} must be a string, got 5`],
      null: [null, 'type', `${field} must be a string, got null`],
      'the empty string': ['', 'empty', `${field} is empty`],
      'an injected header': [`${good[field]}\r\nx-evil: 1`, 'control', '\\r\\nx-evil: 1"'],
      NUL: [`${good[field]}\0`, 'control', `control character at index ${good[field].length}`],
      'a letter beyond ASCII': [`${good[field]}é`, 'ascii', `beyond ASCII at index ${good[field].length}`],
      'a blank last': [`${good[field]} `, 'blank', `${field} begins or ends with a blank`],
      'one character too many': [
        'x'.repeat(longest[field] + 1),
        'length',
        `${field} has ${longest[field] + 1} characters, limit ${longest[field]}`,
      ],
    }
    for (const [what, [value, rule, says]] of Object.entries(table))
      test(`${field}, ${what}: ${rule}`, () => refusesPut({ [field]: value }, { field, rule, says }))
  }
  for (const value of ['text', 'text/', 'text/plain;;', 'te xt/plain', 'text/plain; charset=', 'text/plain, text/html'])
    test(`${value} is no media type`, () =>
      refusesPut(
        { contentType: value },
        { field: 'contentType', rule: 'syntax', says: ['is not a media type', value] },
      ))
  for (const value of ['gzipped', 'decompress', 'gzip, bogus', 'aws-chunked'])
    test(`${value} is no content coding`, () =>
      refusesPut({ contentEncoding: value }, { field: 'contentEncoding', rule: 'unknown', says: 'content coding' }))
  test('a disposition beyond ASCII: the message spells it as RFC 5987 does', () =>
    refusesPut(
      { contentDisposition: 'attachment; filename="naïve.txt"' },
      { field: 'contentDisposition', rule: 'ascii', says: "filename*=UTF-8''na%C3%AFve.txt" },
    ))
})

describe('options of a put', () => {
  const table: Readonly<Record<string, [options: unknown, refused: Refused]>> = {
    'a misspelt name': [
      { contenttype: 'text/plain' },
      { field: 'contenttype', rule: 'unknown', says: 'did you mean contentType?' },
    ],
    'a getter that throws': [throwing('contentType'), { field: 'options', rule: 'type', says: 'getter or a proxy' }],
    'an id of the operation, which writes do not take': [
      { opId: 'x' },
      { field: 'opId', rule: 'unknown', says: 'put has no option "opId"' },
    ],
    'a feature that no provider keeps': [
      { features: { s3: { StorageClass: 'GLACIER' } } },
      {
        field: 'features.s3.StorageClass',
        rule: 'provider',
        provider: 'a',
        says: ['features.s3.StorageClass ', 'provider "a"', "features.relax: ['StorageClass']"],
      },
    ],
    'a misspelt feature': [
      { features: { s3: { storageClass: 'GLACIER' } } },
      { field: 'features.s3', rule: 'unknown', says: 'did you mean StorageClass?' },
    ],
    'a checksum of no known kind': [
      { checksum: { algorithm: 'MD5' } },
      { field: 'checksum', rule: 'value', says: ['"MD5"', 'CRC32'] },
    ],
    'a checksum in hex': [
      { checksum: { algorithm: 'CRC32', value: 'cbf43926' } },
      { field: 'checksum', rule: 'length', says: 'the 4 bytes of a CRC32 in base64, got 6' },
    ],
    'one piece or not, that is neither': [
      { inOnePiece: 'yes' },
      { field: 'inOnePiece', rule: 'type', says: 'true or false' },
    ],
    'a level that there is not': [{ ack: 'both' }, { field: 'ack', rule: 'value', says: ['"local"', '"both"'] }],
    'a level that is no text': [{ ack: 2 }, { field: 'ack', rule: 'type', says: 'got 2' }],
    'a condition that is no condition': [{ if: 'present' }, { field: 'if', rule: 'type', says: '"present"' }],
    'two conditions that contradict': [
      { if: { version: '0'.repeat(32), absent: true } },
      { field: 'if', rule: 'type', says: "'absent' or { version }" },
    ],
    'a condition on an ETag': [{ if: { etag: '"x"' } }, { field: 'if', rule: 'type', says: 'if must be' }],
    'a version that is none': [{ if: { version: 'v1' } }, { field: 'if', rule: 'version', says: ['32 hex', '"v1"'] }],
    'a condition that is null': [{ if: null }, { field: 'if', rule: 'type', says: 'got null' }],
  }
  for (const [what, [options, refused]] of Object.entries(table))
    test(`${what}: ${refused.rule}`, () => refusesPut(options, refused))

  for (const options of [null, 5, 'text/plain', [], () => ({})])
    test(`${String(options)} for options is a TypeError`, async () => {
      const { body, isRead } = unread()
      await at.refusesType(
        store => store.put('k', body, options as never),
        /^the options of put must be an object, got/,
      )
      expect(isRead()).toBe(false)
    })

  test('a signal that is none is a TypeError', async () => {
    const { body, isRead } = unread()
    await at.refusesType(store => store.put('k', body, { signal: {} } as never), /^signal must be an AbortSignal/)
    expect(isRead()).toBe(false)
  })

  test('a signal that has aborted is the answer, with its own reason', async () => {
    const { body, isRead } = unread()
    const reason = new Error('changed my mind')
    const before = await at.traces()
    expect(await rejection(() => at.store.put('k', body, { signal: AbortSignal.abort(reason) }))).toBe(reason)
    expect(await at.traces()).toEqual(before)
    expect(isRead()).toBe(false)
  })

  test('a signal that aborts while the body arrives is the answer, and the body is let go of', async () => {
    for (const size of [10, 300_000]) {
      const stop = new AbortController()
      const reason = new Error('changed my mind')
      let isLetGo = false
      async function* endless() {
        try {
          yield Buffer.alloc(size)
          stop.abort(reason)
          yield Buffer.alloc(size)
        } finally {
          isLetGo = true
        }
      }
      const before = await at.traces()
      expect(await rejection(() => at.store.put('k', endless(), { signal: stop.signal }))).toBe(reason)
      expect(await at.traces()).toEqual(before)
      await eventually(() => isLetGo)
    }
  })
})

test('after all of that the same store takes a put, and carries it to both', async () => {
  await using fresh = await watched([memory({ name: 'a' }), memory({ name: 'b' })])
  for (const bad of ['', '\ud800', '.holdfast/x']) await rejection(() => fresh.store.put(bad, 'x'))
  const receipt = await fresh.store.put('k', 'good', { ack: 'all' })
  expect(receipt.size).toBe(4)
  expect((await fresh.traces()).sent).toEqual(['put k', 'put k'])
})
