import { BlobServiceClient, type ContainerClient } from '@azure/storage-blob'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ProviderFeatures } from '../../src/core/features.ts'
import type { Provider } from '../../src/core/provider.ts'
import { azure } from '../../src/providers/azure.ts'
import { type Azurite, startAzurite } from '../servers/azurite.ts'
import { blobProof, reply, startRecorder } from './azure-recorder.ts'
import { putOf } from './s3-recorder.ts'

const { signal } = new AbortController()
let azurite: Azurite
let container: ContainerClient
let provider: Provider
let keys = 0

beforeAll(async () => {
  azurite = await startAzurite()
  const client = BlobServiceClient.fromConnectionString(azurite.connectionString)
  container = client.getContainerClient('features')
  await container.create()
  provider = azure({ container: 'features', client, singleShotBytes: 1000, blockSize: 2 ** 20 })
})

afterAll(() => azurite?.stop())

const refusal = (features: ProviderFeatures): string | undefined => {
  const refused = provider.refuseFeatures?.(features)
  return refused && `features.${refused.field} ${refused.message}`
}

/** What the service has of it afterwards; put whole, or in blocks. */
async function stored(features: ProviderFeatures, size: number): Promise<{ tier?: string; tags: object }> {
  expect(refusal(features)).toBeUndefined()
  const key = `k${++keys}`
  await provider.put(putOf(key, new Uint8Array(size), { features }), signal)
  const blob = container.getBlobClient(key)
  const { accessTier, accessTierInferred } = await blob.getProperties()
  const { tags } = await blob.getTags()
  return { ...(accessTierInferred === true || accessTier === undefined ? {} : { tier: accessTier }), tags }
}

describe.each([
  ['whole', 10],
  ['in blocks', 2_500_000],
])('put %s', (_how, size) => {
  test.each([
    ['STANDARD', 'Hot'],
    ['REDUCED_REDUNDANCY', 'Hot'],
    ['STANDARD_IA', 'Cool'],
    ['ONEZONE_IA', 'Cool'],
    ['GLACIER_IR', 'Cold'],
    ['GLACIER', 'Archive'],
    ['DEEP_ARCHIVE', 'Archive'],
  ])("S3's storage class %s is the tier %s", async (s3, tier) => {
    expect(await stored({ s3: { StorageClass: s3 } }, size)).toMatchObject({ tier })
  })

  test('a tier and tags of its own are stored as given, and go before what follows from S3', async () => {
    const features = { azure: { tier: 'Cool', tags: { a: '1' } }, s3: { StorageClass: 'GLACIER', Tagging: 'b=2' } }
    expect(await stored(features, size)).toEqual({ tier: 'Cool', tags: { a: '1' } })
    expect(await stored({ azure: { tags: {} }, s3: { Tagging: 'b=2' } }, size)).toMatchObject({ tags: {} })
  })

  test('tags of S3 become tags of the blob', async () => {
    const features = { s3: { Tagging: 'project=cats%20and+dogs&n=1%2B1%3D2&empty=&x:y/z.=_' } }
    expect(await stored(features, size)).toMatchObject({
      tags: { project: 'cats and dogs', n: '1+1=2', empty: '', 'x:y/z.': '_' },
    })
    expect(await stored({}, size)).toMatchObject({ tags: {} })
  })
})

describe('what cannot be kept is refused', () => {
  test('tags that do not fit', () => {
    const tags = (count: number): string => Array.from({ length: count }, (_none, index) => `t${index}=`).join('&')
    expect(refusal({ s3: { Tagging: tags(10) } })).toBeUndefined()
    const at = 'features.s3.Tagging has no equal at azure:features: '
    expect(refusal({ s3: { Tagging: tags(11) } })).toBe(`${at}11 tags, limit 10`)
    expect(refusal({ s3: { Tagging: 'a=1&a=2' } })).toBe(`${at}a tag comes twice`)
    expect(refusal({ s3: { Tagging: '%' } })).toBe(`${at}it is not encoded as a query`)
    expect(refusal({ s3: { Tagging: '=1' } })).toContain('a key has 0 characters')
    expect(refusal({ s3: { Tagging: `${'k'.repeat(129)}=1` } })).toContain('a key has 129 characters')
    expect(refusal({ s3: { Tagging: `k=${'v'.repeat(257)}` } })).toContain('a value has 257 characters')
    expect(refusal({ s3: { Tagging: 'who=someone%40example.org' } })).toContain('"someone@example.org" has other')
    expect(refusal({ azure: { tags: { 'a@b': '' } } })).toContain(
      'features.azure.tags cannot be kept at azure:features',
    )
    expect(refusal({ s3: { Tagging: tags(11) }, azure: { tags: { a: 'b' } } })).toBeUndefined()
  })

  test('unless it may be gone without', async () => {
    const features: ProviderFeatures = {
      s3: { Tagging: 'a=%40', StorageClass: 'SNOW' },
      relax: ['Tagging', 'StorageClass'],
    }
    expect(await stored(features, 10)).toEqual({ tags: {} })
  })

  test('all else, but for what is so anyway', () => {
    expect(refusal({ s3: { ACL: 'private', ServerSideEncryption: 'AES256' } })).toBeUndefined()
    expect(refusal({ s3: { ACL: 'bucket-owner-full-control' } })).toBeUndefined()
    expect(refusal({ s3: { ACL: 'public-read' } })).toContain('features.s3.ACL is "public-read"')
    expect(refusal({ s3: { SSEKMSKeyId: 'k' } })).toBe('features.s3.SSEKMSKeyId has no equal at azure:features')
    expect(refusal({ s3: { StorageClass: 'SNOW' } })).toContain('features.s3.StorageClass is "SNOW"')
    expect(refusal({ azure: { tier: 'hot' } })).toContain('features.azure.tier is "hot"')
    expect(refusal({ gcs: { storageClass: 'ARCHIVE' } })).toBeUndefined()
  })
})

test('a listing has the entry of each object, where it has one, folded or not', async () => {
  await provider.put(putOf('list/with', 'x', { metadata: { holdfast: '1;entry' } }), signal)
  await provider.put(putOf('list/without', 'x'), signal)
  for (const delimiter of ['', '/']) {
    const entries = await Array.fromAsync(provider.list({ prefix: 'list/', delimiter, startAfter: '' }, signal))
    expect(entries).toMatchObject([{ key: 'list/with', entry: '1;entry' }, { key: 'list/without' }])
    expect(entries[1]).not.toHaveProperty('entry')
  }
})

test('what goes into the archive is proven before it is there: nobody can read it back', async () => {
  const features = { azure: { tier: 'Archive' } }
  for (const size of [0, 10]) {
    const key = `archived ${size}`
    const { token, proof } = await provider.put(putOf(key, new Uint8Array(size), { features }), signal)
    expect(proof).toBe('server-parts')
    expect(await provider.head(key, signal)).toMatchObject({ token, size, attested: {} })
    const read = provider.get({ key, range: undefined, token: undefined }, signal)
    await expect(read).rejects.toMatchObject({ code: 'UNSUPPORTED', reason: 'RETENTION' })
  }
})

test('of an archived blob nothing is asked that the service does not give (A9)', async () => {
  const headers = {
    ...blobProof,
    'content-length': '5',
    'content-md5': 'XUFAKrxLKna5cZ2REBfFkg==',
    'x-ms-access-tier': 'Archive',
  }
  await using recorder = await startRecorder(reply(200, headers))
  const archive = azure({
    container: 'features',
    endpoint: recorder.endpoint,
    accountName: 'account',
    accountKey: 'a2V5',
  })
  expect(await archive.head('k', signal)).toMatchObject({ size: 5, attested: {} })
  expect(recorder.requests).toHaveLength(1)
})
