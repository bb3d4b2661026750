import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { memory } from '../../src/providers/memory.ts'
import { outage } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually, testDirectory } from '../support/store.ts'
import { expectRefusal, noTraces, type Refused, rejection, throwing, type Watched, watched } from './nothing-stored.ts'

/** Ranges, listings, URLs, conditions, and options of the other calls: see `nothing-stored.test.ts`. */
let at: Watched
beforeAll(async () => {
  at = await watched([memory({ name: 'a' }), memory({ name: 'b' })])
})
afterAll(async () => {
  expect(await at.traces()).toEqual(noTraces)
  await at[Symbol.asyncDispose]()
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

describe('conditions that do not hold', () => {
  test('leave what is there, and nothing on disk', async () => {
    await using directory = await testDirectory()
    const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
    const store = await directory.open([a, b])
    const { version } = await store.put('k', 'one')
    await store.drain({ until: 'verified' })
    await eventually(async () => (await store.status()).done === 1)
    const other = `${version.slice(0, -1)}${version.endsWith('0') ? '1' : '0'}`
    const isThere = `it has version ${version}`
    for (const size of [3, 50_000]) {
      const body = Buffer.alloc(size, 'x')
      const calls: readonly [call: () => unknown, says: readonly string[]][] = [
        [() => store.put('k', body, { if: 'absent' }), ['to be absent', isThere]],
        [() => store.put('k', body, { if: { version: other } }), [`to have version ${other}`, isThere]],
        [() => store.put('nothing', body, { if: { version } }), [`to have version ${version}`, 'it is absent']],
        [() => store.copy('k', 'k', { if: 'absent' }), ['to be absent', isThere]],
        [() => store.delete('k', { if: { version: other } }), [`to have version ${other}`, isThere]],
      ]
      for (const [call, says] of calls)
        expectRefusal(await rejection(call), { code: 'PRECONDITION', field: 'if', rule: 'condition', says })
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
        expect((error as Error).message).toContain(`${size} bytes`)
      }
      expect(await there.traces()).toEqual(before)
    })
})
