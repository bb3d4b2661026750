import assert from 'node:assert/strict'
import { getEventListeners } from 'node:events'
import { BlobServiceClient, StorageSharedKeyCredential } from '@azure/storage-blob'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import { noMemo, type Provider, type PutRequest, type RemoteEntry } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import { type AzureOptions, azure } from '../../src/providers/azure.ts'
import { blobProof, listing, proof, type Recorder, refuse, reply, startRecorder } from './azure-recorder.ts'

const accountKey = Buffer.from('a key of nobody').toString('base64')
let recorder: Recorder
let signal: AbortSignal

beforeEach(async () => {
  recorder = await startRecorder(reply(200, blobProof))
  signal = AbortSignal.timeout(20_000)
})
afterEach(async () => {
  await recorder[Symbol.asyncDispose]()
})

function provider(more: Partial<AzureOptions> = {}): Provider {
  return azure({ container: 'box', endpoint: recorder.endpoint, accountName: 'account', accountKey, ...more })
}

function request(key: string, body: Uint8Array | string, more: Partial<PutRequest> = {}): PutRequest {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  return {
    key,
    source: bytesSource(bytes, digestsOf(bytes)),
    headers: { contentType: 'text/plain' },
    metadata: {},
    condition: undefined,
    upload: noMemo,
    ...more,
  }
}

async function failure(promise: Promise<unknown>): Promise<HoldfastError> {
  const error: unknown = await promise.then(
    value => assert.fail(`resolved: ${JSON.stringify(value)}`),
    caught => caught,
  )
  assert.ok(error instanceof HoldfastError, String(error))
  return error
}

async function list(
  from: Provider,
  more: Partial<{ prefix: string; delimiter: string; startAfter: string }> = {},
): Promise<RemoteEntry[]> {
  const all: RemoteEntry[] = []
  for await (const entry of from.list({ prefix: '', delimiter: '', startAfter: '', ...more }, signal)) all.push(entry)
  return all
}

/** One of each, for what is true of all. */
const calls: Readonly<Record<string, (from: Provider) => Promise<unknown>>> = {
  head: from => from.head('key', signal),
  get: from => from.get({ key: 'key', range: undefined, token: undefined }, signal),
  'get of the end': from => from.get({ key: 'key', range: { last: 3 }, token: undefined }, signal),
  put: from => from.put(request('key', 'body'), signal),
  delete: from => from.delete('key', undefined, signal),
  list: from => list(from),
}

describe('keys', () => {
  /** What a server that decodes the path once takes the request to be about. */
  const wireKey = (url: string): string => {
    const path = new URL(url, 'http://x').pathname
    assert.equal(path, url.split('?')[0], 'nobody on the way folds it')
    assert.ok(path.startsWith('/account/box/'), path)
    return decodeURIComponent(path.slice('/account/box/'.length))
  }

  test('whatever is not refused is on the wire exactly the key (I16, X2)', async () => {
    const seed = Number(process.env['SEED'] ?? Math.floor(Math.random() * 2 ** 31))
    console.log(`azure keys: SEED=${seed}`)
    const from = provider()
    const keys = [...seededKeys(seed, 600), ...seededKeys(seed + 1, 600, 2)]
    const held = keys.filter(key => from.refuseKey(key) === undefined)
    expect(held.length).toBeGreaterThan(200)
    for (const key of held) {
      await from.head(key, signal)
      const seen = recorder.requests.at(-1)
      assert.equal(wireKey(seen?.url ?? ''), key)
    }
  }, 30_000)

  test.each(['a/../b', '../x', '.', '..', './x', 'a/.', 'a/..', 'x/./y', '\\..\\x', 'a\\b', '%2e%2e/..'])(
    'the key %j is refused, and not sent when it comes all the same',
    async key => {
      const from = provider()
      expect(from.refuseKey(key)).toBeDefined()
      if (key.includes('\\')) return
      const error = await failure(from.head(key, signal))
      expect(error).toMatchObject({ code: 'INVALID', field: 'key', outcome: 'rejected' })
      await failure(from.put(request(key, 'x'), signal))
      await failure(from.delete(key, undefined, signal))
      await failure(from.get({ key, range: undefined, token: undefined }, signal))
      expect(recorder.requests).toEqual([])
    },
  )

  test.each([
    ['', 'length'],
    ['k'.repeat(1025), 'length'],
    ['a/'.repeat(254) + 'a', 'segment'],
    ['a.', 'segment'],
    ['a./b', 'segment'],
    ['a\u0001', 'control'],
    ['a\u0081', 'control'],
    ['\u007f', 'control'],
    ['a\ue000', 'unicode'],
    ['\ufffe', 'unicode'],
    ['\ufffd', 'unicode'],
    ['\u{1ffff}', 'unicode'],
    ['\ud800', 'unicode'],
    ['a\\b', 'slash'],
  ])('the key %j is refused with rule %s', (key, rule) => {
    expect(provider().refuseKey(key)?.rule).toBe(rule)
  })

  test.each([
    'k'.repeat(1024),
    'a/'.repeat(253) + 'a',
    '/a',
    'a//b',
    'a/',
    '%2e%2e/x',
    '%',
    '😀',
    'é',
    ' a ',
    '.a',
    'a..b',
    '...a',
  ])('the key %j is held', key => {
    expect(provider().refuseKey(key)).toBeUndefined()
  })
})

describe('requests', () => {
  test('a put carries MD5, attributes and condition, and asks the service to compare', async () => {
    recorder.answer = reply(201, {
      ...blobProof,
      'content-md5': Buffer.from(digestsOf(Buffer.from('body')).md5, 'hex').toString('base64'),
    })
    const headers = {
      contentType: 'image/png',
      cacheControl: 'no-cache',
      contentDisposition: 'inline',
      contentEncoding: 'gzip',
      contentLanguage: 'de',
    }
    const result = await provider().put(
      request('key', 'body', { headers, metadata: { note: 'a b' }, condition: { absent: true } }),
      signal,
    )
    expect(result).toEqual({
      token: '0x8DEADBEEF',
      etag: undefined,
      proof: 'server-full',
      serverTime: expect.any(Number),
    })
    const [seen] = recorder.requests
    expect(seen).toMatchObject({ method: 'PUT', url: '/account/box/key' })
    expect(seen?.body?.toString()).toBe('body')
    expect(seen?.headers).toMatchObject({
      'content-length': '4',
      'x-ms-blob-content-md5': 'hBotaJrYa9FhFEdFPCLG/A==',
      'x-ms-blob-type': 'BlockBlob',
      'x-ms-blob-content-type': 'image/png',
      'x-ms-blob-cache-control': 'no-cache',
      'x-ms-blob-content-disposition': 'inline',
      'x-ms-blob-content-encoding': 'gzip',
      'x-ms-blob-content-language': 'de',
      'x-ms-meta-note': 'a b',
      'if-none-match': '*',
    })
  })

  test('a token goes back as the ETag that it was', async () => {
    recorder.answer = reply(201, blobProof)
    const from = provider()
    await from.put(request('key', 'body', { condition: { token: '0x8D1' } }), signal)
    recorder.answer = reply(202, blobProof)
    await from.delete('key', '0x8D1', signal)
    await failure(from.get({ key: 'key', range: undefined, token: '0x8D1' }, signal))
    expect(recorder.requests.map(seen => seen.headers['if-match'])).toEqual(['"0x8D1"', '"0x8D1"', '"0x8D1"'])
  })

  test('a service that does not say that it compared proves nothing', async () => {
    recorder.answer = reply(201, blobProof)
    expect((await provider().put(request('key', 'body'), signal)).proof).toBe('none')
  })

  test('a service that took other bytes is found out (A10, I24)', async () => {
    recorder.answer = reply(201, { ...blobProof, 'content-md5': 'kAFQmDzST7DWlj99KOF/cg==' })
    expect(await failure(provider().put(request('key', 'body'), signal))).toMatchObject({
      code: 'CHECKSUM',
      reason: 'DIGEST',
    })
  })

  test('calls one after the other share a connection, refused ones too', async () => {
    const from = provider()
    for (let i = 0; i < 3; i++) {
      recorder.answer = reply(201, blobProof)
      await from.put(request('key', 'body'), signal)
      recorder.answer = reply(200, blobProof)
      await from.head('key', signal)
      recorder.answer = reply(404, { ...proof, 'x-ms-error-code': 'BlobNotFound' })
      expect(await from.head('key', signal)).toBeUndefined()
      await from.delete('key', undefined, signal)
      recorder.answer = reply(200, blobProof, 'the body')
      const found = await from.get({ key: 'key', range: undefined, token: undefined }, signal)
      for await (const chunk of found?.body ?? []) expect(String(chunk)).toBe('the body')
    }
    expect(recorder.connections()).toBeLessThanOrEqual(2)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('what is stored under a content encoding comes as it is stored (X9)', async () => {
    recorder.answer = reply(200, { ...blobProof, 'content-encoding': 'gzip' }, 'no gzip at all')
    const found = await provider().get({ key: 'key', range: undefined, token: undefined }, signal)
    const chunks: Uint8Array[] = []
    for await (const chunk of found?.body ?? []) chunks.push(chunk)
    expect(Buffer.concat(chunks).toString()).toBe('no gzip at all')
    expect(found?.object.headers.contentEncoding).toBe('gzip')
    expect(recorder.requests[0]?.headers['accept-encoding']).toBeUndefined()
  })

  test('reads ask for what they want, and get nothing else', async () => {
    const from = provider()
    recorder.answer = reply(206, { ...blobProof, 'content-range': 'bytes 2-4/10' }, 'cde')
    const found = await from.get({ key: 'key', range: { start: 2, end: 5 }, token: undefined }, signal)
    expect([found?.start, found?.end, found?.object.size]).toEqual([2, 5, 10])
    await found?.close()
    expect(recorder.requests[0]?.headers['x-ms-range'] ?? recorder.requests[0]?.headers['range']).toBe('bytes=2-4')
    // The whole, where a part was asked for; another part; a part that does not fit.
    for (const answer of [
      reply(200, blobProof, '0123456789'),
      reply(206, { ...blobProof, 'content-range': 'bytes 3-5/10' }, 'def'),
      reply(206, { ...blobProof, 'content-range': 'bytes 2-4/10' }, 'cdef'),
      reply(206, { ...blobProof, 'content-range': 'bytes 2-4/3' }, 'cde'),
      reply(206, { ...blobProof, 'content-range': 'bytes */10' }, 'cde'),
    ]) {
      recorder.answer = answer
      const error = await failure(from.get({ key: 'key', range: { start: 2, end: 5 }, token: undefined }, signal))
      expect(error.reason).toMatch(/PROTOCOL|RANGE/)
    }
    await settled(() => recorder.open() <= 1)
  })
})

describe('one try', () => {
  const busy = refuse(503, 'ServerBusy', 'Busy.', { 'retry-after': '7' })

  test.each(Object.keys(calls))('%s is sent once, whatever comes back', async name => {
    const from = provider()
    for (const answer of [
      busy,
      refuse(500, 'InternalError'),
      refuse(500, 'OperationTimedOut'),
      refuse(429, 'TooManyRequests'),
    ]) {
      recorder.answer = answer
      recorder.requests.length = 0
      const error = await failure(calls[name]?.(from) ?? Promise.resolve())
      expect(error).toMatchObject({ code: 'UNAVAILABLE', retryable: true, provider: 'azure:box' })
      expect(error.reason).toMatch(/THROTTLED|SERVER/)
      expect(recorder.requests).toHaveLength(1)
      if (answer === busy) expect(error).toMatchObject({ reason: 'THROTTLED', retryAfterMs: 7000 })
    }
    recorder.requests.length = 0
    recorder.answer = (_request, response) => response.destroy()
    expect(await failure(calls[name]?.(from) ?? Promise.resolve())).toMatchObject({
      reason: 'NETWORK',
      retryable: true,
    })
    expect(recorder.requests).toHaveLength(1)
  })

  test("the caller's client is used, with its policies, and keeps its retries", async () => {
    let passed = 0
    const credential = new StorageSharedKeyCredential('account', accountKey)
    const client = new BlobServiceClient(recorder.endpoint, credential, {
      retryOptions: { maxTries: 3, retryDelayInMs: 1, maxRetryDelayInMs: 1 },
      userAgentOptions: { userAgentPrefix: 'their-app' },
    })
    // A policy as callers can add one: in front of the client's own.
    const { pipeline } = client as unknown as { pipeline: { factories: unknown[] } }
    pipeline.factories.push({
      create: (next: { sendRequest(request: unknown): unknown }) => ({
        sendRequest(request: unknown) {
          passed += 1
          return next.sendRequest(request)
        },
      }),
    })
    recorder.answer = busy
    const from = provider({ client, endpoint: undefined, accountName: undefined, accountKey: undefined } as never)
    for (const [name, call] of Object.entries(calls)) {
      recorder.requests.length = 0
      await failure(call(from))
      expect(recorder.requests, name).toHaveLength(1)
      expect(recorder.requests[0]?.headers['user-agent']).toContain('their-app')
      expect(recorder.requests[0]?.headers['authorization']).toMatch(/^SharedKey account:/)
    }
    expect(passed).toBe(Object.keys(calls).length)
    recorder.requests.length = 0
    await expect(client.getContainerClient('box').getBlobClient('key').getProperties()).rejects.toThrow()
    expect(recorder.requests).toHaveLength(3)
  })

  test('redirects are not followed, within the origin or out of it (N12, X4, I46)', async () => {
    await using elsewhere = await startRecorder(reply(200, blobProof))
    for (const status of [301, 302, 303, 307, 308]) {
      for (const location of [`${recorder.endpoint}/box/other`, `${elsewhere.endpoint}/box/key`]) {
        recorder.answer = reply(status, { ...proof, location })
        for (const [name, call] of Object.entries(calls)) {
          recorder.requests.length = 0
          const error = await failure(call(provider()))
          expect(error, name).toMatchObject({ code: 'UNAVAILABLE', reason: 'NOT_PROVIDER' })
          expect(recorder.requests, name).toHaveLength(1)
        }
      }
    }
    expect(elsewhere.requests).toEqual([])
  })
})

describe('answers of others', () => {
  const html = '<!DOCTYPE html><html><body>Please log in</body></html>'

  test.each([
    ['a page with 200', reply(200, { 'content-type': 'text/html' }, html)],
    ['a page with 200 that says to be XML', reply(200, { 'content-type': 'application/xml' }, html)],
    ['an empty 200', reply(200)],
    ['an empty 201', reply(201)],
    ['an empty 202', reply(202)],
    ['an empty 204', reply(204)],
    [
      'a 200 with an ETag of a proxy',
      reply(200, { etag: '"x"', 'last-modified': 'Sat, 21 Nov 2026 10:00:00 GMT' }, 'x'),
    ],
    ['a login with 302', reply(302, { location: 'http://127.0.0.1:1/login' })],
    ['a page with 404', reply(404, { 'content-type': 'text/html' }, html)],
    ['an empty 404', reply(404)],
    ['a page with 403', reply(403, { 'content-type': 'text/html' }, html)],
    ['a 407', reply(407, { 'content-type': 'text/html' }, html)],
    ['a page with 412', reply(412, { 'content-type': 'text/html' }, html)],
  ])('%s is no answer of the service (N12, I14)', async (_what, answer) => {
    recorder.answer = answer
    for (const [name, call] of Object.entries(calls)) {
      const error = await failure(call(provider()))
      expect(error, name).toMatchObject({ code: 'UNAVAILABLE', reason: 'NOT_PROVIDER', retryable: true })
      expect(error.outcome, name).toBe(name === 'put' || name === 'delete' ? 'unknown' : undefined)
    }
  })

  test.each([
    [502, html, 'SERVER'],
    [503, html, 'THROTTLED'],
    [429, '{"error":"slow"}', 'THROTTLED'],
    [500, '', 'SERVER'],
  ])('%i of a proxy is told by its status (N12)', async (status, body, reason) => {
    for (const type of ['text/html', 'application/json', 'application/xml']) {
      recorder.answer = reply(status, { 'content-type': type }, body)
      for (const call of Object.values(calls)) expect((await failure(call(provider()))).reason).toBe(reason)
    }
  })

  test('an error that never ends is read to a limit (N13)', async () => {
    let sent = 0
    recorder.answer = (_request, response) => {
      response.writeHead(500, { ...proof, 'content-type': 'application/xml', 'x-ms-error-code': 'InternalError' })
      const more = (): void => {
        while (!response.destroyed && response.write(Buffer.alloc(65_536, 'x'))) sent += 65_536
      }
      response.on('drain', more)
      more()
    }
    for (const name of ['get', 'put', 'delete', 'list']) {
      expect((await failure(calls[name]?.(provider()) ?? Promise.resolve())).reason).toBe('SERVER')
    }
    await settled(() => recorder.open() === 0)
    expect(sent).toBeLessThan(100_000_000)
  })

  test('a 404 is absence only in the words of the service, about the blob (A8, I27)', async () => {
    const from = provider()
    recorder.answer = refuse(404, 'BlobNotFound')
    expect(await from.head('key', signal)).toBeUndefined()
    expect(await calls['get']?.(from)).toBeUndefined()
    expect(await from.delete('key', undefined, signal)).toEqual({ serverTime: expect.any(Number) })
    for (const code of ['ContainerNotFound', 'ResourceNotFound', 'ContainerBeingDeleted']) {
      recorder.answer = refuse(code === 'ContainerBeingDeleted' ? 409 : 404, code)
      for (const call of Object.values(calls)) {
        expect(await failure(call(from))).toMatchObject({ code: 'DENIED', reason: 'BUCKET' })
      }
    }
  })
})

describe('bodies', () => {
  const get = (from: Provider): ReturnType<Provider['get']> =>
    from.get({ key: 'key', range: undefined, token: undefined }, signal)

  async function readAll(from: Provider): Promise<number> {
    const found = await get(from)
    let bytes = 0
    for await (const chunk of found?.body ?? []) bytes += chunk.byteLength
    return bytes
  }

  test.each([
    ['with FIN', (socket: { end(): void; resetAndDestroy(): void }) => socket.end()],
    ['with RST', (socket: { end(): void; resetAndDestroy(): void }) => socket.resetAndDestroy()],
  ])('a body cut short %s is an error, and nobody goes on with it unseen (N3, I24)', async (_how, cut) => {
    recorder.answer = (_request, response) => {
      response.writeHead(200, { ...blobProof, 'content-length': '100000' })
      response.write(Buffer.alloc(40_000), () => setTimeout(() => response.socket && cut(response.socket), 20))
    }
    const error = await failure(readAll(provider()))
    expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK', retryable: true, key: 'key' })
    expect(recorder.requests).toHaveLength(1)
  })

  test('a body that nobody reads may break, and be closed', async () => {
    recorder.answer = (_request, response) => {
      response.writeHead(200, { ...blobProof, 'content-length': '100000' })
      response.write(Buffer.alloc(40_000), () => setTimeout(() => response.socket?.resetAndDestroy(), 20))
    }
    const found = await get(provider())
    await new Promise(resolve => setTimeout(resolve, 60))
    await found?.close()
  })

  test('a body that stalls ends with the reason of the signal, and the connection is let go (N2)', async () => {
    recorder.answer = (_request, response) => {
      response.writeHead(200, { ...blobProof, 'content-length': '100000' })
      response.write(Buffer.alloc(1000))
    }
    const stop = new AbortController()
    const found = await provider().get({ key: 'key', range: undefined, token: undefined }, stop.signal)
    const reason = new Error('enough')
    setTimeout(() => stop.abort(reason), 50)
    await expect(
      (async () => {
        for await (const chunk of found?.body ?? []) expect(chunk.byteLength).toBe(1000)
      })(),
    ).rejects.toBe(reason)
    await settled(() => recorder.open() === 0)
  })

  test.each(Object.keys(calls))('%s of a service that says nothing stops with the signal (N2)', async name => {
    recorder.answer = () => {}
    const stop = new AbortController()
    const reason = new Error('enough')
    signal = stop.signal
    const call = calls[name]?.(provider())
    setTimeout(() => stop.abort(reason), 50)
    await expect(call).rejects.toBe(reason)
    await settled(() => recorder.open() === 0)
    expect(getEventListeners(signal, 'abort')).toEqual([])
  })

  test('an upload that is refused before it was sent stops (N4)', async () => {
    let received = 0
    let timer: NodeJS.Timeout | undefined
    recorder.answer = (incoming, response) => {
      incoming.on('data', chunk => {
        received += (chunk as Buffer).byteLength
        if (received < 1_000_000 || timer !== undefined) return
        incoming.pause()
        timer = setTimeout(() => incoming.resume(), 200)
      })
      const body = '<?xml version="1.0"?><Error><Code>BlobAlreadyExists</Code><Message>There.</Message></Error>'
      const headers = { ...proof, 'content-type': 'application/xml', 'x-ms-error-code': 'BlobAlreadyExists' }
      response.writeHead(409, { ...headers, 'content-length': String(body.length) })
      response.end(body)
    }
    const bytes = new Uint8Array(50_000_000)
    const error = await failure(provider().put(request('key', bytes, { condition: { absent: true } }), signal))
    expect(error).toMatchObject({ code: 'PRECONDITION', reason: 'CONDITION', outcome: 'rejected' })
    await settled(() => recorder.open() === 0)
    expect(received).toBeLessThan(50_000_000)
  })

  test('a connection that breaks during an upload leaves its outcome unknown (N4, I15)', async () => {
    recorder.answer = incoming => {
      incoming.once('data', () => incoming.socket.resetAndDestroy())
    }
    const error = await failure(provider().put(request('key', new Uint8Array(5_000_000)), signal))
    expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK', outcome: 'unknown' })
  })

  test('a source that ends early, or late, ends the upload instead of hanging', async () => {
    recorder.answer = reply(201, blobProof)
    for (const size of [1000, 300_000]) {
      for (const wrong of [-1, 1]) {
        const bytes = new Uint8Array(size + wrong)
        const whole = request('key', new Uint8Array(size))
        const source = {
          ...whole.source,
          async *open() {
            yield bytes
          },
        }
        expect(await failure(provider().put({ ...whole, source }, signal))).toMatchObject({
          code: 'CHECKSUM',
          reason: 'DIGEST',
        })
      }
    }
  })
})

describe('listings', () => {
  const answerPages =
    (...pages: readonly string[]): Recorder['answer'] =>
    (incoming, response, seen) => {
      const marker = new URL(seen.url, 'http://x').searchParams.get('marker')
      return reply(200, { ...proof, 'content-type': 'application/xml' }, pages[Number(marker ?? 0)])(
        incoming,
        response,
        seen,
      )
    }

  test('pages follow each other, and are asked for one at a time', async () => {
    recorder.answer = answerPages(listing(['a', 'b'], { next: '1' }), listing([], { next: '2' }), listing(['c']))
    const entries = provider().list({ prefix: '', delimiter: '', startAfter: '' }, signal)[Symbol.asyncIterator]()
    expect((await entries.next()).value).toEqual({
      type: 'object',
      key: 'a',
      size: 3,
      modifiedAt: new Date('2026-11-21T10:00:00Z'),
      etag: undefined,
      token: '0x8D1',
      attested: { md5: '900150983cd24fb0d6963f7d28e17f72' },
    })
    expect(recorder.requests).toHaveLength(1)
    await entries.next()
    expect((await entries.next()).value).toMatchObject({ key: 'c' })
    expect((await entries.next()).done).toBe(true)
    expect(recorder.requests).toHaveLength(3)
  })

  test('UTF-16 order, as the service lists, comes out as byte order', async () => {
    recorder.answer = answerPages(listing(['a', '😀1', '😀2'], { next: '1' }), listing(['ﬀ', '～']))
    expect((await list(provider())).map(entry => entry.type === 'object' && entry.key)).toEqual([
      'a',
      'ﬀ',
      '～',
      '😀1',
      '😀2',
    ])
  })

  test.each([
    ['out of order', [listing(['b', 'a'])], undefined],
    ['out of order across pages', [listing(['b'], { next: '1' }), listing(['a'])], 'PROTOCOL'],
    ['the same twice', [listing(['a'], { next: '1' }), listing(['a'])], 'PROTOCOL'],
    ['in circles', [listing(['a'], { next: '1' }), listing(['b'], { next: '1' })], 'PROTOCOL'],
    ['cut off', [listing(['a', 'b']).slice(0, -30)], 'PROTOCOL'],
    ['not a listing', ['<?xml version="1.0"?><html>hello</html>'], 'NOT_PROVIDER'],
    ['another answer of the service', ['<?xml version="1.0"?><BlockList></BlockList>'], 'NOT_PROVIDER'],
    ['empty', [''], 'NOT_PROVIDER'],
    ['JSON', ['{}'], 'PROTOCOL'],
  ])('a listing that is %s is not taken for one', async (_what, pages, reason) => {
    recorder.answer = answerPages(...pages)
    if (reason === undefined) {
      // Within a page nothing depends on the order.
      expect(await list(provider())).toHaveLength(2)
      return
    }
    expect(await failure(list(provider()))).toMatchObject({ code: 'UNAVAILABLE', reason })
  })

  test('a prefix that goes over the end of a page comes once', async () => {
    recorder.answer = answerPages(
      listing(['a'], { prefixes: ['b/', 'c/'], next: '1' }),
      listing(['d'], { prefixes: ['c/', 'e/'] }),
    )
    const entries = await list(provider(), { delimiter: '/' })
    expect(entries.map(entry => (entry.type === 'object' ? entry.key : entry.prefix))).toEqual([
      'a',
      'b/',
      'c/',
      'd',
      'e/',
    ])
  })
})

describe('errors', () => {
  test.each([
    [400, 'Md5Mismatch', 'CHECKSUM', 'DIGEST'],
    [400, 'InvalidBlockList', 'UNAVAILABLE', 'UPLOAD_GONE'],
    [400, 'InvalidHeaderValue', 'INVALID', 'REFUSED'],
    [400, 'InvalidMetadata', 'INVALID', 'REFUSED'],
    [401, 'InvalidAuthenticationInfo', 'DENIED', 'CREDENTIALS'],
    [403, 'AuthenticationFailed', 'DENIED', 'CREDENTIALS'],
    [403, 'AuthorizationFailure', 'DENIED', 'CREDENTIALS'],
    [403, 'AuthorizationPermissionMismatch', 'DENIED', 'FORBIDDEN'],
    [403, 'SomethingNew', 'DENIED', 'FORBIDDEN'],
    [403, 'AccountIsDisabled', 'DENIED', 'ACCOUNT'],
    [403, 'KeyVaultEncryptionKeyNotFound', 'DENIED', 'KMS'],
    [409, 'BlobAlreadyExists', 'PRECONDITION', 'CONDITION'],
    [409, 'BlobImmutableDueToPolicy', 'DENIED', 'RETENTION'],
    [409, 'SnapshotsPresent', 'DENIED', 'RETENTION'],
    [409, 'InvalidBlobType', 'DENIED', 'CONFLICT'],
    [409, 'BlobArchived', 'UNSUPPORTED', 'RETENTION'],
    [412, 'ConditionNotMet', 'PRECONDITION', 'CONDITION'],
    [412, 'LeaseIdMissing', 'DENIED', 'RETENTION'],
    [413, 'RequestBodyTooLarge', 'INVALID', 'REFUSED'],
    [429, 'TooManyRequests', 'UNAVAILABLE', 'THROTTLED'],
    [500, 'InternalError', 'UNAVAILABLE', 'SERVER'],
    [500, 'OperationTimedOut', 'UNAVAILABLE', 'SERVER'],
    [501, 'NotImplemented', 'UNSUPPORTED', 'REFUSED'],
    [503, 'ServerBusy', 'UNAVAILABLE', 'THROTTLED'],
  ])('%i %s is %s, %s (A1, A2, A3, A5, A6, A7, A9, A10, A12)', async (status, code, expected, reason) => {
    recorder.answer = refuse(status, code)
    const unsettled = status >= 500 && status !== 501
    const outcome = unsettled ? 'unknown' : 'rejected'
    for (const name of ['put', 'delete']) {
      const error = await failure(calls[name]?.(provider()) ?? Promise.resolve())
      expect(error, name).toMatchObject({ code: expected, reason, outcome, key: 'key' })
      expect(error.message).toContain(code)
      expect(error.message).toContain('11111111-2222')
    }
    expect(await failure(provider().head('key', signal))).toMatchObject({ code: expected, reason })
  })

  test('a clock that is off is told from a wrong key (A7)', async () => {
    recorder.answer = refuse(403, 'AuthenticationFailed', 'No.', {
      date: new Date(Date.now() + 3_600_000).toUTCString(),
    })
    expect(await failure(provider().head('key', signal))).toMatchObject({ code: 'DENIED', reason: 'CLOCK' })
  })

  test('a refusal at the front door is for good', async () => {
    recorder.answer = reply(
      400,
      { server: 'Microsoft-HTTPAPI/2.0', 'content-type': 'text/html' },
      '<h2>Bad Request</h2>',
    )
    expect(await failure(provider().put(request('key', 'x'), signal))).toMatchObject({
      code: 'INVALID',
      reason: 'REFUSED',
    })
  })

  test('nobody listening, and no such host, are known not to have done anything (N1, N10)', async () => {
    for (const endpoint of ['http://127.0.0.1:1/account', 'https://holdfast-nobody.invalid']) {
      const error = await failure(provider({ endpoint }).put(request('key', 'x'), signal))
      expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK', outcome: 'rejected', retryable: true })
    }
  })

  test('plain HTTP where TLS is spoken is a matter of TLS, not of the object (N11)', async () => {
    const endpoint = recorder.endpoint.replace('http:', 'https:')
    const error = await failure(provider({ endpoint }).head('key', signal))
    expect(error).toMatchObject({ code: 'DENIED', reason: 'TLS', retryable: false })
  })
})

/** Lets the event loop turn until it is so. */
async function settled(isSo: () => boolean): Promise<void> {
  for (let i = 0; i < 200 && !isSo(); i++) await new Promise(resolve => setTimeout(resolve, 10))
  expect(isSo()).toBe(true)
}

function seededKeys(seed: number, count: number, alphabetEvery = 1): string[] {
  let state = seed >>> 0 || 1
  const next = (below: number): number => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
  const pieces = [
    'a',
    'B',
    '/',
    '.',
    '..',
    '%',
    '%2e',
    '%2F',
    '%5C',
    '%25',
    ' ',
    '+',
    '?',
    '#',
    '&',
    '=',
    "'",
    '"',
    '!',
    '(',
    '*',
    '~',
    ':',
  ]
  const wide = [
    'é',
    'e\u0301',
    '日',
    '😀',
    '\u{10fffd}',
    '\uffee',
    ';',
    '@',
    '$',
    ',',
    '{',
    '}',
    '[',
    ']',
    '|',
    '^',
    '`',
    '<',
    '\u2028',
    '//',
    './',
    '\\',
  ]
  return Array.from({ length: count }, () => {
    const from = alphabetEvery === 1 ? [...pieces, ...wide] : pieces
    return Array.from({ length: 1 + next(12) }, () => from[next(from.length)] ?? '').join('')
  })
}
