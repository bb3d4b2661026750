import { describe, expect, test } from 'vitest'
import { checkPut, wholeAttributes } from '../../src/holdfast/input/put.ts'
import { memory } from '../../src/providers/memory.ts'
import { refusalOf } from './support.ts'

const providers = [memory(), memory()]
const version = '0199e5a1c2b30000a1b2c3d4e5f60718'

function refused(options: unknown): ReturnType<typeof refusalOf> {
  return refusalOf(() => checkPut(options, providers))
}

describe('options that are no options', () => {
  test.each([null, 5, 'x', true, () => ({}), ['x'], Symbol('x')])('%s is a TypeError', options => {
    expect(() => checkPut(options, providers)).toThrow(TypeError)
    expect(() => checkPut(options, providers)).toThrow(/^the options of put must be an object, got /)
  })

  test('a signal of another type is a TypeError', () => {
    for (const signal of [null, 5, {}, new AbortController(), new EventTarget()]) {
      expect(() => checkPut({ signal }, providers)).toThrow(/^signal must be an AbortSignal, got /)
    }
  })

  test('an unknown name is refused with the one that was meant', () => {
    expect(refused({ contenttype: 'text/plain' })).toMatchObject({
      code: 'INVALID',
      field: 'contenttype',
      rule: 'unknown',
      message: 'put has no option "contenttype"; did you mean contentType?',
    })
    expect(refused({ metdata: {} }).message).toContain('did you mean metadata?')
    expect(refused({ akc: 'one' }).message).toContain('did you mean ack?')
  })

  test('a name like no other is refused with all there are', () => {
    expect(refused({ opId: 'x' })).toMatchObject({ field: 'opId', rule: 'unknown' })
    expect(refused({ opId: 'x' }).message).toMatch(/; there are: contentType, .*signal$/)
  })

  test('names of the prototype and hostile names are unknown names (I45)', () => {
    expect(refused(JSON.parse('{"__proto__":{}}'))).toMatchObject({ field: '__proto__', rule: 'unknown' })
    expect(refused({ constructor: 1 })).toMatchObject({ field: 'constructor', rule: 'unknown' })
    expect(refused({ ['a\nb'.repeat(1000)]: 1 })).toMatchObject({ field: 'options', rule: 'unknown' })
  })

  test('options that cannot be read are INVALID, never what their getters throw', () => {
    const throwing = () => {
      throw new RangeError('mine')
    }
    const revoked = Proxy.revocable({}, {})
    revoked.revoke()
    const table = [
      new Proxy({}, { ownKeys: throwing }),
      new Proxy({}, { get: throwing }),
      Object.defineProperty({}, 'ack', { get: throwing, enumerable: true }),
      revoked.proxy,
    ]
    for (const options of table) expect(refused(options)).toMatchObject({ field: 'options', rule: 'type' })
  })
})

describe('the options of a put', () => {
  test('nothing given is nothing checked', () => {
    const nothing = {
      attributes: {},
      features: undefined,
      checksum: undefined,
      inOnePiece: false,
      expected: {},
      condition: undefined,
      ack: undefined,
      signal: undefined,
    }
    expect(checkPut(undefined, providers)).toEqual(nothing)
    expect(checkPut({}, providers)).toEqual(nothing)
    expect(checkPut({ ack: undefined, metadata: undefined, if: undefined }, providers)).toEqual(nothing)
  })

  test('all given come back checked', () => {
    const { signal } = new AbortController()
    const given = {
      contentType: 'text/plain',
      cacheControl: 'no-cache',
      contentDisposition: 'inline',
      contentEncoding: 'gzip',
      contentLanguage: 'de, en',
      metadata: { Owner: 'Ann' },
      features: { s3: { StorageClass: 'STANDARD_IA' }, relax: ['StorageClass'] },
      checksum: { algorithm: 'CRC32', value: 'y/Q5Jg==' },
      inOnePiece: true,
      expect: { size: 5, md5: '5D41402ABC4B2A76B9719D911017C592' },
      if: { version },
      ack: 'all',
      signal,
    } as const
    expect(checkPut(given, providers)).toEqual({
      attributes: {
        contentType: 'text/plain',
        cacheControl: 'no-cache',
        contentDisposition: 'inline',
        contentEncoding: 'gzip',
        contentLanguage: 'de, en',
        metadata: Object.assign(Object.create(null), { owner: 'Ann' }),
      },
      features: { s3: { StorageClass: 'STANDARD_IA' }, relax: ['StorageClass'] },
      checksum: { algorithm: 'CRC32', value: 'y/Q5Jg==' },
      inOnePiece: true,
      expected: { size: 5, md5: '5d41402abc4b2a76b9719d911017c592' },
      condition: { version },
      ack: 'all',
      signal,
    })
  })

  test('each option is read once', () => {
    const reads: string[] = []
    const counting = new Proxy(
      { ack: 'one', if: 'absent' },
      { get: (target, name) => (reads.push(String(name)), Reflect.get(target, name)) },
    )
    checkPut(counting, providers)
    expect(reads).toEqual([...new Set(reads)])
  })

  test('attributes are whole with the default content type, over those of a source', () => {
    expect(wholeAttributes({})).toEqual({ contentType: 'application/octet-stream', metadata: Object.create(null) })
    const source = { contentType: 'image/png', cacheControl: 'no-cache', metadata: { a: 'x' } }
    expect(wholeAttributes({ cacheControl: 'max-age=1' }, source)).toEqual({ ...source, cacheControl: 'max-age=1' })
  })

  test.each(['', 'two', 'ALL', 5, null, true])('ack %s is refused', ack => {
    const rule = typeof ack === 'string' ? 'value' : 'type'
    expect(refused({ ack })).toMatchObject({ code: 'INVALID', field: 'ack', rule })
  })

  test.each(['local', 'one', 'all'])('ack %s is taken', ack => {
    expect(checkPut({ ack }, providers).ack).toBe(ack)
  })
})

describe('conditions', () => {
  const table: Record<string, [condition: unknown, rule: string]> = {
    'another word': ['present', 'type'],
    null: [null, 'type'],
    'a number': [5, 'type'],
    'an array': [['absent'], 'type'],
    'an etag': [{ etag: 'x' }, 'type'],
    'contradictory: a version, and absent': [{ version, absent: true }, 'type'],
    'no version in it': [{}, 'version'],
    'a version that is none': [{ version: 'latest' }, 'version'],
    'a version in upper case': [{ version: version.toUpperCase() }, 'version'],
    'a version with a line break': [{ version: `${version}\n` }, 'version'],
    'a number for a version': [{ version: 5 }, 'version'],
    'a getter that throws': [
      {
        get version(): string {
          throw new RangeError('mine')
        },
      },
      'type',
    ],
  }
  for (const [name, [condition, rule]] of Object.entries(table)) {
    test(`${name} is refused`, () => {
      expect(refused({ if: condition })).toMatchObject({ code: 'INVALID', field: 'if', rule })
    })
  }

  test('absent and a version are taken', () => {
    expect(checkPut({ if: 'absent' }, providers).condition).toBe('absent')
    expect(checkPut({ if: { version } }, providers).condition).toEqual({ version })
  })
})

describe('expected sizes', () => {
  const table: Record<string, [size: unknown, rule: string]> = {
    negative: [-1, 'range'],
    NaN: [Number.NaN, 'range'],
    'a fraction': [1.5, 'range'],
    'more than 2^53': [2 ** 53, 'range'],
    Infinity: [Number.POSITIVE_INFINITY, 'range'],
    'a text': ['10', 'type'],
    'a bigint': [10n, 'type'],
    null: [null, 'type'],
  }
  for (const [name, [size, rule]] of Object.entries(table)) {
    test(`${name} is refused`, () => {
      expect(refused({ expect: { size } })).toMatchObject({ code: 'INVALID', field: 'size', rule })
    })
  }

  test('0 and 2^53 − 1 are taken', () => {
    expect(checkPut({ expect: { size: 0 } }, providers).expected).toEqual({ size: 0 })
    const size = Number.MAX_SAFE_INTEGER
    expect(checkPut({ expect: { size } }, providers).expected).toEqual({ size })
  })
})

describe('expected digests', () => {
  const md5 = '5d41402abc4b2a76b9719d911017c592'
  const table: Record<string, [expect: unknown, rule: string]> = {
    'no object': ['5d41402abc4b2a76b9719d911017c592', 'type'],
    null: [null, 'type'],
    'an unknown algorithm': [{ sha1: 'x' }, 'unknown'],
    'an algorithm in another spelling': [{ MD5: md5 }, 'unknown'],
    'no text': [{ md5: 5 }, 'type'],
    bytes: [{ md5: Buffer.from(md5, 'hex') }, 'type'],
    'letters that are no hex': [{ md5: 'z'.repeat(32) }, 'hex'],
    'base64 in place of hex': [{ md5: Buffer.from(md5, 'hex').toString('base64') }, 'hex'],
    'malformed base64': [{ md5: 'XUFAKrxLKna5cZ2REBfFkg=' }, 'hex'],
    'an etag in quotes': [{ md5: `"${md5}"` }, 'hex'],
    'a digit too few': [{ md5: md5.slice(1) }, 'length'],
    'a digit too many': [{ md5: `${md5}0` }, 'length'],
    'the empty text': [{ md5: '' }, 'length'],
    'a crc32c of 9 digits': [{ crc32c: '09a71bb4c' }, 'length'],
    'a sha256 that is an md5': [{ sha256: md5 }, 'length'],
    'a getter that throws': [
      {
        get md5(): string {
          throw new RangeError('mine')
        },
      },
      'type',
    ],
  }
  for (const [name, [digest, rule]] of Object.entries(table)) {
    test(`${name} is refused`, () => {
      expect(refused({ expect: digest })).toMatchObject({ code: 'INVALID', field: 'expect', rule })
    })
  }

  test('base64 is told what it is in hex, an unknown algorithm which there are', () => {
    const base64 = Buffer.from(md5, 'hex').toString('base64')
    expect(refused({ expect: { md5: base64 } }).message).toContain(`(base64 of ${md5}?)`)
    expect(refused({ expect: { sha2566: 'x' } }).message).toContain('did you mean sha256?')
    expect(refused({ expect: { sha1: 'x' } }).message).toMatch(/did you mean|there are/)
  })

  test('all of them in any case come back in lower case', () => {
    const expected = { md5, crc32c: '9a71bb4c', sha256: 'ab'.repeat(32) }
    const upper = Object.fromEntries(Object.entries(expected).map(([name, hex]) => [name, hex.toUpperCase()]))
    expect(checkPut({ expect: upper }, providers).expected).toEqual(expected)
  })
})
