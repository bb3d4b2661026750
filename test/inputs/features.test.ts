import { describe, expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import { checkAdopt } from '../../src/holdfast/input/calls.ts'
import { checkPut } from '../../src/holdfast/input/put.ts'
import { guardProvider } from '../../src/core/guarded.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { provider, refusalOf } from './support.ts'

/** Keeps all of it, as a driver that speaks S3. */
const keeper: Provider = { ...provider({ name: 's3' }), refuseFeatures: () => undefined }
const { refuseFeatures: _, ...older } = provider({ name: 'older' })
const providers = [keeper]

const check = (features: unknown, at: readonly Provider[] = providers) => checkPut({ features }, at).features
const refused = (features: unknown, at?: readonly Provider[]) => refusalOf(() => check(features, at))

describe('features of a write', () => {
  test('are a copy of what was given, and nothing where nothing is', () => {
    for (const nothing of [
      undefined,
      {},
      { s3: {} },
      { s3: { ACL: undefined } },
      { relax: ['ACL'] },
      { s3: { Tagging: '' } },
    ])
      expect(check(nothing)).toBeUndefined()
    const given = {
      s3: {
        ACL: 'public-read',
        StorageClass: 'A_CLASS_OF_NEXT_YEAR',
        ServerSideEncryption: 'aws:kms',
        SSEKMSKeyId: 'arn:aws:kms:eu-west-1:1:key/x',
        BucketKeyEnabled: true,
        Tagging: 'project=a%20b&stage=x+y&empty=',
        WebsiteRedirectLocation: '/elsewhere',
        Expires: 'Wed, 21 Oct 2026 07:28:00 GMT',
        ObjectLockMode: 'GOVERNANCE',
        ObjectLockRetainUntilDate: '2031-01-01T00:00:00.000Z',
        ObjectLockLegalHoldStatus: 'ON',
      },
      gcs: { storageClass: 'NEARLINE' },
      azure: { tier: 'Cool', tags: { project: 'a b' } },
      relax: ['ACL', 'Tagging'],
    }
    const frozen = JSON.parse(JSON.stringify(given), (_name, value) => Object.freeze(value))
    const checked = check(frozen)
    expect(JSON.parse(JSON.stringify(checked))).toEqual(given)
    expect(checked?.s3).not.toBe(frozen.s3)
  })

  const table: Readonly<Record<string, [features: unknown, field: string, rule: string]>> = {
    'no object': ['x', 'features', 'type'],
    null: [null, 'features', 'type'],
    'a proxy': [new Proxy({}, {}), 'features', 'type'],
    'an unknown kind': [{ S3: {} }, 'features', 'unknown'],
    'the prototype': [JSON.parse('{"__proto__":{}}'), 'features', 'unknown'],
    'no object of S3': [{ s3: [] }, 'features.s3', 'type'],
    'an unknown feature': [{ s3: { Acl: 'private' } }, 'features.s3', 'unknown'],
    'a name of the prototype': [{ s3: { constructor: 'x' } }, 'features.s3', 'unknown'],
    'a number': [{ s3: { ACL: 5 } }, 'features.s3.ACL', 'type'],
    null_: [{ s3: { ACL: null } }, 'features.s3.ACL', 'type'],
    'a flag that is text': [{ s3: { BucketKeyEnabled: 'true' } }, 'features.s3.BucketKeyEnabled', 'type'],
    'empty text': [{ s3: { StorageClass: '' } }, 'features.s3.StorageClass', 'empty'],
    'a line break': [{ s3: { ACL: 'private\r\nx-evil: 1' } }, 'features.s3.ACL', 'ascii'],
    'beyond ASCII': [{ s3: { StorageClass: 'KÄLTE' } }, 'features.s3.StorageClass', 'ascii'],
    'a blank at the end': [{ s3: { ACL: 'private ' } }, 'features.s3.ACL', 'ascii'],
    'endless text': [{ s3: { ACL: 'x'.repeat(1025) } }, 'features.s3.ACL', 'length'],
    'eleven tags': [
      { s3: { Tagging: Array.from({ length: 11 }, (_n, i) => `t${i}=x`).join('&') } },
      'features.s3.Tagging',
      'tags',
    ],
    'a tag twice': [{ s3: { Tagging: 'a=1&%61=2' } }, 'features.s3.Tagging', 'tags'],
    'a tag without a name': [{ s3: { Tagging: 'a=1&=2' } }, 'features.s3.Tagging', 'tags'],
    'a tag that is badly encoded': [{ s3: { Tagging: 'a=%zz' } }, 'features.s3.Tagging', 'tags'],
    'a long name of a tag': [{ s3: { Tagging: `${'n'.repeat(129)}=x` } }, 'features.s3.Tagging', 'tags'],
    'a long value of a tag': [{ s3: { Tagging: `a=${'v'.repeat(257)}` } }, 'features.s3.Tagging', 'tags'],
    'a control character in a tag': [{ s3: { Tagging: 'a=%0a' } }, 'features.s3.Tagging', 'tags'],
    'a redirection to nowhere': [
      { s3: { WebsiteRedirectLocation: 'x' } },
      'features.s3.WebsiteRedirectLocation',
      'syntax',
    ],
    'a date that is none': [
      { s3: { ObjectLockMode: 'GOVERNANCE', ObjectLockRetainUntilDate: 'tomorrow' } },
      'features.s3.ObjectLockRetainUntilDate',
      'date',
    ],
    'a lock without a date': [{ s3: { ObjectLockMode: 'COMPLIANCE' } }, 'features.s3.ObjectLockMode', 'together'],
    'a key without encryption': [{ s3: { SSEKMSKeyId: 'x' } }, 'features.s3.SSEKMSKeyId', 'together'],
    'an ACL and a grant': [{ s3: { ACL: 'private', GrantRead: 'id=1' } }, 'features.s3.ACL', 'together'],
    'a number for a class': [{ gcs: { storageClass: 5 } }, 'features.gcs.storageClass', 'type'],
    'S3 in the words of Azure': [{ azure: { StorageClass: 'Cool' } }, 'features.azure', 'unknown'],
    'tags in a list': [{ azure: { tags: ['a'] } }, 'features.azure.tags', 'type'],
    'a tag that is no text': [{ azure: { tags: { a: 5 } } }, 'features.azure.tags', 'type'],
    'a tag like a prototype': [{ azure: { tags: JSON.parse('{"__proto__":"x"}') } }, 'features.azure.tags', 'tags'],
    'relaxing by a word': [{ relax: 'ACL' }, 'features.relax', 'type'],
    'relaxing a number': [{ relax: [5] }, 'features.relax', 'type'],
    'relaxing what there is not': [{ relax: ['acl'] }, 'features.relax', 'unknown'],
    'a getter that throws': [
      { s3: Object.defineProperty({}, 'ACL', { enumerable: true, get: () => Number(1n as never) + JSON.parse('x') }) },
      'features',
      'type',
    ],
  }
  test.each(Object.entries(table))('%s is refused', (_what, [features, field, rule]) => {
    expect(refused(features)).toMatchObject({ code: 'INVALID', field, rule })
  })

  test('ten tags of the longest names and values are taken', () => {
    const tag = (i: number) => `${`${i}`.padStart(128, 'n')}=${'v'.repeat(256)}`
    const Tagging = Array.from({ length: 10 }, (_n, i) => tag(i)).join('&')
    expect(check({ s3: { Tagging } })).toEqual({ s3: { Tagging } })
  })
})

describe('providers that cannot keep a feature', () => {
  test('one whose driver knows nothing of features keeps none, and says how to go without', () => {
    const at = [keeper, older as Provider]
    expect(refused({ s3: { ACL: 'private' } }, at)).toEqual({
      code: 'INVALID',
      field: 'features.s3.ACL',
      rule: 'provider',
      provider: 'older',
      message:
        'features.s3.ACL is not kept by the driver of older (provider "older"); features.relax: [\'ACL\'] lets that provider go without it',
    })
    const relaxed = { s3: { ACL: 'private' }, relax: ['ACL'] }
    expect(check(relaxed, at)).toEqual(relaxed)
    expect(refused({ s3: { ACL: 'private', StorageClass: 'X' }, relax: ['ACL'] }, at).field).toBe(
      'features.s3.StorageClass',
    )
  })

  test('time limits around a provider change nothing of that', () => {
    const limits = { clock: manualClock(0), idleMs: 1000, deadlineMs: 1000, minBytesPerSecond: 1 }
    const at = [guardProvider(keeper, limits), guardProvider(older as Provider, limits)]
    expect(refused({ s3: { ACL: 'private' } }, at)).toMatchObject({ rule: 'provider', provider: 'older' })
    expect(check({ s3: { ACL: 'private' } }, at.slice(0, 1))).toEqual({ s3: { ACL: 'private' } })
  })

  test('what a driver says of a feature outside S3 cannot be relaxed, and is said so', () => {
    const fussy: Provider = {
      ...keeper,
      refuseFeatures: ({ azure }) => azure && { field: 'azure.tier', message: 'is not a tier of this account' },
    }
    expect(refused({ azure: { tier: 'Cold' } }, [fussy])).toMatchObject({
      field: 'features.azure.tier',
      rule: 'provider',
      message: 'features.azure.tier is not a tier of this account (provider "s3")',
    })
  })
})

describe('a checksum to be kept', () => {
  const refusal = (checksum: unknown) => refusalOf(() => checkPut({ checksum }, providers))

  test('is taken with and without a value', () => {
    for (const checksum of [{ algorithm: 'SHA1' }, { algorithm: 'CRC64NVME', value: 'rosUhgp5mIg=' }])
      expect(checkPut({ checksum: Object.freeze(checksum) }, providers).checksum).toEqual(checksum)
    expect(checkPut({ checksum: { algorithm: 'SHA1', value: undefined } }, providers).checksum).toEqual({
      algorithm: 'SHA1',
    })
  })

  test.each([
    ['CRC32', 'type'],
    [null, 'type'],
    [{}, 'type'],
    [{ algorithm: 5 }, 'type'],
    [{ algorithm: 'crc32' }, 'value'],
    [{ algorithm: 'constructor' }, 'value'],
    [{ algorithm: 'CRC32', type: 'FULL_OBJECT' }, 'unknown'],
    [{ algorithm: 'CRC32', value: 5 }, 'type'],
    [{ algorithm: 'CRC32', value: 'y/Q5Jg' }, 'base64'],
    [{ algorithm: 'CRC32', value: 'y/Q5Jg==-2' }, 'base64'],
    [{ algorithm: 'CRC32', value: 'rosUhgp5mIg=' }, 'length'],
    [{ algorithm: 'SHA1', value: '' }, 'length'],
  ])('%o is refused: %s', (checksum, rule) => {
    expect(refusal(checksum)).toMatchObject({ code: 'INVALID', field: 'checksum', rule })
  })

  test('takes its place from the metadata, at its longest', () => {
    const small = provider({ metadata: { bytes: 400, holds: () => true } })
    const put = (bytes: number, algorithm?: string) =>
      checkPut({ metadata: { n: 'x'.repeat(bytes) }, ...(algorithm && { checksum: { algorithm } }) }, [small])
    const room = 400 - 'holdfast'.length - 150 - 1
    put(room)
    expect(refusalOf(() => put(room + 1))).toMatchObject({ field: 'metadata', rule: 'size' })
    const entry = 'holdfastsumCRC32:y/Q5Jg==-10000'.length
    put(room - entry, 'CRC32')
    expect(refusalOf(() => put(room - entry + 1, 'CRC32'))).toMatchObject({ field: 'metadata', rule: 'size' })
    expect(refusalOf(() => put(room - entry, 'SHA256'))).toMatchObject({ field: 'metadata', rule: 'size' })
  })

  test('has a name that no user metadata can have', () => {
    for (const name of ['holdfastsum', 'HoldfastSum'])
      expect(refusalOf(() => checkPut({ metadata: { [name]: 'CRC32:y/Q5Jg==' } }, providers))).toMatchObject({
        field: 'metadata',
        rule: 'name',
      })
  })
})

describe('the parts of what is adopted', () => {
  const parts = (given: unknown) => checkAdopt({ parts: given }, providers).parts

  test('are runs, equal ones together', () => {
    expect(parts(undefined)).toBeUndefined()
    expect(
      parts([
        { count: 2, bytes: 5 },
        { count: 1, bytes: 5 },
        { count: 1, bytes: 1 },
      ]),
    ).toEqual([
      { count: 3, bytes: 5 },
      { count: 1, bytes: 1 },
    ])
  })

  test.each([
    ['x', 'type'],
    [{}, 'type'],
    [[5], 'type'],
    [[{ count: 1, bytes: 1, more: 1 }], 'type'],
    [[{ count: '1', bytes: 1 }], 'type'],
    [[], 'count'],
    [
      [
        { count: 10_000, bytes: 1 },
        { count: 1, bytes: 2 },
      ],
      'count',
    ],
    [[{ count: 0, bytes: 1 }], 'range'],
    [[{ count: 1, bytes: -1 }], 'range'],
    [[{ count: 1, bytes: 0.5 }], 'range'],
  ])('%o are refused: %s', (given, rule) => {
    expect(refusalOf(() => parts(given))).toMatchObject({ code: 'INVALID', field: 'parts', rule })
  })
})
