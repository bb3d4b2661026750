import { HeadObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { expect, test } from 'vitest'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { headAt } from '../replicate/mending.ts'
import { bucket, providersOf } from '../support/clouds.ts'
import { bodyAt, keysOf, testDirectory } from '../support/store.ts'

test('a bucket full of objects that the raw SDK put is mirrored to another cloud, and not one of its objects is written (I17, I22)', async () => {
  await using amazon = await startLocalS3({ buckets: [bucket] })
  await using google = await startLocalGcs({ buckets: [bucket] })
  await using directory = await testDirectory()
  const { id, secret } = amazon.credentials
  const client = new S3Client({
    endpoint: amazon.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: id, secretAccessKey: secret },
  })
  const keys = Array.from({ length: 40 }, (_, n) => `albums/${n % 4}/photo ${n} ü.jpg`)
  for (const [n, Key] of keys.entries())
    await client.send(
      new PutObjectCommand({
        Bucket: bucket,
        Key,
        Body: Buffer.alloc(n * 997, n),
        ContentType: n % 2 === 0 ? 'image/jpeg' : 'text/plain; charset=utf-8',
        CacheControl: 'max-age=3600',
        ...(n % 5 === 0 ? { ContentDisposition: `attachment; filename="${n}.jpg"` } : {}),
        Metadata: { owner: `owner-${n}`, album: String(n % 4) },
      }),
    )
  const look = () => Promise.all(keys.map(Key => client.send(new HeadObjectCommand({ Bucket: bucket, Key }))))
  const seen = (found: Awaited<ReturnType<typeof look>>) =>
    found.map(({ ETag, LastModified, Metadata, ContentType, ContentLength }) => ({
      ETag,
      LastModified,
      Metadata,
      ContentType,
      ContentLength,
    }))
  const before = seen(await look())
  await amazon.requests({ reset: true })

  const [primary, secondary] = providersOf({
    s3: { endpoint: amazon.endpoint, id, secret },
    gcs: { endpoint: google.endpoint },
  })
  const store = await directory.open([primary, secondary])
  const estimate = await store.estimate({ to: 'gcs' })
  expect(estimate).toMatchObject({ objects: 40, bytes: 997 * 780, listed: { s3: 40, gcs: 0 }, without: [] })
  expect(estimate.money.egress).toBeCloseTo((997 * 780 * 0.09) / 1e9, 12)
  await expect(store.backfill({ to: 'gcs' })).resolves.toMatchObject({ queued: 40, stored: 40, filled: true })
  await store.drain({ until: 'verified' })

  const asked = (await amazon.requests()).filter(({ key }) => key !== undefined && !key.startsWith('.holdfast/'))
  expect(asked.filter(({ method }) => method !== 'GET' && method !== 'HEAD')).toEqual([])
  // One look to compare, one read.
  expect(asked.filter(({ method, key }) => method === 'HEAD' && key !== undefined)).toHaveLength(40)
  expect(asked.filter(({ method, url }) => method === 'GET' && !url.includes('list-type'))).toHaveLength(40)
  expect(seen(await look())).toEqual(before)
  expect(await keysOf(secondary)).toEqual(await keysOf(primary))
  for (const key of keys) {
    const [here, there] = [await headAt(primary, key), await headAt(secondary, key)]
    expect(there?.headers, key).toEqual(here?.headers)
    expect(there?.metadata, key).toMatchObject({ ...here?.metadata })
    expect(await bodyAt(secondary, key), key).toEqual(await bodyAt(primary, key))
  }
  // Both are equal to whoever compares, and a second fill has nothing to do.
  await expect(store.reconcile({ attributes: true })).resolves.toMatchObject({ foreign: 0, missing: 0, different: 0 })
  await expect(store.backfill({ to: 'gcs' })).resolves.toMatchObject({ objects: 0, queued: 0, filled: true })
  client.destroy()
}, 60_000)
