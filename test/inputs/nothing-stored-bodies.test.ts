import { createReadStream } from 'node:fs'
import { PassThrough, Readable, Writable } from 'node:stream'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { memory } from '../../src/providers/memory.ts'
import { eventually } from '../support/store.ts'
import { hostile, noTraces, type Refused, throwing, unread, type Watched, watched } from './nothing-stored.ts'
import { provider as lesser } from './support.ts'

/** Bodies that are none, that are not what was announced, or too large: see `nothing-stored.test.ts`. */
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
