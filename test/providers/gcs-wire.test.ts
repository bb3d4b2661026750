import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { gzipSync } from 'node:zlib'
import { array, assert as assertProperty, asyncProperty, constantFrom, oneof, string } from 'fast-check'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Provider } from '../../src/core/provider.ts'
import { gcs } from '../../src/providers/gcs.ts'
import type { Fault, FaultRule, LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { bearer, clientAt, localGcs, noise, patient, putRequest, small } from './gcs-support.ts'

let cloud: LocalCloud
let provider: Provider

beforeAll(async () => {
  cloud = await startLocalGcs({ buckets: ['main'] })
  provider = localGcs(cloud)
  await provider.put(putRequest('there', noise(300_000)), patient())
})

afterEach(() => cloud.heal())
afterAll(() => cloud.stop())

const once = (fault: Fault, match: FaultRule['match'] = {}): Promise<string> => cloud.fault({ match, times: 1, fault })

async function failure(promise: Promise<unknown>): Promise<HoldfastError> {
  const error: unknown = await promise.then(
    value => new Error(`resolved with ${JSON.stringify(value)}`),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof HoldfastError)) throw error
  return error
}

/** Every call, to the end of what it gives. */
const calls: Readonly<Record<string, (to: Provider, signal?: AbortSignal) => Promise<unknown>>> = {
  put: (to, signal = patient()) => to.put(putRequest('there', 'body'), signal),
  'put in parts': (to, signal = patient()) => to.put(putRequest('there', noise(1_500_000)), signal),
  head: (to, signal = patient()) => to.head('there', signal),
  async get(to, signal = patient()) {
    const found = await to.get({ key: 'there', range: undefined, token: undefined }, signal)
    return found && (await bytesOf(found.body))
  },
  delete: (to, signal = patient()) => to.delete('there', undefined, signal),
  list: (to, signal = patient()) => Array.fromAsync(to.list({ prefix: '', delimiter: '', startAfter: '' }, signal)),
}
const writing = new Set(['put', 'put in parts', 'delete'])

async function bytesOf(body: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = []
  for await (const chunk of body) chunks.push(chunk)
  return Buffer.concat(chunks)
}

describe('what goes over the wire', () => {
  test('one upload: both digests and the length, so that the service refuses other bytes', async () => {
    await cloud.requests({ reset: true })
    await provider.put(putRequest('sent', 'hello', { condition: { absent: true } }), patient())
    const [seen, ...more] = await cloud.requests()
    expect(more).toEqual([])
    expect(seen?.url).toBe('/upload/storage/v1/b/main/o?uploadType=multipart&name=sent&ifGenerationMatch=0')
    expect(seen?.headers['transfer-encoding']).toBeUndefined()
    expect(Number(seen?.headers['content-length'])).toBeGreaterThan(5)
    const token = (await provider.head('sent', patient()))?.token ?? ''
    await provider.put(putRequest('sent', 'again', { condition: { token } }), patient())
    expect((await cloud.requests()).at(-1)?.url).toContain(`ifGenerationMatch=${token}`)
  })

  test('a read: the description, then the bytes of that generation, never coded on the way (G6, X9)', async () => {
    const { token } = await provider.put(
      putRequest('plain', 'text', { headers: { contentType: 'text/plain' } }),
      patient(),
    )
    const packed = { contentType: 'text/plain', contentEncoding: 'gzip' }
    await provider.put(putRequest('packed', gzipSync('text'), { headers: packed }), patient())
    await cloud.requests({ reset: true })
    for (const key of ['plain', 'packed']) {
      const found = await provider.get({ key, range: { start: 1, end: 3 }, token: undefined }, patient())
      await bytesOf(found?.body ?? (async function* () {})())
    }
    const seen = await cloud.requests()
    expect(seen.map(({ operation, status }) => [operation, status])).toEqual([
      ['objects.get', 200],
      ['media', 206],
      ['objects.get', 200],
      ['media', 206],
    ])
    expect(seen[1]?.url).toBe(`/storage/v1/b/main/o/plain?alt=media&generation=${token}`)
    expect(seen.map(({ headers }) => headers['accept-encoding'])).toEqual([undefined, 'identity', undefined, 'gzip'])
  })

  test('whatever the key, the path decodes to exactly the key, and stays in the bucket (I16, X2)', async () => {
    const nasty = constantFrom(
      '.',
      '..',
      '/',
      '//',
      '%',
      '%2e',
      '%2F',
      '\\',
      '?',
      '#',
      '&',
      '=',
      '+',
      ' ',
      'a',
      'é',
      '😀',
      '{{projectId}}',
    )
    const keys = array(oneof(nasty, string({ unit: 'grapheme', maxLength: 5 })), {
      minLength: 1,
      maxLength: 8,
    })
    await cloud.requests({ reset: true })
    const asked: string[] = []
    await assertProperty(
      asyncProperty(
        keys.map(parts => parts.join('')),
        async key => {
          if (provider.refuseKey(key) !== undefined) return
          asked.push(key)
          await provider.put(putRequest(key, key), patient())
          expect((await provider.head(key, patient()))?.key).toBe(key)
          await provider.delete(key, undefined, patient())
        },
      ),
      { numRuns: 150 },
    )
    const seen = await cloud.requests()
    const uploads = seen.filter(({ operation }) => operation === 'objects.insert')
    expect(uploads.map(({ url }) => new URLSearchParams(url.split('?')[1]).get('name'))).toEqual(asked)
    for (const { url, operation } of seen) {
      if (operation === 'objects.insert') continue
      const [, path = ''] = /^\/storage\/v1\/b\/main\/o\/([^/?]+)$/.exec(url.split('?')[0] ?? '') ?? []
      expect(asked).toContain(decodeURIComponent(path))
      expect(new URL(url, cloud.endpoint).pathname).toBe(url.split('?')[0])
    }
  })

  test('a client of the user’s own: its way in, its agent, its interceptors; not its retries, which stay as they were', async () => {
    const client = clientAt(cloud)
    client.interceptors.push({
      request: (options: { headers?: Record<string, string> }) => ({
        ...options,
        headers: { ...options.headers, 'x-goog-custom-audit-reason': 'holdfast' },
      }),
    } as never)
    const before = { ...client.retryOptions }
    const own = gcs({ bucket: 'main', client, userProject: 'payer', ...small })
    await own.put(putRequest('own', 'x'), patient())
    await cloud.requests({ reset: true })
    for (const [name, call] of Object.entries(calls)) {
      await once({ kind: 'status', status: 503 })
      const error = await failure(call(own))
      expect([name, error.code, error.reason, error.retryable]).toEqual([name, 'UNAVAILABLE', 'SERVER', true])
    }
    const seen = await cloud.requests()
    expect(seen).toHaveLength(Object.keys(calls).length)
    for (const { headers } of seen) {
      expect(headers).toMatchObject({ 'x-goog-custom-audit-reason': 'holdfast', 'x-goog-user-project': 'payer' })
      expect(headers['user-agent']).toContain('holdfast')
    }
    expect(client.retryOptions).toEqual(before)
    expect(client.retryOptions.autoRetry).toBe(true)
  })
})

describe('answers that are none', () => {
  test.each(Object.keys(calls))('%s: a page of a captive portal is not believed (N12)', async name => {
    await once({ kind: 'html' })
    const error = await failure((calls[name] as (typeof calls)[string])(provider))
    expect([error.code, error.reason, error.retryable]).toEqual(['UNAVAILABLE', 'NOT_PROVIDER', true])
    if (name === 'put' || name === 'delete') expect(error.outcome).toBe('unknown')
    if (name === 'put in parts') expect(error.outcome).toBe('rejected')
    expect(await provider.head('there', patient())).toBeDefined()
  })

  test.each(Object.keys(calls))(
    '%s: a redirect is not followed, and takes nothing along (N12, X4, I46)',
    async name => {
      await using elsewhere = await listening((_request, response) => response.end('{}'))
      for (const status of [301, 302, 307, 308] as const) {
        await once({ kind: 'redirect', status, location: `${elsewhere.endpoint}/upload?secret=1` })
        const error = await failure((calls[name] as (typeof calls)[string])(provider))
        expect([error.code, error.reason]).toEqual(['UNAVAILABLE', 'NOT_PROVIDER'])
      }
      expect(elsewhere.requests).toEqual([])
    },
  )

  test.each(Object.keys(calls))('%s: an empty 2xx is not believed (N12)', async name => {
    for (const status of [200, 201, 204]) {
      await using empty = await listening((_request, response) => response.writeHead(status).end())
      const to = gcs({ bucket: 'main', apiEndpoint: empty.endpoint, ...small })
      const error = await failure((calls[name] as (typeof calls)[string])(to))
      expect(error.code).toBe('UNAVAILABLE')
      expect(['NOT_PROVIDER', 'PROTOCOL']).toContain(error.reason)
    }
  })

  test.each(Object.keys(calls))('%s: a proxy’s refusals are not the service’s (N12, I14)', async name => {
    for (const status of [400, 401, 403, 404, 407, 412]) {
      await using proxy = await listening((_request, response) =>
        response.writeHead(status, { 'content-type': 'text/html' }).end('<html>denied by your company</html>'),
      )
      const to = gcs({ bucket: 'main', apiEndpoint: proxy.endpoint, ...small })
      const error = await failure((calls[name] as (typeof calls)[string])(to))
      expect([status, error.code, error.reason]).toEqual([status, 'UNAVAILABLE', 'NOT_PROVIDER'])
    }
  })

  test('an object that is not ours, or has other bytes, is no success of a put', async () => {
    const good = {
      kind: 'storage#object',
      bucket: 'main',
      name: 'there',
      generation: '7',
      size: '4',
      updated: new Date().toISOString(),
      crc32c: 'DUoRhQ==',
    }
    const wrong: readonly [object, string][] = [
      [{ ...good, name: 'other' }, 'NOT_PROVIDER'],
      [{ ...good, bucket: 'other' }, 'NOT_PROVIDER'],
      [{ ...good, kind: 'x' }, 'NOT_PROVIDER'],
      [{ ...good, generation: undefined }, 'NOT_PROVIDER'],
      [{ ...good, updated: 'yesterday' }, 'NOT_PROVIDER'],
      [good, 'DIGEST'],
      [{ ...good, size: '5' }, 'DIGEST'],
      [{ ...good, crc32c: undefined }, 'DIGEST'],
    ]
    for (const [body, reason] of wrong) {
      await using liar = await listening((_request, response) => response.end(JSON.stringify(body)))
      const to = gcs({ bucket: 'main', apiEndpoint: liar.endpoint })
      const error = await failure(to.put(putRequest('there', 'body'), patient()))
      expect([body, error.reason, error.outcome]).toEqual([body, reason, 'unknown'])
      expect(liar.requests.map(({ method }) => method)).toEqual(['POST'])
    }
  })

  test('a delete without the service’s mark is believed once the object is proven gone', async () => {
    const absent = JSON.stringify({ error: { code: 404, message: 'No such object: main/there', errors: [] } })
    await using plain = await listening((request, response) =>
      request.method === 'DELETE' ? response.writeHead(204).end() : response.writeHead(404).end(absent),
    )
    const to = gcs({ bucket: 'main', apiEndpoint: plain.endpoint })
    await to.delete('there', undefined, patient())
    expect(plain.requests.map(({ method }) => method)).toEqual(['DELETE', 'GET'])
  })

  test('a 404 in unknown words proves absence only where the bucket lists (G9, I27)', async () => {
    const nothing = JSON.stringify({ error: { code: 404, message: 'Not Found', errors: [{ reason: 'notFound' }] } })
    const answer = (listing: string, status: number) => (request: IncomingMessage, response: ServerResponse) =>
      request.url?.includes('/o?') === true
        ? response.writeHead(status).end(listing)
        : response.writeHead(404).end(nothing)
    await using there = await listening(answer(JSON.stringify({ kind: 'storage#objects' }), 200))
    expect(await gcs({ bucket: 'main', apiEndpoint: there.endpoint }).head('x', patient())).toBe(undefined)
    await using gone = await listening(answer(nothing, 404))
    expect(await failure(gcs({ bucket: 'main', apiEndpoint: gone.endpoint }).head('x', patient()))).toMatchObject({
      code: 'DENIED',
      reason: 'BUCKET',
    })
    await using odd = await listening(answer('<html>', 200))
    const error = await failure(gcs({ bucket: 'main', apiEndpoint: odd.endpoint }).head('x', patient()))
    expect(error.reason).toBe('NOT_PROVIDER')
  })

  test('media that is not what was described is refused (G6, I24)', async () => {
    const object = {
      kind: 'storage#object',
      bucket: 'main',
      name: 'there',
      generation: '7',
      size: '4',
      updated: new Date().toISOString(),
    }
    const cases: readonly [Record<string, string>, number, string][] = [
      [{}, 200, 'body'],
      [{ 'x-goog-generation': '8' }, 200, 'body'],
      [{ 'x-goog-generation': '7' }, 200, 'longer'],
      [{ 'x-goog-generation': '7', 'content-encoding': 'gzip' }, 200, 'body'],
      [{ 'x-goog-generation': '7', 'content-range': 'bytes 0-3/4' }, 206, 'body'],
      [{ 'x-goog-generation': '7' }, 204, ''],
    ]
    for (const [headers, status, body] of cases) {
      await using liar = await listening((request, response) =>
        request.url?.includes('alt=media') === true
          ? response.writeHead(status, headers).end(body)
          : response.end(JSON.stringify(object)),
      )
      const error = await failure(
        (calls['get'] as (typeof calls)[string])(gcs({ bucket: 'main', apiEndpoint: liar.endpoint })),
      )
      expect([headers, error.code]).toEqual([headers, 'UNAVAILABLE'])
      expect(['NOT_PROVIDER', 'PROTOCOL']).toContain(error.reason)
    }
  })

  test('listings out of order, from outside the prefix or without end are refused (I16, X5)', async () => {
    const item = (name: string): object => ({ name, generation: '1', size: '0', updated: new Date().toISOString() })
    const pages: readonly object[] = [
      { kind: 'storage#objects', items: [item('a/2')], nextPageToken: 'x' },
      { kind: 'storage#objects', items: [item('b')] },
      { kind: 'storage#objects', items: [{ name: 'a/1' }] },
      { kind: 'storage#objects', prefixes: [7] },
      { kind: 'storage#objects', items: 'many' },
      { kind: 'storage#objects', nextPageToken: 'for ever' },
    ]
    for (const page of pages) {
      await using liar = await listening((_request, response) => response.end(JSON.stringify(page)))
      const to = gcs({ bucket: 'main', apiEndpoint: liar.endpoint })
      const error = await failure(Array.fromAsync(to.list({ prefix: 'a/', delimiter: '', startAfter: '' }, patient())))
      expect(error.code).toBe('UNAVAILABLE')
      expect(['NOT_PROVIDER', 'PROTOCOL']).toContain(error.reason)
    }
  })

  test('a folded prefix that the listing begins in is found, whether the service shows it then or not', async () => {
    const item = (name: string): object => ({ name, generation: '1', size: '0', updated: new Date().toISOString() })
    for (const shown of [['a/', 'b/'], ['b/']]) {
      for (const left of [['a/1', 'a/2'], ['a/1']]) {
        await using service = await listening((request, response) => {
          const folded = request.url?.includes('delimiter=') === true
          const page = folded ? { prefixes: left.length > 1 ? shown : ['b/'] } : { items: left.map(item) }
          response.end(JSON.stringify({ kind: 'storage#objects', ...page }))
        })
        const to = gcs({ bucket: 'main', apiEndpoint: service.endpoint })
        const entries = await Array.fromAsync(to.list({ prefix: '', delimiter: '/', startAfter: 'a/1' }, patient()))
        const prefixes = entries.map(entry => entry.type === 'prefix' && entry.prefix)
        expect(prefixes).toEqual(left.length > 1 ? ['a/', 'b/'] : ['b/'])
      }
    }
  })

  test('answers without end are cut off (N13)', async () => {
    const endless = (_request: IncomingMessage, response: ServerResponse): void => {
      response.writeHead(500)
      const block = Buffer.alloc(65_536, 'x')
      const more = (): void => {
        while (!response.destroyed && response.write(block));
      }
      response.on('drain', more)
      more()
    }
    await using flood = await listening(endless)
    const to = gcs({ bucket: 'main', apiEndpoint: flood.endpoint })
    for (const name of ['put', 'head', 'list', 'delete']) {
      expect((await failure((calls[name] as (typeof calls)[string])(to))).reason).toBe('SERVER')
    }
    await using bomb = await listening((_request, response) =>
      response.writeHead(200, { 'x-bomb': 'x'.repeat(100_000) }).end(),
    )
    expect((await failure(gcs({ bucket: 'main', apiEndpoint: bomb.endpoint }).head('x', patient()))).reason).toBe(
      'PROTOCOL',
    )
  })
})

describe('connections that break', () => {
  test('a body that ends early throws at once, after the bytes that came (N3, I24)', async () => {
    for (const fault of [
      { kind: 'cut', afterBytes: 123_456 },
      { kind: 'reset', of: 'answer', afterBytes: 123_456 },
    ] as const) {
      await once(fault, { operation: 'media' })
      const found = await provider.get({ key: 'there', range: undefined, token: undefined }, patient())
      let came = 0
      const error = await failure(
        (async () => {
          for await (const chunk of found?.body ?? []) came += chunk.byteLength
        })(),
      )
      expect([error.code, error.reason, error.retryable]).toEqual(['UNAVAILABLE', 'NETWORK', true])
      if (fault.kind === 'cut') expect(came).toBe(123_456)
    }
  })

  test('a body whose length is not announced and that ends early throws too (N3, N13, I24)', async () => {
    const object = { kind: 'storage#object', bucket: 'main', name: 'there', generation: '7', size: '10' }
    const described = JSON.stringify({ ...object, updated: new Date().toISOString() })
    await using short = await listening((request, response) => {
      if (request.url?.includes('alt=media') !== true) return response.end(described)
      response.writeHead(200, { 'x-goog-generation': '7' }).write('12345')
      return response.end()
    })
    const error = await failure(
      (calls['get'] as (typeof calls)[string])(gcs({ bucket: 'main', apiEndpoint: short.endpoint })),
    )
    expect([error.reason, error.message.includes('5 of 10 bytes')]).toEqual(['NETWORK', true])
  })

  test.each(Object.keys(calls))('%s: a connection that is reset is worth another try (N4)', async name => {
    await once({ kind: 'reset' })
    const error = await failure((calls[name] as (typeof calls)[string])(provider))
    expect([error.code, error.reason, error.retryable]).toEqual(['UNAVAILABLE', 'NETWORK', true])
    if (writing.has(name)) expect(error.outcome).toBe(name === 'put in parts' ? 'rejected' : 'unknown')
    else expect(error.outcome).toBe(undefined)
  })

  test('a write whose answer is lost has an unknown outcome, and was done (G2, N6, I15)', async () => {
    await once({ kind: 'lose-answer' }, { operation: 'objects.insert' })
    const error = await failure(provider.put(putRequest('lost', 'x', { condition: { absent: true } }), patient()))
    expect([error.reason, error.outcome]).toEqual(['NETWORK', 'unknown'])
    const again = await failure(provider.put(putRequest('lost', 'x', { condition: { absent: true } }), patient()))
    expect([again.code, again.outcome]).toEqual(['PRECONDITION', 'rejected'])
    await once({ kind: 'lose-answer' }, { operation: 'objects.delete' })
    expect((await failure(provider.delete('lost', undefined, patient()))).outcome).toBe('unknown')
    expect(await provider.head('lost', patient())).toBe(undefined)
  })

  test.each(Object.keys(calls))(
    '%s: a service that says nothing is left as soon as the signal aborts, with its connection (N2)',
    async name => {
      const gone = Promise.withResolvers<void>()
      await using silent = await listening((request, _response) => {
        request.resume()
        request.socket.once('close', () => gone.resolve())
      })
      const stop = new AbortController()
      const why = new Error('enough')
      const call = (calls[name] as (typeof calls)[string])(
        gcs({ bucket: 'main', apiEndpoint: silent.endpoint, ...small }),
        stop.signal,
      )
      await expect.poll(() => silent.requests.length).toBe(1)
      const begun = performance.now()
      stop.abort(why)
      await expect(call).rejects.toBe(why)
      await gone.promise
      expect(performance.now() - begun).toBeLessThan(1000)
    },
  )

  test('a body that stalls is left as soon as the signal aborts, with its connection (N2)', async () => {
    await once({ kind: 'stall', of: 'answer', afterBytes: 1000 }, { operation: 'media' })
    const stop = new AbortController()
    const why = new Error('enough')
    const found = await provider.get({ key: 'there', range: undefined, token: undefined }, stop.signal)
    const iterator = found?.body[Symbol.asyncIterator]()
    await iterator?.next()
    const next = iterator?.next()
    setTimeout(() => stop.abort(why), 20)
    await expect(next).rejects.toBe(why)
  })

  test('a token that never comes is no reason to wait past the signal', async () => {
    const to = gcs({ bucket: 'main', apiEndpoint: cloud.endpoint, authClient: bearer(() => new Promise(() => {})) })
    await expect(to.head('there', AbortSignal.timeout(50))).rejects.toMatchObject({ name: 'TimeoutError' })
  })

  test('an object replaced between its description and its bytes is read again', async () => {
    await provider.put(putRequest('moving', 'first version'), patient())
    await once({ kind: 'slow', ms: 200 }, { operation: 'objects.get', key: 'moving' })
    const reading = provider.get({ key: 'moving', range: undefined, token: undefined }, patient())
    await new Promise(resolve => setTimeout(resolve, 100))
    await provider.put(putRequest('moving', 'second version'), patient())
    const found = await reading
    expect((await bytesOf(found?.body ?? (async function* () {})())).toString()).toBe('second version')
    expect(found?.object.size).toBe(14)
  })
})

interface Listening extends AsyncDisposable {
  readonly endpoint: string
  readonly requests: readonly IncomingMessage[]
}

/** A server that answers as it is told, and is not the service. */
async function listening(answer: (request: IncomingMessage, response: ServerResponse) => unknown): Promise<Listening> {
  const requests: IncomingMessage[] = []
  const server: Server = createServer((request, response) => {
    requests.push(request)
    answer(request, response)
  })
  await new Promise<void>(resolve => server.listen(0, '127.0.0.1', resolve))
  return {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise(resolve => server.close(resolve))
    },
  }
}
