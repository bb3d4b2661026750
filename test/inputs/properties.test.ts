import * as fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { metadataBytes, packMetadata, unpackMetadata } from '../../src/core/attributes.ts'
import { readBody } from '../../src/core/body.ts'
import { keyHash } from '../../src/core/digest.ts'
import { type Entry, entryName, recognise, writeEntry } from '../../src/core/entry.ts'
import { HoldfastError, shown } from '../../src/core/errors.ts'
import { s3FeatureNames } from '../../src/core/features.ts'
import { compareKeys, markerKey } from '../../src/core/key.ts'
import type { RemoteObject } from '../../src/core/provider.ts'
import { foreignVersion, isVersion, makeVersion, nextVersion, versionTime } from '../../src/core/version.ts'
import { checkAdopt, checkGet, checkList, checkSign } from '../../src/holdfast/input/calls.ts'
import { checkKey } from '../../src/holdfast/input/key.ts'
import { checkMetadata } from '../../src/holdfast/input/metadata.ts'
import { checkPut } from '../../src/holdfast/input/put.ts'
import { checkOptions } from '../../src/holdfast/options.ts'
import { refuseAzureKey } from '../../src/providers/azure/keys.ts'
import { refuseGcsKey } from '../../src/providers/gcs/keys.ts'
import { memory } from '../../src/providers/memory.ts'
import { likeAzure, likeGcs, likeS3, provider, refuseStrictly } from './support.ts'

const seed = Number(process.env['HOLDFAST_SEED'] ?? Math.floor(Math.random() * 2 ** 31))
console.log(`properties of inputs: HOLDFAST_SEED=${seed}`)
const runs = { seed, numRuns: 2000 }

const strict = [memory(), provider({ name: 'strict', refuseKey: refuseStrictly })]
/** Any text at all, unpaired surrogates and controls included, with what is dangerous in keys more often than chance would have it. */
const units = fc.oneof(
  fc.nat(0xffff).map(unit => String.fromCharCode(unit)),
  fc.constantFrom(
    '/',
    '.',
    '..',
    '\\',
    '%2e',
    '\0',
    '\n',
    '\u2028',
    '\ud83d',
    '\ude00',
    '\uffff',
    '.holdfast',
    'é',
    ' ',
  ),
)
const anyText = fc.array(units, { maxLength: 30 }).map(parts => parts.join(''))
const anything = fc.oneof(
  fc.anything({ withBigInt: true, withDate: true, withMap: true, withNullPrototype: true, withTypedArray: true }),
  anyText,
  fc.constantFrom(
    new Proxy(
      {},
      {
        get: () => {
          throw new RangeError('mine')
        },
      },
    ),
    Symbol('x'),
    () => 1,
  ),
)
const hexDigit = fc.constantFrom(...'0123456789abcdef'.split(''))
const wellFormed = fc.string({ unit: 'binary', maxLength: 30 }).filter(text => text.isWellFormed())

function refusesProperly(run: () => unknown, codes: readonly string[] = ['INVALID']): unknown {
  try {
    return run()
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    expect(codes).toContain(error.code)
    expect(error.field).toBeTypeOf('string')
    expect(error.rule).toBeTypeOf('string')
    expect(error.outcome).toBe('rejected')
    return undefined
  }
}

describe('whatever comes', () => {
  test('a key is taken as it is or refused as INVALID', () => {
    fc.assert(
      fc.property(anything, key => {
        const taken = refusesProperly(() => checkKey(key, strict))
        expect(taken === undefined || taken === key).toBe(true)
      }),
      runs,
    )
  })

  test('a key that was taken has a marker that every provider takes, and is not reserved', () => {
    fc.assert(
      fc.property(anyText, key => {
        if (refusesProperly(() => checkKey(key, strict)) === undefined) return
        for (const { refuseKey } of strict) {
          expect(refuseKey(key)).toBeUndefined()
          expect(refuseKey(markerKey(key))).toBeUndefined()
        }
        expect(key.startsWith('.holdfast/')).toBe(false)
      }),
      runs,
    )
  })

  test('a key that a cloud holds is never refused for the sake of its marker', () => {
    const clouds = { azure: refuseAzureKey, gcs: refuseGcsKey }
    const long = fc.array(fc.constantFrom('a', '/', 'é', '😀', 'b.c'), { maxLength: 1024 }).map(parts => parts.join(''))
    fc.assert(
      fc.property(fc.oneof(anyText, long), key => {
        for (const [name, refuseKey] of Object.entries(clouds)) {
          if (refuseKey(key) === undefined) expect([name, refuseKey(markerKey(key))]).toEqual([name, undefined])
        }
      }),
      runs,
    )
  })

  test('attributes, expectations and conditions are taken or refused as INVALID', () => {
    const names = [
      'contentType',
      'contentDisposition',
      'contentEncoding',
      'metadata',
      'expect',
      'if',
      'ack',
      'features',
      'checksum',
      'inOnePiece',
    ]
    fc.assert(
      fc.property(fc.constantFrom(...names), anything, (name, value) => {
        refusesProperly(() => checkPut({ [name]: value }, strict))
      }),
      runs,
    )
  })

  test('features, checksums and parts are taken or refused as INVALID, whichever of them is what', () => {
    const groups = fc.constantFrom('s3', 'gcs', 'azure', 'relax')
    const names = fc.constantFrom<string>(...s3FeatureNames, 'storageClass', 'tier', 'tags', '__proto__')
    fc.assert(
      fc.property(groups, names, anything, anything, anyText, (group, name, value, other, text) => {
        refusesProperly(() => checkPut({ features: { [group]: value } }, strict))
        refusesProperly(() => checkPut({ features: { [group]: { [name]: value } } }, strict))
        refusesProperly(() => checkPut({ features: { s3: { Tagging: text } } }, strict))
        refusesProperly(() => checkPut({ features: { relax: [value, other] } }, strict))
        refusesProperly(() => checkPut({ checksum: { algorithm: value, value: other } }, strict))
        refusesProperly(() => checkPut({ checksum: { algorithm: 'SHA256', value } }, strict))
        refusesProperly(() => checkAdopt({ parts: value }, strict))
        refusesProperly(() => checkAdopt({ parts: [{ count: value, bytes: other }] }, strict))
      }),
      runs,
    )
  })

  test('ranges, listings and signing are taken or refused as INVALID', () => {
    const forms = ['start', 'end', 'last']
    fc.assert(
      fc.property(anything, anything, fc.constantFrom(...forms), (one, other, form) => {
        refusesProperly(() => checkGet({ range: one }))
        refusesProperly(() => checkGet({ range: { start: other, [form]: one } }))
        refusesProperly(() => checkList({ prefix: one, startAfter: other }))
        refusesProperly(() => checkSign({ method: 'GET', expiresInSeconds: one, contentType: other }, strict))
        refusesProperly(() => checkSign({ method: 'PUT', expiresInSeconds: 60, except: other }, strict))
      }),
      runs,
    )
  })

  test('options of the store are taken or refused, and never with an error from inside', () => {
    const least = { directory: '/x', primary: memory(), secondary: memory() }
    const names = ['directory', 'disk', 'mirrors', 'ack', 'holdMs', 'cacheBytes', 'keys', 'reads', 'replication', 'x']
    fc.assert(
      fc.property(fc.constantFrom(...names), anything, (name, value) => {
        try {
          refusesProperly(() => checkOptions({ ...least, [name]: value }), ['INVALID', 'UNSUPPORTED'])
        } catch (error) {
          expect(error).toBeInstanceOf(TypeError)
          expect((error as Error).message).toMatch(/^mirrors\[\d+\] must be a provider/)
        }
      }),
      runs,
    )
  })

  test('a body is taken in hand or refused as INVALID', () => {
    fc.assert(
      fc.property(anything, body => void refusesProperly(() => readBody(body))),
      runs,
    )
  })

  test('a value can be shown in one short line of printable text', () => {
    fc.assert(
      fc.property(anything, value => {
        expect(shown(value)).toMatch(/^[^\p{Cc}\p{Surrogate}\u2028\u2029\u202a-\u202e]{1,600}$/u)
      }),
      runs,
    )
  })
})

describe('compareKeys', () => {
  const near = fc.constantFrom(
    'a',
    '/',
    '\u007f',
    '\u0080',
    '\u07ff',
    '\u0800',
    '\ud7ff',
    '\ue000',
    '\uffff',
    '😀',
    '\u{10ffff}',
  )
  const text = fc.oneof(
    wellFormed,
    fc.array(near, { maxLength: 6 }).map(parts => parts.join('')),
  )

  test('is the order of the UTF-8 bytes', () => {
    fc.assert(
      fc.property(text, text, text, (prefix, a, b) => {
        for (const [x, y] of [
          [a, b],
          [prefix + a, prefix + b],
        ] as const) {
          expect(Math.sign(compareKeys(x, y))).toBe(Buffer.compare(Buffer.from(x), Buffer.from(y)))
        }
      }),
      { ...runs, numRuns: 10_000 },
    )
  })

  test('is an order of any text, unpaired surrogates included', () => {
    fc.assert(
      fc.property(anyText, anyText, anyText, (a, b, c) => {
        expect(Math.sign(compareKeys(a, b))).toBe(-Math.sign(compareKeys(b, a)) + 0)
        expect(compareKeys(a, b) === 0).toBe(a === b)
        if (compareKeys(a, b) <= 0 && compareKeys(b, c) <= 0) expect(compareKeys(a, c)).toBeLessThanOrEqual(0)
      }),
      runs,
    )
  })
})

describe('metadata', () => {
  const name = fc
    .string({ unit: fc.constantFrom(..."abcXYZ019!#$%&'*+-.^_`|~".split('')), minLength: 1, maxLength: 20 })
    .filter(text => !/^holdfast|^(?:constructor|prototype|__proto__)$/i.test(text))
  const value = wellFormed.filter(text => !/\p{Cc}/u.test(text))
  const metadata = fc
    .array(fc.tuple(name, value), { maxLength: 12 })
    .map(pairs => Object.fromEntries(new Map(pairs.map(([key, text]) => [key.toLowerCase(), text]))))

  for (const [kind, limits] of Object.entries({ S3: likeS3, Azure: likeAzure, GCS: likeGcs })) {
    test(`comes back as it was from what ${kind} holds, which takes no more room than was counted`, () => {
      fc.assert(
        fc.property(metadata, given => {
          const checked = checkMetadata(given, [provider({ metadata: likeGcs })])
          const entry = `1;${'f'.repeat(148)}`
          const stored = packMetadata(checked, entry, limits)
          expect({ ...unpackMetadata(stored) }).toEqual(given)
          for (const [storedName, storedValue] of Object.entries(stored)) {
            if (storedName !== entryName) expect(limits.holds(storedName, storedValue)).toBe(true)
          }
          const bytes = Object.entries(stored).reduce(
            (sum, [n, v]) => sum + Buffer.byteLength(n) + Buffer.byteLength(v),
            0,
          )
          expect(bytes).toBe(metadataBytes(checked, limits))
        }),
        runs,
      )
    })
  }

  test('that others wrote is never worse than what they wrote', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), anyText), anyText, (stored, packed) => {
        const read = unpackMetadata({ ...stored, holdfast_meta: packed })
        expect(Object.getPrototypeOf(read)).toBeNull()
        expect(Object.values(read).every(text => typeof text === 'string')).toBe(true)
      }),
      runs,
    )
  })
})

describe('versions', () => {
  const writer = fc.string({ unit: hexDigit, minLength: 16, maxLength: 16 })
  const time = fc.oneof(fc.nat(), fc.nat(2 ** 44), fc.constantFrom(0, 1, 2 ** 47))
  const counter = fc.oneof(fc.nat(0xffff), fc.constantFrom(0, 0xfffe, 0xffff))

  test('after the last counter of a millisecond comes the next millisecond', () => {
    fc.assert(
      fc.property(time, counter, writer, writer, (ms, count, before, after) => {
        const floor = makeVersion(ms, count, before)
        const next = nextVersion(floor, ms, after)
        expect(next > floor).toBe(true)
        expect(next).toBe(count === 0xffff ? makeVersion(ms + 1, 0, after) : makeVersion(ms, count + 1, after))
      }),
      runs,
    )
  })

  test('only grow, whatever the clock does', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.double({ min: -1e6, max: 1e14, noNaN: true }), writer), { maxLength: 40 }),
        steps => {
          let floor: string | undefined
          for (const [now, who] of steps) {
            const next = nextVersion(floor, now, who)
            expect(isVersion(next)).toBe(true)
            if (floor !== undefined) expect(next > floor).toBe(true)
            expect(versionTime(next)).toBeGreaterThanOrEqual(Math.floor(now))
            floor = next
          }
        },
      ),
      runs,
    )
  })

  test('sort as text as they sort by time, then counter, then writer', () => {
    fc.assert(
      fc.property(time, counter, writer, time, counter, writer, (t1, c1, w1, t2, c2, w2) => {
        const byParts = Math.sign(t1 - t2 || c1 - c2 || (w1 < w2 ? -1 : w1 > w2 ? 1 : 0))
        const [a, b] = [makeVersion(t1, c1, w1), makeVersion(t2, c2, w2)]
        expect(a < b ? -1 : a > b ? 1 : 0).toBe(byParts)
        expect(versionTime(a)).toBe(t1)
      }),
      runs,
    )
  })

  test('of foreign objects are older than any of ours of the same millisecond', () => {
    fc.assert(
      fc.property(time, writer, (ms, who) => {
        const foreign = foreignVersion(new Date(ms))
        expect(isVersion(foreign)).toBe(true)
        expect(foreign <= nextVersion(undefined, ms, who)).toBe(true)
      }),
      runs,
    )
  })
})

describe('the holdfast entry', () => {
  const hex = (length: number): fc.Arbitrary<string> =>
    fc.string({ unit: hexDigit, minLength: length, maxLength: length })
  const entry: fc.Arbitrary<Entry> = fc
    .record({
      version: hex(32),
      size: fc.nat({ max: 5 * 2 ** 40 }),
      crc32c: hex(8),
      md5: hex(32),
      parts: fc.option(
        fc.record({ count: fc.integer({ min: 1, max: 10_000 }), size: fc.integer({ min: 0, max: 2 ** 33 }) }),
      ),
    })
    .map(({ md5, parts, ...rest }) => ({
      ...rest,
      etag: parts === null ? md5 : `${md5}-${parts.count}`,
      partSize: parts?.size,
    }))
  const modifiedAt = new Date(1_700_000_000_000)
  const object = (key: string, size: number, text: string, attested: RemoteObject['attested'] = {}): RemoteObject => ({
    key,
    size,
    token: 't',
    etag: undefined,
    modifiedAt,
    headers: { contentType: 'text/plain' },
    metadata: { [entryName]: text },
    attested,
    serverTime: undefined,
  })
  const foreign = { whose: 'foreign', version: foreignVersion(modifiedAt) }

  test('comes back as it was written', () => {
    fc.assert(
      fc.property(wellFormed, entry, (key, written) => {
        const text = writeEntry(key, written)
        expect(text.length).toBeLessThanOrEqual(150)
        expect(recognise(object(key, written.size, text))).toEqual({
          whose: 'ours',
          version: written.version,
          entry: written,
        })
      }),
      runs,
    )
  })

  test('does not count under another key, with another size, or against another digest', () => {
    fc.assert(
      fc.property(wellFormed, wellFormed, entry, (key, other, written) => {
        const text = writeEntry(key, written)
        if (keyHash(key) !== keyHash(other)) expect(recognise(object(other, written.size, text))).toEqual(foreign)
        expect(recognise(object(key, written.size + 1, text))).toEqual(foreign)
        const crc32c = written.crc32c === '00000000' ? '00000001' : '00000000'
        expect(recognise(object(key, written.size, text, { crc32c }))).toEqual(foreign)
      }),
      runs,
    )
  })

  test('does not count once a character of it is changed, taken away or added', () => {
    fc.assert(
      fc.property(wellFormed, entry, fc.nat(200), units, fc.nat(2), (key, written, place, unit, way) => {
        const text = writeEntry(key, written)
        const at = place % text.length
        const changed = text.slice(0, at) + (way === 1 ? '' : unit) + text.slice(way === 2 ? at : at + 1)
        const seen = recognise(object(key, written.size, changed))
        // A digit for a digit may still be an entry: never one that the key, the size or the form does not bear out.
        if (seen.whose === 'ours') expect(writeEntry(key, seen.entry)).toBe(changed)
        else expect(seen).toEqual(foreign)
      }),
      runs,
    )
  })

  test('is nothing in any other text', () => {
    const hostile = fc.oneof(
      anyText,
      fc.constantFrom('', '1', '1;;;;;', '2;x', '1;'.repeat(100_000), '__proto__', `1;${'0'.repeat(1e6)}`),
    )
    fc.assert(
      fc.property(wellFormed, hostile, (key, text) => {
        expect(recognise(object(key, 0, text))).toEqual(foreign)
      }),
      { ...runs, numRuns: 500 },
    )
  })
})
