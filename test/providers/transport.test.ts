import { inspect } from 'node:util'
import { runInNewContext } from 'node:vm'
import { describe, expect, test } from 'vitest'
import { brokenBy, cleanCause, cleanText, httpDate, retryAfterMs, wordsOf } from '../../src/providers/transport.ts'

// What all drivers make of a connection that failed, and of the words of others. What each service means is in its own tests.

const failed = (code: string, more: object = {}, message = 'x'): Error =>
  Object.assign(new Error(message), { code, ...more })

describe('a connection that failed', () => {
  test.each([
    'CERT_HAS_EXPIRED',
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'ERR_TLS_CERT_ALTNAME_INVALID',
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
    'INVALID_PURPOSE',
    'HOSTNAME_MISMATCH',
    'EPROTO',
  ])('by %s is a matter of TLS, and nothing was sent (N11)', code => {
    expect(brokenBy(failed(code))).toEqual({ reason: 'TLS', isSent: false })
  })

  test.each(['ERR_SSL_SSL/TLS_ALERT_BAD_RECORD_MAC', 'ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC'])(
    'by %s is one whose bytes were damaged on the way: what was sent before may have been done (N11, I15)',
    code => {
      expect(brokenBy(failed(code))).toEqual({ reason: 'NETWORK', isSent: true })
    },
  )

  test.each([
    // As OpenSSL 3.5 says it of an answer to a put that was done; of TLS 1.2 the first is for any byte.
    ['ERR_SSL_CIPHER_OPERATION_FAILED', 'Provider routines:ossl_gcm_stream_update:cipher operation failed:'],
    ['ERR_SSL_ENCRYPTED_LENGTH_TOO_LONG', 'SSL routines:tls13_validate_record_header:encrypted length too long:'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'SSL routines:tls13_validate_record_header:wrong version number:'],
    ['ERR_SSL_WRONG_VERSION_NUMBER', 'SSL routines:tls_default_validate_record_header:wrong version number:'],
    ['EPROTO', 'write EPROTO 40:error:0A0003FC:SSL routines:ssl3_read_bytes:ssl/tls alert bad record mac:'],
  ])('by %s, %s, is one whose bytes were damaged, too (N11, I15)', (code, message) => {
    expect(brokenBy(failed(code, {}, message))).toEqual({ reason: 'NETWORK', isSent: true })
  })

  test('by the wrong version where nothing is agreed yet, as of something that speaks no TLS, is a matter of TLS (N11)', () => {
    for (const place of ['tls_validate_record_header', 'ssl3_get_record']) {
      const error = failed('ERR_SSL_WRONG_VERSION_NUMBER', {}, `SSL routines:${place}:wrong version number:`)
      expect(brokenBy(error)).toEqual({ reason: 'TLS', isSent: false })
    }
  })

  test.each<[string, object, string, boolean]>([
    ['ECONNREFUSED', { syscall: 'connect' }, 'NETWORK', false],
    ['ECONNREFUSED', {}, 'NETWORK', false],
    ['ENOTFOUND', { syscall: 'getaddrinfo' }, 'NETWORK', false],
    ['EAI_AGAIN', {}, 'NETWORK', false],
    ['EACCES', { syscall: 'connect' }, 'NETWORK', false],
    ['EHOSTUNREACH', { syscall: 'connect' }, 'NETWORK', false],
    ['EHOSTUNREACH', { syscall: 'write' }, 'NETWORK', true],
    ['ECONNRESET', { syscall: 'read' }, 'NETWORK', true],
    ['EPIPE', { syscall: 'write' }, 'NETWORK', true],
    ['ERR_STREAM_PREMATURE_CLOSE', {}, 'NETWORK', true],
    ['ERR_HTTP2_STREAM_ERROR', {}, 'NETWORK', true],
    ['UND_ERR_SOCKET', {}, 'NETWORK', true],
    ['ETIMEDOUT', { syscall: 'connect' }, 'TIMEOUT', false],
    ['ETIMEDOUT', { syscall: 'read' }, 'TIMEOUT', true],
    ['ERR_SOCKET_CONNECTION_TIMEOUT', {}, 'TIMEOUT', false],
    ['HPE_INVALID_CONSTANT', {}, 'PROTOCOL', true],
  ])('by %s, %o is %s; sent: %s', (code, more, reason, isSent) => {
    expect(brokenBy(failed(code, more))).toEqual({ reason, isSent })
  })

  test('to several addresses was sent unless all of them failed on the way', () => {
    const connect = failed('ECONNREFUSED', { syscall: 'connect' })
    const reset = failed('ECONNRESET', { syscall: 'read' })
    const both = (...errors: Error[]): Error => Object.assign(new AggregateError(errors), { code: 'ETIMEDOUT' })
    expect(brokenBy(both(connect, connect))).toEqual({ reason: 'TIMEOUT', isSent: false })
    expect(brokenBy(both(connect, reset))).toEqual({ reason: 'TIMEOUT', isSent: true })
  })

  test('is known by its words where it has no code', () => {
    expect(brokenBy(new Error('socket hang up'))).toEqual({ reason: 'NETWORK', isSent: true })
    expect(brokenBy(new Error('aborted'))).toEqual({ reason: 'NETWORK', isSent: true })
    const early = 'Client network socket disconnected before secure TLS connection was established'
    expect(brokenBy(failed('ECONNRESET', {}, early))).toEqual({ reason: 'NETWORK', isSent: false })
  })

  test('within fetch is told by its cause', () => {
    const cause = failed('ECONNREFUSED', { syscall: 'connect' }, 'connect ECONNREFUSED 127.0.0.1:1')
    expect(brokenBy(new TypeError('fetch failed', { cause }))).toEqual({ reason: 'NETWORK', isSent: false })
    expect(wordsOf(new TypeError('fetch failed', { cause }))).toBe(cause.message)
  })

  test('is not what a missing file is, nor anything else that was thrown', () => {
    expect(brokenBy(failed('ENOENT', { syscall: 'open', path: '/srv/key.json' }))).toBeUndefined()
    for (const thrown of [undefined, null, 'text', 7, {}, new Error('x'), { code: 7 }])
      expect(brokenBy(thrown)).toBeUndefined()
  })
})

const secrets = [
  'X-Amz-Signature=canary&X-Amz-Date=1',
  'x-amz-security-token: canary',
  'X-Goog-Credential=canary%2F2026&x=1',
  'Credential=canary/2026/eu/s3/aws4_request, Signature=canary',
  'https://x/?upload_id=canary',
  'sv=1&sig=canary%3D',
  'AccountKey=canary;canary;EndpointSuffix=x',
  '{"access_token":"canary","refresh_token": "canary"}',
  "{ client_secret: 'canary' }",
  'client_assertion=canary',
  'Authorization: AWS4-HMAC-SHA256 anything, canary',
  'got Bearer canary',
  'SharedKey account:canary',
  'ya29.canary-1',
  'eyJcanary.eyJcanary.canary',
  '-----BEGIN PRIVATE KEY-----\ncanary\n-----END PRIVATE KEY-----',
  '-----BEGIN PRIVATE KEY-----\ncanary',
  'https://user:canary@example.com/',
]

describe('the words of others', () => {
  test.each(secrets)('do not show the secret in %j (I42)', secret => {
    const text = `before ${secret}`
    expect(cleanText(text)).toMatch(/^before/)
    expect(cleanText(text)).not.toContain('canary')
    expect(wordsOf(new Error(text))).not.toContain('canary')
    const cause = cleanCause(new Error(text))
    expect(inspect(cause, { showHidden: true, depth: 10 }) + String(cause?.stack)).not.toContain('canary')
  })

  test.each([
    'The specified bucket does not exist',
    'The request signature we calculated does not match the signature you provided.',
    'connect ECONNREFUSED 127.0.0.1:9000',
    'the design: a big one',
  ])('are left alone where they hold none: %s', text => {
    expect(cleanText(text)).toBe(text)
  })

  test('are one line of at most 300 characters, and do nothing to a terminal (X13)', () => {
    expect(cleanText('  a\r\n\tb\u001b[31m\u202ec\u2028d\u200be ')).toBe('a b [31m c d e')
    expect(cleanText('x'.repeat(70_000))).toHaveLength(300)
  })

  test('come with the code, and without words it is the code', () => {
    expect(wordsOf(failed('ECONNRESET', {}, 'read ECONNRESET'))).toBe('read ECONNRESET')
    expect(wordsOf(failed('ECONNRESET', {}, 'broken'))).toBe('ECONNRESET broken')
    expect(wordsOf(Object.assign(new AggregateError([]), { code: 'ECONNREFUSED' }))).toBe('ECONNREFUSED')
    expect(wordsOf({ message: 'x' })).toBe('for a reason that is no error')
  })
})

describe('a cause', () => {
  test('is the error itself where nothing hangs on it', () => {
    const cause = failed('ECONNREFUSED', { syscall: 'connect', address: '127.0.0.1', port: 1 })
    for (const plain of [cause, new AggregateError([cause, cause]), new TypeError('fetch failed', { cause })])
      expect(cleanCause(plain)).toBe(plain)
  })

  test('is a copy where a request, an answer or a secret hangs on it, however deep (I42)', () => {
    const carrying = Object.assign(new Error('x'), { config: { headers: { authorization: 'Bearer canary' } } })
    const cyclic: Error = new Error('x', { cause: undefined })
    cyclic.cause = cyclic
    for (const error of [
      carrying,
      new Error('x', { cause: carrying }),
      new AggregateError([carrying]),
      Object.assign(new Error('x'), { token: 'Bearer canary' }),
      Object.assign(new Error('x'), { rawPacket: Buffer.from('canary') }),
      new Error('x', { cause: { token: 'canary' } }),
      Object.defineProperty(new Error('x'), 'request', { value: { url: '?sig=canary' } }),
      Object.assign(new Error('x'), { [inspect.custom]: () => 'canary' }),
      cyclic,
    ]) {
      const cause = cleanCause(Object.assign(error, { code: 'EX', syscall: 'read' }))
      expect(cause).not.toBe(error)
      expect(cause).toMatchObject({ name: error.name, code: 'EX', syscall: 'read' })
      expect(cause?.stack).toMatch(/^\s+at /m)
      expect(inspect(cause, { showHidden: true, depth: 10 })).not.toContain('canary')
    }
  })

  test('made of an answer has its words and what may be shown of it', () => {
    const error = Object.assign(new Error('canary'), { $response: {} })
    const cause = cleanCause(error, { words: 'refused', fields: { status: 403, requestId: undefined } })
    expect(cause).toMatchObject({ message: 'refused', status: 403 })
    expect(cause).not.toHaveProperty('requestId')
  })

  test('may be an error of another realm, a text, or nothing', () => {
    const foreign: unknown = runInNewContext("Object.assign(new Error('hang up'), { code: 'ECONNRESET' })")
    expect(foreign).not.toBeInstanceOf(Error)
    expect(cleanCause(foreign)).toBe(foreign)
    expect(wordsOf(foreign)).toBe('ECONNRESET hang up')
    expect(cleanCause('got Bearer canary')?.message).toBe('got [hidden]')
    expect(cleanCause({ message: 'x' })).toBeUndefined()
  })
})

test('Retry-After is seconds, or a date by the clock of the service', () => {
  const date = 'Sun, 22 Nov 2026 03:00:00 GMT'
  expect(retryAfterMs('120', undefined)).toBe(120_000)
  expect(retryAfterMs(' 7 ', date)).toBe(7000)
  expect(retryAfterMs('Sun, 22 Nov 2026 03:00:30 GMT', date)).toBe(30_000)
  expect(retryAfterMs('Sun, 22 Nov 2026 02:00:00 GMT', date)).toBe(0)
  for (const value of [undefined, '', 'soon', '-5', '1.5', '9'.repeat(10)])
    expect(retryAfterMs(value, date)).toBeUndefined()
  expect(retryAfterMs('Sun, 22 Nov 2026 03:00:30 GMT', undefined)).toBeUndefined()
})

test('a date is one only as HTTP writes it', () => {
  expect(httpDate('Sun, 22 Nov 2026 03:00:00 GMT')).toBe(Date.UTC(2026, 10, 22, 3))
  for (const text of [undefined, '', '2026', '7', 'Sun, nonsense GMT', '2026-11-22T03:00:00Z'])
    expect(httpDate(text)).toBeUndefined()
})
