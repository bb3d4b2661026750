import type { IncomingHttpHeaders } from 'node:http'
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3'
import * as fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { digestsOf, hexToBase64 } from '../../src/core/digest.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import type { Source } from '../../src/core/source.ts'
import { s3 } from '../../src/providers/s3.ts'
import {
  all,
  amazonAt,
  errorOf,
  everything,
  listing,
  named,
  ofObject,
  putOf,
  type Recorder,
  refuse,
  reply,
  secrets,
  slowSource,
  startRecorder,
  whole,
} from './s3-recorder.ts'

let server: Recorder
const { signal } = new AbortController()
const consoleCalls: unknown[][] = []

beforeEach(async () => {
  server = await startRecorder(reply(200, ofObject))
  for (const name of ['log', 'warn', 'error', 'info', 'debug'] as const) {
    vi.spyOn(console, name).mockImplementation((...args) => void consoleCalls.push(args))
  }
})

afterEach(async () => {
  vi.restoreAllMocks()
  await server[Symbol.asyncDispose]()
  expect(consoleCalls.splice(0), 'nothing on the console').toEqual([])
})

/** As an app has it: checksums, retries, redirects and "100 Continue" as the SDK likes them. */
function userClient(): S3Client {
  return new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: secrets,
    requestChecksumCalculation: 'WHEN_SUPPORTED',
    responseChecksumValidation: 'WHEN_SUPPORTED',
    followRegionRedirects: true,
    maxAttempts: 5,
    expectContinueHeader: true,
  })
}

async function givenAmazon(): Promise<Provider> {
  const provider = s3({ bucket: 'main', client: userClient() })
  await provider.learn((await amazonAt(server.endpoint)).capabilities, signal)
  return provider
}

/** Once it has shown the way: the rest of its requests go past the SDK. */
async function learnt(provider: Provider): Promise<Provider> {
  const { answer } = server
  server.answer = reply(200, { ...ofObject, connection: 'close' })
  await provider.put(putOf('first', 'hello'), signal)
  await vi.waitFor(() => expect(server.open()).toBe(0))
  server.requests.length = 0
  server.answer = answer
  return provider
}

/** The same with a client of our own, and with one that the user brought, through the SDK and past it. */
const ways: readonly [string, () => Promise<Provider>][] = [
  ['its own client', () => amazonAt(server.endpoint)],
  ['its own client, past the SDK', async () => await learnt(await amazonAt(server.endpoint))],
  ["the user's client, past the SDK", async () => await learnt(await givenAmazon())],
  ["the user's client", givenAmazon],
]

describe.each(ways)('with %s', (name, open) => {
  test('a small put is one plain request with every digest that the service can check', async () => {
    const body = 'hello'
    const { md5, crc32c } = digestsOf(Buffer.from(body))
    const provider = await open()
    server.answer = reply(200, { ...named, etag: `"${md5}"` })
    const result = await provider.put(
      putOf('a/b c', body, {
        metadata: { holdfast: '1;x', holdfast_meta: 'abc', user_id: '7' },
        headers: { contentType: 'text/plain', cacheControl: 'no-store', contentEncoding: 'gzip' },
        condition: { absent: true },
      }),
      signal,
    )
    expect(result).toEqual({ token: md5, etag: md5, proof: 'server-full', serverTime: Date.parse(named.date) })
    expect(server.requests).toHaveLength(1)
    const [seen] = server.requests
    expect(seen?.method).toBe('PUT')
    expect(seen?.url).toBe(`/main/a/b%20c${name.includes('past') ? '' : '?x-id=PutObject'}`)
    expect(seen?.body?.toString()).toBe(body)
    expect(seen?.headers).toMatchObject({
      'content-length': '5',
      'content-md5': hexToBase64(md5),
      'x-amz-checksum-crc32c': hexToBase64(crc32c),
      'content-type': 'text/plain',
      'cache-control': 'no-store',
      'content-encoding': 'gzip',
      'if-none-match': '*',
      'x-amz-meta-holdfast': '1;x',
      'x-amz-meta-holdfast_meta': 'abc',
      'x-amz-meta-user_id': '7',
    })
    plain(seen?.headers)
    for (const name of ['if-none-match', 'content-md5', 'x-amz-checksum-crc32c']) {
      expect(seen?.headers.authorization, `${name} is signed`).toContain(name)
    }
  })

  test('a streamed put has its length, no framing and no trailer, and waits for nothing', async () => {
    const bytes = new Uint8Array(3_000_000).fill(7)
    const { md5 } = digestsOf(bytes)
    const provider = await open()
    server.answer = reply(200, { ...named, etag: `"${md5}"` })
    await provider.put(putOf('big', bytes), signal)
    const [seen] = server.requests
    expect(seen?.headers['content-length']).toBe('3000000')
    expect(seen?.headers['x-amz-content-sha256']).toBe('UNSIGNED-PAYLOAD')
    expect(seen?.body?.equals(bytes)).toBe(true)
    plain(seen?.headers)
  })

  test('one call is one request, whatever is answered (S1, I29)', async () => {
    const provider = await open()
    const failures = [
      refuse(503, 'SlowDown'),
      refuse(500, 'InternalError'),
      reply(502, {}, '<html>'),
      refuse(400, 'RequestTimeout'),
    ]
    for (const failure of failures) {
      server.answer = failure
      const body = new Uint8Array(2_000_000)
      for (const call of [
        () => provider.put(putOf('k', 'small'), signal),
        () => provider.put(putOf('k', body), signal),
        () => provider.get(whole('k'), signal),
        () => provider.delete('k', undefined, signal),
        () => all(provider.list(everything, signal)),
      ]) {
        server.requests.length = 0
        await errorOf(call())
        expect(server.requests).toHaveLength(1)
      }
    }
  })

  test('a 200 that does not come from S3 is not believed (S2, N12)', async () => {
    const provider = await open()
    const html = '<html><body>Please log in to the hotel network</body></html>'
    const portals = [
      reply(200, { 'content-type': 'text/html' }, html),
      reply(200, {}, ''),
      reply(204),
      reply(200, { etag: '"0123456789abcdef"', server: 'nginx' }, html),
    ]
    for (const portal of portals) {
      server.answer = portal
      for (const call of [
        () => provider.put(putOf('k', 'body'), signal),
        () => provider.head('k', signal),
        () => provider.get(whole('k'), signal),
        () => provider.delete('k', undefined, signal),
        () => all(provider.list(everything, signal)),
        () => provider.learn(undefined, signal),
      ]) {
        expect(await errorOf(call())).toMatchObject({ code: 'UNAVAILABLE', reason: 'NOT_PROVIDER', retryable: true })
      }
    }
    // With a request id, and still no listing.
    server.answer = reply(200, named, html)
    expect(await errorOf(all(provider.list(everything, signal)))).toMatchObject({ reason: 'NOT_PROVIDER' })
  })

  test('redirects are not followed: what is signed for here goes nowhere else (S9, N12, X4, I46)', async () => {
    const other = await startRecorder(reply(200, ofObject))
    const provider = await open()
    try {
      for (const status of [301, 302, 303, 307, 308]) {
        for (const answer of [
          reply(status, { location: `${other.endpoint}/main/k` }, '<html>moved</html>'),
          refuse(status, 'PermanentRedirect', {
            location: `${other.endpoint}/main/k`,
            'x-amz-bucket-region': 'eu-west-1',
          }),
        ]) {
          server.answer = answer
          for (const call of [
            () => provider.put(putOf('k', 'body'), signal),
            () => provider.head('k', signal),
            () => provider.get(whole('k'), signal),
            () => provider.delete('k', undefined, signal),
            () => all(provider.list(everything, signal)),
          ]) {
            server.requests.length = 0
            const error = await errorOf(call())
            expect(['NOT_PROVIDER', 'REGION']).toContain((error as { reason: string }).reason)
            expect(server.requests).toHaveLength(1)
          }
        }
      }
      const error = await errorOf(provider.get(whole('k'), signal))
      expect(error).toMatchObject({ code: 'DENIED', reason: 'REGION' })
      expect(String(error)).toContain('eu-west-1')
      expect(other.requests).toEqual([])
    } finally {
      await other[Symbol.asyncDispose]()
    }
  })

  test('a hanging service is left at once when the signal aborts, with its connection (N2)', async () => {
    const provider = await open()
    server.answer = request => request.resume()
    const body = new Uint8Array(5_000_000)
    for (const call of [
      (stop: AbortSignal) => provider.put(putOf('k', 'body'), stop),
      (stop: AbortSignal) => provider.put(putOf('k', body), stop),
      (stop: AbortSignal) => provider.head('k', stop),
      (stop: AbortSignal) => provider.get(whole('k'), stop),
      (stop: AbortSignal) => provider.delete('k', undefined, stop),
      (stop: AbortSignal) => all(provider.list(everything, stop)),
      (stop: AbortSignal) => provider.learn(undefined, stop),
    ]) {
      const stop = new AbortController()
      const reason = new Error('enough')
      const running = errorOf(call(stop.signal))
      await vi.waitFor(() => expect(server.open()).toBe(1))
      const begun = performance.now()
      stop.abort(reason)
      expect(await running).toBe(reason)
      expect(performance.now() - begun).toBeLessThan(200)
      await vi.waitFor(() => expect(server.open()).toBe(0))
    }
  })

  test('an answer before all of the body was sent is an answer; the connection is not left open (N4)', async () => {
    const provider = await open()
    // Its second half takes longer than anybody waits.
    const source = slowSource(4_000_000, at => (at > 2_000_000 ? 1_000 : 0))
    server.answer = (request, response) => {
      request.once('data', () => {
        response.writeHead(403, { ...named, 'content-type': 'application/xml' })
        response.end('<Error><Code>AccessDenied</Code><Message>no</Message></Error>')
      })
    }
    const error = await errorOf(provider.put({ ...putOf('k', ''), source }, signal))
    expect(error).toMatchObject({ code: 'DENIED', reason: 'FORBIDDEN', outcome: 'rejected' })
    await vi.waitFor(() => expect(server.open()).toBe(0))

    server.answer = (request, response) => {
      request.once('data', () => {
        response.writeHead(200, { ...ofObject })
        response.end()
      })
    }
    expect(await errorOf(provider.put({ ...putOf('k', ''), source }, signal))).toMatchObject({
      code: 'UNAVAILABLE',
      outcome: 'unknown',
    })
    await vi.waitFor(() => expect(server.open()).toBe(0))
  })

  test('connections are used again', async () => {
    const provider = await open()
    server.answer = reply(404, { ...named, 'x-amz-bucket-region': 'x' })
    await errorOf(provider.get(whole('k'), signal))
    server.answer = reply(200, { ...ofObject, 'content-length': '5' }, 'hello')
    const ports = new Set<number | undefined>()
    const inner = server.answer
    server.answer = (request, response, seen) => {
      ports.add(request.socket.remotePort)
      return inner(request, response, seen)
    }
    for (let i = 0; i < 10; i++) {
      const found = await provider.get(whole('k'), signal)
      for await (const chunk of found?.body ?? []) expect(chunk.byteLength).toBe(5)
      await provider.put(putOf('k', 'hello'), signal)
    }
    expect(ports.size).toBe(1)
  })
})

test('a client whose connections are made by fetch works too', async () => {
  const client = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: secrets,
    requestHandler: onFetch,
  })
  const provider = s3({ bucket: 'main', client })
  await provider.learn((await amazonAt(server.endpoint)).capabilities, signal)
  expect(await provider.put(putOf('k', 'hello'), signal)).toMatchObject({ proof: 'server-full' })
  server.answer = reply(200, ofObject, 'hello')
  const found = await provider.get(whole('k'), signal)
  expect(Buffer.concat(await all(found?.body ?? [])).toString()).toBe('hello')
  const left = await provider.get(whole('k'), signal)
  await left?.close()
  server.answer = request => request.socket.destroy()
  expect(await errorOf(provider.put(putOf('k', 'hello'), signal))).toMatchObject({
    code: 'UNAVAILABLE',
    outcome: 'unknown',
  })
})

test("the user's client is as it was", async () => {
  const client = userClient()
  const stack = (): string[] => client.middlewareStack.identify()
  const before = { stack: stack(), config: { ...client.config } }
  const provider = s3({ bucket: 'main', client })
  await provider.learn((await amazonAt(server.endpoint)).capabilities, signal)
  await provider.put(putOf('k', 'hello'), signal)
  await errorOf(provider.get({ ...whole('k'), range: { start: 1, end: 2 } }, signal))
  await provider.sign(
    {
      method: 'GET',
      key: 'k',
      expiresInSeconds: 60,
      contentType: undefined,
      contentDisposition: undefined,
      createOnly: false,
    },
    signal,
  )
  expect(stack()).toEqual(before.stack)
  for (const [name, value] of Object.entries(before.config)) {
    if (name === 'systemClockOffset') continue
    expect(client.config[name as keyof typeof client.config], name).toBe(value)
  }
})

test('before it has learned, an unknown service gets no checksum that it may stumble over (S15)', async () => {
  const provider = s3({ bucket: 'main', endpoint: server.endpoint, credentials: secrets })
  await provider.put(putOf('k', 'hello', { metadata: { holdfast_meta: 'abc' } }), signal)
  server.answer = reply(200, { ...ofObject, 'content-length': '5' })
  await provider.head('k', signal)
  for (const { headers } of server.requests) {
    expect(Object.keys(headers).filter(name => name.startsWith('x-amz-checksum'))).toEqual([])
  }
  expect(server.requests[0]?.headers['content-md5']).toBeDefined()
  expect(server.requests[0]?.headers['x-amz-meta-holdfast-meta'], 'a name that every service holds').toBe('abc')
  expect(await errorOf(provider.put(putOf('k', 'x', { condition: { absent: true } }), signal))).toMatchObject({
    code: 'UNSUPPORTED',
  })
})

test('a source that is shorter, longer or other than it says never makes a whole request', async () => {
  const provider = await amazonAt(server.endpoint)
  const complete: number[] = []
  server.answer = async (request, response) => {
    let size = 0
    try {
      for await (const chunk of request) size += (chunk as Buffer).byteLength
      complete.push(size)
      response.writeHead(200, ofObject).end()
    } catch {
      // Cut off: as it should be.
    }
  }
  const bytes = new Uint8Array(3_000_000).fill(1)
  const digests = digestsOf(bytes)
  const sources: readonly Source[] = [
    { size: 3_000_000, ...digests, open: () => chunks(bytes.subarray(1)) },
    { size: 3_000_000, ...digests, open: () => chunks(bytes, bytes.subarray(0, 10)) },
    { size: 3_000_000, ...digests, open: () => chunks(new Uint8Array(3_000_000).fill(2)) },
    { size: 300, ...digestsOf(bytes.subarray(0, 300)), open: () => chunks(bytes.subarray(0, 299)) },
  ]
  for (const source of sources) {
    expect(await errorOf(provider.put({ ...putOf('k', ''), source }, signal))).toMatchObject({
      code: 'CHECKSUM',
      reason: 'DIGEST',
      outcome: 'rejected',
    })
  }
  expect(complete).toEqual([])
})

test('every key is on the wire what it is, for any reader of URLs (I16, X2)', async () => {
  server.answer = refuse(404, 'NoSuchKey')
  const provider = await amazonAt(server.endpoint)
  const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 31)
  const character = fc.oneof(
    fc.string({ unit: 'binary', minLength: 1, maxLength: 1 }),
    fc.constantFrom(
      '/',
      '.',
      '%',
      '+',
      ' ',
      '\\',
      '?',
      '#',
      '&',
      ';',
      '=',
      '~',
      '*',
      "'",
      '(',
      ')',
      '!',
      '%2e',
      '%2F',
      '..',
      '../',
      '//',
    ),
  )
  const key = fc.array(character, { minLength: 1, maxLength: 12 }).map(parts => parts.join(''))
  const held = key.filter(each => provider.refuseKey(each) === undefined)
  await fc.assert(
    fc.asyncProperty(held, async text => {
      server.requests.length = 0
      expect(await provider.get(whole(text), signal)).toBeUndefined()
      const path = new URL(`${server.endpoint}${server.requests[0]?.url ?? ''}`).pathname
      expect(decodeURIComponent(path)).toBe(`/main/${text}`)
    }),
    { seed, numRuns: 500 },
  )
})

test('a signed URL says what it allows, and nothing that a default client would add', async () => {
  const provider = await amazonAt(server.endpoint)
  const key = 'dir/ü & x.png'
  const put = await provider.sign(
    {
      method: 'PUT',
      key,
      expiresInSeconds: 600,
      contentType: 'image/png',
      contentDisposition: undefined,
      createOnly: true,
    },
    signal,
  )
  const url = new URL(put.url)
  expect(decodeURIComponent(url.pathname)).toBe(`/main/${key}`)
  expect(put.headers).toEqual({ 'content-type': 'image/png', 'if-none-match': '*' })
  expect(url.searchParams.get('X-Amz-SignedHeaders')).toBe('content-type;host;if-none-match')
  expect(url.searchParams.get('X-Amz-Expires')).toBe('600')
  expect(url.searchParams.get('X-Amz-Security-Token')).toBe(secrets.sessionToken)
  expect(Math.abs(put.expiresAt.getTime() - Date.now() - 600_000)).toBeLessThan(5_000)
  const client = userClient()
  const other = s3({ bucket: 'main', client })
  const get = await other.sign(
    {
      method: 'GET',
      key,
      expiresInSeconds: 1,
      contentType: 'text/plain',
      contentDisposition: 'inline; filename="x"',
      createOnly: false,
    },
    signal,
  )
  for (const text of [put.url, get.url]) expect(text.toLowerCase()).not.toMatch(/checksum|crc32|expect/)
  const query = new URL(get.url).searchParams
  expect(query.get('response-content-type')).toBe('text/plain')
  expect(query.get('response-content-disposition')).toBe('inline; filename="x"')
  expect(get.headers).toEqual({})
  expect(server.requests).toEqual([])
})

test('credentials that never come do not hold up who has left', async () => {
  const provider = s3({ bucket: 'main', endpoint: server.endpoint, credentials: () => new Promise(() => {}) })
  const stop = new AbortController()
  const reason = new Error('enough')
  const running = [
    provider.put(putOf('k', 'body', { upload: noMemo }), stop.signal),
    provider.head('k', stop.signal),
    provider.sign(
      {
        method: 'GET',
        key: 'k',
        expiresInSeconds: 1,
        contentType: undefined,
        contentDisposition: undefined,
        createOnly: false,
      },
      stop.signal,
    ),
  ].map(errorOf)
  setTimeout(() => stop.abort(reason), 50)
  expect(await Promise.all(running)).toEqual([reason, reason, reason])
})

test('a listing is asked for as it is meant', async () => {
  server.answer = listing([])
  const provider = await amazonAt(server.endpoint)
  await all(provider.list({ prefix: 'a b/', delimiter: '/', startAfter: 'a b/+é' }, signal))
  const query = new URL(`${server.endpoint}${server.requests[0]?.url ?? ''}`).searchParams
  expect(Object.fromEntries(query)).toMatchObject({
    'list-type': '2',
    'encoding-type': 'url',
    prefix: 'a b/',
    delimiter: '/',
    'start-after': 'a b/+é',
  })
})

interface WireRequest {
  readonly protocol: string
  readonly hostname: string
  readonly port?: number
  readonly path: string
  readonly query: Record<string, string>
  readonly method: string
  readonly headers: Record<string, string>
  readonly body?: Buffer
}

/** As the SDK's own handler for browsers and edge runtimes: bodies are web streams, and come decompressed. */
const onFetch = {
  metadata: { handlerProtocol: 'http/1.1' },
  async handle(request: WireRequest, { abortSignal }: { abortSignal?: AbortSignal } = {}) {
    const { protocol, hostname, port, path, query, method, headers, body } = request
    const { host: _host, 'content-length': _length, ...rest } = headers
    const url = `${protocol}//${hostname}:${port}${path}?${new URLSearchParams(query).toString()}`
    const init = { method, headers: rest, ...(body && { body }), ...(abortSignal && { signal: abortSignal }) }
    const answer = await fetch(url, init)
    return { response: new HttpResponse(answer.status, Object.fromEntries(answer.headers), answer.body) }
  },
} as unknown as NonNullable<S3ClientConfig['requestHandler']>

class HttpResponse {
  readonly statusCode: number
  readonly headers: Record<string, string>
  readonly body: unknown
  constructor(statusCode: number, headers: Record<string, string>, body: unknown) {
    this.statusCode = statusCode
    this.headers = headers
    this.body = body
  }
}

function plain(headers: IncomingHttpHeaders = {}): void {
  for (const name of [
    'transfer-encoding',
    'x-amz-trailer',
    'x-amz-decoded-content-length',
    'expect',
    'x-amz-sdk-checksum-algorithm',
  ]) {
    expect(headers[name], name).toBeUndefined()
  }
  expect(headers['content-encoding'] ?? '').not.toContain('aws-chunked')
  const checksums = Object.keys(headers).filter(name => name.startsWith('x-amz-checksum-'))
  expect(checksums).toEqual(checksums.filter(name => name === 'x-amz-checksum-crc32c'))
}

async function* chunks(...parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    for (let at = 0; at < part.byteLength; at += 65_536) yield part.subarray(at, at + 65_536)
  }
}
