import { afterEach, describe, expect, test, vi } from 'vitest'
import { Storage } from '@google-cloud/storage'
import { HoldfastError } from '../../src/core/errors.ts'
import { gcs, type GcsOptions } from '../../src/providers/gcs.ts'
import { patient } from './gcs-support.ts'

function refused(options: unknown): HoldfastError {
  try {
    gcs(options as GcsOptions)
  } catch (error) {
    if (error instanceof HoldfastError) return error
    throw error
  }
  throw new Error('taken, where a refusal was due')
}

const bucket = 'my-bucket'
const client = new Storage({ apiEndpoint: 'https://storage.example', projectId: 'x' })

afterEach(() => vi.unstubAllEnvs())

describe('options', () => {
  test('a bucket is enough; name and place follow from it', () => {
    const plain = gcs({ bucket })
    expect([plain.name, plain.kind, plain.location]).toEqual([
      'gcs:my-bucket',
      'gcs',
      'gcs://storage.googleapis.com/my-bucket',
    ])
    const under = gcs({ bucket, prefix: 'photos/', apiEndpoint: 'http://127.0.0.1:4443' })
    expect([under.name, under.location]).toEqual(['gcs:my-bucket/photos/', 'gcs://127.0.0.1:4443/my-bucket/photos/'])
    expect(gcs({ bucket, name: 'backup' }).name).toBe('backup')
    expect(gcs({ bucket, client }).location).toBe('gcs://storage.example/my-bucket')
    expect(plain.capabilities).toMatchObject({ createIfAbsent: true, deleteIf: true, uniqueTokens: true, sign: true })
  })

  test('making one sends nothing and reads no file', () => {
    expect(() => gcs({ bucket, keyFilename: '/no/such/file.json' })).not.toThrow()
    expect(() => gcs({ bucket, apiEndpoint: 'https://no-such-host.invalid' })).not.toThrow()
  })

  test.each([
    [{ bucket, buckets: 'x' }, 'options', 'unknown', 'did you mean bucket?'],
    [{ bucket, keyFileName: 'x' }, 'options', 'unknown', 'did you mean keyFilename?'],
    [{ bucket, credential: {} }, 'options', 'unknown', 'did you mean credentials?'],
    [{ bucket, zone: 1 }, 'options', 'unknown', 'there are: bucket,'],
    [{ bucket: '' }, 'bucket', 'name', '3 to 222'],
    [{ bucket: 'a/b' }, 'bucket', 'name', '3 to 222'],
    [{ bucket: '..' }, 'bucket', 'name', '3 to 222'],
    [{ bucket: 'Upper' }, 'bucket', 'name', '3 to 222'],
    [{ bucket, partSize: 300_000 }, 'partSize', 'range', 'a multiple of 262144'],
    [{ bucket, partSize: 0 }, 'partSize', 'range', '262144 to'],
    [{ bucket, partSize: Number.NaN }, 'partSize', 'range', ''],
    [{ bucket, multipartThreshold: -1 }, 'multipartThreshold', 'range', '0 to'],
    [{ bucket, multipartThreshold: 1.5 }, 'multipartThreshold', 'range', ''],
    [{ bucket, client, apiEndpoint: 'https://x.example' }, 'apiEndpoint', 'client', 'client or apiEndpoint'],
    [{ bucket, client, keyFilename: '/x' }, 'keyFilename', 'client', 'client or keyFilename'],
    [{ bucket, client: {} }, 'client', 'type', 'not a Storage'],
    [{ bucket, keyFilename: '/x', credentials: {} }, 'credentials', 'several', 'one of'],
    [{ bucket, credentials: { client_email: 'x' } }, 'credentials', 'half', 'both'],
    [{ bucket, prefix: '/x' }, 'prefix', 'slash', 'begins with'],
    [{ bucket, apiEndpoint: 'storage.example' }, 'apiEndpoint', 'url', 'not an http(s) URL'],
    [{ bucket, apiEndpoint: 'file:///etc/passwd' }, 'apiEndpoint', 'url', 'not an http(s) URL'],
    [{ bucket, apiEndpoint: 'gopher://x' }, 'apiEndpoint', 'url', 'not an http(s) URL'],
    [{ bucket, apiEndpoint: 'https://user:secret@x.example' }, 'apiEndpoint', 'userinfo', 'apart'],
    [{ bucket, apiEndpoint: 'https://x.example/storage' }, 'apiEndpoint', 'path', 'has a path'],
    [{ bucket, apiEndpoint: 'https://x.example?a=b' }, 'apiEndpoint', 'path', 'has a path'],
    [{ bucket, apiEndpoint: 'http://x.example' }, 'apiEndpoint', 'insecure', 'allowInsecure'],
    [{ bucket, apiEndpoint: 'http://169.254.169.254' }, 'apiEndpoint', 'forbidden', 'link-local'],
    [{ bucket, apiEndpoint: 'https://[fd00:ec2::254]' }, 'apiEndpoint', 'forbidden', 'link-local'],
    [{ bucket, apiEndpoint: 'https://[fe80::1]' }, 'apiEndpoint', 'forbidden', 'link-local'],
    [{ bucket, apiEndpoint: 'https://[::ffff:169.254.169.254]' }, 'apiEndpoint', 'forbidden', 'link-local'],
    [{ bucket, apiEndpoint: 'https://metadata.google.internal' }, 'apiEndpoint', 'forbidden', 'link-local'],
  ])('%j is refused, naming option and rule', (options, field, rule, words) => {
    const error = refused(options)
    expect([error.code, error.field, error.rule]).toEqual(['INVALID', field, rule])
    expect(error.message).toContain(words)
    expect(error.message).not.toContain('secret')
  })

  test.each([
    [{}],
    [undefined],
    [{ bucket: 7 }],
    [{ bucket, client: 'x' }],
    [{ bucket, client: null }],
    [{ bucket, partSize: '8' }],
    [{ bucket, allowInsecure: 'yes' }],
    [{ bucket, prefix: 3 }],
  ])('%j has a wrong type', options => {
    expect(() => gcs(options as GcsOptions)).toThrow(TypeError)
  })

  test('an unencrypted endpoint is taken on this machine, and elsewhere when that is said', () => {
    for (const apiEndpoint of ['http://127.0.0.1:1', 'http://localhost:1', 'http://[::1]:1'])
      gcs({ bucket, apiEndpoint })
    gcs({ bucket, apiEndpoint: 'http://gcs.internal:4443', allowInsecure: true })
    const insecure = new Storage({ apiEndpoint: 'http://gcs.internal:4443' })
    expect(refused({ bucket, client: insecure }).rule).toBe('insecure')
    vi.stubEnv('STORAGE_EMULATOR_HOST', 'http://gcs.internal:4443')
    expect(refused({ bucket }).rule).toBe('insecure')
  })
})

describe('keys', () => {
  const { refuseKey, limits } = gcs({ bucket })

  test.each([
    ['a\nb', 'control', 1],
    ['a\r', 'control', 1],
    ['\0', 'control', 0],
    ['a\u007f', 'control', 1],
    ['\u0085', 'control', 0],
    ['x\uffff', 'control', 1],
    ['.', 'segment', 0],
    ['..', 'segment', 0],
    ['.well-known/acme-challenge/x', 'reserved', 0],
    ['\ud800', 'unicode', 0],
    ['x'.repeat(1025), 'length', undefined],
    ['é'.repeat(513), 'length', undefined],
    ['', 'length', undefined],
  ])('%j is refused as %s', (key, rule, index) => {
    expect(refuseKey(key)).toMatchObject({ rule, ...(index === undefined ? {} : { index }) })
  })

  test.each(['a/../b', './x', '../x', 'a//b', '/a', 'a/', '%2e%2e', '.well-known/x', '\u2028', 'é'.repeat(512)])(
    '%j is taken',
    key => {
      expect(refuseKey(key)).toBe(undefined)
    },
  )

  test('metadata of any text is held as it is, an empty value is not', () => {
    expect(limits.metadata.holds('x-y', ' é日本 ')).toBe(true)
    expect(limits.metadata.holds('a', '')).toBe(false)
  })

  test('a key that URLs fold is not signed', async () => {
    const request = { method: 'GET', expiresInSeconds: 60, contentType: undefined } as const
    const sign = gcs({ bucket }).sign(
      { ...request, key: 'a/../b', contentDisposition: undefined, createOnly: false },
      patient(),
    )
    await expect(sign).rejects.toMatchObject({ code: 'UNSUPPORTED', key: 'a/../b' })
  })
})
