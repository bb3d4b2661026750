import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import { memory } from '../../src/providers/memory.ts'
import { s3 } from '../../src/providers/s3.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { bodyAt, keysOf, testDirectory } from '../support/store.ts'
import { type FaultProxy, s3Refusal, startProxy } from './proxy.ts'

const conditions = ['if-match', 'if-none-match']
let cloud: LocalCloud
let proxy: FaultProxy

beforeAll(async () => {
  cloud = await startLocalS3({ buckets: ['main'] })
  proxy = await startProxy(cloud.endpoint)
})
afterEach(async () => {
  await cloud.heal()
  proxy.rule = () => undefined
})
afterAll(async () => {
  await proxy[Symbol.asyncDispose]()
  await cloud.stop()
})

function open(prefix: string): Provider {
  const { id: accessKeyId, secret: secretAccessKey } = cloud.credentials
  return s3({ bucket: 'main', prefix, endpoint: proxy.endpoint, credentials: { accessKeyId, secretAccessKey } })
}

/** Answers whatever carries such a header with this, and does nothing. */
function refuseHeaders(isMeant: (name: string) => boolean, status: number, code: string): void {
  proxy.rule = ({ headers }) =>
    Object.keys(headers).some(isMeant) ? { passes: false, tells: s3Refusal(status, code) } : undefined
}

/** Of puts, overwrites and deletes, the newest is at the provider and looked at twice. */
async function converges(provider: Provider): Promise<void> {
  await using directory = await testDirectory()
  const store = await directory.open([provider, memory({ name: 'other' })])
  await store.put('k', 'first')
  await store.drain({ until: 'verified' })
  await store.put('k', 'second', { metadata: { of: 'us' } })
  await store.put('gone', 'body')
  await store.drain({ until: 'verified' })
  await store.delete('gone')
  await store.drain({ until: 'verified' })
  expect(await keysOf(provider)).toEqual(['k'])
  expect((await bodyAt(provider, 'k'))?.toString()).toBe('second')
  if (!provider.capabilities.createIfAbsent) {
    const put = store.put('new', 'body', { if: 'absent' })
    await expect(put).rejects.toMatchObject({ code: 'UNSUPPORTED', outcome: 'rejected' })
    expect(await store.get('new')).toBeUndefined()
  }
}

describe('a service that speaks like S3, as far as it goes', () => {
  test('is found not to hold conditions where it takes them and heeds none, and what is written converges all the same (S14, I12)', async () => {
    await cloud.fault({ fault: { kind: 'ignore-headers', names: conditions } })
    const provider = open('heeds-none/')
    await converges(provider)
    const none = { createIfAbsent: false, replaceIf: false, deleteIf: false, readIf: false }
    expect(provider.capabilities).toMatchObject(none)
  })

  test.each([
    ['with 501', 501, 'NotImplemented'],
    ['with 400', 400, 'InvalidArgument'],
  ])('is found not to hold conditions where it refuses them %s (S14, I12)', async (_how, status, code) => {
    refuseHeaders(name => conditions.includes(name), status, code)
    const provider = open(`refuses-${status}/`)
    await converges(provider)
    expect(provider.capabilities).toMatchObject({
      createIfAbsent: false,
      replaceIf: false,
      deleteIf: false,
      readIf: false,
    })
  })

  test('is found to hold some: those of puts, and not those of deletes (S14, I12)', async () => {
    await cloud.fault({ match: { method: 'DELETE' }, fault: { kind: 'ignore-headers', names: conditions } })
    const provider = open('not-of-deletes/')
    await converges(provider)
    expect(provider.capabilities).toMatchObject({ createIfAbsent: true, replaceIf: true, deleteIf: false })
  })

  test.each([
    ['with 400', 400, 'InvalidRequest'],
    ['with 501', 501, 'NotImplemented'],
  ])(
    'gets no checksum any more once it has refused one %s, and proves by Content-MD5 (S15)',
    async (_how, status, code) => {
      refuseHeaders(name => /^x-amz-(checksum|sdk-checksum)/.test(name), status, code)
      const provider = open(`no-checksums-${status}/`)
      await converges(provider)
      expect(provider.capabilities.quirks).toMatchObject({ crc32c: 'refused', 'content-md5': 'checked' })
      const puts = proxy.requests.filter(
        ({ method, url }) => method === 'PUT' && url.includes(`no-checksums-${status}/k`),
      )
      expect(puts.length).toBeGreaterThan(0)
      for (const { headers } of puts) {
        expect(Object.keys(headers).join()).not.toContain('checksum')
        expect(headers['content-md5']).toBeDefined()
      }
    },
  )

  test('that heeds no digest at all is believed only after the bytes were read back (S15, S19, I24)', async () => {
    const ignored = ['content-md5', 'x-amz-checksum-crc32c', 'x-amz-checksum-algorithm', 'x-amz-checksum-type']
    await cloud.fault({ fault: { kind: 'ignore-headers', names: ignored } })
    // Nor are its ETags digests.
    proxy.rule = () => ({
      retells(headers) {
        for (const name of Object.keys(headers)) if (name.startsWith('x-amz-checksum')) delete headers[name]
        if (headers['etag'] !== undefined) headers['etag'] = `"${Buffer.from(headers['etag']).toString('base64url')}"`
      },
    })
    const provider = open('no-digests/')
    await using directory = await testDirectory()
    const store = await directory.open([provider, memory({ name: 'other' })])
    await store.put('k', 'body')
    await store.drain({ until: 'verified' })
    expect(provider.capabilities).toMatchObject({ attests: [] })
    expect(provider.capabilities.quirks).toMatchObject({ 'content-md5': 'ignored', etag: 'opaque' })
    const reads = proxy.requests.filter(({ method, url }) => method === 'GET' && url.includes('no-digests/k'))
    expect(reads.length).toBeGreaterThan(0)
  })
})
