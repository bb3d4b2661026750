import { S3, S3Client } from '@aws-sdk/client-s3'
import { describe, expect, test } from 'vitest'
import { markerAt } from '../../src/core/marker.ts'
import type { Provider } from '../../src/core/provider.ts'
import { s3 } from '../../src/providers/s3.ts'
import { sigV4 } from '../../src/providers/s3/sigv4.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { failures, isNoS3, shown } from './s3-failures.ts'
import {
  amazonAt,
  errorOf,
  ofObject,
  putOf,
  type Recorder,
  refuse,
  reply,
  secrets,
  startRecorder,
} from './s3-recorder.ts'

const { signal } = new AbortController()

async function read(provider: Provider, key: string): Promise<string> {
  const found = await provider.get({ key, range: undefined, token: undefined }, signal)
  const chunks: Uint8Array[] = []
  for await (const chunk of found?.body ?? []) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

/** The SDK says in the URL of a GET what it is; ours have no query. */
const isOfSdk = ({ url }: Recorder['requests'][number]): boolean => url.includes('x-id=GetObject')

test("a signature is the one of Amazon's own example", () => {
  // "Example: GET Object" of https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
  const by = { accessKeyId: 'AKIAIOSFODNN7EXAMPLE', secretAccessKey: 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY' }
  const headers = {
    host: 'examplebucket.s3.amazonaws.com',
    range: 'bytes=0-9',
    'x-amz-content-sha256': 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
  }
  const at = new Date(Date.UTC(2013, 4, 24))
  const scope = { region: 'us-east-1', service: 's3' }
  const signed = sigV4()({ method: 'GET', path: '/test.txt', headers }, by, scope, at)
  expect(signed['authorization']).toBe(
    'AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, ' +
      'SignedHeaders=host;range;x-amz-content-sha256;x-amz-date, ' +
      'Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41',
  )
})

test('a driver with its own client reads past the SDK once the SDK has shown the way; what it asks for is the same', async () => {
  const whole = reply(200, ofObject, 'hello')
  const looked = reply(200, { ...ofObject, 'content-length': '5' })
  await using server = await startRecorder((request, response, seen) =>
    (seen.method === 'HEAD' ? looked : whole)(request, response, seen),
  )
  const provider = await amazonAt(server.endpoint)
  for (const key of ['a', "b/ö ü+(!*')&?#%2F"]) {
    const before = server.requests.length
    expect(await read(provider, key)).toBe('hello')
    await provider.head(key, signal)
    await provider.get({ key, range: { start: 0, end: 5 }, token: 'e' }, signal).then(found => found?.close())
    const fresh = await amazonAt(server.endpoint)
    await read(fresh, key)
    const [first, head, ranged, bySdk] = server.requests.slice(before)
    expect([first, head, ranged, bySdk].map(seen => seen !== undefined && isOfSdk(seen))).toEqual([
      key === 'a',
      false,
      false,
      true,
    ])
    expect(head?.method).toBe('HEAD')
    expect(ranged?.headers).toMatchObject({
      range: 'bytes=0-4',
      'if-match': '"e"',
      'x-amz-security-token': 'canary-token',
    })
    expect(ranged?.url).toBe(bySdk?.url.split('?')[0])
    for (const name of ['host', 'user-agent', 'x-amz-content-sha256', 'x-amz-checksum-mode'])
      expect(ranged?.headers[name], name).toBe(bySdk?.headers[name])
    const scopeOf = (text = ''): string | undefined => /Credential=([^,]+)/.exec(text)?.[1]
    expect(scopeOf(ranged?.headers.authorization)).toBe(scopeOf(bySdk?.headers.authorization))
  }
})

test('a call whose signal was aborted before asks for no credentials, whose refusal nobody would hear', async () => {
  await using server = await startRecorder(reply(200, { ...ofObject, 'content-length': '5' }))
  let isOut = false
  const asked: unknown[] = []
  const credentials = async () => {
    asked.push(isOut)
    if (isOut) throw Object.assign(new Error('nobody is there'), { name: 'CredentialsProviderError' })
    return { ...secrets, expiration: new Date(Date.now() + 1_000) }
  }
  const provider = await amazonAt(server.endpoint, { credentials })
  await provider.head('a', signal)
  await provider.head('a', signal)
  isOut = true
  await expect(provider.head('a', AbortSignal.abort(new Error('left')))).rejects.toThrow('left')
  // An unhandled rejection, which fails the run, comes a turn later.
  await new Promise(resolve => setTimeout(resolve, 20))
  expect(asked).not.toContain(true)
})

test.each(['', null])('credentials whose session token is %j have none, by the SDK and past it', async sessionToken => {
  const looked = reply(200, { ...ofObject, 'content-length': '5' })
  await using server = await startRecorder(looked)
  const provider = await amazonAt(server.endpoint, { credentials: { ...secrets, sessionToken } as never })
  await provider.head('a', signal)
  await provider.head('a', signal)
  expect(server.requests.map(({ headers }) => headers['x-amz-security-token'])).toEqual([undefined, undefined])
})

describe('a client that the user brought', () => {
  const config = { region: 'us-east-1', credentials: secrets, forcePathStyle: true }
  type Change = (client: S3Client) => void
  type Middleware = (args: object) => Promise<object>
  /** All that may be done to a client, and that must not be passed by. */
  const changes: Readonly<Record<string, Change>> = {
    'middleware of its own': client => client.middlewareStack.add(next => args => next(args), { step: 'build' }),
    'middleware beside that of the SDK': client =>
      client.middlewareStack.addRelativeTo(((next: Middleware) => next) as never, {
        relation: 'before',
        toMiddleware: 'retryMiddleware',
        name: 'mine',
      }),
    'middleware in the place of that of the SDK': client =>
      client.middlewareStack.add(next => args => next({ ...args }), {
        step: 'build',
        name: 'hostHeaderMiddleware',
        priority: 'low',
        override: true,
      }),
    'middleware taken away': client => client.middlewareStack.remove('recursionDetectionMiddleware'),
    'a send of its own': client => {
      const send = client.send.bind(client) as (...given: unknown[]) => unknown
      Object.assign(client, { send: (...given: unknown[]) => send(...given) })
    },
    'another request handler': client => {
      const { requestHandler } = client.config
      client.config.requestHandler = Object.assign(Object.create(null), {
        handle: requestHandler.handle.bind(requestHandler),
      }) as typeof requestHandler
    },
    'a request handler with a handle of its own': client => {
      const { requestHandler } = client.config
      requestHandler.handle = requestHandler.handle.bind(requestHandler)
    },
    'a signer of its own': client => {
      const { signer } = client.config
      client.config.signer = async scheme => await signer(scheme)
    },
    'a logger': client => {
      client.config.logger = { trace() {}, debug() {}, info() {}, warn() {}, error() {} }
    },
  }

  /** For each of three reads, whether the SDK made the request; before the third something is done to the client. */
  async function madeBySdk(before: Change, between: Change): Promise<boolean[]> {
    await using server = await startRecorder(reply(200, ofObject, 'hello'))
    const given = new S3Client({ ...config, endpoint: server.endpoint })
    before(given)
    const provider = s3({ bucket: 'main', client: given })
    for (let i = 0; i < 4; i++) {
      if (i === 2) between(given)
      expect(await read(provider, 'a')).toBe('hello')
    }
    given.destroy()
    return server.requests.map(isOfSdk)
  }
  const nothing: Change = () => {}

  test('is passed by as well, as long as it is as the SDK made it, once it has shown the way', async () => {
    expect(await madeBySdk(nothing, nothing)).toEqual([true, false, false, false])
  })

  test.each(Object.entries(changes))('with %s is asked itself, each time', async (_what, change) => {
    expect(await madeBySdk(change, nothing)).toEqual([true, true, true, true])
  })

  test.each(Object.entries(changes))('that gets %s later is asked itself from then on', async (_what, change) => {
    expect(await madeBySdk(nothing, change)).toEqual([true, false, true, true])
  })

  test('that is as it was again shows the way anew', async () => {
    await using server = await startRecorder(reply(200, ofObject, 'hello'))
    const given = new S3Client({ ...config, endpoint: server.endpoint })
    const provider = s3({ bucket: 'main', client: given })
    await read(provider, 'a')
    given.middlewareStack.add(next => args => next(args), { step: 'build', name: 'mine' })
    await read(provider, 'a')
    given.middlewareStack.remove('mine')
    for (let i = 0; i < 2; i++) await read(provider, 'a')
    expect(server.requests.map(isOfSdk)).toEqual([true, true, true, false])
    given.destroy()
  })

  test('is itself never changed by that, and its other options are those of its requests', async () => {
    await using server = await startRecorder(reply(200, ofObject, 'hello'))
    const given = new S3({
      ...config,
      endpoint: server.endpoint,
      region: 'eu-west-7',
      customUserAgent: 'app/7',
      maxAttempts: 9,
    })
    const before = given.middlewareStack.identify()
    const provider = s3({ bucket: 'main', client: given })
    for (let i = 0; i < 2; i++) await read(provider, 'a')
    expect(given.middlewareStack.identify()).toEqual(before)
    const [bySdk, direct] = server.requests
    expect([isOfSdk(bySdk as Recorder['requests'][number]), isOfSdk(direct as Recorder['requests'][number])]).toEqual([
      true,
      false,
    ])
    expect(direct?.headers['user-agent']).toBe(bySdk?.headers['user-agent'])
    expect(direct?.headers['user-agent']).toContain('app/7')
    expect(direct?.headers.authorization).toContain('/eu-west-7/s3/aws4_request')
    given.destroy()
  })
})

test('a server that checks signatures takes them, also with a new day, a session and any key', async () => {
  await using cloud = await startLocalS3({ buckets: ['main'] })
  const { id, secret } = cloud.credentials
  const credentials = { accessKeyId: id, secretAccessKey: secret }
  const provider = s3({ bucket: 'main', endpoint: cloud.endpoint, credentials, prefix: 'tenant/ä' })
  for (const key of ['plain', 'sp ace/+plus', 'ünï/ç%20o?d=e&', "q'u(o)t*e!", '~tilde_-.']) {
    await provider.put(putOf(key, key), signal)
    expect(await read(provider, key)).toBe(key)
    expect((await provider.head(key, signal))?.size).toBe(Buffer.byteLength(key))
  }
  expect(await provider.get({ key: 'absent', range: undefined, token: undefined }, signal)).toBeUndefined()
  expect(await provider.head('absent', signal)).toBeUndefined()
})

test('a thousand looks, and a thousand reads, take the one connection that the first took', async () => {
  const whole = reply(200, ofObject, 'hello')
  const looked = reply(200, { ...ofObject, 'content-length': '5' })
  await using server = await startRecorder((request, response, seen) =>
    (seen.method === 'HEAD' ? looked : whole)(request, response, seen),
  )
  const provider = await amazonAt(server.endpoint)
  await read(provider, 'a')
  for (let i = 0; i < 1_000; i++) {
    await provider.head('a', signal)
    await read(provider, 'a')
  }
  expect(server.requests.filter(isOfSdk)).toHaveLength(1)
  expect(server.open()).toBe(1)
})

describe('what goes wrong is judged as what the SDK throws', () => {
  test.each(Object.entries(failures))('%s', async (name, failure) => {
    await using server = await startRecorder(reply(200, ofObject, 'hello'))
    const known = await amazonAt(server.endpoint)
    await read(known, 'a')
    const fresh = await amazonAt(server.endpoint)
    server.answer = failure
    const before = server.requests.length
    const direct = await errorOf(read(known, 'a'))
    const asked = server.requests.slice(before)
    const bySdk = await errorOf(read(fresh, 'a'))
    expect(asked.length).toBeGreaterThan(0)
    expect(isOfSdk(asked[0] as Recorder['requests'][number])).toBe(false)
    expect(server.requests.length - before - asked.length, 'as many requests').toBe(asked.length)
    // What is no answer of S3 is told in the words of whoever tried to read it.
    const more = isNoS3.has(name) ? { message: expect.any(String) } : {}
    expect(shown(direct)).toEqual({ ...shown(bySdk), ...more })
  })

  test('after a wrong clock the SDK is asked, which sets it right (S5)', async () => {
    await using server = await startRecorder(reply(200, ofObject, 'hello'))
    const provider = await amazonAt(server.endpoint)
    await read(provider, 'a')
    server.answer = refuse(403, 'RequestTimeTooSkewed')
    await errorOf(read(provider, 'a'))
    server.answer = reply(200, ofObject, 'hello')
    const before = server.requests.length
    await read(provider, 'a')
    await read(provider, 'a')
    expect(server.requests.slice(before).map(isOfSdk)).toEqual([true, false])
  })

  test('an abort before the answer rejects with its reason and lets go of the connection', async () => {
    await using server = await startRecorder(reply(200, ofObject, 'hello'))
    const provider = await amazonAt(server.endpoint)
    await read(provider, 'a')
    server.answer = () => new Promise(() => {})
    const reason = new Error('enough')
    const asked = provider.get(
      { key: 'a', range: undefined, token: undefined },
      AbortSignal.any([AbortSignal.timeout(50)]),
    )
    await expect(asked).rejects.toMatchObject({ name: 'TimeoutError' })
    await expect(provider.head('a', AbortSignal.abort(reason))).rejects.toBe(reason)
    await expect.poll(() => server.open()).toBeLessThanOrEqual(1)
  })
})

test('that a key has no marker of a delete is one request, and no question after the bucket', async () => {
  const whole = reply(200, ofObject, 'hello')
  const missing = refuse(404, 'NoSuchKey')
  await using server = await startRecorder((request, response, seen) =>
    (seen.url.includes('deleted') ? missing : whole)(request, response, seen),
  )
  const provider = await amazonAt(server.endpoint)
  await read(provider, 'a')
  const before = server.requests.length
  expect(await markerAt(provider, 'k', signal)).toBeUndefined()
  expect(server.requests.slice(before).map(({ method }) => method)).toEqual(['GET'])
})
