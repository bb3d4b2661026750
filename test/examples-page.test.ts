import { createHash } from 'node:crypto'
import {
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  ListPartsCommand,
  NoSuchKey,
  PutObjectAclCommand,
  PutObjectCommand,
  type PutObjectCommandInput,
  S3Client,
  S3ServiceException,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { Provider } from '../src/core/provider.ts'
import type { Holdfast } from '../src/holdfast/holdfast.ts'
import { gcs } from '../src/providers/gcs.ts'
import { s3 } from '../src/providers/s3.ts'
import { withHoldfast } from '../src/s3-client/index.ts'
import type { LocalCloud } from '../src/testing/local/cloud.ts'
import { startLocalGcs } from '../src/testing/local/gcs/start.ts'
import { startLocalS3 } from '../src/testing/local/s3/index.ts'
import { bodyFor } from './kill/body.ts'
import { bodyAt, eventually, type TestDirectory, testDirectory } from './support/store.ts'

// What docs/wrap-existing-s3-code.md says, run. In its order.

const Bucket = 'photos'
let amazon: LocalCloud
let other: LocalCloud
let google: LocalCloud
let directory: TestDirectory
beforeEach(async () => {
  ;[amazon, other, google] = await Promise.all([
    startLocalS3({ buckets: ['without-acls'] }),
    startLocalS3(),
    startLocalGcs({ buckets: [Bucket] }),
  ])
  for (const cloud of [amazon, other])
    await new S3Client(at(cloud)).send(new CreateBucketCommand({ Bucket, ObjectOwnership: 'ObjectWriter' }))
  directory = await testDirectory()
})
afterEach(async () => {
  await directory[Symbol.asyncDispose]()
  await Promise.all([amazon.stop(), other.stop(), google.stop()])
})

function at(cloud: LocalCloud) {
  const { id: accessKeyId, secret: secretAccessKey } = cloud.credentials
  return {
    endpoint: cloud.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId, secretAccessKey },
  }
}
const speaking = (cloud: LocalCloud, name: string, bucket = Bucket): Provider => s3({ bucket, name, ...at(cloud) })
const onGoogle = (): Provider => gcs({ bucket: Bucket, name: 'gcs', apiEndpoint: google.endpoint, projectId: 'test' })

type OpenOptions = Parameters<TestDirectory['open']>[1]
interface Opened {
  readonly store: Holdfast
  readonly client: S3Client
  readonly plain: S3Client
  readonly providers: readonly [Provider, Provider]
}

/** A store over S3 and `secondary`, the client as it was, and the wrapped one. */
async function open(
  secondary: Provider,
  options: OpenOptions = {},
  wrapping: Parameters<typeof withHoldfast>[2] = {},
  primary = speaking(amazon, 's3'),
): Promise<Opened> {
  const providers = [primary, secondary] as const
  const store = await directory.open([...providers], options)
  const plain = new S3Client({ ...at(amazon), maxAttempts: 1 })
  return { store, plain, client: withHoldfast(plain, { [Bucket]: store }, wrapping), providers }
}

async function refusal(sent: Promise<unknown>): Promise<S3ServiceException> {
  const error = await sent.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(S3ServiceException)
  return error as S3ServiceException
}

const put = (Key: string, more: Partial<PutObjectCommandInput> = {}) =>
  new PutObjectCommand({ Bucket, Key, Body: 'a photo', ...more })
const get = (Key: string) => new GetObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' })

describe('features and refusals', () => {
  test('two providers that speak S3 refuse no feature, and are sent it as it was given', async () => {
    const { client, store } = await open(speaking(other, 'other'))
    const features = {
      ACL: 'public-read',
      StorageClass: 'STANDARD_IA',
      ServerSideEncryption: 'AES256',
      Tagging: 'a=1&b=2',
      Expires: new Date('2030-01-01T00:00:00Z'),
      WebsiteRedirectLocation: '/elsewhere',
    } as const
    await client.send(put('all', features))
    await store.drain()
    for (const cloud of [amazon, other]) {
      const sent = (await cloud.requests()).find(({ operation, key }) => operation === 'PutObject' && key === 'all')
      expect(sent?.headers).toMatchObject({
        'x-amz-acl': 'public-read',
        'x-amz-storage-class': 'STANDARD_IA',
        'x-amz-server-side-encryption': 'AES256',
        'x-amz-tagging': 'a=1&b=2',
        'x-amz-website-redirect-location': '/elsewhere',
        expires: 'Tue, 01 Jan 2030 00:00:00 GMT',
      })
    }
  })

  test('beside GCS a feature without an equal is refused before anything is stored, by its name; relax lets GCS go without', async () => {
    const { client, store, plain } = await open(onGoogle())
    await client.send(put('equal', { ACL: 'private', StorageClass: 'GLACIER_IR', ServerSideEncryption: 'AES256' }))
    const refused = await refusal(client.send(put('public', { ACL: 'public-read' })))
    expect(refused).toMatchObject({ name: 'NotImplemented', $metadata: { httpStatusCode: 501 } })
    expect(refused.message).toContain('ACL')
    expect((await store.status()).accepted).toBe(1)

    const relaxed = withHoldfast(plain, { [Bucket]: store }, { relax: ['ACL'] })
    await relaxed.send(put('public', { ACL: 'public-read' }))
    await store.drain()
    const sent = (await amazon.requests()).find(({ operation, key }) => operation === 'PutObject' && key === 'public')
    expect(sent?.headers['x-amz-acl']).toBe('public-read')
  })

  test('what a bucket itself does not take blocks an accepted write there, and is counted', async () => {
    const primary = speaking(amazon, 's3', 'without-acls')
    const { client, store } = await open(speaking(other, 'other'), {}, {}, primary)
    await client.send(put('public', { ACL: 'public-read' }))
    await expect(store.drain()).rejects.toMatchObject({ code: 'BLOCKED', provider: 's3' })
    const { blocked } = await store.status()
    expect(blocked.reasons).toEqual([{ provider: 's3', reason: 'REFUSED', writes: 1 }])
    expect(await (await client.send(get('public'))).Body?.transformToString()).toBe('a photo')
  })

  test('what would change one copy is refused, and says what to do', async () => {
    const { client } = await open(onGoogle())
    const acl = await refusal(client.send(new PutObjectAclCommand({ Bucket, Key: 'a', ACL: 'private' })))
    expect(acl).toMatchObject({ name: 'NotImplemented', $metadata: { httpStatusCode: 501 } })
    expect(acl.message).toContain('CopyObject')
    const version = new DeleteObjectCommand({ Bucket, Key: 'a', VersionId: 'x' })
    expect((await refusal(client.send(version))).name).toBe('NotImplemented')
  })
})

describe('what changes in meaning', () => {
  test('answers have no VersionId and no Owner, say AES256, and are known by their request id', async () => {
    const { client, store } = await open(onGoogle())
    const written = await client.send(put('a'))
    expect(written.$metadata.requestId).toMatch(/^holdfast-/)
    const read = await client.send(get('a'))
    const listed = await client.send(new ListObjectsV2Command({ Bucket }))
    expect(listed.Contents?.[0]).not.toHaveProperty('Owner')
    for (const answer of [written, read]) {
      expect(answer).not.toHaveProperty('VersionId')
      expect(answer.ServerSideEncryption).toBe('AES256')
    }
    await store.drain()
    expect((await client.send(new ListObjectsV2Command({ Bucket }))).Contents?.map(({ Key }) => Key)).toEqual(['a'])
  })

  test('LastModified of a read is when the write was accepted, whoever answers', async () => {
    const { client, store } = await open(onGoogle())
    await client.send(put('a'))
    const local = (await client.send(get('a'))).LastModified
    await store.drain({ until: 'verified' })
    const primary = (await client.send(get('a'))).LastModified
    await amazon.stop()
    const secondary = (await client.send(get('a'))).LastModified
    expect([primary, secondary]).toEqual([local, local])
  })

  test('a write under a condition needs the primary; others do not', async () => {
    const { client } = await open(onGoogle())
    await Promise.all([amazon.stop(), google.stop()])
    await client.send(put('plain'))
    const refused = await refusal(client.send(put('conditional', { IfNoneMatch: '*' })))
    expect(refused).toMatchObject({ name: 'ServiceUnavailable', $metadata: { httpStatusCode: 503 } })
  })

  test('a delete while everything is down holds for reads and listings, and reaches the providers later', async () => {
    const { client, store } = await open(onGoogle())
    await client.send(put('a'))
    await client.send(put('b'))
    await store.drain()
    const rule = { match: {}, fault: { kind: 'reset' } } as const
    const faults = [await amazon.fault(rule), await google.fault(rule)] as const
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'a' }))
    expect(await client.send(get('a')).catch((error: unknown) => error)).toBeInstanceOf(NoSuchKey)
    await Promise.all([amazon.heal(faults[0]), google.heal(faults[1])])
    const listed = await eventually(() => client.send(new ListObjectsV2Command({ Bucket })), 20_000)
    expect(listed.Contents?.map(({ Key }) => Key)).toEqual(['b'])
    await store.drain()
  })
})

describe('ETags and checksums', () => {
  const body = bodyFor('parts', 11 * 2 ** 20)
  async function inParts(client: S3Client, Key: string) {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key }))
    const Parts: CompletedPart[] = []
    for (const [index, cut] of [body.subarray(0, 5 * 2 ** 20), body.subarray(5 * 2 ** 20)].entries()) {
      const part = { Bucket, Key, UploadId, PartNumber: index + 1, Body: cut }
      const { ETag } = await client.send(new UploadPartCommand(part))
      Parts.push({ PartNumber: index + 1, ETag })
    }
    return client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }))
  }

  test('the ETag that a write returned is that of reads and listings, at every copy; S3 itself shows the same', async () => {
    const { client, plain, store } = await open(onGoogle())
    const md5 = createHash('md5').update('a photo').digest('hex')
    const etags = { one: (await client.send(put('one'))).ETag, parts: (await inParts(client, 'parts')).ETag }
    expect(etags.one).toBe(`"${md5}"`)
    expect(etags.parts).toMatch(/^"[0-9a-f]{32}-2"$/)
    const listings = async (by: S3Client) =>
      Object.fromEntries(
        ((await by.send(new ListObjectsV2Command({ Bucket }))).Contents ?? [])
          .filter(({ Key }) => !Key?.startsWith('.holdfast/'))
          .map(({ Key, ETag }) => [Key, ETag]),
      )
    expect(await listings(client)).toEqual(etags)
    await store.drain({ until: 'verified' })
    expect(await listings(client)).toEqual(etags)
    expect(await listings(plain)).toEqual(etags)
    for (const Key of ['one', 'parts'] as const)
      expect((await plain.send(new HeadObjectCommand({ Bucket, Key }))).ETag).toBe(etags[Key])
    await amazon.stop()
    expect(await listings(client)).toEqual(etags)
    for (const Key of ['one', 'parts'] as const)
      expect((await client.send(new HeadObjectCommand({ Bucket, Key }))).ETag).toBe(etags[Key])
  })

  test('a wrong digest is BadDigest and stores nothing; CRC32 is computed without being asked, and given back by every provider', async () => {
    const { client, store } = await open(onGoogle())
    const wrong = createHash('md5').update('another').digest('base64')
    expect((await refusal(client.send(put('a', { ContentMD5: wrong })))).name).toBe('BadDigest')
    expect((await refusal(client.send(put('a', { ContentMD5: 'x' })))).name).toBe('InvalidDigest')
    expect((await refusal(client.send(put('a', { ChecksumCRC32: 'AAAAAA==' })))).name).toBe('BadDigest')
    expect((await store.status()).accepted).toBe(0)
    const { ChecksumCRC32 } = await client.send(put('a'))
    expect(ChecksumCRC32).toMatch(/^.{6}==$/)
    await store.drain({ until: 'verified' })
    await amazon.stop()
    expect((await client.send(get('a'))).ChecksumCRC32).toBe(ChecksumCRC32)
  })

  test('an upload in parts goes on in the next process, with everything down', async () => {
    const first = await open(onGoogle())
    await Promise.all([amazon.stop(), google.stop()])
    const Key = 'long'
    const { UploadId } = await first.client.send(new CreateMultipartUploadCommand({ Bucket, Key }))
    await first.client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber: 1, Body: body }))
    await first.store.close()
    const { client } = await open(onGoogle())
    const { Parts = [] } = await client.send(new ListPartsCommand({ Bucket, Key, UploadId }))
    expect(Parts).toMatchObject([{ PartNumber: 1, Size: body.length }])
    await client.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }))
    expect((await client.send(get(Key))).ContentLength).toBe(body.length)
  })

  test("with multipart: 'provider' the parts are at the primary, and the object is taken in", async () => {
    const { client, store, providers } = await open(onGoogle(), {}, { multipart: 'provider' })
    const { ETag } = await inParts(client, 'parts')
    const asked = (await amazon.requests()).filter(({ key }) => key === 'parts').map(({ operation }) => operation)
    const uploading = ['CreateMultipartUpload', 'UploadPart', 'UploadPart', 'CompleteMultipartUpload']
    expect(asked.filter(operation => uploading.includes(operation)).slice(0, 4)).toEqual(uploading)
    await store.drain()
    for (const provider of providers) expect((await bodyAt(provider, 'parts'))?.equals(body)).toBe(true)
    expect((await client.send(new HeadObjectCommand({ Bucket, Key: 'parts' }))).ETag).toBe(ETag)
  })
})

describe('presigned URLs, errors, and the way out', () => {
  test('getSignedUrl signs for the bucket of the client and writes nothing; adopt takes in what was put there', async () => {
    const { client, store, providers } = await open(onGoogle())
    const url = await getSignedUrl(client, new PutObjectCommand({ Bucket, Key: 'direct' }), {
      // The SDK signs the checksum of the body that it is given, and it is given none.
      unsignableHeaders: new Set(['x-amz-checksum-crc32']),
    })
    expect(new URL(url).origin).toBe(amazon.endpoint)
    expect((await store.status()).accepted).toBe(0)
    expect((await fetch(url, { method: 'PUT', body: 'from a browser' })).status).toBe(200)
    await store.adopt('direct')
    await store.drain()
    for (const provider of providers) expect((await bodyAt(provider, 'direct'))?.toString()).toBe('from a browser')
    const signed = await getSignedUrl(client, new GetObjectCommand({ Bucket, Key: 'direct' }))
    expect(await (await fetch(signed)).text()).toBe('from a browser')
  })

  test('the errors are those of the table, and each has the HoldfastError for its cause', async () => {
    const { client, store } = await open(onGoogle(), { maxStageBytes: 100_000 })
    await Promise.all([amazon.stop(), google.stop()])
    const full = await refusal(client.send(put('big', { Body: Buffer.alloc(200_000) })))
    expect(full).toMatchObject({ name: 'SlowDown', $metadata: { httpStatusCode: 503 } })
    expect(full.cause).toMatchObject({ code: 'NO_SPACE', outcome: 'rejected' })
    const nobody = await refusal(client.send(get('nobody-knows')))
    expect(nobody).toMatchObject({ name: 'ServiceUnavailable', $metadata: { httpStatusCode: 503 } })
    await store.close()
    expect(await refusal(client.send(put('late')))).toMatchObject({ name: 'InternalError', cause: { code: 'CLOSED' } })
  })

  test("with ack: 'all' a write that no provider can take in time is RequestTimeout, accepted, and on its way", async () => {
    const { client, store } = await open(onGoogle(), { ack: 'all', ackTimeoutMs: 200 })
    const rules = [
      await amazon.fault({ match: {}, fault: { kind: 'reset' } }),
      await google.fault({ match: {}, fault: { kind: 'reset' } }),
    ] as const
    const late = await refusal(client.send(put('late')))
    expect(late).toMatchObject({ name: 'RequestTimeout', cause: { code: 'ACK_TIMEOUT', outcome: 'accepted' } })
    await Promise.all([amazon.heal(rules[0]), google.heal(rules[1])])
    await store.drain()
  })

  test('after draining the plain client finds plain objects; nothing of ours is needed any more', async () => {
    const { client, plain, store, providers } = await open(onGoogle())
    await client.send(put('keep', { ContentType: 'image/png', Metadata: { by: 'me' } }))
    await client.send(put('gone'))
    await client.send(new CopyObjectCommand({ Bucket, Key: 'copy', CopySource: `${Bucket}/keep` }))
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'gone' }))
    await store.drain({ until: 'verified' })
    await store.close()

    const { Contents = [] } = await plain.send(new ListObjectsV2Command({ Bucket }))
    const ours = Contents.map(({ Key = '' }) => Key).filter(key => key.startsWith('.holdfast/'))
    expect(Contents.map(({ Key = '' }) => Key).filter(key => !ours.includes(key))).toEqual(['copy', 'keep'])
    expect(ours).toContain('.holdfast/identity')
    expect(ours).toContain('.holdfast/deleted/gone')
    for (const Key of ours) await plain.send(new DeleteObjectCommand({ Bucket, Key }))
    for (const Key of ['keep', 'copy']) {
      const { Body, ContentType, Metadata = {} } = await plain.send(new GetObjectCommand({ Bucket, Key }))
      expect(await Body?.transformToString()).toBe('a photo')
      expect(ContentType).toBe('image/png')
      const { by, ...rest } = Metadata
      expect(by).toBe('me')
      expect(Object.keys(rest).toSorted()).toEqual(['holdfast', 'holdfastsum'])
    }
    expect((await bodyAt(providers[1], 'keep'))?.toString()).toBe('a photo')
  })
})
