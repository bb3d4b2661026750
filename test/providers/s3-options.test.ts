import { lookup } from 'node:dns/promises'
import { S3, S3Client } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { packedName } from '../../src/core/attributes.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import { hasSdk, loadSdk } from '../../src/core/sdk.ts'
import { s3, type S3Options } from '../../src/providers/s3.ts'
import { guardedLookup } from '../../src/providers/endpoint.ts'
import { errorOf, listing, putOf, reply, secrets, startRecorder } from './s3-recorder.ts'

const { signal } = new AbortController()
const bucket = 'photos'

function thrown(run: () => unknown): unknown {
  try {
    run()
  } catch (error) {
    return error
  }
  throw new Error('nothing was thrown')
}

const client = (): S3Client => new S3Client({ region: 'us-east-1', credentials: secrets })

describe('options', () => {
  const invalid: readonly [string, string, object][] = [
    ['options', 'unknown', { bucket, buckt: 'x' }],
    ['options', 'unknown', { bucket, multipartTreshold: 1 }],
    ['options', 'unknown', { bucket, secretAccessKey: 'x' }],
    ['bucket', 'name', { bucket: '' }],
    ['bucket', 'name', { bucket: 'a' }],
    ['bucket', 'name', { bucket: 'a/b' }],
    ['bucket', 'name', { bucket: '../x' }],
    ['bucket', 'name', { bucket: 'a b' }],
    ['bucket', 'name', { bucket: 'arn:aws:iam::1:role/x' }],
    ['bucket', 'directory', { bucket: 'fast--use1-az4--x-s3' }],
    ['region', 'empty', { bucket, region: '' }],
    ['region', 'name', { bucket, region: 'us east' }],
    ['region', 'name', { bucket, region: 'x@evil.example/' }],
    ['credentials', 'half', { bucket, credentials: { accessKeyId: 'a' } }],
    ['credentials', 'half', { bucket, credentials: { accessKeyId: 'a', secretAccessKey: '' } }],
    ['partSize', 'range', { bucket, partSize: 5 * 2 ** 20 - 1 }],
    ['partSize', 'range', { bucket, partSize: 5 * 2 ** 30 + 1 }],
    ['partSize', 'range', { bucket, partSize: Number.NaN }],
    ['multipartThreshold', 'range', { bucket, multipartThreshold: -1 }],
    ['multipartThreshold', 'range', { bucket, multipartThreshold: 1.5 }],
    ['multipartThreshold', 'range', { bucket, multipartThreshold: 6 * 2 ** 30 }],
    ['preset', 'unknown', { bucket, preset: 'aw' }],
    ['preset', 'unknown', { bucket, preset: 'constructor' }],
    ['transport', 'unknown', { bucket, transport: 'fast' }],
    ['transport', 'unknown', { bucket, transport: '' }],
    ['account', 'missing', { bucket, preset: 'r2' }],
    ['region', 'missing', { bucket, preset: 'b2' }],
    ['endpoint', 'missing', { bucket, preset: 'minio' }],
    ['endpoint', 'url', { bucket, endpoint: 's3.example.com' }],
    ['endpoint', 'url', { bucket, endpoint: 'file:///etc/passwd' }],
    ['endpoint', 'url', { bucket, endpoint: 'gopher://x' }],
    ['endpoint', 'userinfo', { bucket, endpoint: 'https://user:hunter2@s3.example.com' }],
    ['endpoint', 'path', { bucket, endpoint: 'https://s3.example.com/photos' }],
    ['endpoint', 'path', { bucket, endpoint: 'https://s3.example.com/?x=1' }],
    ['endpoint', 'path', { bucket, endpoint: 'https://s3.example.com/#x' }],
    ['endpoint', 'insecure', { bucket, endpoint: 'http://s3.example.com' }],
    ['endpoint', 'insecure', { bucket, endpoint: 'http://10.0.0.1' }],
    ['endpoint', 'insecure', { bucket, endpoint: 'http://localhost.example.com' }],
    ['endpoint', 'insecure', { bucket, endpoint: 'http://127.0.0.1.example.com' }],
    ['endpoint', 'forbidden', { bucket, endpoint: 'http://169.254.169.254', allowInsecure: true }],
    ['endpoint', 'forbidden', { bucket, endpoint: 'http://2852039166', allowInsecure: true }],
    ['endpoint', 'forbidden', { bucket, endpoint: 'http://0xa9.0xfe.0xa9.0xfe', allowInsecure: true }],
    ['endpoint', 'forbidden', { bucket, endpoint: 'https://[fd00:ec2::254]' }],
    ['endpoint', 'forbidden', { bucket, endpoint: 'https://[fe80::1]' }],
    ['endpoint', 'forbidden', { bucket, endpoint: 'https://[::ffff:169.254.169.254]' }],
    ['endpoint', 'forbidden', { bucket, endpoint: 'https://metadata.google.internal' }],
    ['region', 'client', { bucket, client: client(), region: 'us-east-1' }],
    ['endpoint', 'client', { bucket, client: client(), endpoint: 'https://s3.example.com' }],
    ['credentials', 'client', { bucket, client: client(), credentials: secrets }],
    ['forcePathStyle', 'client', { bucket, client: client(), forcePathStyle: true }],
    ['client', 'type', { bucket, client: {} }],
    ['service', 'client', { bucket, service: 'x' }],
    ['prefix', 'slash', { bucket, prefix: '/a' }],
    ['prefix', 'reserved', { bucket, prefix: '.holdfast/' }],
  ]
  test.each(invalid)('%s breaks the rule %s in %j', (field, rule, options) => {
    const error = thrown(() => s3(options as unknown as S3Options))
    expect(error).toBeInstanceOf(HoldfastError)
    expect(error).toMatchObject({ code: 'INVALID', field, rule, outcome: 'rejected', retryable: false })
    expect(String(error)).not.toContain('hunter2')
  })

  test.each([
    [undefined],
    [null],
    ['photos'],
    [{}],
    [{ bucket: 7 }],
    [{ bucket, region: 7 }],
    [{ bucket, credentials: 'x' }],
    [{ bucket, partSize: '8' }],
    [{ bucket, allowInsecure: 'yes' }],
    [{ bucket, client: null }],
  ])('%j is of the wrong type', options => {
    expect(thrown(() => s3(options as unknown as S3Options))).toBeInstanceOf(TypeError)
  })

  test('a name that is nearly right is recognised', () => {
    for (const [wrong, right] of [
      ['buckt', 'bucket'],
      ['endpont', 'endpoint'],
      ['regoin', 'region'],
      ['credential', 'credentials'],
      ['Prefix', 'prefix'],
      ['multipartThresold', 'multipartThreshold'],
    ] as const) {
      expect(String(thrown(() => s3({ bucket, [wrong]: 'x' } as unknown as S3Options)))).toContain(
        `did you mean ${right}?`,
      )
    }
  })

  test('endpoints that are meant are taken', () => {
    for (const options of [
      { endpoint: 'http://127.0.0.1:9000' },
      { endpoint: 'http://localhost:9000/' },
      { endpoint: 'http://[::1]:9000' },
      { endpoint: 'http://minio.lan:9000', allowInsecure: true },
      { endpoint: 'https://10.0.0.1' },
      { endpoint: 'https://169.254.10.1', allowLinkLocal: true },
    ]) {
      expect(s3({ bucket, ...options }).kind).toBe('s3')
    }
  })
})

describe('a provider', () => {
  test('is named by its bucket and prefix, and says where it is without secrets (I42)', () => {
    const at = (options: Partial<S3Options>): [string, string] => {
      const { name, location } = s3({ bucket, ...options })
      return [name, location]
    }
    expect(at({ region: 'eu-west-1' })).toEqual(['s3:photos', 's3://s3.amazonaws.com/photos'])
    expect(at({ prefix: 'a/b/' })).toEqual(['s3:photos/a/b/', 's3://s3.amazonaws.com/photos/a/b/'])
    expect(at({ name: 'main', prefix: 'a/' })).toEqual(['main', 's3://s3.amazonaws.com/photos/a/'])
    expect(at({ preset: 'b2', region: 'us-west-004' })).toEqual([
      's3:photos',
      's3://s3.us-west-004.backblazeb2.com/photos',
    ])
    expect(at({ preset: 'r2', account: 'abc123' })).toEqual([
      's3:photos',
      's3://abc123.r2.cloudflarestorage.com/photos',
    ])
    expect(at({ endpoint: 'http://127.0.0.1:9000' })).toEqual(['s3:photos', 's3://127.0.0.1:9000/photos'])
    expect(at({ client: client() })).toEqual(['s3:photos', 's3://s3.amazonaws.com/photos'])
    const own = new S3Client({ region: 'x', endpoint: 'http://127.0.0.1:9000' })
    expect(at({ client: own })).toEqual(['s3:photos', 's3://client/photos'])
    expect(at({ client: own, preset: 'ceph' })).toEqual(['s3:photos', 's3://ceph/photos'])
    expect(at({ client: own, service: 'rack-2' })).toEqual(['s3:photos', 's3://rack-2/photos'])
    expect(at({ client: new S3({ region: 'x' }) })).toEqual(['s3:photos', 's3://s3.amazonaws.com/photos'])
  })

  test('of Amazon needs not ask what it can; any other knows nothing before it has (S14)', async () => {
    const amazon = s3({ bucket, region: 'us-east-1', credentials: secrets })
    expect(amazon.capabilities).toMatchObject({
      createIfAbsent: true,
      replaceIf: true,
      deleteIf: true,
      readIf: true,
      uniqueTokens: false,
    })
    expect(await amazon.learn(undefined, signal)).toEqual(amazon.capabilities)
    const other = s3({ bucket, endpoint: 'http://127.0.0.1:1', credentials: secrets })
    expect(other.capabilities).toMatchObject({
      createIfAbsent: false,
      replaceIf: false,
      deleteIf: false,
      readIf: false,
      attests: [],
    })
    const error = await errorOf(other.learn(undefined, signal))
    expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK' })
    // What Amazon is believed is not believed of what stands in for it.
    const given = s3({
      bucket,
      client: new S3Client({ region: 'x', endpoint: 'http://127.0.0.1:1', credentials: secrets }),
    })
    expect(given.capabilities.createIfAbsent).toBe(false)
  })

  test('believes what was remembered only if it was an answer to the questions of today (S14)', async () => {
    const server = await startRecorder(listing([]))
    const amazon = s3({ bucket, region: 'us-east-1', credentials: secrets }).capabilities
    const provider = s3({ bucket, endpoint: server.endpoint, credentials: secrets })
    await provider.learn(amazon, signal)
    expect(server.requests).toHaveLength(0)
    await errorOf(provider.learn({ ...amazon, quirks: { ...amazon.quirks, asked: '0' } }, signal))
    expect(server.requests.length).toBeGreaterThan(0)
    await server[Symbol.asyncDispose]()
  })

  test('of Backblaze never sees a checksum header (S15)', async () => {
    const server = await startRecorder(reply(400, {}))
    const provider = s3({
      bucket,
      preset: 'b2',
      endpoint: server.endpoint,
      region: 'us-west-004',
      credentials: secrets,
    })
    await errorOf(provider.learn(undefined, signal))
    await errorOf(provider.put(putOf('k', 'body'), signal))
    for (const { headers } of server.requests) expect(Object.keys(headers).join()).not.toContain('checksum')
    await server[Symbol.asyncDispose]()
  })

  test('asks where the prefix lets it', async () => {
    const server = await startRecorder(reply(403, {}))
    const provider = s3({ bucket, prefix: 'mine/', endpoint: server.endpoint, credentials: secrets })
    await errorOf(provider.learn(undefined, signal))
    expect(server.requests[0]?.url).toMatch(/^\/photos\/mine\/\.holdfast\/probe\//)
    await server[Symbol.asyncDispose]()
  })
})

describe('keys', () => {
  const provider = s3({ bucket, region: 'us-east-1' })
  const rule = (key: string): string | undefined => provider.refuseKey(key)?.rule

  test('are taken as they are, slashes and all', () => {
    const kept = [
      '/lead',
      'a//b',
      '//',
      '/',
      'trail/',
      ' ',
      '%2e%2e/x',
      'a\\..\\b',
      'x.',
      '..a',
      '.hidden',
      '\u007f',
      '\u0085',
      '\ud83d\ude00',
      'é'.repeat(512),
      '.holdfast/identity',
    ]
    for (const key of kept) expect(rule(key), key).toBeUndefined()
  })

  test.each([
    ['', 'length', undefined],
    ['é'.repeat(513), 'length', undefined],
    ['\ud800', 'unicode', 0],
    ['a\u0000', 'control', 1],
    ['a\nb', 'control', 1],
    ['\u001f', 'control', 0],
    ['x\ufffe', 'control', 1],
    ['x\uffff', 'control', 1],
    ['.', 'segment', 0],
    ['a/../b', 'segment', 2],
    ['./a', 'segment', 0],
    ['a/..', 'segment', 2],
    ['soap', 'reserved', undefined],
  ])('%j is refused by the rule %s', (key, expected, index) => {
    expect(provider.refuseKey(key)).toMatchObject({ rule: expected, message: expect.any(String) })
    expect(provider.refuseKey(key)?.index).toBe(index)
  })

  test('"soap" is a key like any other where the bucket is in the path, or a prefix before it', () => {
    expect(s3({ bucket, endpoint: 'http://127.0.0.1:1' }).refuseKey('soap')).toBeUndefined()
    expect(s3({ bucket, prefix: 'a/' }).refuseKey('soap')).toBeUndefined()
  })
})

test('metadata is held as it is where every service gives it back, else encoded', () => {
  const { metadata } = s3({ bucket, region: 'us-east-1' }).limits
  const careful = s3({ bucket, endpoint: 'http://127.0.0.1:1' }).limits.metadata
  for (const limits of [metadata, careful]) {
    for (const value of ['x', 'a b', '%41', '"q"', 'a,b;c=d', '<x>&amp;'])
      expect(limits.holds('name', value), value).toBe(true)
    for (const value of ['', ' x', 'x ', 'a  b', 'é', '=?UTF-8?Q?x?=', 'a\tb', '\u007f'])
      expect(limits.holds('name', value), value).toBe(false)
    for (const name of ['a', 'x-y', '1st', packedName]) expect(limits.holds(name, 'x'), name).toBe(true)
    for (const name of ['a.b', '-a', '_a', 'é', 'a b', '']) expect(limits.holds(name, 'x'), name).toBe(false)
  }
  expect([metadata.holds('user_id', 'x'), careful.holds('user_id', 'x')]).toEqual([true, false])
})

test('an SDK that is missing is told from one that is broken', () => {
  expect(hasSdk('@aws-sdk/client-s3')).toBe(true)
  expect(hasSdk('@aws-sdk/client-nothing')).toBe(false)
  expect(thrown(() => loadSdk('@aws-sdk/client-nothing', 'holdfast/nothing'))).toMatchObject({
    code: 'UNSUPPORTED',
    field: 'sdk',
    rule: 'missing',
    message: expect.stringContaining('npm install @aws-sdk/client-nothing'),
  })
  expect(loadSdk<{ S3Client: unknown }>('@aws-sdk/client-s3', 'holdfast/s3').S3Client).toBe(S3Client)
})

test('a name that leads to the link is not connected to (I46, X3)', async () => {
  const asked = new Promise<unknown>(resolve => guardedLookup('169.254.169.254', { all: true }, resolve))
  expect(await asked).toMatchObject({ syscall: 'connect' })
  const local = new Promise<unknown>((resolve, reject) =>
    guardedLookup('localhost', {}, (error, address) => (error === null ? resolve(address) : reject(error))),
  )
  expect(await local).toBe((await lookup('localhost')).address)
})
