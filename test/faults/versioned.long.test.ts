import {
  CreateBucketCommand,
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { s3 } from '../../src/providers/s3.ts'
import { hasRgw, type Rgw, startRgw } from '../servers/rgw.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'

describe('a bucket that keeps versions, at Ceph', {
  skip: !hasRgw(),
  meta: { reason: 'Ceph is not installed here' },
}, () => {
  let rgw: Rgw
  let raw: S3Client
  let at: Pick<Rgw, 'endpoint' | 'credentials'>

  beforeAll(async () => {
    rgw = await startRgw()
    at = { endpoint: rgw.endpoint, credentials: rgw.credentials }
    raw = new S3Client({ ...at, region: 'us-east-1', forcePathStyle: true })
  })
  afterAll(async () => {
    raw?.destroy()
    await rgw?.stop()
  })

  const newBucket = async (Bucket: string, Status: 'Enabled' | 'Suspended'): Promise<void> => {
    await raw.send(new CreateBucketCommand({ Bucket }))
    await raw.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }))
    if (Status === 'Suspended')
      await raw.send(new PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status } }))
  }
  const versionsOf = async (Bucket: string, key: string) => {
    const { Versions = [], DeleteMarkers = [] } = await raw.send(new ListObjectVersionsCommand({ Bucket, Prefix: key }))
    const of = (list: readonly { Key?: string | undefined }[]) => list.filter(({ Key }) => Key === key)
    return { versions: of(Versions).length, markers: of(DeleteMarkers).length }
  }

  test.each([
    ['enabled', 'Enabled', 2],
    ['suspended', 'Suspended', 1],
  ] as const)(
    'with versioning %s, the newest is what counts, a delete hides it, and old versions are neither read nor deleted (S12, I12, I13, I16)',
    async (name, status, kept) => {
      await using directory = await testDirectory()
      const bucket = `versions-${name}`
      await newBucket(bucket, status)
      const provider = s3({ bucket, name: 's3', ...at })
      const other = memory({ name: 'other' })
      const store = await directory.open([provider, other])
      await store.put('k', 'first')
      await store.drain({ until: 'verified' })
      await store.put('k', 'second')
      await store.drain({ until: 'verified' })
      expect((await bodyAt(provider, 'k'))?.toString()).toBe('second')
      expect((await versionsOf(bucket, 'k')).versions).toBe(kept)
      await store.delete('k')
      await store.drain({ until: 'verified' })
      expect(await store.get('k')).toBeUndefined()
      expect(await keysOf(provider)).toEqual([])
      expect(await Array.fromAsync(store.list())).toEqual([])
      // What the service keeps is the business of whoever told it to.
      const left = await versionsOf(bucket, 'k')
      expect(left.markers).toBeGreaterThanOrEqual(1)
      if (status === 'Enabled') expect(left.versions).toBe(kept)
      await store.put('k', 'third')
      await store.drain({ until: 'verified' })
      expect(await (await store.get('k'))?.text()).toBe('third')
    },
  )

  test('a delete of somebody hides an object under a marker of the service: served from the other cloud, and brought back as a new version (S12, S17, I14)', async () => {
    await using directory = await testDirectory()
    const Bucket = 'versions-lost'
    await newBucket(Bucket, 'Enabled')
    const provider = s3({ bucket: Bucket, name: 's3', ...at })
    const store = await directory.open([provider, memory({ name: 'other' })])
    await store.put('k', 'body')
    await store.drain({ until: 'verified' })
    await eventually(async () => (await store.status()).stage.bytes === 0)
    await raw.send(new DeleteObjectCommand({ Bucket, Key: 'k' }))
    expect(await (await store.get('k'))?.text()).toBe('body')
    await eventually(async () => (await keysOf(provider)).length === 1)
    expect(await versionsOf(Bucket, 'k')).toEqual({ versions: 2, markers: 1 })
  })
})
