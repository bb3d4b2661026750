import { describe, expect, test } from 'vitest'
import type { ProviderFeatures, S3Features } from '../../src/core/features.ts'
import type { Provider, PutRequest } from '../../src/core/provider.ts'
import { fs } from '../../src/providers/fs.ts'
import { memory } from '../../src/providers/memory.ts'
import { prefixed } from '../../src/providers/prefixed.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { putOf } from './s3-recorder.ts'

const { signal } = new AbortController()

const refusal = (provider: Provider, s3: S3Features, relax?: ProviderFeatures['relax']): string | undefined => {
  const refused = provider.refuseFeatures?.({ s3, ...(relax === undefined ? {} : { relax }) })
  return refused && `features.${refused.field} ${refused.message}`
}

describe.each([
  ['memory', memory({ name: 'there' })],
  ['fs', fs({ root: '/nowhere', name: 'there' })],
] as const)('%s', (_kind, provider) => {
  test('keeps none of the features, and what is private stays so', () => {
    expect(refusal(provider, {})).toBeUndefined()
    expect(refusal(provider, { ACL: 'private' })).toBeUndefined()
    expect(refusal(provider, { ACL: 'public-read' })).toBe(
      'features.s3.ACL is "public-read", which has no equal at there',
    )
    expect(refusal(provider, { ServerSideEncryption: 'AES256' })).toBe(
      'features.s3.ServerSideEncryption has no equal at there',
    )
    expect(refusal(provider, { BucketKeyEnabled: false })).toBe('features.s3.BucketKeyEnabled has no equal at there')
    expect(provider.refuseFeatures?.({ gcs: { storageClass: 'NEARLINE' }, azure: { tier: 'Cool' } })).toBeUndefined()
  })

  test('goes without those that may be gone without', () => {
    const s3 = { ACL: 'public-read', Tagging: 'a=1' }
    expect(refusal(provider, s3, ['ACL'])).toBe('features.s3.Tagging has no equal at there')
    expect(refusal(provider, s3, ['ACL', 'Tagging'])).toBeUndefined()
  })
})

describe.each([
  ['prefixed', (inner: Provider): Provider => prefixed(inner, 'photos/')],
  ['faulty', (inner: Provider): Provider => faulty(inner, {})],
] as const)('%s', (_name, wrap) => {
  test('refuses what the inner one refuses', () => {
    const inner = memory({ name: 'inner' })
    const features = { s3: { Tagging: 'a=1' } }
    expect(wrap(inner).refuseFeatures?.(features)).toEqual(inner.refuseFeatures?.(features))
    expect(wrap(inner).refuseFeatures?.({ s3: { ACL: 'private' } })).toBeUndefined()
    const { refuseFeatures: _none, ...without } = inner
    expect(wrap(without).refuseFeatures).toBeUndefined()
  })

  test('hands features and parts on, and what the inner one tells of them back', async () => {
    const puts: PutRequest[] = []
    const features = { StorageClass: 'STANDARD_IA' }
    const inner = memory()
    const telling: Provider = {
      ...inner,
      put(request, own) {
        puts.push(request)
        return inner.put(request, own)
      },
      async head(key, own) {
        const object = await inner.head(key, own)
        return object && { ...object, features }
      },
      async *list(request, own) {
        for await (const entry of inner.list(request, own)) {
          yield entry.type === 'object' ? { ...entry, entry: 'e', storageClass: 'STANDARD_IA' } : entry
        }
      },
    }
    const wrapped = wrap(telling)
    const parts = [{ count: 1, bytes: 1 }]
    await wrapped.put(putOf('k', 'x', { features: { s3: features }, parts }), signal)
    expect(puts).toMatchObject([{ features: { s3: features }, parts }])
    expect(await wrapped.head('k', signal)).toMatchObject({ features })
    for await (const entry of wrapped.list({ prefix: '', delimiter: '', startAfter: '' }, signal)) {
      expect(entry).toMatchObject({ key: 'k', entry: 'e', storageClass: 'STANDARD_IA' })
    }
  })
})
