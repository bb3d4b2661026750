import type { Storage } from '@google-cloud/storage'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ProviderFeatures } from '../../src/core/features.ts'
import type { Provider } from '../../src/core/provider.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { clientAt, localGcs, noise, patient, putRequest } from './gcs-support.ts'

let cloud: LocalCloud
let client: Storage
let provider: Provider
let keys = 0

beforeAll(async () => {
  cloud = await startLocalGcs({ buckets: ['main'] })
  client = clientAt(cloud)
  provider = localGcs(cloud)
})

afterAll(() => cloud.stop())

const refusal = (features: ProviderFeatures): string | undefined => {
  const refused = provider.refuseFeatures?.(features)
  return refused && `features.${refused.field} ${refused.message}`
}

async function classOf(features: ProviderFeatures, size = 5): Promise<unknown> {
  expect(refusal(features)).toBeUndefined()
  const key = `k${++keys}`
  await provider.put(putRequest(key, noise(size), { features }), patient())
  const [metadata] = await client.bucket('main').file(key).getMetadata()
  return metadata.storageClass
}

describe('the storage class', () => {
  test.each([
    ['STANDARD', 'STANDARD'],
    ['REDUCED_REDUNDANCY', 'STANDARD'],
    ['STANDARD_IA', 'NEARLINE'],
    ['ONEZONE_IA', 'NEARLINE'],
    ['GLACIER_IR', 'COLDLINE'],
    ['GLACIER', 'ARCHIVE'],
    ['DEEP_ARCHIVE', 'ARCHIVE'],
  ])("S3's %s is %s", async (s3, equal) => {
    expect(await classOf({ s3: { StorageClass: s3 } })).toBe(equal)
  })

  test('of its own is stored as given, and goes before what follows from S3', async () => {
    expect(await classOf({ gcs: { storageClass: 'ARCHIVE' }, s3: { StorageClass: 'STANDARD_IA' } })).toBe('ARCHIVE')
    expect(await classOf({ gcs: { storageClass: 'NEARLINE' }, s3: { StorageClass: 'INTELLIGENT_TIERING' } })).toBe(
      'NEARLINE',
    )
    expect(await classOf({ gcs: { storageClass: 'NEARLINE' } }, 3_000_000)).toBe('NEARLINE')
  })

  test('without an equal is refused, or gone without', async () => {
    expect(refusal({ s3: { StorageClass: 'INTELLIGENT_TIERING' } })).toBe(
      'features.s3.StorageClass is "INTELLIGENT_TIERING", which has no equal at gcs:main',
    )
    expect(refusal({ gcs: { storageClass: 'Cool' } })).toContain('features.gcs.storageClass is "Cool"')
    expect(await classOf({ s3: { StorageClass: 'INTELLIGENT_TIERING' }, relax: ['StorageClass'] })).toBe('STANDARD')
  })
})

test('what is so anyway is taken, what has no equal is refused', () => {
  expect(refusal({ s3: { ACL: 'private', ServerSideEncryption: 'AES256' } })).toBeUndefined()
  expect(refusal({ s3: { ACL: 'bucket-owner-full-control' } })).toBeUndefined()
  expect(refusal({ s3: { ACL: 'public-read' } })).toContain('features.s3.ACL is "public-read"')
  expect(refusal({ s3: { ServerSideEncryption: 'aws:kms' } })).toContain(
    'features.s3.ServerSideEncryption is "aws:kms"',
  )
  for (const name of ['Tagging', 'Expires', 'WebsiteRedirectLocation', 'ObjectLockMode', 'GrantRead'] as const) {
    expect(refusal({ s3: { [name]: 'x' } })).toBe(`features.s3.${name} has no equal at gcs:main`)
    expect(refusal({ s3: { [name]: 'x' }, relax: [name] })).toBeUndefined()
  }
  expect(refusal({ azure: { tier: 'Cool' } })).toBeUndefined()
})

test('an upload in parts with another class is not gone on with', async () => {
  const states: string[] = []
  const upload = (saved?: string): { saved: string | undefined; save: (state: string) => Promise<void> } => ({
    saved,
    save: async state => void states.push(state),
  })
  const body = noise(3_000_000)
  await provider.put(putRequest('parts', body, { upload: upload() }), patient())
  await cloud.requests({ reset: true })
  const features = { gcs: { storageClass: 'COLDLINE' } }
  await provider.put(putRequest('parts', body, { features, upload: upload(states[0]) }), patient())
  const [metadata] = await client.bucket('main').file('parts').getMetadata()
  expect(metadata.storageClass).toBe('COLDLINE')
})

test('a listing has the entry of each object, where it has one', async () => {
  await provider.put(putRequest('list/with', 'x', { metadata: { holdfast: '1;entry', other: 'y' } }), patient())
  await provider.put(putRequest('list/without', 'x'), patient())
  const entries = await Array.fromAsync(provider.list({ prefix: 'list/', delimiter: '', startAfter: '' }, patient()))
  expect(entries).toMatchObject([{ key: 'list/with', entry: '1;entry' }, { key: 'list/without' }])
  expect(entries[1]).not.toHaveProperty('entry')
  expect(entries[0]).not.toHaveProperty('storageClass')
})
