import { inspect } from 'node:util'
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Provider } from '../../src/core/provider.ts'
import { gcs, type GcsOptions } from '../../src/providers/gcs.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { bearer, clientAt, localGcs, patient, putRequest } from './gcs-support.ts'

let cloud: LocalCloud
let provider: Provider

beforeAll(async () => {
  cloud = await startLocalGcs({ buckets: ['main'] })
  provider = localGcs(cloud)
  await provider.put(putRequest('there', 'body'), patient())
})

afterEach(() => cloud.heal())
afterAll(() => cloud.stop())

async function failure(promise: Promise<unknown>): Promise<HoldfastError> {
  const error: unknown = await promise.then(
    () => new Error('resolved'),
    (thrown: unknown) => thrown,
  )
  if (!(error instanceof HoldfastError)) throw error
  return error
}

/** Status and reason of the service; our code, reason, whether to try again, and what became of a write. */
const table: readonly [number, string | undefined, string, string, boolean, string][] = [
  [400, 'invalid', 'INVALID', 'REFUSED', false, 'rejected'],
  [400, 'userProjectMissing', 'DENIED', 'ACCOUNT', false, 'rejected'],
  [400, 'cloudKmsDisabledKey', 'DENIED', 'KMS', false, 'rejected'],
  [401, undefined, 'DENIED', 'CREDENTIALS', false, 'rejected'],
  [403, 'forbidden', 'DENIED', 'FORBIDDEN', false, 'rejected'],
  [403, 'insufficientPermissions', 'DENIED', 'FORBIDDEN', false, 'rejected'],
  [403, 'accountDisabled', 'DENIED', 'ACCOUNT', false, 'rejected'],
  [403, 'UserProjectAccountProblem', 'DENIED', 'ACCOUNT', false, 'rejected'],
  [403, 'retentionPolicyNotMet', 'DENIED', 'RETENTION', false, 'rejected'],
  [403, 'objectUnderActiveHold', 'DENIED', 'RETENTION', false, 'rejected'],
  [403, 'rateLimitExceeded', 'UNAVAILABLE', 'THROTTLED', true, 'rejected'],
  [408, undefined, 'UNAVAILABLE', 'TIMEOUT', true, 'unknown'],
  [409, 'conflict', 'UNAVAILABLE', 'SERVER', true, 'unknown'],
  [412, 'conditionNotMet', 'PRECONDITION', 'CONDITION', false, 'rejected'],
  [412, 'orgPolicyConstraintFailed', 'DENIED', 'FORBIDDEN', false, 'rejected'],
  [413, undefined, 'INVALID', 'REFUSED', false, 'rejected'],
  [429, 'rateLimitExceeded', 'UNAVAILABLE', 'THROTTLED', true, 'rejected'],
  [429, 'cloudKmsQuotaExceeded', 'UNAVAILABLE', 'THROTTLED', true, 'rejected'],
  [500, undefined, 'UNAVAILABLE', 'SERVER', true, 'unknown'],
  [502, undefined, 'UNAVAILABLE', 'SERVER', true, 'unknown'],
  [503, 'backendError', 'UNAVAILABLE', 'SERVER', true, 'unknown'],
  [504, undefined, 'UNAVAILABLE', 'SERVER', true, 'unknown'],
]

describe('what the service answers', () => {
  test.each(table)(
    '%i %s is %s, %s (G1, G2, G3, G7, G8, G9)',
    async (status, code, ourCode, reason, retryable, outcome) => {
      const fault = { kind: 'status', status, retryAfterSeconds: 3, ...(code === undefined ? {} : { code }) } as const
      await cloud.fault({ fault })
      const calls = {
        put: () => provider.put(putRequest('there', 'x'), patient()),
        delete: () => provider.delete('there', undefined, patient()),
        head: () => provider.head('there', patient()),
        get: () => provider.get({ key: 'there', range: undefined, token: undefined }, patient()),
        list: () => Array.fromAsync(provider.list({ prefix: '', delimiter: '', startAfter: '' }, patient())),
      }
      for (const [call, run] of Object.entries(calls)) {
        const error = await failure(run())
        expect([call, error.code, error.reason, error.retryable]).toEqual([call, ourCode, reason, retryable])
        expect(error.outcome).toBe(call === 'put' || call === 'delete' ? outcome : undefined)
        expect(error.provider).toBe(provider.name)
        expect(error.key).toBe(call === 'list' ? undefined : 'there')
        expect(error.retryAfterMs).toBe(3000)
        expect(error.message).toContain(String(status))
      }
    },
  )

  test.each([
    ['The billing account for the owning project is disabled in state absent', 'ACCOUNT'],
    ['Project main has been deleted.', 'ACCOUNT'],
    ['somebody does not have storage.objects.get access', 'FORBIDDEN'],
  ])('403 %j is %s by its words (G9)', async (message, reason) => {
    await cloud.fault({ fault: { kind: 'status', status: 403, message } })
    expect((await failure(provider.head('there', patient()))).reason).toBe(reason)
  })

  test('other bytes than announced are refused as such (G5)', async () => {
    const request = putRequest('digest', 'right')
    const lying = { ...request, source: { ...request.source, crc32c: '00000000' } }
    const error = await failure(provider.put(lying, patient()))
    expect([error.code, error.reason, error.outcome]).toEqual(['CHECKSUM', 'DIGEST', 'rejected'])
  })

  test('a message is short, and on one line', async () => {
    await cloud.fault({ fault: { kind: 'status', status: 400, message: `a\nb\u202e${'x'.repeat(5000)}` } })
    const { message } = await failure(provider.head('there', patient()))
    expect(message.length).toBeLessThan(500)
    expect(message).not.toMatch(/[\n\u202e]/)
  })
})

describe('what the official client throws', () => {
  test('its errors mean what the answers mean', async () => {
    const client = clientAt(cloud)
    client.retryOptions.autoRetry = false
    const file = client.bucket('main').file('there')
    for (const [status, code, ourCode, reason] of table) {
      await cloud.heal()
      await cloud.fault({ fault: { kind: 'status', status, ...(code === undefined ? {} : { code }) } })
      const thrown: unknown = await file.delete({ ifGenerationMatch: 1 }).catch((error: unknown) => error)
      const error = provider.classify(thrown)
      expect([status, code, error.code, error.reason]).toEqual([status, code, ourCode, reason])
    }
  }, 60_000)

  test('anything else is worth another try, of an unknown outcome', () => {
    for (const thrown of [new TypeError('x'), undefined, 'text', { code: 'x' }]) {
      expect(provider.classify(thrown)).toMatchObject({ code: 'UNAVAILABLE', reason: 'SERVER', outcome: 'unknown' })
    }
    const tls = Object.assign(new Error('certificate has expired'), { code: 'CERT_HAS_EXPIRED' })
    expect(provider.classify(tls)).toMatchObject({
      code: 'DENIED',
      reason: 'TLS',
      retryable: false,
      outcome: 'rejected',
    })
    const refused = Object.assign(new Error('connect'), { code: 'ECONNREFUSED', syscall: 'connect' })
    expect(provider.classify(refused)).toMatchObject({ reason: 'NETWORK', outcome: 'rejected', cause: refused })
  })
})

describe('credentials', () => {
  let closed: LocalCloud

  beforeAll(async () => {
    closed = await startLocalGcs({ buckets: ['main'], auth: { token: 'right-token' } })
  })

  afterAll(() => closed.stop())
  afterEach(() => vi.unstubAllEnvs())

  const at = (authClient: NonNullable<GcsOptions['authClient']>): Provider =>
    gcs({ bucket: 'main', apiEndpoint: closed.endpoint, authClient })

  test('a good token opens everything, a bad one nothing, without another try (G8)', async () => {
    await at(bearer('right-token')).put(putRequest('x', 'x'), patient())
    await closed.requests({ reset: true })
    const error = await failure(at(bearer('wrong-token')).put(putRequest('x', 'x'), patient()))
    expect([error.code, error.reason, error.outcome]).toEqual(['DENIED', 'CREDENTIALS', 'rejected'])
    expect(await closed.requests()).toHaveLength(1)
  })

  test('a token that the service refuses is asked for anew the next time (G8)', async () => {
    const refresh = vi.fn<() => Promise<void>>(async () => {
      token = 'right-token'
    })
    let token = 'revoked-token'
    const client = Object.assign(
      bearer(async () => token),
      {
        credentials: { refresh_token: 'r' },
        refreshAccessToken: refresh,
      },
    )
    const to = at(client)
    expect((await failure(to.head('x', patient()))).reason).toBe('CREDENTIALS')
    expect(refresh).not.toHaveBeenCalled()
    await to.head('x', patient())
    await to.head('x', patient())
    expect(refresh).toHaveBeenCalledTimes(1)
  })

  test.each([
    [Object.assign(new Error('invalid_grant'), { status: 400 }), 'DENIED', 'CREDENTIALS', false],
    [new Error('Could not refresh access token: nobody knows you'), 'DENIED', 'CREDENTIALS', false],
    [Object.assign(new Error('unavailable'), { status: 503 }), 'UNAVAILABLE', 'SERVER', true],
    [Object.assign(new Error('slow down'), { status: 429 }), 'UNAVAILABLE', 'THROTTLED', true],
    [
      Object.assign(new Error('getaddrinfo'), { code: 'ENOTFOUND', syscall: 'getaddrinfo' }),
      'UNAVAILABLE',
      'NETWORK',
      true,
    ],
    [Object.assign(new Error('hang up'), { code: 'ECONNRESET' }), 'UNAVAILABLE', 'NETWORK', true],
  ])('where %s comes instead of a token, nothing was sent (G8)', async (thrown, code, reason, retryable) => {
    await closed.requests({ reset: true })
    const error = await failure(at(bearer(() => Promise.reject(thrown))).put(putRequest('x', 'x'), patient()))
    expect([error.code, error.reason, error.retryable, error.outcome]).toEqual([code, reason, retryable, 'rejected'])
    expect(await closed.requests()).toEqual([])
  })

  test('no token, key or signature is in anything that an error shows (I42, X1)', async () => {
    const secret = 'ya29.canary-token-1234567890'
    const carrying = Object.assign(new Error(`request with Bearer ${secret} failed`), {
      config: { headers: { authorization: `Bearer ${secret}` } },
      response: { status: 400, data: { error: 'invalid_grant', assertion: secret } },
    })
    const rejecting = at(bearer(() => Promise.reject(carrying)))
    const errors = [
      await failure(rejecting.head('x', patient())),
      await failure(at(bearer(secret)).head('x', patient())),
      await failure(at(bearer(secret)).put(putRequest('x', 'x'), patient())),
      provider.classify(carrying),
    ]
    await cloud.fault({ fault: { kind: 'status', status: 400, message: `got "Bearer ${secret}" and ${secret}` } })
    errors.push(await failure(provider.head('x', patient())))
    for (const error of errors) {
      for (const shown of [
        inspect(error, { depth: 10, showHidden: true }),
        JSON.stringify(error),
        String(error.stack),
      ]) {
        expect(shown).not.toContain('canary')
      }
    }
    expect(inspect(localGcs(cloud), { depth: 10, showHidden: true })).not.toContain('PRIVATE KEY')
  })

  test('signing without a key says what is missing', async () => {
    vi.stubEnv('METADATA_SERVER_DETECTION', 'none')
    const error = await failure(
      at(bearer('right-token')).sign(
        {
          method: 'GET',
          key: 'x',
          expiresInSeconds: 60,
          contentType: undefined,
          contentDisposition: undefined,
          createOnly: false,
        },
        patient(),
      ),
    )
    expect([error.code, error.reason]).toEqual(['DENIED', 'CREDENTIALS'])
    expect(error.message).toContain('private key')
  })
})
