import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { HoldfastError, type ErrorCode, type Outcome, type Reason } from '../../src/core/errors.ts'
import type { Provider } from '../../src/core/provider.ts'
import { s3 } from '../../src/providers/s3.ts'
import {
  all,
  amazonAt,
  type Answer,
  byMethod,
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

interface Row {
  /** Of the fault matrix. */
  readonly row: string
  readonly status: number
  readonly code: string
  readonly message?: string
  readonly headers?: Record<string, string>
  readonly is: readonly [ErrorCode, Reason, Outcome, boolean]
}

const rows: readonly Row[] = [
  // S1: overload
  { row: 'S1', status: 503, code: 'SlowDown', is: ['UNAVAILABLE', 'THROTTLED', 'unknown', true] },
  { row: 'S1', status: 503, code: 'ServiceUnavailable', is: ['UNAVAILABLE', 'SERVER', 'unknown', true] },
  { row: 'S1', status: 500, code: 'InternalError', is: ['UNAVAILABLE', 'SERVER', 'unknown', true] },
  { row: 'S1', status: 429, code: 'TooManyRequestsException', is: ['UNAVAILABLE', 'THROTTLED', 'unknown', true] },
  { row: 'S1', status: 504, code: 'GatewayTimeout', is: ['UNAVAILABLE', 'SERVER', 'unknown', true] },
  // S4: the request
  { row: 'S4', status: 400, code: 'RequestTimeout', is: ['UNAVAILABLE', 'NETWORK', 'rejected', true] },
  { row: 'S4', status: 400, code: 'IncompleteBody', is: ['UNAVAILABLE', 'NETWORK', 'rejected', true] },
  { row: 'S4', status: 400, code: 'BadDigest', is: ['CHECKSUM', 'DIGEST', 'rejected', true] },
  { row: 'S4', status: 400, code: 'InvalidDigest', is: ['CHECKSUM', 'DIGEST', 'rejected', true] },
  { row: 'S4', status: 400, code: 'XAmzContentSHA256Mismatch', is: ['CHECKSUM', 'DIGEST', 'rejected', true] },
  { row: 'S4', status: 400, code: 'EntityTooLarge', is: ['INVALID', 'REFUSED', 'rejected', false] },
  { row: 'S4', status: 400, code: 'InvalidArgument', is: ['INVALID', 'REFUSED', 'rejected', false] },
  { row: 'S4', status: 400, code: 'MetadataTooLarge', is: ['INVALID', 'REFUSED', 'rejected', false] },
  { row: 'S4', status: 411, code: 'MissingContentLength', is: ['INVALID', 'REFUSED', 'rejected', false] },
  // S5: credentials and clock
  { row: 'S5', status: 403, code: 'AccessDenied', is: ['DENIED', 'FORBIDDEN', 'rejected', false] },
  { row: 'S5', status: 403, code: 'InvalidAccessKeyId', is: ['DENIED', 'CREDENTIALS', 'rejected', false] },
  { row: 'S5', status: 403, code: 'SignatureDoesNotMatch', is: ['DENIED', 'CREDENTIALS', 'rejected', false] },
  { row: 'S5', status: 400, code: 'ExpiredToken', is: ['DENIED', 'CREDENTIALS', 'rejected', false] },
  { row: 'S5', status: 400, code: 'TokenRefreshRequired', is: ['DENIED', 'CREDENTIALS', 'rejected', false] },
  { row: 'S5', status: 401, code: 'Unauthorized', is: ['DENIED', 'CREDENTIALS', 'rejected', false] },
  { row: 'S5', status: 403, code: 'RequestTimeTooSkewed', is: ['DENIED', 'CLOCK', 'rejected', true] },
  // S6: the account
  { row: 'S6', status: 403, code: 'AllAccessDisabled', is: ['DENIED', 'ACCOUNT', 'rejected', false] },
  { row: 'S6', status: 403, code: 'AccountProblem', is: ['DENIED', 'ACCOUNT', 'rejected', false] },
  { row: 'S6', status: 403, code: 'NotSignedUp', is: ['DENIED', 'ACCOUNT', 'rejected', false] },
  { row: 'S6', status: 403, code: 'UserSuspended', is: ['DENIED', 'ACCOUNT', 'rejected', false] },
  { row: 'S6', status: 403, code: 'QuotaExceeded', is: ['NO_SPACE', 'ACCOUNT', 'rejected', false] },
  { row: 'S6', status: 507, code: 'XMinioStorageFull', is: ['NO_SPACE', 'ACCOUNT', 'rejected', false] },
  // S7: the bucket
  { row: 'S7', status: 404, code: 'NoSuchBucket', is: ['DENIED', 'BUCKET', 'rejected', false] },
  // S9: the region
  { row: 'S9', status: 301, code: 'PermanentRedirect', is: ['DENIED', 'REGION', 'rejected', false] },
  { row: 'S9', status: 307, code: 'TemporaryRedirect', is: ['DENIED', 'REGION', 'rejected', false] },
  { row: 'S9', status: 400, code: 'IllegalLocationConstraintException', is: ['DENIED', 'REGION', 'rejected', false] },
  {
    row: 'S9',
    status: 400,
    code: 'AuthorizationHeaderMalformed',
    headers: { 'x-amz-bucket-region': 'eu-west-1' },
    is: ['DENIED', 'REGION', 'rejected', false],
  },
  { row: 'S9', status: 400, code: 'AuthorizationHeaderMalformed', is: ['DENIED', 'CREDENTIALS', 'rejected', false] },
  // S10: keys of encryption
  { row: 'S10', status: 400, code: 'KMS.DisabledException', is: ['DENIED', 'KMS', 'rejected', false] },
  {
    row: 'S10',
    status: 403,
    code: 'AccessDenied',
    message: 'User is not authorized to perform: kms:GenerateDataKey',
    is: ['DENIED', 'KMS', 'rejected', false],
  },
  { row: 'S10', status: 503, code: 'KMS.ThrottlingException', is: ['UNAVAILABLE', 'THROTTLED', 'unknown', true] },
  // S11: retention
  {
    row: 'S11',
    status: 403,
    code: 'AccessDenied',
    message: 'Access Denied because object protected by object lock.',
    is: ['DENIED', 'RETENTION', 'rejected', false],
  },
  {
    row: 'S11',
    status: 400,
    code: 'InvalidRequest',
    message: 'Object is WORM protected and cannot be overwritten',
    is: ['DENIED', 'RETENTION', 'rejected', false],
  },
  // S13: conditions and conflicts
  { row: 'S13', status: 412, code: 'PreconditionFailed', is: ['PRECONDITION', 'CONDITION', 'rejected', false] },
  { row: 'S13', status: 409, code: 'ConditionalRequestConflict', is: ['PRECONDITION', 'CONDITION', 'rejected', false] },
  { row: 'S13', status: 409, code: 'OperationAborted', is: ['UNAVAILABLE', 'SERVER', 'rejected', true] },
  // S14, S15: what a service does not know
  { row: 'S14', status: 501, code: 'NotImplemented', is: ['UNSUPPORTED', 'REFUSED', 'rejected', false] },
  // S16: archives
  { row: 'S16', status: 403, code: 'InvalidObjectState', is: ['INVALID', 'REFUSED', 'rejected', false] },
]

describe('what S3 answers to a put', () => {
  test.each(rows)('$status $code $message is $is ($row)', async ({ status, code, message, headers, is }) => {
    server.answer = refuse(status, code, headers, message)
    const error = await errorOf(provider.put(putOf('k', 'body'), signal))
    expect(error).toBeInstanceOf(HoldfastError)
    const { code: ours, reason, outcome, retryable, provider: name, key } = error as HoldfastError
    expect([ours, reason, outcome, retryable]).toEqual(is)
    expect([name, key]).toEqual(['s3:main', 'k'])
    expect(String(error)).toContain(String(status))
    const public_ = provider.classify(await errorOf(rawPut()))
    expect(public_).toMatchObject({ code: ours, reason })
  })

  test('what a proxy answers is no verdict on the bucket (S5, S7, N12, I14)', async () => {
    for (const status of [301, 400, 401, 403, 404, 407, 418]) {
      server.answer = reply(status, { 'content-type': 'text/html' }, '<html><h1>Proxy</h1></html>')
      for (const call of [
        () => provider.put(putOf('k', 'body'), signal),
        () => provider.head('k', signal),
        () => provider.get(whole('k'), signal),
        () => provider.delete('k', undefined, signal),
        () => all(provider.list(everything, signal)),
      ]) {
        expect(await errorOf(call()), `${status}`).toMatchObject({ code: 'UNAVAILABLE', reason: 'NOT_PROVIDER' })
      }
    }
    for (const body of ['<html>', '{"message":"Too many"}', '', '<Error><Code>', 'x'.repeat(200_000)]) {
      server.answer = reply(429, { 'retry-after': '7' }, body)
      expect(await errorOf(provider.put(putOf('k', 'body'), signal))).toMatchObject({
        reason: 'THROTTLED',
        retryAfterMs: 7000,
      })
      server.answer = reply(503, {}, body)
      expect(await errorOf(provider.put(putOf('k', 'body'), signal))).toMatchObject({ reason: 'SERVER' })
    }
  })

  test('Retry-After is read, in seconds and as a date (S1, I29)', async () => {
    const date = 'Sun, 22 Nov 2026 03:00:00 GMT'
    for (const [value, ms] of [
      ['120', 120_000],
      ['Sun, 22 Nov 2026 03:00:30 GMT', 30_000],
      ['Sun, 22 Nov 2026 02:00:00 GMT', 0],
      ['soon', undefined],
      ['-5', undefined],
    ] as const) {
      server.answer = refuse(503, 'SlowDown', { 'retry-after': value, date })
      expect(((await errorOf(provider.put(putOf('k', 'body'), signal))) as HoldfastError).retryAfterMs).toBe(ms)
    }
  })

  test('a replacement of what is not there any more is a condition that does not hold (S13)', async () => {
    server.answer = refuse(404, 'NoSuchKey')
    const put = putOf('k', 'body', { condition: { token: 'abc' } })
    expect(await errorOf(provider.put(put, signal))).toMatchObject({ code: 'PRECONDITION', reason: 'CONDITION' })
  })

  test('an error without end is cut off (N13)', async () => {
    server.answer = (request, response) => {
      request.resume()
      response.writeHead(403, { ...named, 'content-type': 'application/xml' })
      const more = (): void => {
        while (response.write('<Error><Code>AccessDenied</Code>'.repeat(1000))) if (response.destroyed) return
        response.once('drain', more)
      }
      more()
    }
    expect(await errorOf(provider.put(putOf('k', 'body'), signal))).toMatchObject({ reason: 'FORBIDDEN' })
    await vi.waitFor(() => expect(server.open()).toBe(0))
  })
})

describe('what a put proves', () => {
  const put = (): Promise<unknown> => provider.put(putOf('k', 'hello'), signal)
  const md5 = '5d41402abc4b2a76b9719d911017c592'
  const other = '00000000000000000000000000000000'

  test('an ETag that is the MD5, or the checksum repeated (S19)', async () => {
    server.answer = reply(200, { ...named, etag: `"${md5}"` })
    expect(await put()).toMatchObject({ token: md5, etag: md5, proof: 'server-full' })
    server.answer = reply(200, {
      ...named,
      etag: `"${other}"`,
      'x-amz-checksum-crc32c': 'mnG7TA==',
      'x-amz-server-side-encryption': 'aws:kms',
    })
    expect(await put()).toMatchObject({ token: other, proof: 'server-full' })
  })

  test('an ETag that should be the MD5 and is another: other bytes were stored (S19, I24)', async () => {
    server.answer = reply(200, { ...named, etag: `"${other}"` })
    expect(await errorOf(put())).toMatchObject({ code: 'CHECKSUM', reason: 'DIGEST', outcome: 'unknown' })
  })

  test('nothing, of a service that nothing is known of', async () => {
    const unknown = s3({ bucket: 'main', endpoint: server.endpoint, credentials: secrets })
    server.answer = reply(200, { ...named, etag: `"${other}"` })
    expect(await unknown.put(putOf('k', 'hello'), signal)).toMatchObject({ proof: 'none' })
  })

  test('without an ETag nothing was stored as far as anybody knows (S2, S19, N12)', async () => {
    server.answer = reply(200, named)
    expect(await errorOf(put())).toMatchObject({ code: 'UNAVAILABLE', outcome: 'unknown' })
  })
})

describe('absence', () => {
  const gone = reply(404, named)

  test('a 404 to HEAD counts only once the bucket was seen (S7, I27)', async () => {
    server.answer = byMethod({ 'HEAD /main/k': gone, 'HEAD /main/': reply(200, named) })
    expect(await provider.head('k', signal)).toBeUndefined()
    server.answer = gone
    expect(await errorOf(provider.head('k', signal))).toMatchObject({ code: 'DENIED', reason: 'BUCKET', key: 'k' })
  })

  test('of many 404s at once the bucket is asked for once or twice, never before them', async () => {
    const order: string[] = []
    let delayed = 0
    server.answer = (request, response, seen) => {
      const isBucket = seen.url.split('?')[0] === '/main/'
      order.push(isBucket ? 'bucket' : 'key')
      if (isBucket) delayed++
      setTimeout(() => reply(isBucket ? 200 : 404, named)(request, response, seen), isBucket ? 100 : 5)
    }
    const keys = Array.from({ length: 50 }, (_none, index) => `k${index}`)
    expect(await Promise.all(keys.map(key => provider.head(key, signal)))).toEqual(keys.map(() => undefined))
    expect(delayed).toBeLessThanOrEqual(3)

    order.length = 0
    // A question that is under way when the 404 comes proves nothing about it: the bucket may have gone in between.
    const first = provider.head('a', signal)
    await vi.waitFor(() => expect(order).toContain('bucket'))
    const second = provider.head('b', signal)
    await Promise.all([first, second])
    expect(order).toEqual(['key', 'bucket', 'key', 'bucket'])
  })

  test('who leaves does not spoil the answer for the others, and the last takes the question along', async () => {
    let answersBucket = false
    const asked = (): number => server.requests.filter(seen => seen.url === '/main/').length
    server.answer = async (request, response, seen) => {
      if (seen.url !== '/main/') return gone(request, response, seen)
      await vi.waitUntil(() => answersBucket || response.destroyed, { timeout: 10_000 })
      return reply(200, named)(request, response, seen)
    }
    const [a, b] = [new AbortController(), new AbortController()]
    const [one, two] = [errorOf(provider.head('a', a.signal)), provider.head('b', b.signal)]
    await vi.waitFor(() => expect(asked()).toBe(1))
    a.abort(new Error('gone'))
    expect(await one).toMatchObject({ message: 'gone' })
    answersBucket = true
    expect(await two).toBeUndefined()

    answersBucket = false
    const before = asked()
    const c = new AbortController()
    const three = errorOf(provider.head('c', c.signal))
    await vi.waitFor(() => expect(asked()).toBe(before + 1))
    c.abort(new Error('gone'))
    await three
    answersBucket = true
    expect(await provider.head('d', signal)).toBeUndefined()
  })

  test('who leaves while the question is still to be asked does not take it away from who comes then', async () => {
    let answersBucket = false
    server.answer = async (request, response, seen) => {
      if (seen.url !== '/main/') return gone(request, response, seen)
      await vi.waitUntil(() => answersBucket || response.destroyed, { timeout: 10_000 })
      return reply(200, named)(request, response, seen)
    }
    const first = provider.head('a', signal)
    await vi.waitFor(() => expect(server.requests.at(-1)?.url).toBe('/main/'))
    const stop = new AbortController()
    const second = errorOf(provider.head('b', stop.signal))
    await new Promise(resolve => setTimeout(resolve, 50))
    stop.abort(new Error('gone'))
    expect(await second).toMatchObject({ message: 'gone' })
    const third = provider.head('c', signal)
    await new Promise(resolve => setTimeout(resolve, 50))
    answersBucket = true
    expect(await Promise.all([first, third])).toEqual([undefined, undefined])
  })

  test('a key that may not ask for the bucket asks for the object instead (S5, S7, I27)', async () => {
    server.answer = byMethod({ 'HEAD /main/k': gone, 'HEAD /main/': reply(403, named), GET: refuse(404, 'NoSuchKey') })
    expect(await provider.head('k', signal)).toBeUndefined()
    server.answer = byMethod({
      'HEAD /main/k': gone,
      'HEAD /main/': reply(403, named),
      GET: refuse(404, 'NoSuchBucket'),
    })
    expect(await errorOf(provider.head('k', signal))).toMatchObject({ reason: 'BUCKET' })
  })

  test('a bucket that cannot be asked for proves nothing (S7, I27)', async () => {
    server.answer = byMethod({ 'HEAD /main/k': gone, 'HEAD /main/': reply(503, named) })
    expect(await errorOf(provider.head('k', signal))).toMatchObject({ code: 'UNAVAILABLE', reason: 'SERVER' })
  })

  test('a 403 is never absence, and is explained by what GET says (S5, I27)', async () => {
    for (const [code, reason] of [
      ['AccessDenied', 'FORBIDDEN'],
      ['InvalidAccessKeyId', 'CREDENTIALS'],
      ['RequestTimeTooSkewed', 'CLOCK'],
      ['AllAccessDisabled', 'ACCOUNT'],
    ] as const) {
      server.answer = byMethod({ HEAD: reply(403, named), GET: refuse(403, code) })
      expect(await errorOf(provider.head('k', signal))).toMatchObject({ code: 'DENIED', reason })
    }
    server.answer = byMethod({ HEAD: reply(400, named), GET: refuse(400, 'ExpiredToken') })
    expect(await errorOf(provider.head('k', signal))).toMatchObject({ reason: 'CREDENTIALS' })
    server.answer = byMethod({ HEAD: reply(400, { ...named, 'x-amz-bucket-region': 'eu-west-3' }), GET: reply(500) })
    expect(String(await errorOf(provider.head('k', signal)))).toContain('eu-west-3')
  })

  test('GET says itself whether it is the key or the bucket (S7, I27)', async () => {
    server.answer = refuse(404, 'NoSuchKey')
    expect(await provider.get(whole('k'), signal)).toBeUndefined()
    server.answer = refuse(404, 'NoSuchBucket')
    expect(await errorOf(provider.get(whole('k'), signal))).toMatchObject({ reason: 'BUCKET' })
    server.answer = refuse(404, 'NoSuchBucket')
    expect(await errorOf(all(provider.list(everything, signal)))).toMatchObject({ reason: 'BUCKET' })
    expect(await errorOf(provider.delete('k', undefined, signal))).toMatchObject({ reason: 'BUCKET' })
  })
})

describe('no answer', () => {
  test('nobody listens: nothing was done (N1)', async () => {
    await server[Symbol.asyncDispose]()
    const error = await errorOf(provider.put(putOf('k', 'body'), signal))
    expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK', outcome: 'rejected', retryable: true })
    server = await startRecorder(reply(200))
  })

  test('a name that does not resolve (N10)', async () => {
    const nowhere = s3({ bucket: 'main', endpoint: 'https://nowhere.invalid', credentials: secrets })
    expect(await errorOf(nowhere.put(putOf('k', 'body'), signal))).toMatchObject({
      reason: 'NETWORK',
      outcome: 'rejected',
    })
  })

  test('a connection that breaks: nobody knows (N4, I15)', async () => {
    server.answer = request => request.socket.resetAndDestroy()
    expect(await errorOf(provider.put(putOf('k', 'body'), signal))).toMatchObject({
      reason: 'NETWORK',
      outcome: 'unknown',
    })
    expect(await errorOf(provider.delete('k', undefined, signal))).toMatchObject({
      reason: 'NETWORK',
      outcome: 'unknown',
    })
    const read = (await errorOf(provider.head('k', signal))) as HoldfastError
    expect([read.reason, read.outcome]).toEqual(['NETWORK', undefined])
    server.answer = request => request.socket.end('HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n')
    expect(await errorOf(all(provider.list(everything, signal)))).toMatchObject({ reason: 'NETWORK' })
  })

  test('what is not HTTP, or not TLS (N11, N13)', async () => {
    server.answer = request => request.socket.end('SSH-2.0-OpenSSH_9.2\r\n')
    expect(await errorOf(provider.put(putOf('k', 'body'), signal))).toMatchObject({
      reason: 'PROTOCOL',
      outcome: 'unknown',
    })
    const tls = s3({ bucket: 'main', endpoint: server.endpoint.replace('http:', 'https:'), credentials: secrets })
    expect(await errorOf(tls.put(putOf('k', 'body'), signal))).toMatchObject({
      code: 'DENIED',
      reason: 'TLS',
      outcome: 'rejected',
    })
  })

  test('credentials that cannot be had (S5)', async () => {
    const failing = s3({
      bucket: 'main',
      endpoint: server.endpoint,
      credentials: async () => {
        throw Object.assign(new Error('no role'), { name: 'CredentialsProviderError' })
      },
    })
    expect(await errorOf(failing.put(putOf('k', 'body'), signal))).toMatchObject({
      code: 'DENIED',
      reason: 'CREDENTIALS',
      outcome: 'rejected',
    })
  })

  test('a region that nobody said', async () => {
    vi.stubEnv('AWS_REGION', undefined)
    vi.stubEnv('AWS_CONFIG_FILE', '/nonexistent')
    vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', '/nonexistent')
    try {
      const amazon = s3({ bucket: 'main', credentials: secrets })
      expect(await errorOf(amazon.put(putOf('k', 'body'), signal))).toMatchObject({
        code: 'DENIED',
        reason: 'REGION',
        outcome: 'rejected',
      })
    } finally {
      vi.unstubAllEnvs()
    }
  })

  test('TLS and other errors of Node, by their codes (N11)', () => {
    const of = (code: string, syscall?: string): unknown =>
      Object.assign(new Error('x'), { code, ...(syscall && { syscall }) })
    for (const code of [
      'CERT_HAS_EXPIRED',
      'DEPTH_ZERO_SELF_SIGNED_CERT',
      'ERR_TLS_CERT_ALTNAME_INVALID',
      'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    ]) {
      expect(provider.classify(of(code))).toMatchObject({ code: 'DENIED', reason: 'TLS', retryable: false })
    }
    expect(provider.classify(of('ETIMEDOUT', 'connect'))).toMatchObject({ reason: 'NETWORK', outcome: 'rejected' })
    expect(provider.classify(of('ETIMEDOUT', 'read'))).toMatchObject({ reason: 'NETWORK', outcome: 'unknown' })
    expect(provider.classify(of('EHOSTUNREACH', 'connect'))).toMatchObject({ reason: 'NETWORK', outcome: 'rejected' })
    expect(provider.classify(of('EHOSTUNREACH', 'write'))).toMatchObject({ reason: 'NETWORK', outcome: 'unknown' })
    expect(provider.classify(of('EAI_AGAIN', 'getaddrinfo'))).toMatchObject({ reason: 'NETWORK', outcome: 'rejected' })
  })
})

test('no error shows a secret, however it is looked at (I42, X1)', async () => {
  // As S3 says it: with the key id, the token, and the string that was signed.
  const echo = `<Error><Code>SignatureDoesNotMatch</Code><Message>Mismatch. X-Amz-Signature=deadbeef&amp;X-Amz-Security-Token=${secrets.sessionToken}</Message><AWSAccessKeyId>${secrets.accessKeyId}</AWSAccessKeyId><Token-0>${secrets.sessionToken}</Token-0><StringToSign>x-amz-security-token:${secrets.sessionToken}</StringToSign><CanonicalRequest>${secrets.accessKeyId}</CanonicalRequest></Error>`
  const answers: readonly Answer[] = [
    reply(403, { ...named, 'content-type': 'application/xml' }, echo),
    reply(400, named, echo.replace('SignatureDoesNotMatch', 'InvalidToken')),
    reply(503, named, echo),
    reply(200, { ...named, etag: '"x"' }, echo),
    reply(404, {}, echo),
    request => request.socket.destroy(),
  ]
  for (const answer of answers) {
    server.answer = answer
    for (const call of [
      () => provider.put(putOf('k', 'body'), signal),
      () => provider.head('k', signal),
      () => provider.get(whole('k'), signal),
      () => provider.delete('k', undefined, signal),
      () => all(provider.list(everything, signal)),
      async () => {
        throw provider.classify(await errorOf(rawPut()))
      },
    ]) {
      const error = await errorOf(call()).catch(() => undefined)
      if (!(error instanceof Error)) continue
      const shown = [
        inspect(error, { depth: 20, showHidden: true, getters: true }),
        JSON.stringify(error),
        String(error),
        error.stack ?? '',
      ].join('\n')
      for (const secret of [...Object.values(secrets), 'deadbeef']) expect(shown).not.toContain(secret)
    }
  }
})

test('words of a service stay on one line and do nothing to a terminal (X13)', async () => {
  server.answer = refuse(403, 'AccessDenied', {}, `no\n\u001b[31mFATAL: all is lost\u202e ${'x'.repeat(5000)}`)
  const { message } = (await errorOf(provider.put(putOf('k', 'body'), signal))) as Error
  expect(message).not.toMatch(/[\p{Cc}\p{Cf}]/u)
  expect(message.length).toBeLessThan(700)
})

test('lists fail as other calls do', async () => {
  server.answer = listing(['a'])
  expect(await all(provider.list(everything, signal))).toHaveLength(1)
  server.answer = refuse(403, 'AccessDenied')
  expect(await errorOf(all(provider.list(everything, signal)))).toMatchObject({ code: 'DENIED', reason: 'FORBIDDEN' })
})

/** The SDK's own error for what the server answers now. */
async function rawPut(): Promise<unknown> {
  const { PutObjectCommand, S3Client } = await import('@aws-sdk/client-s3')
  const client = new S3Client({
    endpoint: server.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: secrets,
    maxAttempts: 1,
  })
  return await client.send(new PutObjectCommand({ Bucket: 'main', Key: 'k', Body: 'body' }))
}
