import { createReadStream } from 'node:fs'
import { PassThrough, Readable, Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { memory } from '../../src/providers/memory.ts'
import { outage } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually, testDirectory } from '../support/store.ts'
import { expectRefusal, noTraces, type Refused, rejection, unread, type Watched, watched } from './nothing-stored.ts'
import { provider as lesser } from './support.ts'

/**
 * Section 4 of the reliability notes, row by row, through a real store: a bad input is refused with what a caller can act on, before its
 * body is read, and nothing is left on disk, in the journal or at a provider (I36, I37, I45). What only one kind of provider refuses is in
 * `nothing-stored-clouds.test.ts`, options of the store in `nothing-stored-options.test.ts`.
 */

let at: Watched
beforeAll(async () => {
  at = await watched([memory({ name: 'a' }), memory({ name: 'b' })])
})
afterAll(async () => {
  expect(await at.traces()).toEqual(noTraces)
  await at[Symbol.asyncDispose]()
})

const throwing = (name: string): object =>
  Object.defineProperty({}, name, {
    enumerable: true,
    get() {
      throw new RangeError('mine')
    },
  })
const hostile = new Proxy(
  {},
  {
    get() {
      throw new RangeError('mine')
    },
    ownKeys() {
      throw new RangeError('mine')
    },
  },
)

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
    __proto__: [JSON.parse('{"__proto__":"x"}'), name('"__proto__" is not allowed')],
    constructor: [{ constructor: 'x' }, name('"constructor" is not allowed')],
    prototype: [{ prototype: 'x' }, name('"prototype" is not allowed')],
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
    'features, which this version does not carry': [
      { features: { s3: { storageClass: 'GLACIER' } } },
      { code: 'UNSUPPORTED', field: 'features', rule: 'later', says: '"s3"' },
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

describe('what was announced of the body', () => {
  const expects = (rule: string, says: Refused['says']): Refused => ({ field: 'expect', rule, says })
  const size = (rule: string, got: string): Refused => ({ field: 'size', rule, says: `got ${got}` })
  const table: Readonly<Record<string, [expect: unknown, refused: Refused]>> = {
    'a negative size': [{ size: -1 }, size('range', '-1')],
    'NaN for a size': [{ size: Number.NaN }, size('range', 'NaN')],
    'half a byte': [{ size: 1.5 }, size('range', '1.5')],
    'a size beyond 2^53': [{ size: 2 ** 53 }, size('range', '9007199254740992')],
    'Infinity for a size': [{ size: Number.POSITIVE_INFINITY }, size('range', 'Infinity')],
    'a text for a size': [{ size: '10' }, size('type', '"10"')],
    'an MD5 in base64': [
      { md5: 'XUFAKrxLKna5cZ2REBfFkg==' },
      expects('hex', ['expect.md5 must be 32 hex digits', '5d41402abc4b2a76b9719d911017c592']),
    ],
    'an MD5 that is no hex': [{ md5: 'z'.repeat(32) }, expects('hex', 'expect.md5 must be 32 hex digits')],
    'a CRC32C that is too short': [{ crc32c: 'abc' }, expects('length', 'expect.crc32c must be 8 hex digits, got 3')],
    'a SHA-256 that is too long': [{ sha256: 'a'.repeat(66) }, expects('length', 'must be 64 hex digits, got 66')],
    'a number for a digest': [{ crc32c: 0x9a71bb4c }, expects('type', 'expect.crc32c must be 8 hex digits')],
    'a digest that nobody computes': [{ sha1: 'a'.repeat(40) }, expects('unknown', '"sha1"')],
    'no object': ['5d41402abc4b2a76b9719d911017c592', expects('type', 'expect must be an object')],
    'a getter that throws': [throwing('md5'), expects('type', 'a getter or a proxy throws')],
  }
  for (const [what, [expected, refused]] of Object.entries(table))
    test(`${what}: ${refused.field} ${refused.rule}`, () => refusesPut({ expect: expected }, refused))

  for (const [got, body] of [
    ['9 bytes', Buffer.alloc(9)],
    ['11 bytes', Buffer.alloc(11)],
    ['a text of 11', 'x'.repeat(11)],
    ['a Blob of 9', new Blob(['x'.repeat(9)])],
  ] as const)
    test(`10 bytes announced, ${got} given: refused before it is read`, async () => {
      const says = `expected 10, computed ${got.match(/\d+/)?.[0]}`
      const refused: Refused = { code: 'CHECKSUM', field: 'size', rule: 'mismatch', says }
      await at.refuses(store => store.put('k', body, { expect: { size: 10 } }), refused)
    })

  for (const announced of [10, 100_000])
    for (const off of [-1, 1])
      test(`${announced} bytes announced, a stream gives ${announced + off}`, async () => {
        let chunks = 0
        let isLetGo = false
        async function* stream() {
          try {
            yield Buffer.alloc(announced - 1)
            chunks = 1
            if (off > 0) yield Buffer.alloc(2)
            chunks = 2
            if (off > 0) for (;;) yield Buffer.alloc(10)
          } finally {
            isLetGo = true
          }
        }
        const says = `expected ${announced}, computed ${announced + off}`
        const refused: Refused = { code: 'CHECKSUM', field: 'size', rule: 'mismatch', says }
        await at.refuses(store => store.put('k', stream(), { expect: { size: announced } }), refused)
        // At the first byte too many nothing more is asked for.
        expect(chunks).toBe(off > 0 ? 1 : 2)
        await eventually(() => isLetGo)
      })

  for (const bytes of [5, 100_000])
    for (const [field, wrong] of [
      ['md5', '5d41402abc4b2a76b9719d911017c592'],
      ['crc32c', '00000001'],
      ['sha256', 'a'.repeat(64)],
    ] as const)
      test(`another ${field} than that of ${bytes} bytes`, () =>
        at
          .refuses(store => store.put('k', Buffer.alloc(bytes, 1), { expect: { [field]: wrong } }), {
            code: 'CHECKSUM',
            field,
            rule: 'mismatch',
            says: new RegExp(`another ${field} .*expected ${wrong}, computed [0-9a-f]{${wrong.length}}$`),
          })
          .then(() => {}))
})

describe('bodies', () => {
  const body = (rule: string, says: Refused['says']): Refused => ({ field: 'body', rule, says })
  const wanted = 'body must be a string, bytes, a Blob or a stream of bytes, got'
  const detached = <T extends Uint8Array<ArrayBuffer>>(bytes: T): T => {
    structuredClone(bytes.buffer, { transfer: [bytes.buffer] })
    return bytes
  }
  const locked = () => {
    const stream = new Blob(['x']).stream()
    stream.getReader()
    return stream
  }
  const disturbed = async () => {
    const stream = new Response('body').body as ReadableStream<Uint8Array>
    const reader = stream.getReader()
    await reader.read()
    reader.releaseLock()
    return stream
  }
  const destroyed = () => Readable.from([Buffer.from('x')]).destroy()
  const failed = async () => {
    const stream = new PassThrough().on('error', () => {})
    stream.destroy(new Error('cut off'))
    await new Promise(resolve => setImmediate(resolve))
    return stream
  }
  const ended = async () => {
    const stream = Readable.from([Buffer.from('x')])
    await stream.toArray()
    return stream
  }
  const flowing = async () => {
    const stream = new PassThrough()
    stream.write('x')
    stream.on('data', () => {})
    await new Promise(resolve => setImmediate(resolve))
    return stream
  }
  const table: Readonly<Record<string, [make: () => unknown, refused: Refused]>> = {
    undefined: [() => undefined, body('type', `${wanted} undefined`)],
    null: [() => null, body('type', `${wanted} null`)],
    'a number': [() => 5, body('type', `${wanted} 5`)],
    true: [() => true, body('type', `${wanted} true`)],
    'a plain object': [() => ({ a: 1 }), body('type', `${wanted} an object`)],
    'an array of numbers': [() => [1, 2], body('type', `${wanted} an array`)],
    'an array of buffers': [() => [Buffer.from('x')], body('type', `${wanted} an array`)],
    'a Map': [() => new Map(), body('type', `${wanted} a Map`)],
    'a promise, in an object so that nobody awaits it': [
      () => ({ promise: Promise.resolve('x') }),
      body('type', `${wanted} an object`),
    ],
    'a stream to write to': [() => new Writable(), body('type', `${wanted} a Writable`)],
    'a hostile proxy': [() => hostile, body('type', 'cannot be looked at')],
    'a text with an unpaired surrogate': [() => 'ab\ud800', body('unicode', 'unpaired surrogate at index 2')],
    'a locked web stream': [locked, body('locked', 'locked to another reader')],
    'a web stream that was read from': [disturbed, body('disturbed', 'was read from or cancelled already')],
    'a destroyed Node stream': [destroyed, body('destroyed', 'is destroyed')],
    'a Node stream that has failed': [failed, body('errored', 'cut off')],
    'a Node stream that was read to its end': [ended, body('ended', 'was read to its end already')],
    'a Node stream that flows elsewhere': [flowing, body('disturbed', 'its first bytes are gone')],
    'a Node stream of text': [() => new PassThrough().setEncoding('utf8'), body('encoding', 'leave out setEncoding')],
    'a detached ArrayBuffer': [() => detached(new Uint8Array(8)).buffer, body('detached', 'was transferred elsewhere')],
    'shared memory, which may change': [() => new SharedArrayBuffer(8), body('shared', 'copy it first')],
  }
  for (const [what, [make, refused]] of Object.entries(table))
    test(`${what}: ${refused.rule}`, async () => {
      const made = make()
      const given = made instanceof Promise ? await made : made
      await at.refuses(store => store.put('k', given as never), refused)
    })

  for (const before of [0, 10, 100_000]) {
    const after = async function* (bad: unknown): AsyncGenerator<Uint8Array> {
      if (before > 0) yield Buffer.alloc(before)
      yield bad as Uint8Array
    }
    const bads: Readonly<Record<string, [bad: () => unknown, refused: Refused]>> = {
      'a text': [() => 'text', body('chunk', [/body chunk \d is not bytes, got "text"/, 'encode it'])],
      undefined: [() => undefined, body('chunk', /body chunk \d is not bytes, got undefined/)],
      null: [() => null, body('chunk', 'got null')],
      'a number': [() => 7, body('chunk', 'got 7')],
      'an object': [() => ({}), body('chunk', 'got an object')],
      'an array of bytes': [() => [1, 2], body('chunk', 'got an array')],
      'detached bytes': [() => detached(new Uint8Array(8)), body('detached', /body chunk \d is detached/)],
      'shared bytes': [() => new Uint8Array(new SharedArrayBuffer(8)), body('shared', 'copy it first')],
    }
    for (const [what, [bad, refused]] of Object.entries(bads))
      test(`a generator that yields ${what} after ${before} bytes: ${refused.rule}`, () =>
        at.refuses(store => store.put('k', after(bad())), refused).then(() => {}))

    test(`a generator that throws after ${before} bytes: its error is the cause`, async () => {
      const mine = new RangeError('mine')
      // oxlint-disable-next-line require-yield
      async function* breaking(): AsyncGenerator<Uint8Array> {
        if (before > 0) yield Buffer.alloc(before)
        throw mine
      }
      const error = await at.refuses(
        store => store.put('k', breaking()),
        body('source', [`after ${before} bytes`, 'mine']),
      )
      expect(error.cause).toBe(mine)
    })
  }

  test('a Node stream of objects: chunk', () =>
    at
      .refuses(
        store => store.put('k', Readable.from([{ a: 1 }])),
        body('chunk', 'body chunk 0 is not bytes, got an object'),
      )
      .then(() => {}))

  test('a file that is not there: source, and no uncaught error', () =>
    at.refuses(store => store.put('k', createReadStream('/nowhere/at/all')), body('source', 'ENOENT')).then(() => {}))

  test('a file that is not there, in a put that is refused for its key: no uncaught error', async () => {
    let stream: Readable | undefined
    const put = (store: Holdfast) => {
      stream = createReadStream('/nowhere/at/all')
      return store.put('', stream)
    }
    await at.refuses(put, { field: 'key', rule: 'type', says: 'key must be' })
    expect(stream?.readableDidRead).toBe(false)
    await eventually(() => stream?.errored)
  })

  test('more bytes announced than any object may have: refused unread, naming the provider', () =>
    refusesPut(
      { expect: { size: 5 * 2 ** 40 + 1 } },
      { field: 'size', rule: 'limit', provider: 'a', says: ['5497558138881', 'limit 5497558138880', 'provider "a"'] },
    ))
})

describe('ranges of a get', () => {
  const range = (rule: string, says: Refused['says']): Refused => ({ field: 'range', rule, says })
  const table: Readonly<Record<string, [range: unknown, refused: Refused]>> = {
    'start after end': [{ start: 10, end: 5 }, range('empty', 'range 10–5 is empty')],
    'start at end': [{ start: 5, end: 5 }, range('empty', 'range 5–5 is empty')],
    'the last 0': [{ last: 0 }, range('empty', 'range.last is 0')],
    'a negative start': [{ start: -1 }, range('bounds', 'range.start must be a whole number from 0, got -1')],
    'a negative last': [{ last: -5 }, range('bounds', 'range.last must be a whole number from 1, got -5')],
    NaN: [{ start: Number.NaN }, range('bounds', 'got NaN')],
    'a fraction': [{ start: 0, end: 1.5 }, range('bounds', 'range.end must be a whole number from 0, got 1.5')],
    'beyond 2^53': [{ start: 2 ** 53 }, range('bounds', 'got 9007199254740992')],
    Infinity: [{ start: 0, end: Number.POSITIVE_INFINITY }, range('bounds', 'got Infinity')],
    'a text': [{ start: '0' }, range('type', 'range.start must be a number, got "0"')],
    'both forms': [{ start: 0, last: 1 }, range('type', 'or { last }')],
    'nothing in it': [{}, range('type', 'got an object')],
    'several ranges': [[{ start: 0 }], range('type', 'got an array')],
    'a header': ['bytes=0-5', range('type', 'got "bytes=0-5"')],
    'a getter that throws': [throwing('start'), range('type', 'a getter or a proxy throws')],
  }
  for (const [what, [given, refused]] of Object.entries(table))
    test(`${what}: ${refused.rule}, and nobody is asked`, async () => {
      await at.refuses(store => store.get('ranged', { range: given } as never), refused)
      expect(at.askedAbout()).toEqual([])
    })
})

describe('other calls', () => {
  const get = { method: 'GET', expiresInSeconds: 60 }
  const put = { method: 'PUT', expiresInSeconds: 60 }
  const sign = (options: object) => (store: Holdfast) => store.signedUrl('k', options as never)
  const list = (options: object) => (store: Holdfast) => Array.fromAsync(store.list(options as never))
  const refused = (field: string, rule: string, says: Refused['says']): Refused => ({ field, rule, says })
  const table: Readonly<Record<string, [call: (store: Holdfast) => unknown, refused: Refused]>> = {
    'a listing with a limit of 0': [list({ limit: 0 }), refused('limit', 'unknown', 'list has no option "limit"')],
    'a listing with a limit of a billion': [list({ limit: 1e9 }), refused('limit', 'unknown', '"limit"')],
    'a listing with a cursor': [list({ cursor: 'x' }), refused('cursor', 'unknown', '"cursor"')],
    'a prefix that is no text': [list({ prefix: 5 }), refused('prefix', 'type', 'prefix must be a string, got 5')],
    'a prefix with an unpaired surrogate': [list({ prefix: 'a\ud800' }), refused('prefix', 'unicode', '"a\\ud800"')],
    'a prefix longer than any key': [list({ prefix: 'x'.repeat(4097) }), refused('prefix', 'length', '4096 bytes')],
    'a delimiter that is no text': [list({ delimiter: /x/ }), refused('delimiter', 'type', 'got a RegExp')],
    'a place to start that is no text': [list({ startAfter: null }), refused('startAfter', 'type', 'got null')],
    'a URL for 0 seconds': [
      sign({ ...get, expiresInSeconds: 0 }),
      refused('expiresInSeconds', 'range', 'from 1 to 604800, got 0'),
    ],
    'a URL for a negative time': [
      sign({ ...get, expiresInSeconds: -60 }),
      refused('expiresInSeconds', 'range', 'got -60'),
    ],
    'a URL for more than 7 days': [
      sign({ ...get, expiresInSeconds: 604_801 }),
      refused('expiresInSeconds', 'range', 'from 1 to 604800, got 604801'),
    ],
    'a URL for a text': [sign({ ...get, expiresInSeconds: '60' }), refused('expiresInSeconds', 'type', 'got "60"')],
    'a URL to delete': [sign({ ...get, method: 'DELETE' }), refused('method', 'value', '"GET" or "PUT", got "DELETE"')],
    'a URL for no method': [sign({ expiresInSeconds: 60 }), refused('method', 'missing', "'GET' or 'PUT'")],
    'a URL to read that overwrites': [sign({ ...get, overwrite: true }), refused('overwrite', 'method', 'is for PUT')],
    'a URL to write with a disposition': [
      sign({ ...put, contentDisposition: 'inline' }),
      refused('contentDisposition', 'method', 'is for GET'),
    ],
    'a URL with an injected header': [
      sign({ ...put, contentType: 'a/b\r\nx: y' }),
      refused('contentType', 'control', '"a/b\\r\\nx: y"'),
    ],
    'a URL of providers that cannot sign': [
      sign(get),
      { code: 'UNSUPPORTED', field: 'method', rule: 'sign', says: 'none of the providers can sign' },
    ],
    'a delete if absent': [
      store => store.delete('k', { if: 'absent' } as never),
      refused('if', 'type', 'if must be { version }'),
    ],
    'a delete with a level that there is not': [
      store => store.delete('k', { ack: 'none' } as never),
      refused('ack', 'value', '"none"'),
    ],
    'a delete with options of a put': [
      store => store.delete('k', { metadata: {} } as never),
      refused('metadata', 'unknown', 'delete has no option "metadata"'),
    ],
    'adopting from somebody unknown': [
      store => store.adopt('k', { from: 'zone' }),
      refused('from', 'unknown', ['no provider is called "zone"', 'a, b']),
    ],
    'adopting from a number': [store => store.adopt('k', { from: 1 } as never), refused('from', 'type', 'got 1')],
    'adopting what is not there': [store => store.adopt('nothing'), refused('key', 'absent', 'no provider has')],
    'copying what is not there': [
      store => store.copy('nothing', 'to'),
      refused('from', 'absent', 'the key has no object'),
    ],
    'draining until whenever': [
      store => store.drain({ until: 'done' } as never),
      refused('until', 'value', '"stored" or "verified", got "done"'),
    ],
    'closing after a negative time': [
      store => store.close({ drainMs: -1 }),
      refused('drainMs', 'range', 'from 0 to 2147483647, got -1'),
    ],
    'listening to an event that there is not': [
      store => store.on('blockd' as never, () => {}),
      refused('event', 'unknown', 'did you mean blocked?'),
    ],
    'a head with a range': [
      store => store.head('k', { range: { start: 0 } } as never),
      refused('range', 'unknown', 'head has no option "range"'),
    ],
  }
  for (const [what, [call, expected]] of Object.entries(table))
    test(`${what}: ${expected.field} ${expected.rule}`, () => at.refuses(call, expected).then(() => {}))

  const wrongTypes: Readonly<Record<string, [call: (store: Holdfast) => unknown, says: RegExp]>> = {
    'options of get': [store => store.get('k', 5 as never), /^the options of get must be an object, got 5/],
    'options of delete': [store => store.delete('k', [] as never), /^the options of delete/],
    'options of list': [store => Array.fromAsync(store.list('a/' as never)), /^the options of list/],
    'no options of signedUrl': [store => store.signedUrl('k', undefined as never), /^the options of signedUrl/],
    'options of close': [store => store.close(1000 as never), /^the options of close/],
    'a listener': [store => store.on('blocked', 'log' as never), /^the listener must be a function/],
    'a signal of drain': [store => store.drain({ signal: true } as never), /^signal must be an AbortSignal/],
  }
  for (const [what, [call, says]] of Object.entries(wrongTypes))
    test(`${what} of a wrong JavaScript type: TypeError`, () => at.refusesType(call, says))
})

describe('more bytes than one provider takes', () => {
  let small: Watched
  beforeAll(async () => {
    small = await watched([memory({ name: 'a' }), lesser({ name: 'small', objectBytes: 100_000 })])
  })
  afterAll(() => small[Symbol.asyncDispose]())
  const refused: Refused = {
    field: 'size',
    rule: 'limit',
    provider: 'small',
    says: ['the body has 100001 bytes or more', 'limit 100000', 'provider "small"'],
  }

  test('in memory: refused before it is read', () =>
    small.refuses(store => store.put('k', Buffer.alloc(100_001)), refused).then(() => {}))

  test('announced: refused unread', async () => {
    const { body, isRead } = unread()
    await small.refuses(store => store.put('k', body, { expect: { size: 100_001 } }), refused)
    expect(isRead()).toBe(false)
  })

  test('from a stream that does not say: refused at the first byte too many, and let go of', async () => {
    let isLetGo = false
    async function* endless() {
      try {
        yield Buffer.alloc(100_000)
        for (;;) yield Buffer.alloc(1)
      } finally {
        isLetGo = true
      }
    }
    await small.refuses(store => store.put('k', endless()), refused)
    await eventually(() => isLetGo)
  })
})

describe('more bytes than the stage has room for', () => {
  const limit = 100_000
  const options = { maxStageBytes: limit, replication: { run: 'external' } } as const

  test('a body that never fits is refused: announced, unread; else as soon as it shows', async () => {
    await using full = await watched([memory({ name: 'a' }), memory({ name: 'b' })], options)
    const refused: Refused = {
      code: 'NO_SPACE',
      field: 'maxStageBytes',
      rule: 'limit',
      says: [/a body of \d+ bytes or more does not fit in a stage of 100000 bytes/, 'raise maxStageBytes'],
    }
    const { body, isRead } = unread()
    await full.refuses(store => store.put('k', body, { expect: { size: limit + 1 } }), refused)
    expect(isRead()).toBe(false)
    await full.refuses(store => store.put('k', Buffer.alloc(limit + 1)), refused)
    let isLetGo = false
    async function* endless() {
      try {
        for (;;) yield Buffer.alloc(10_000)
      } finally {
        isLetGo = true
      }
    }
    await full.refuses(store => store.put('k', endless()), refused)
    await eventually(() => isLetGo)
    expect(await full.traces()).toEqual(noTraces)
  })

  test('on a full stage nothing is read, and deletes are taken (I31)', async () => {
    await using full = await watched([memory({ name: 'a' }), memory({ name: 'b' })], options)
    await full.store.put('filler', Buffer.alloc(limit))
    const refused: Refused = {
      code: 'NO_SPACE',
      field: 'maxStageBytes',
      rule: 'limit',
      retryable: true,
      says: ['the stage holds 100000 of 100000 bytes', 'drain, or raise maxStageBytes'],
    }
    for (const expected of [{}, { expect: { size: 1 } }]) {
      const { body, isRead } = unread()
      await full.refuses(store => store.put('k', body, expected), refused)
      expect(isRead()).toBe(false)
    }
    await full.store.delete('filler')
    expect(await full.store.get('filler')).toBeUndefined()
  })
})

describe('conditions that do not hold', () => {
  test('leave what is there, and nothing on disk', async () => {
    await using directory = await testDirectory()
    const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
    const store = await directory.open([a, b])
    const { version } = await store.put('k', 'one')
    await store.drain({ until: 'verified' })
    await eventually(async () => (await store.status()).done === 1)
    const refused: Refused = {
      code: 'PRECONDITION',
      field: 'if',
      rule: 'condition',
      says: /was to|is not|no object|version/,
    }
    const other = `${version.slice(0, -1)}${version.endsWith('0') ? '1' : '0'}`
    for (const size of [3, 50_000]) {
      const body = Buffer.alloc(size, 'x')
      for (const call of [
        () => store.put('k', body, { if: 'absent' }),
        () => store.put('k', body, { if: { version: other } }),
        () => store.put('nothing', body, { if: { version } }),
        () => store.copy('k', 'k', { if: 'absent' }),
        () => store.delete('k', { if: { version: other } }),
      ])
        console.log(expectRefusal(await rejection(call), refused).message)
    }
    await eventually(async () => {
      const { accepted, done, stage, pending } = await store.status()
      return accepted === 1 && done === 1 && stage.bytes === 0 && pending.writes === 0
    })
    for (const provider of [a, b]) {
      expect((await bodyAt(provider, 'k'))?.toString()).toBe('one')
      expect(await bodyAt(provider, 'nothing')).toBeUndefined()
    }
  })

  test('nor can be decided while the primary is out: rejected, and never sent later', async () => {
    await using out = await watched([memory({ name: 'a' }), memory({ name: 'b' })], {
      rules: [{ fault: outage }],
      ackTimeoutMs: 2_000,
    })
    await eventually(async () => (await out.store.status()).providers[0]?.state === 'down')
    const error = await rejection(() => out.store.put('k', Buffer.alloc(50_000), { if: 'absent' }))
    expectRefusal(error, { code: 'UNAVAILABLE', says: 'is decided at the primary, which did not answer' })
    await eventually(async () => (await out.traces()).files.bodies.length === 0)
    expect(await out.traces()).toEqual(noTraces)
  })
})

describe('ranges past the end of what is there', () => {
  const past = (size: number): Refused => ({ field: 'range', rule: 'end', says: [`${size} bytes`] })
  for (const from of ['local disk', 'a provider'] as const)
    test(`read from ${from}: refused, and what is there stays`, async () => {
      await using there = await watched([memory({ name: 'a' }), memory({ name: 'b' })], {
        replication: { run: from === 'local disk' ? 'external' : 'here' },
      })
      await there.store.put('ten', '0123456789')
      await there.store.put('zero', '')
      if (from === 'a provider') {
        await there.store.drain({ until: 'verified' })
        await eventually(async () => (await there.store.status()).done === 2)
      }
      const before = await there.traces()
      for (const [key, range, size] of [
        ['ten', { start: 10 }, 10],
        ['ten', { start: 11, end: 20 }, 10],
        ['ten', { start: Number.MAX_SAFE_INTEGER }, 10],
        ['zero', { start: 0 }, 0],
        ['zero', { start: 0, end: 1 }, 0],
      ] as const) {
        const error = await rejection(() => there.store.get(key, { range }))
        expect(error).toMatchObject({ code: 'INVALID', field: 'range', rule: 'end' })
        expect((error as Error).message).toContain(past(size).says as string)
      }
      expect(await there.traces()).toEqual(before)
    })
})

test('after all of that the same store takes a put, and carries it to both', async () => {
  await using fresh = await watched([memory({ name: 'a' }), memory({ name: 'b' })])
  for (const bad of ['', '\ud800', '.holdfast/x']) await rejection(() => fresh.store.put(bad, 'x'))
  const receipt = await fresh.store.put('k', 'good', { ack: 'all' })
  expect(receipt.size).toBe(4)
  expect((await fresh.traces()).sent).toEqual(['put k', 'put k'])
})
