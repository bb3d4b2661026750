import { describe, expect, onTestFinished, test } from 'vitest'
import { encodeKey } from '../../src/core/encode.ts'
import type { Provider } from '../../src/core/provider.ts'
import { seedOf } from '../core/encode-properties.ts'
import { someKeys } from '../core/keys.ts'
import { all, putOf, startRecorder, whole } from '../providers/s3-recorder.ts'
import { canaries } from './canary.ts'
import { type Service, services } from './services.ts'

// A provider with a prefix is the wall between tenants: whatever key an app is given by its users, every request says, before and after
// the path was normalised as browsers, proxies and servers do it, a name that begins with the prefix (I16, I44, X2).

const signal = AbortSignal.timeout(600_000)
const tenant = 'tenants/anna/'

/** What people try, to get out of a directory, a path, a query or a header. */
const attempts = [
  '..',
  '../bob/x',
  '../../x',
  'a/../../bob/x',
  './../bob',
  '.',
  './x',
  'a/./b',
  'a/..',
  '%2e%2e/bob',
  '%2E%2E%2Fbob',
  '%252e%252e%252fbob',
  '..%2fbob',
  '.%2e/bob',
  '%2e./bob',
  '..%5cbob',
  '..\\bob',
  'a\\..\\..\\bob',
  '..;/bob',
  '..\u2215bob',
  '\uff0e\uff0e/bob',
  '..%c0%afbob',
  '/bob',
  '//host/bob',
  '///',
  'http://host/bob',
  '?name=tenants/bob',
  'x?comp=list&restype=container',
  'x#frag',
  'x&uploads',
  '?delete',
  'x;y=z',
  'x HTTP/1.1\r\nhost: evil',
  'x\r\nx-amz-acl: public-read',
  'x\u0000.txt',
  'x\u2028y',
  '%',
  '%zz',
  '%%32%65%%32%65/bob',
  '+',
  'a b',
  '..!2Fbob',
  '!2E!2E/bob',
  '...',
  '..../bob',
  '.. /bob',
  '..\t/bob',
  '~/x',
  '@host/x',
  '__proto__',
  '.holdfast/identity',
]

/** Which names a request is about, as the service and whoever stands before it may read them off. */
function namesIn(service: Service['name'], url: string): string[] {
  const raw = url.split(/[?#]/)[0] ?? ''
  const { pathname, searchParams } = new URL(url, 'http://host')
  const inQuery = ['name', 'prefix', 'startOffset', 'start-after'].flatMap(name => searchParams.getAll(name))
  const bases = {
    s3: ['/main/'],
    gcs: ['/storage/v1/b/main/o/', '/download/storage/v1/b/main/o/', '/upload/storage/v1/b/main/o/', '/main/'],
    azure: ['/account/main/'],
  }[service]
  const listings = {
    s3: ['/main', '/main/'],
    gcs: ['/storage/v1/b/main/o', '/upload/storage/v1/b/main/o'],
    azure: ['/account/main'],
  }[service]
  const inPath = [raw, pathname, pathname.replaceAll('\\', '/'), collapsed(raw), collapsed(pathname)].flatMap(path => {
    if (listings.includes(path)) return []
    const base = bases.find(each => path.startsWith(each))
    if (base === undefined) return [`OUTSIDE ${path}`]
    const name = path.slice(base.length)
    expect(service !== 'gcs' || !name.includes('/'), `${path}: the key is one segment`).toBe(true)
    return [decodeURIComponent(name)]
  })
  return [...inPath, ...inQuery]
}

/** As gateways do that fold paths before they look at them: RFC 3986 section 5.2.4. */
function collapsed(path: string): string {
  const out: string[] = []
  for (const segment of path.split('/')) {
    if (segment === '..') out.pop()
    else if (segment !== '.') out.push(segment)
  }
  return out.join('/')
}

/** Every request that a driver makes about a key. */
async function callsAbout(provider: Provider, key: string): Promise<void> {
  const signing = { key, expiresInSeconds: 60, contentType: undefined, contentDisposition: undefined } as const
  for (const call of [
    () => provider.put(putOf(key, 'x'), signal),
    () => provider.get(whole(key), signal),
    () => provider.delete(key, undefined, signal),
    () => all(provider.list({ prefix: key, delimiter: '', startAfter: '' }, signal)),
    () => all(provider.list({ prefix: '', delimiter: '/', startAfter: key }, signal)),
    () => provider.sign({ ...signing, method: 'GET', createOnly: false }, signal),
  ]) {
    await call().catch(() => {})
  }
}

describe.each(services.map(service => [service.name, service] as const))('%s', (name, service) => {
  test.each(['strict', 'encode'] as const)(
    'keys: %s. No key leaves the bucket, nor the prefix of its tenant (I16, I44, X2)',
    async mode => {
      const recorder = await startRecorder(service.refusal(500, 'InternalError', 'no'))
      onTestFinished(() => recorder[Symbol.asyncDispose]())
      const provider = await service.provider(recorder.endpoint, canaries(), tenant)
      const seed = seedOf(`walls of ${name}, ${mode}`)
      const keys = [...attempts, ...someKeys(seed, 12)]
      let taken = 0
      for (const given of keys) {
        const key = mode === 'encode' ? encodeKey(given) : given
        if (provider.refuseKey(key) !== undefined) continue
        taken++
        recorder.requests.length = 0
        await callsAbout(provider, key)
        expect(recorder.requests.length, key).toBeGreaterThanOrEqual(3)
        for (const { url } of recorder.requests) {
          for (const seen of namesIn(name, url))
            expect(seen.startsWith(tenant), `${JSON.stringify(key)}: ${url} says ${seen}`).toBe(true)
          // Nothing on the way may decode what was text: a percent sign of the key is one of the key.
          if (key.includes('%2e') && !url.includes('?')) expect(url.toLowerCase()).not.toMatch(/\/(\.|%2e){1,2}(\/|$)/)
        }
      }
      expect(taken).toBeGreaterThan(mode === 'encode' ? keys.length * 0.8 : keys.length * 0.2)
    },
  )

  test('a signed URL is for one object behind the wall (I44, X8)', async () => {
    const provider = await service.provider('http://127.0.0.1:9', canaries(), tenant)
    let signed = 0
    for (const key of [...attempts, ...someKeys(seedOf('signed'), 50)]) {
      if (provider.refuseKey(key) !== undefined) continue
      const asked = provider.sign(
        {
          method: 'GET',
          key,
          expiresInSeconds: 60,
          contentType: undefined,
          contentDisposition: undefined,
          createOnly: false,
        },
        signal,
      )
      const answer = await asked.catch(() => undefined)
      if (answer === undefined) continue
      signed++
      const { pathname, search } = new URL(answer.url)
      for (const seen of namesIn(name, pathname)) expect(seen).toBe(tenant + key)
      expect(decodeURIComponent(search)).not.toContain('comp=list')
    }
    expect(signed).toBeGreaterThan(name === 'gcs' ? -1 : 10)
  })
})

test.each([
  '../x/',
  'a/../b/',
  './',
  '/',
  '/a/',
  'a//b/',
  'a\u0000/',
  'a\n/',
  '.holdfast/',
  '.hold',
  '..',
  '.',
  'a/..',
  '\ud800/',
  'x'.repeat(257),
])('the prefix %j is no wall: refused when it is given (I44)', async prefix => {
  for (const service of services) {
    const made = service.provider('http://127.0.0.1:9', canaries(), prefix)
    await expect(made).rejects.toMatchObject({ code: 'INVALID', field: 'prefix' })
  }
})
