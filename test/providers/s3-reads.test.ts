import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { HoldfastError } from '../../src/core/errors.ts'
import type { ByteRange, ListRequest, Provider, RemoteEntry } from '../../src/core/provider.ts'
import {
  all,
  amazonAt,
  type Answer,
  errorOf,
  everything,
  listing,
  named,
  ofObject,
  type Recorder,
  reply,
  startRecorder,
  whole,
} from './s3-recorder.ts'

let server: Recorder
let provider: Provider
const { signal } = new AbortController()

beforeEach(async () => {
  server = await startRecorder(reply(200, ofObject))
  provider = await amazonAt(server.endpoint)
})

afterEach(() => server[Symbol.asyncDispose]())

async function read(key: string, range?: ByteRange): Promise<Buffer> {
  const found = await provider.get({ key, range, token: undefined }, signal)
  return Buffer.concat(await all(found?.body ?? []))
}

describe('an object', () => {
  test('is described by its headers', async () => {
    server.answer = reply(200, {
      ...ofObject,
      'content-length': '12',
      'content-type': 'image/png',
      'cache-control': 'no-store',
      'content-disposition': 'inline',
      'content-encoding': 'gzip',
      'content-language': 'de, en',
      'x-amz-checksum-crc32c': 'mnG7TA==',
      'x-amz-checksum-type': 'FULL_OBJECT',
      'x-amz-meta-a': 'b',
      'x-amz-meta-holdfast-meta': 'packed',
      'x-amz-meta-__proto__': 'data',
    })
    const object = await provider.head('k', signal)
    expect(object).toMatchObject({
      key: 'k',
      size: 12,
      token: '5d41402abc4b2a76b9719d911017c592',
      etag: '5d41402abc4b2a76b9719d911017c592',
      modifiedAt: new Date('2026-11-21T10:00:00Z'),
      attested: { crc32c: '9a71bb4c', md5: '5d41402abc4b2a76b9719d911017c592' },
      serverTime: Date.parse(named.date),
    })
    expect(object?.headers).toEqual({
      contentType: 'image/png',
      cacheControl: 'no-store',
      contentDisposition: 'inline',
      contentEncoding: 'gzip',
      contentLanguage: 'de, en',
    })
    expect(Object.entries(object?.metadata ?? {})).toEqual([
      ['a', 'b'],
      ['holdfast_meta', 'packed'],
      ['__proto__', 'data'],
    ])
    expect(Object.getPrototypeOf(object?.metadata)).toBeNull()
    expect(server.requests[0]?.headers['x-amz-checksum-mode']).toBe('ENABLED')
  })

  test.each([
    ['of parts', { etag: '"5d41402abc4b2a76b9719d911017c592-3"' }, {}],
    [
      'with a checksum of parts',
      { 'x-amz-checksum-crc32c': 'mnG7TA==-3', etag: '"5d41402abc4b2a76b9719d911017c592-3"' },
      {},
    ],
    [
      'with a composite checksum',
      { 'x-amz-checksum-crc32c': 'mnG7TA==', 'x-amz-checksum-type': 'COMPOSITE', etag: '"a-3"' },
      {},
    ],
    ['encrypted with KMS', { 'x-amz-server-side-encryption': 'aws:kms' }, {}],
    ['encrypted with KMS twice', { 'x-amz-server-side-encryption': 'aws:kms:dsse' }, {}],
    ["encrypted with a customer's key", { 'x-amz-server-side-encryption-customer-algorithm': 'AES256' }, {}],
    ['encrypted by S3', { 'x-amz-server-side-encryption': 'AES256' }, { md5: '5d41402abc4b2a76b9719d911017c592' }],
    ['with another checksum', { 'x-amz-checksum-sha256': 'x', etag: '"opaque"' }, {}],
  ])('%s attests what the service computed over the whole, and no more', async (_what, headers, attested) => {
    server.answer = reply(200, { ...ofObject, 'content-length': '1', ...headers })
    expect((await provider.head('k', signal))?.attested).toEqual(attested)
  })

  test('of another tool may have other than ASCII in its metadata', async () => {
    server.answer = (_request, response) => {
      // As Amazon gives it back, and as the bytes that other services keep.
      response.writeHead(200, [
        ...Object.entries({ ...ofObject, 'content-length': '1' }).flat(),
        'x-amz-meta-q',
        '=?UTF-8?Q?Stra=C3=9Fe_1?=',
        'x-amz-meta-b',
        '=?UTF-8?B?5pel5pys?= =?utf-8?b?6Kqe?=',
        'x-amz-meta-raw',
        Buffer.from('日本語').toString('latin1'),
        'x-amz-meta-latin',
        '\u00e9',
        'x-amz-meta-broken',
        '=?UTF-8?B?/w==?=',
      ])
      response.end()
    }
    const { metadata } = (await provider.head('k', signal)) ?? {}
    expect({ ...metadata }).toEqual({
      q: 'Straße 1',
      b: '日本語',
      raw: '日本語',
      latin: '\u00e9',
      broken: '=?UTF-8?B?/w==?=',
    })
  })

  test.each([
    ['length', { 'last-modified': ofObject['last-modified'], etag: ofObject.etag }],
    ['ETag', { 'content-length': '1', 'last-modified': ofObject['last-modified'] }],
    ['date', { 'content-length': '1', etag: ofObject.etag }],
  ])('without %s is none', async (_what, headers) => {
    server.answer = (_request, response) => {
      response.writeHead(200, { ...named, ...headers })
      response.end()
    }
    expect(await errorOf(provider.head('k', signal))).toMatchObject({ code: 'UNAVAILABLE', reason: 'PROTOCOL' })
  })
})

describe('a body', () => {
  const ranged = (contentRange: string, body: string, more: Record<string, string> = {}): Answer =>
    reply(206, { ...ofObject, 'content-range': contentRange, ...more }, body)

  test('is what is stored, whatever its encoding says', async () => {
    server.answer = reply(200, { ...ofObject, 'content-encoding': 'gzip' }, 'not gzip at all')
    expect((await read('k')).toString()).toBe('not gzip at all')
  })

  test('is cut as the range says, and asked for so', async () => {
    const ranges: readonly [ByteRange, string, Answer][] = [
      [{ start: 2 }, 'bytes=2-', ranged('bytes 2-4/5', 'llo')],
      [{ start: 1, end: 3 }, 'bytes=1-2', ranged('bytes 1-2/5', 'el')],
      [{ start: 1, end: 99 }, 'bytes=1-98', ranged('bytes 1-4/5', 'ello')],
      [{ last: 2 }, 'bytes=-2', ranged('bytes 3-4/5', 'lo')],
      [{ last: 99 }, 'bytes=-99', ranged('bytes 0-4/5', 'hello')],
      [{ last: 99 }, 'bytes=-99', reply(200, ofObject, 'hello')],
      [{ start: 0 }, 'bytes=0-', reply(200, ofObject, 'hello')],
    ]
    for (const [range, asked, answer] of ranges) {
      server.answer = answer
      server.requests.length = 0
      const found = await provider.get({ key: 'k', range, token: undefined }, signal)
      const bytes = Buffer.concat(await all(found?.body ?? []))
      expect(server.requests[0]?.headers.range).toBe(asked)
      expect(found?.object.size).toBe(5)
      expect(bytes.toString()).toBe('hello'.slice(found?.start, found?.end))
      expect(bytes.byteLength).toBeGreaterThan(0)
    }
  })

  test('of a part attests nothing of the whole but by its ETag', async () => {
    server.answer = ranged('bytes 0-4/9', 'hello', { 'x-amz-checksum-crc32c': 'mnG7TA==' })
    const found = await provider.get({ key: 'k', range: { start: 0, end: 5 }, token: undefined }, signal)
    expect(found?.object.attested).toEqual({ md5: '5d41402abc4b2a76b9719d911017c592' })
    await found?.close()
  })

  test.each([
    ['the whole for a part', { start: 1 }, reply(200, ofObject, 'hello')],
    ['another part', { start: 1 }, ranged('bytes 0-3/5', 'hell')],
    ['a shorter part', { start: 1 }, ranged('bytes 1-3/5', 'ell')],
    ['a part for the whole', undefined, ranged('bytes 0-4/5', 'hello')],
    ['a part without saying which', { start: 1 }, reply(206, ofObject, 'ello')],
    ['nonsense', { start: 1 }, ranged('bytes */5', 'ello')],
    ['another length', { start: 1 }, ranged('bytes 1-4/5', 'ello!')],
  ] as const)('that is %s is refused', async (_what, range, answer) => {
    server.answer = answer
    const error = await errorOf(provider.get({ key: 'k', range, token: undefined }, signal))
    expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'PROTOCOL' })
    await vi.waitFor(() => expect(server.open()).toBe(0))
  })

  test.each([
    ['large', 'ends', (response: { end(): void }) => response.end()],
    ['large', 'breaks', (response: { destroy(): void }) => response.destroy()],
    ['small', 'ends', (response: { end(): void }) => response.end()],
    ['small', 'breaks', (response: { destroy(): void }) => response.destroy()],
  ] as const)(
    'that is %s, and %s too early, is an error, never a short success (N3, I24)',
    async (size, _how, stop) => {
      const bytes = size === 'large' ? 1_000_000 : 10_000
      server.answer = (request, response) => {
        request.resume()
        response.writeHead(200, { ...ofObject, 'content-length': String(bytes) })
        response.write(Buffer.alloc(bytes / 2, 1), () =>
          setTimeout(() => {
            stop(response)
            response.socket?.end()
          }, 20),
        )
      }
      const error = (await errorOf(read('k'))) as HoldfastError
      expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK', key: 'k', retryable: true })
      // Not only that bytes are missing: why, too.
      expect(error.message).toMatch(/the body broke after \d+ bytes/)
      expect(error.cause).toBeInstanceOf(Error)
      await vi.waitFor(() => expect(server.open()).toBe(0))
    },
  )

  const chunked: readonly (readonly [sent: number, announced: number, reason: string])[] = [
    [9_999, 10_000, 'NETWORK'],
    [10_001, 10_000, 'PROTOCOL'],
    [999_999, 1_000_000, 'NETWORK'],
    [1_000_001, 1_000_000, 'PROTOCOL'],
  ]
  test.each(chunked)(
    'that comes in chunks, of %d bytes where %d are announced, is an error (N3, I24)',
    async (...each) => {
      const [sent, announced, reason] = each
      server.answer = (request, response) => {
        request.resume()
        // Its end is the end of the chunks: only the range says how long it is to be.
        const range = { 'content-range': `bytes 0-${announced - 1}/${announced}`, 'transfer-encoding': 'chunked' }
        response.writeHead(206, { ...ofObject, ...range })
        response.end(Buffer.alloc(sent, 1))
      }
      for (const transport of ['auto', 'sdk'] as const) {
        provider = await amazonAt(server.endpoint, { transport })
        expect(await errorOf(read('k', { start: 0 })), transport).toMatchObject({ code: 'UNAVAILABLE', reason })
      }
    },
  )

  const hanging: Answer = (request, response) => {
    request.resume()
    response.writeHead(200, { ...ofObject, 'content-length': '1000000' })
    response.write(Buffer.alloc(100_000, 1))
  }

  test('that hangs is left at once when the signal aborts, also between two chunks (N2)', async () => {
    server.answer = hanging
    const stop = new AbortController()
    const reason = new Error('enough')
    const found = await provider.get(whole('k'), stop.signal)
    const reading = errorOf(all(found?.body ?? []))
    setTimeout(() => stop.abort(reason), 50)
    expect(await reading).toBe(reason)
    await vi.waitFor(() => expect(server.open()).toBe(0))
  })

  test('that nobody reads lets go of its connection when closed, when left, and when aborted', async () => {
    server.answer = hanging
    const ways: readonly ((
      found: NonNullable<Awaited<ReturnType<Provider['get']>>>,
      stop: AbortController,
    ) => unknown)[] = [
      found => found.close(),
      async found => {
        for await (const chunk of found.body) if (chunk.byteLength > 0) break
      },
      (_found, stop) => stop.abort(new Error('enough')),
    ]
    for (const way of ways) {
      const stop = new AbortController()
      const found = await provider.get(whole('k'), stop.signal)
      expect(server.open()).toBe(1)
      if (found !== undefined) await way(found, stop)
      await vi.waitFor(() => expect(server.open()).toBe(0))
    }
  })

  test('is pinned by the token, as the service wants it', async () => {
    server.answer = reply(200, { ...ofObject, 'content-length': '0' })
    await provider.get({ ...whole('k'), token: 'abc' }, signal)
    expect(server.requests[0]?.headers['if-match']).toBe('"abc"')
    const ceph = { ...provider.capabilities, quirks: { ...provider.capabilities.quirks, 'if-match': 'bare' } }
    await provider.learn(ceph, signal)
    await provider.get({ ...whole('k'), token: 'abc' }, signal)
    expect(server.requests[1]?.headers['if-match']).toBe('abc')
    await provider.learn({ ...ceph, readIf: false, deleteIf: false }, signal)
    expect(await errorOf(provider.get({ ...whole('k'), token: 'abc' }, signal))).toMatchObject({ code: 'UNSUPPORTED' })
    expect(await errorOf(provider.delete('k', 'abc', signal))).toMatchObject({ code: 'UNSUPPORTED' })
    expect(server.requests).toHaveLength(2)
  })
})

describe('a listing', () => {
  const list = (request: Partial<ListRequest> = {}): Promise<RemoteEntry[]> =>
    all(provider.list({ ...everything, ...request }, signal))
  const pages = (...answers: readonly Answer[]): Answer => {
    let at = 0
    return (request, response, seen) => answers[Math.min(at++, answers.length - 1)]?.(request, response, seen)
  }
  const truncated = (token: string): string =>
    `<IsTruncated>true</IsTruncated><NextContinuationToken>${token}</NextContinuationToken>`

  test('goes from page to page, decoding names, and reads none that nobody asked for', async () => {
    server.answer = pages(
      listing(['a+b', 'a%2Bb', 'b%2F%C3%A9%25'], truncated('t1')),
      listing(['c'], truncated('t2')),
      listing(['d']),
    )
    const keys = (await list()).map(entry => (entry.type === 'object' ? entry.key : ''))
    expect(keys).toEqual(['a b', 'a+b', 'b/é%', 'c', 'd'])
    const tokens = server.requests.map(seen => new URL(`http://x${seen.url}`).searchParams.get('continuation-token'))
    expect(tokens).toEqual([null, 't1', 't2'])

    server.requests.length = 0
    server.answer = listing(['a', 'b'], truncated('t1'))
    for await (const entry of provider.list(everything, signal)) {
      if (entry.type === 'object' && entry.key === 'a') break
    }
    expect(server.requests).toHaveLength(1)
  })

  test('folds objects and prefixes into one order', async () => {
    const prefixes = ['a/', 'c/', 'z/'].map(
      prefix => `<CommonPrefixes><Prefix>${encodeURIComponent(prefix)}</Prefix></CommonPrefixes>`,
    )
    server.answer = listing(['a-', 'b', 'd'], `<IsTruncated>false</IsTruncated>${prefixes.join('')}`)
    const names = (await list({ delimiter: '/' })).map(entry => (entry.type === 'object' ? entry.key : entry.prefix))
    expect(names).toEqual(['a-', 'a/', 'b', 'c/', 'd', 'z/'])
  })

  const wrong: readonly [string, Answer, Partial<ListRequest>?][] = [
    ['out of order', listing(['b', 'a'])],
    ['with a key twice', listing(['a', 'a'])],
    ['in the order of UTF-16', listing([encodeURIComponent('\u{1f600}'), encodeURIComponent('\uff5e')])],
    ['with what is before its beginning', listing(['a', 'b']), { startAfter: 'a' }],
    ['with what is not under its prefix', listing(['b']), { prefix: 'a' }],
    ['whose next page begins before its last ended', pages(listing(['a', 'c'], truncated('t')), listing(['b']))],
    ['that goes round', listing([], truncated('t'))],
    ['that is cut without saying where', listing(['a'], '<IsTruncated>true</IsTruncated>')],
    [
      'with an entry without a name',
      listing([], '<IsTruncated>false</IsTruncated><Contents><Size>1</Size></Contents>'),
    ],
    ['with a name that is not encoded', listing(['100%'])],
  ]
  test.each(wrong)('%s is an error (S20)', async (_what, answer, request) => {
    server.answer = answer
    expect(await errorOf(list(request))).toMatchObject({ code: 'UNAVAILABLE', reason: 'PROTOCOL' })
  })

  const none: readonly [string, Answer][] = [
    ['of another bucket', listing([], undefined, 'other')],
    ['that does not say whether there is more', listing([], '')],
    ['of something else', reply(200, { ...named, 'content-type': 'application/xml' }, '<LocationConstraint/>')],
    ['that is empty', reply(200, named, '')],
  ]
  test.each(none)('%s is none (S20, N12, I14)', async (_what, answer) => {
    server.answer = answer
    expect(await errorOf(list())).toMatchObject({ code: 'UNAVAILABLE', reason: 'NOT_PROVIDER' })
  })

  test('without end is cut off (N13)', async () => {
    server.answer = (request, response) => {
      request.resume()
      response.writeHead(200, { ...named, 'content-type': 'application/xml' })
      const more = (): void => {
        while (response.write('<ListBucketResult>'.repeat(10_000))) if (response.destroyed) return
        response.once('drain', more)
      }
      more()
    }
    expect(await errorOf(list())).toMatchObject({ code: 'UNAVAILABLE', reason: 'PROTOCOL' })
    await vi.waitFor(() => expect(server.open()).toBe(0))
  })
})
