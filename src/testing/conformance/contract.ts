import assert from 'node:assert/strict'
import { HoldfastError, type Reason } from '../../core/errors.ts'
import { noMemo, type Provider, type SignRequest } from '../../core/provider.ts'
import {
  type Check,
  collect,
  type ConformanceOptions,
  failure,
  plainHeaders,
  refused,
  shape,
  soon,
  sourceOf,
} from './bench.ts'

/** What a provider says of itself, what it makes of errors, and the URLs that it signs. */
export function testContract(check: Check, options: ConformanceOptions): void {
  check('it says who and where it is', async ({ provider }) => {
    for (const text of [provider.name, provider.kind, provider.location]) {
      assert.equal(typeof text, 'string')
      assert.ok(text.length > 0 && text.isWellFormed())
    }
    const { limits } = provider
    for (const limit of [limits.objectBytes, limits.keyBytes, limits.metadata.bytes]) {
      assert.ok(Number.isSafeInteger(limit) && limit > 0)
    }
  })

  check(
    'it learns what it can, says so, and takes what it once learned',
    async ({ provider, capabilities, signal }) => {
      assert.deepEqual(provider.capabilities, capabilities)
      const flags = [
        'createIfAbsent',
        'replaceIf',
        'deleteIf',
        'uniqueTokens',
        'readIf',
        'sign',
        'listsAtOnce',
      ] as const
      for (const name of flags) {
        assert.equal(typeof capabilities[name], 'boolean', name)
      }
      for (const algorithm of capabilities.attests) assert.ok(['crc32c', 'md5'].includes(algorithm))
      for (const quirk of Object.values(capabilities.quirks)) assert.equal(typeof quirk, 'string')
      assert.deepEqual(JSON.parse(JSON.stringify(capabilities)), capabilities, 'survives being kept as JSON')
      const kept: typeof capabilities = JSON.parse(JSON.stringify(capabilities))
      assert.deepEqual(await provider.learn(kept, signal), capabilities)
      assert.deepEqual(provider.capabilities, capabilities)
      assert.deepEqual(await provider.learn(undefined, signal), capabilities, 'and learns the same again')
    },
  )

  check('learning leaves nothing behind', async ({ provider, capabilities, signal }) => {
    if (!capabilities.listsAtOnce) return
    const probes = { prefix: '.holdfast/probe/', delimiter: '', startAfter: '' }
    const before = new Set(shape(await collect(provider.list(probes, signal))))
    await provider.learn(undefined, signal)
    const after = shape(await collect(provider.list(probes, signal)))
    assert.deepEqual(
      after.filter(entry => !before.has(entry)),
      [],
    )
  })

  check('it makes an error of ours of anything thrown', async ({ provider }) => {
    const ours = new HoldfastError('CORRUPT', 'ours')
    assert.equal(provider.classify(ours), ours)
    const foreign: readonly unknown[] = [new Error('surprise'), new TypeError('x'), undefined, null, 'text', 42, {}, []]
    for (const error of foreign) {
      const classified = provider.classify(error)
      assert.ok(classified instanceof HoldfastError)
      assert.ok(classified.reason !== undefined, 'every error of a provider has a reason')
      assert.equal(classified.provider, provider.name)
      assert.notEqual(classified.outcome, 'accepted')
      if (error instanceof Error) assert.equal(classified.cause, error)
    }
  })

  check('it signs, or says that it cannot', async bench => {
    const { provider, capabilities, signal, under } = bench
    const key = `${under}signed key.txt`
    await bench.put(key, 'the body', { headers: { contentType: 'text/plain' } })
    const request: SignRequest = {
      method: 'GET',
      key,
      expiresInSeconds: 300,
      contentType: undefined,
      contentDisposition: undefined,
      createOnly: false,
    }
    if (!capabilities.sign) {
      await refused(provider.sign(request, signal), 'UNSUPPORTED')
      await refused(provider.sign({ ...request, method: 'PUT' }, signal), 'UNSUPPORTED')
      return
    }
    const plain = await fetchSigned(provider, request, signal)
    assert.equal(plain.status, 200)
    assert.equal(await plain.text(), 'the body')
    assert.equal(plain.headers.get('content-type'), 'text/plain')

    const overrides = { contentType: 'image/png', contentDisposition: 'attachment; filename="x y.png"' }
    const other = await fetchSigned(provider, { ...request, ...overrides }, signal)
    assert.equal(await other.text(), 'the body')
    assert.equal(other.headers.get('content-type'), overrides.contentType)
    assert.equal(other.headers.get('content-disposition'), overrides.contentDisposition)

    const upload: SignRequest = { ...request, method: 'PUT', key: `${under}uploaded`, contentType: 'image/png' }
    assert.ok((await fetchSigned(provider, upload, signal, 'uploaded')).ok)
    assert.equal(await bench.text(upload.key), 'uploaded')
    assert.equal((await bench.head(upload.key))?.headers.contentType, 'image/png')
    assert.ok((await fetchSigned(provider, upload, signal, 'again')).ok, 'may overwrite')
    assert.equal(await bench.text(upload.key), 'again')

    const createOnly = { ...upload, createOnly: true }
    if (!capabilities.createIfAbsent) {
      await refused(provider.sign(createOnly, signal), 'UNSUPPORTED')
      return
    }
    assert.ok(!(await fetchSigned(provider, createOnly, signal, 'third')).ok, 'may not overwrite')
    assert.equal(await bench.text(upload.key), 'again')
    const fresh = { ...createOnly, key: `${under}fresh` }
    assert.ok((await fetchSigned(provider, fresh, signal, 'fresh')).ok)
    assert.equal(await bench.text(fresh.key), 'fresh')
  })

  const { broken } = options
  if (broken?.gone !== undefined) {
    checkBroken(check, 'a bucket that is not there is never an object that is not there', broken.gone, ['BUCKET'])
  }
  if (broken?.denied !== undefined) {
    checkBroken(check, 'bad credentials are never an object that is not there', broken.denied, [
      'CREDENTIALS',
      'ACCOUNT',
      'FORBIDDEN',
    ])
  }
  if (broken?.unreachable !== undefined) {
    checkBroken(check, 'a service that is not there is never an object that is not there', broken.unreachable, [
      'NETWORK',
      'TIMEOUT',
    ])
  }
}

async function fetchSigned(
  provider: Provider,
  request: SignRequest,
  signal: AbortSignal,
  body?: string,
): Promise<Response> {
  const signed = await provider.sign(request, signal)
  const expires = signed.expiresAt.getTime() - Date.now() - request.expiresInSeconds * 1000
  assert.ok(Math.abs(expires) < 60_000, 'expires when it was asked to')
  return await fetch(signed.url, { method: request.method, headers: signed.headers, signal, ...(body && { body }) })
}

function checkBroken(
  check: Check,
  name: string,
  create: NonNullable<NonNullable<ConformanceOptions['broken']>['gone']>,
  reasons: readonly Reason[],
): void {
  check(name, async ({ signal, under }) => {
    const { provider, close } = await create()
    try {
      const code = reasons.includes('NETWORK') ? 'UNAVAILABLE' : 'DENIED'
      const key = `${under}key`
      const more = { headers: plainHeaders, metadata: {}, condition: undefined, upload: noMemo }
      const calls: Readonly<Record<string, () => Promise<unknown>>> = {
        head: () => provider.head(key, signal),
        get: () => provider.get({ key, range: undefined, token: undefined }, signal),
        put: () => provider.put({ key, source: sourceOf('body'), ...more }, signal),
        delete: () => provider.delete(key, undefined, signal),
        list: () => collect(provider.list({ prefix: under, delimiter: '', startAfter: '' }, signal)),
      }
      for (const [call, run] of Object.entries(calls)) {
        const error = await soon(failure(run()), call, 15_000)
        assert.ok(error instanceof HoldfastError, `${call}: ${String(error)}`)
        assert.equal(error.code, code, `${call}: ${error.message}`)
        assert.ok(error.reason !== undefined && reasons.includes(error.reason), `${call}: reason ${error.reason}`)
        assert.equal(error.provider, provider.name)
      }
    } finally {
      await close?.()
    }
  })
}
