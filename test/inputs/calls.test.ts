import { describe, expect, test } from 'vitest'
import {
  checkAdopt,
  checkCall,
  checkClose,
  checkDelete,
  checkGet,
  checkList,
  checkListener,
  checkSign,
  checkUntil,
} from '../../src/holdfast/input/calls.ts'
import { memory } from '../../src/providers/memory.ts'
import { refusalOf } from './support.ts'

const providers = [memory({ name: 'east' }), memory({ name: 'west' })]
const version = '0199e5a1c2b30000a1b2c3d4e5f60718'

describe('ranges', () => {
  const table: Record<string, [range: unknown, rule: string]> = {
    'start after end': [{ start: 10, end: 5 }, 'empty'],
    'start at end': [{ start: 5, end: 5 }, 'empty'],
    'an end of 0': [{ start: 0, end: 0 }, 'empty'],
    'the last 0': [{ last: 0 }, 'empty'],
    'a negative start': [{ start: -1 }, 'bounds'],
    'a negative end': [{ start: 0, end: -1 }, 'bounds'],
    'a negative last': [{ last: -5 }, 'bounds'],
    'NaN for a start': [{ start: Number.NaN }, 'bounds'],
    'NaN for an end': [{ start: 0, end: Number.NaN }, 'bounds'],
    'NaN for last': [{ last: Number.NaN }, 'bounds'],
    'a fraction': [{ start: 0.5 }, 'bounds'],
    'Infinity for an end': [{ start: 0, end: Number.POSITIVE_INFINITY }, 'bounds'],
    'beyond 2^53': [{ start: 2 ** 53 }, 'bounds'],
    'a text': [{ start: '0' }, 'type'],
    'a bigint': [{ start: 0n }, 'type'],
    'null for a start': [{ start: null }, 'type'],
    'an end alone': [{ end: 5 }, 'type'],
    'nothing in it': [{}, 'type'],
    'both forms at once': [{ start: 0, last: 5 }, 'type'],
    'an end with last': [{ last: 5, end: 9 }, 'type'],
    'an unknown name': [{ start: 0, length: 5 }, 'type'],
    'several ranges': [
      [
        { start: 0, end: 1 },
        { start: 5, end: 6 },
      ],
      'type',
    ],
    'a header': ['bytes=0-5', 'type'],
    null: [null, 'type'],
    'a getter that throws': [
      {
        get start(): number {
          throw new RangeError('mine')
        },
      },
      'type',
    ],
  }
  for (const [name, [range, rule]] of Object.entries(table)) {
    test(`${name} is refused`, () => {
      expect(refusalOf(() => checkGet({ range }))).toMatchObject({ code: 'INVALID', field: 'range', rule })
    })
  }

  test('the message says both ends', () => {
    expect(refusalOf(() => checkGet({ range: { start: 10, end: 5 } })).message).toBe(
      'range 10–5 is empty: start must be less than end',
    )
  })

  const fine = [{ start: 0 }, { start: 0, end: 1 }, { start: 5, end: Number.MAX_SAFE_INTEGER }, { last: 1 }]
  for (const range of fine) {
    test(`${JSON.stringify(range)} is taken`, () => expect(checkGet({ range }).range).toEqual(range))
  }

  test('an end that is undefined is an end left out', () => {
    expect(checkGet({ range: { start: 3, end: undefined } }).range).toEqual({ start: 3 })
  })
})

describe('listings', () => {
  const table: Record<string, [options: unknown, field: string, rule: string]> = {
    'a prefix that is no text': [{ prefix: 5 }, 'prefix', 'type'],
    'null for a prefix': [{ prefix: null }, 'prefix', 'type'],
    'a prefix with an unpaired surrogate': [{ prefix: '\ud800' }, 'prefix', 'unicode'],
    'a prefix longer than any key': [{ prefix: 'x'.repeat(4097) }, 'prefix', 'length'],
    'a delimiter that is no text': [{ delimiter: /x/ }, 'delimiter', 'type'],
    'a delimiter with an unpaired surrogate': [{ delimiter: '\udc00' }, 'delimiter', 'unicode'],
    'a place to start that is no text': [{ startAfter: ['a'] }, 'startAfter', 'type'],
    'an outage that is answered otherwise': [{ whenUnreachable: 'nothing' }, 'whenUnreachable', 'value'],
    'a limit, which listings do not have': [{ limit: 0 }, 'limit', 'unknown'],
    'a cursor, which listings do not have': [{ cursor: 'x' }, 'cursor', 'unknown'],
    'a misspelt name': [{ startafter: 'x' }, 'startafter', 'unknown'],
  }
  for (const [name, [options, field, rule]] of Object.entries(table)) {
    test(`${name} is refused`, () => {
      expect(refusalOf(() => checkList(options))).toMatchObject({ code: 'INVALID', field, rule })
    })
  }

  test('nothing given is everything', () => {
    expect(checkList(undefined)).toEqual({
      prefix: '',
      delimiter: '',
      startAfter: '',
      whenUnreachable: 'fail',
      signal: undefined,
    })
  })

  test('what is given is taken', () => {
    const given = { prefix: 'a/', delimiter: '/', startAfter: 'a/b', whenUnreachable: 'local' }
    expect(checkList(given)).toEqual({ ...given, signal: undefined })
  })
})

describe('signed URLs', () => {
  const get = { method: 'GET', expiresInSeconds: 60 }
  const put = { method: 'PUT', expiresInSeconds: 60 }
  const table: Record<string, [options: unknown, field: string, rule: string]> = {
    'a time of 0': [{ ...get, expiresInSeconds: 0 }, 'expiresInSeconds', 'range'],
    'a negative time': [{ ...get, expiresInSeconds: -1 }, 'expiresInSeconds', 'range'],
    'more than 7 days': [{ ...get, expiresInSeconds: 604_801 }, 'expiresInSeconds', 'range'],
    'NaN for a time': [{ ...get, expiresInSeconds: Number.NaN }, 'expiresInSeconds', 'range'],
    'a fraction of a second': [{ ...get, expiresInSeconds: 1.5 }, 'expiresInSeconds', 'range'],
    'a text for a time': [{ ...get, expiresInSeconds: '60' }, 'expiresInSeconds', 'type'],
    'no time': [{ method: 'GET' }, 'expiresInSeconds', 'type'],
    'another method': [{ ...get, method: 'DELETE' }, 'method', 'value'],
    'a method in lower case': [{ ...get, method: 'get' }, 'method', 'value'],
    'no method': [{ expiresInSeconds: 60 }, 'method', 'missing'],
    'a number for a method': [{ ...get, method: 1 }, 'method', 'type'],
    'overwrite for GET': [{ ...get, overwrite: true }, 'overwrite', 'method'],
    'overwrite that is no boolean': [{ ...put, overwrite: 'yes' }, 'overwrite', 'type'],
    'a disposition for PUT': [{ ...put, contentDisposition: 'inline' }, 'contentDisposition', 'method'],
    'a disposition with a line break': [{ ...get, contentDisposition: 'a\r\nb' }, 'contentDisposition', 'control'],
    'a content type that is none': [{ ...put, contentType: 'text' }, 'contentType', 'syntax'],
    'an unknown name': [{ ...get, expiresIn: 60 }, 'expiresIn', 'unknown'],
    'a provider that there is not': [{ ...put, except: ['wset'] }, 'except', 'unknown'],
    'one name instead of a list': [{ ...put, except: 'west' }, 'except', 'type'],
    'a number for a name': [{ ...put, except: [1] }, 'except', 'type'],
  }
  for (const [name, [options, field, rule]] of Object.entries(table)) {
    test(`${name} is refused`, () => {
      expect(refusalOf(() => checkSign(options, providers))).toMatchObject({ code: 'INVALID', field, rule })
    })
  }

  test('no options are a TypeError', () => {
    for (const options of [undefined, null, 60, []]) expect(() => checkSign(options, providers)).toThrow(TypeError)
  })

  test('1 second and 7 days are taken; PUT creates only, unless it is told to overwrite', () => {
    expect(checkSign({ ...get, expiresInSeconds: 1 }, providers)).toMatchObject({
      expiresInSeconds: 1,
      createOnly: false,
    })
    expect(checkSign({ ...put, expiresInSeconds: 604_800 }, providers)).toMatchObject({
      expiresInSeconds: 604_800,
      createOnly: true,
    })
    expect(checkSign({ ...put, overwrite: true }, providers).createOnly).toBe(false)
  })

  test('providers that are left out are named', () => {
    expect(checkSign(put, providers).except).toEqual([])
    expect(checkSign({ ...put, except: ['west'] }, providers).except).toEqual([providers[1]])
  })
})

describe('the other calls', () => {
  test('a delete takes a version, never absent', () => {
    expect(checkDelete({ if: { version }, ack: 'one' })).toEqual({
      condition: { version },
      ack: 'one',
      signal: undefined,
    })
    expect(refusalOf(() => checkDelete({ if: 'absent' }))).toMatchObject({ code: 'INVALID', field: 'if', rule: 'type' })
    expect(refusalOf(() => checkDelete({ if: { version: 'x' } }))).toMatchObject({ field: 'if', rule: 'version' })
    expect(refusalOf(() => checkDelete({ metadata: {} }))).toMatchObject({ field: 'metadata', rule: 'unknown' })
  })

  test('adopt takes the name of a provider there is', () => {
    expect(checkAdopt({ from: 'west' }, providers).from).toBe(providers[1])
    expect(checkAdopt(undefined, providers).from).toBeUndefined()
    expect(refusalOf(() => checkAdopt({ from: 'wset' }, providers))).toMatchObject({
      field: 'from',
      rule: 'unknown',
      message: 'no provider is called "wset"; did you mean west?',
    })
    expect(refusalOf(() => checkAdopt({ from: 5 }, providers))).toMatchObject({ field: 'from', rule: 'type' })
    expect(refusalOf(() => checkAdopt({ from: providers[0] }, providers))).toMatchObject({
      field: 'from',
      rule: 'type',
    })
  })

  test('drain and replicated wait until stored, or verified', () => {
    expect(checkUntil(undefined, 'drain').until).toBe('stored')
    expect(checkUntil({ until: 'verified' }, 'drain').until).toBe('verified')
    expect(refusalOf(() => checkUntil({ until: 'done' }, 'drain'))).toMatchObject({ field: 'until', rule: 'value' })
    expect(refusalOf(() => checkUntil({ until: 1 }, 'replicated'))).toMatchObject({ field: 'until', rule: 'type' })
  })

  test('close waits 0 ms to 24 days', () => {
    expect(checkClose(undefined)).toEqual({ drainMs: 0 })
    expect(checkClose({ drainMs: 2_147_483_647 })).toEqual({ drainMs: 2_147_483_647 })
    for (const drainMs of [-1, Number.NaN, 0.5, 2_147_483_648, Number.POSITIVE_INFINITY]) {
      expect(refusalOf(() => checkClose({ drainMs }))).toMatchObject({ field: 'drainMs', rule: 'range' })
    }
    expect(refusalOf(() => checkClose({ drainMs: '5' }))).toMatchObject({ field: 'drainMs', rule: 'type' })
    expect(refusalOf(() => checkClose({ drain: 5 })).message).toContain('did you mean drainMs?')
  })

  test('calls that take nothing but a signal refuse the rest', () => {
    const { signal } = new AbortController()
    expect(checkCall({ signal }, 'head')).toEqual({ signal })
    expect(refusalOf(() => checkCall({ range: {} }, 'head'))).toMatchObject({ field: 'range', rule: 'unknown' })
    expect(() => checkCall({ signal: {} }, 'head')).toThrow(TypeError)
    expect(() => checkGet({ signal: 'x' })).toThrow(TypeError)
    expect(() => checkList({ signal: 'x' })).toThrow(TypeError)
    expect(() => checkDelete({ signal: 'x' })).toThrow(TypeError)
    expect(() => checkUntil({ signal: 'x' }, 'drain')).toThrow(TypeError)
    expect(() => checkAdopt({ signal: 'x' }, providers)).toThrow(TypeError)
  })

  test('listeners are functions, events have names', () => {
    const names = ['blocked', 'drained'] as const
    expect(checkListener('blocked', () => {}, names)).toBe('blocked')
    expect(() => checkListener('blocked', 5, names)).toThrow(TypeError)
    expect(refusalOf(() => checkListener('bloked', () => {}, names)).message).toContain('did you mean blocked?')
    expect(refusalOf(() => checkListener(5, () => {}, names))).toMatchObject({ field: 'event', rule: 'type' })
    expect(refusalOf(() => checkListener('__proto__', () => {}, names))).toMatchObject({
      field: 'event',
      rule: 'unknown',
    })
  })
})
