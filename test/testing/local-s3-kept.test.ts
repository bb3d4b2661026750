import { createHash } from 'node:crypto'
import {
  CompleteMultipartUploadCommand,
  CopyObjectCommand,
  CreateBucketCommand,
  CreateMultipartUploadCommand,
  GetObjectAclCommand,
  GetObjectCommand,
  GetObjectTaggingCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type PutObjectCommandInput,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { getSignedUrl } from '@aws-sdk/s3-request-presigner'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { clientOf, failure } from './local-s3-tools.ts'

const Bucket = 'main'
let cloud: LocalCloud
let client: S3Client
let keys = 0

beforeAll(async () => {
  cloud = await startLocalS3({ buckets: [Bucket] })
  client = clientOf(cloud)
  await client.send(new CreateBucketCommand({ Bucket: 'shared', ObjectOwnership: 'ObjectWriter' }))
})

afterAll(async () => {
  client.destroy()
  await cloud.stop()
})

const newKey = (): string => `kept/${++keys}`

async function put(more: Partial<PutObjectCommandInput>) {
  const Key = more.Key ?? newKey()
  const answer = await client.send(new PutObjectCommand({ Bucket, Key, Body: 'hello', ...more }))
  return { Key, answer, head: await client.send(new HeadObjectCommand({ Bucket: more.Bucket ?? Bucket, Key })) }
}

const refusal = async (more: Partial<PutObjectCommandInput>): Promise<string> => (await failure(put(more))).name

/** In two parts. */
async function putInParts(more: Omit<Partial<PutObjectCommandInput>, 'Body'>) {
  const Key = newKey()
  const begun = await client.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }))
  const { UploadId } = begun
  const Parts = []
  for (const [index, Body] of [Buffer.alloc(5 * 2 ** 20), 'rest'].entries()) {
    const PartNumber = index + 1
    const { ETag, ServerSideEncryption } = await client.send(
      new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }),
    )
    expect(ServerSideEncryption).toBe(begun.ServerSideEncryption)
    Parts.push({ PartNumber, ETag })
  }
  const done = await client.send(
    new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts } }),
  )
  return { begun, done, head: await client.send(new HeadObjectCommand({ Bucket, Key })) }
}

const md5 = `"${createHash('md5').update('hello').digest('hex')}"`

describe('encryption', () => {
  test("is with S3's own keys unless a write says otherwise, and the answers say so", async () => {
    for (const more of [{}, { ServerSideEncryption: 'AES256' } as const]) {
      const { answer, head } = await put(more)
      expect(answer).toMatchObject({ ServerSideEncryption: 'AES256', ETag: md5 })
      expect(head).toMatchObject({ ServerSideEncryption: 'AES256', ETag: md5 })
      expect(head.SSEKMSKeyId).toBeUndefined()
    }
  })

  test('with KMS is told by every answer, and the ETag is no digest then', async () => {
    const kms = { ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'arn:aws:kms:eu-west-1:1:key/2' } as const
    const { answer, head } = await put({ ...kms, BucketKeyEnabled: true, SSEKMSEncryptionContext: 'e30=' })
    expect(answer).toMatchObject({ ...kms, BucketKeyEnabled: true, SSEKMSEncryptionContext: 'e30=' })
    expect(head).toMatchObject({ ...kms, BucketKeyEnabled: true, ETag: answer.ETag })
    expect(answer.ETag).toMatch(/^"[0-9a-f]{32}"$/)
    expect(answer.ETag).not.toBe(md5)
    const inParts = await putInParts(kms)
    expect(inParts.begun).toMatchObject(kms)
    expect(inParts.done).toMatchObject(kms)
    expect(inParts.head).toMatchObject({ ...kms, ETag: inParts.done.ETag })
    expect(inParts.done.ETag).toMatch(/^"[0-9a-f]{32}-2"$/)
    expect((await put({ ServerSideEncryption: 'aws:kms' })).head.SSEKMSKeyId).toMatch(/^arn:aws:kms:/)
  })

  test('of a copy is its own', async () => {
    const { Key, answer } = await put({ ServerSideEncryption: 'aws:kms' })
    const CopySource = `${Bucket}/${Key}`
    const copy = await client.send(new CopyObjectCommand({ Bucket, Key: newKey(), CopySource }))
    expect(copy).toMatchObject({ ServerSideEncryption: 'AES256', CopyObjectResult: { ETag: md5 } })
    const again = await client.send(new CopyObjectCommand({ Bucket, Key, CopySource, ServerSideEncryption: 'aws:kms' }))
    expect(again.CopyObjectResult?.ETag).not.toBe(answer.ETag)
  })

  test('that makes no sense is refused', async () => {
    expect(await refusal({ ServerSideEncryption: 'rot13' as never })).toBe('InvalidEncryptionAlgorithmError')
    expect(await refusal({ SSEKMSKeyId: 'k' })).toBe('InvalidArgument')
    expect(await refusal({ SSECustomerAlgorithm: 'AES256', SSECustomerKey: 'x'.repeat(32) })).toBe('NotImplemented')
  })
})

describe('storage classes', () => {
  test('are told by reads where they are not the usual one, and always by listings', async () => {
    const usual = await put({})
    const rare = await put({ StorageClass: 'STANDARD_IA' })
    expect(usual.head.StorageClass).toBeUndefined()
    expect(rare.head.StorageClass).toBe('STANDARD_IA')
    const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket, FetchOwner: true }))
    const classes = new Map(Contents.map(each => [each.Key, each.StorageClass]))
    expect([classes.get(usual.Key), classes.get(rare.Key)]).toEqual(['STANDARD', 'STANDARD_IA'])
    expect(Contents[0]?.Owner?.ID).toBeTruthy()
  })

  test('an archived object is described, not read, and not copied', async () => {
    for (const StorageClass of ['GLACIER', 'DEEP_ARCHIVE'] as const) {
      const { Key, head } = await put({ StorageClass })
      expect(head).toMatchObject({ StorageClass, ContentLength: 5 })
      const read = await failure(client.send(new GetObjectCommand({ Bucket, Key })))
      expect(read).toMatchObject({ name: 'InvalidObjectState', status: 403, error: { StorageClass } })
      const copy = client.send(new CopyObjectCommand({ Bucket, Key: newKey(), CopySource: `${Bucket}/${Key}` }))
      expect(await failure(copy)).toMatchObject({ name: 'InvalidObjectState', status: 403 })
    }
  })
})

describe('tags', () => {
  test('are counted by reads, and told when they are asked for', async () => {
    const { Key, head } = await put({ Tagging: 'a=1&who=%C3%BC+%2B&empty=' })
    expect(head.TagCount).toBe(3)
    const { TagSet } = await client.send(new GetObjectTaggingCommand({ Bucket, Key }))
    expect(TagSet).toEqual([
      { Key: 'a', Value: '1' },
      { Key: 'who', Value: 'ü +' },
      { Key: 'empty', Value: '' },
    ])
    const without = await put({})
    expect(without.head.TagCount).toBeUndefined()
    expect(await client.send(new GetObjectTaggingCommand({ Bucket, Key: without.Key }))).toMatchObject({ TagSet: [] })
    expect((await putInParts({ Tagging: 'a=1' })).head.TagCount).toBe(1)
  })

  test('go with a copy, or are replaced', async () => {
    const { Key } = await put({ Tagging: 'a=1' })
    const copied = newKey()
    const CopySource = `${Bucket}/${Key}`
    await client.send(new CopyObjectCommand({ Bucket, Key: copied, CopySource, Tagging: 'b=2' }))
    const tags = async (): Promise<unknown> =>
      (await client.send(new GetObjectTaggingCommand({ Bucket, Key: copied }))).TagSet
    expect(await tags()).toEqual([{ Key: 'a', Value: '1' }])
    const replacing = { Tagging: 'b=2', TaggingDirective: 'REPLACE' } as const
    await client.send(new CopyObjectCommand({ Bucket, Key: copied, CopySource, ...replacing }))
    expect(await tags()).toEqual([{ Key: 'b', Value: '2' }])
  })

  test('that S3 does not take are refused', async () => {
    const many = Array.from({ length: 11 }, (_none, index) => `t${index}=`).join('&')
    expect(await refusal({ Tagging: many })).toBe('BadRequest')
    expect(await refusal({ Tagging: 'a=1&a=2' })).toBe('InvalidArgument')
    expect(await refusal({ Tagging: '=1' })).toBe('InvalidTag')
    expect(await refusal({ Tagging: `a=${'v'.repeat(257)}` })).toBe('InvalidTag')
    expect(await refusal({ Tagging: 'a=%22' })).toBe('InvalidTag')
  })
})

describe('access lists', () => {
  test('are for buckets that were created for them', async () => {
    expect((await put({ ACL: 'private' })).answer.$metadata.httpStatusCode).toBe(200)
    expect((await put({ ACL: 'bucket-owner-full-control' })).answer.$metadata.httpStatusCode).toBe(200)
    expect(await refusal({ ACL: 'public-read' })).toBe('AccessControlListNotSupported')
    expect(await refusal({ GrantRead: 'id="1"' })).toBe('AccessControlListNotSupported')
    expect(await refusal({ Bucket: 'shared', ACL: 'nonsense' as never })).toBe('InvalidArgument')
    expect(await refusal({ Bucket: 'shared', ACL: 'private', GrantRead: 'id="1"' })).toBe('InvalidRequest')
  })

  test('are kept there, and told when they are asked for', async () => {
    const shared = await put({ Bucket: 'shared', ACL: 'public-read' })
    const { Grants } = await client.send(new GetObjectAclCommand({ Bucket: 'shared', Key: shared.Key }))
    expect(Grants).toMatchObject([
      { Permission: 'FULL_CONTROL', Grantee: { Type: 'CanonicalUser' } },
      { Permission: 'READ', Grantee: { Type: 'Group', URI: 'http://acs.amazonaws.com/groups/global/AllUsers' } },
    ])
    const granted = await put({ Bucket: 'shared', GrantReadACP: 'id="1", uri="http://group"' })
    const acl = await client.send(new GetObjectAclCommand({ Bucket: 'shared', Key: granted.Key }))
    expect(acl.Grants).toMatchObject([
      { Permission: 'READ_ACP', Grantee: { ID: '1' } },
      { Permission: 'READ_ACP', Grantee: { URI: 'http://group' } },
    ])
  })
})

describe('locks', () => {
  test('are kept and told', async () => {
    const lock = {
      ObjectLockMode: 'GOVERNANCE',
      ObjectLockRetainUntilDate: new Date(Date.now() + 3_600_000),
      ObjectLockLegalHoldStatus: 'ON',
    } as const
    const { head } = await put(lock)
    expect(head).toMatchObject({ ObjectLockMode: 'GOVERNANCE', ObjectLockLegalHoldStatus: 'ON' })
    // The client sends whole seconds.
    const seconds = (date: Date | undefined): number => Math.floor((date?.getTime() ?? 0) / 1000)
    expect(seconds(head.ObjectLockRetainUntilDate)).toBe(seconds(lock.ObjectLockRetainUntilDate))
    expect((await putInParts(lock)).head).toMatchObject({ ObjectLockMode: 'GOVERNANCE' })
  })

  test('that make no sense are refused', async () => {
    const ObjectLockRetainUntilDate = new Date(Date.now() + 3_600_000)
    expect(await refusal({ ObjectLockMode: 'GOVERNANCE' })).toBe('InvalidArgument')
    expect(await refusal({ ObjectLockMode: 'FOREVER' as never, ObjectLockRetainUntilDate })).toBe('InvalidArgument')
    expect(await refusal({ ObjectLockMode: 'COMPLIANCE', ObjectLockRetainUntilDate: new Date(0) })).toBe(
      'InvalidArgument',
    )
    expect(await refusal({ ObjectLockLegalHoldStatus: 'MAYBE' as never })).toBe('InvalidArgument')
  })
})

describe('where requests are redirected', () => {
  test('is kept and told, and is not copied', async () => {
    const { Key, head } = await put({ WebsiteRedirectLocation: '/other' })
    expect(head.WebsiteRedirectLocation).toBe('/other')
    const copied = newKey()
    await client.send(new CopyObjectCommand({ Bucket, Key: copied, CopySource: `${Bucket}/${Key}` }))
    const copy = await client.send(new HeadObjectCommand({ Bucket, Key: copied }))
    expect(copy.WebsiteRedirectLocation).toBeUndefined()
    const WebsiteRedirectLocation = 'https://elsewhere.example/'
    await client.send(
      new CopyObjectCommand({ Bucket, Key: copied, CopySource: `${Bucket}/${Key}`, WebsiteRedirectLocation }),
    )
    expect(await client.send(new HeadObjectCommand({ Bucket, Key: copied }))).toMatchObject({ WebsiteRedirectLocation })
    expect(await refusal({ WebsiteRedirectLocation: 'other' })).toBe('InvalidRedirectLocation')
  })
})

test('Expires comes back as it was sent', async () => {
  const { head } = await put({ Expires: new Date('2030-10-21T07:28:00Z') })
  expect(head.ExpiresString).toBe('Mon, 21 Oct 2030 07:28:00 GMT')
})

test('a presigned PUT may carry all of it in its URL, and a page may read the whole answer', async () => {
  const Key = newKey()
  const kept = {
    StorageClass: 'GLACIER_IR',
    Tagging: 'a=1',
    WebsiteRedirectLocation: '/there',
    ACL: 'private',
  } as const
  const url = await getSignedUrl(client, new PutObjectCommand({ Bucket, Key, ...kept }))
  const answer = await fetch(url, { method: 'PUT', body: 'hello', headers: { origin: 'https://app.example' } })
  expect(answer.status).toBe(200)
  expect(answer.headers.get('access-control-allow-origin')).toBe('*')
  const exposed = answer.headers.get('access-control-expose-headers')?.split(', ') ?? []
  expect(exposed).toEqual(expect.arrayContaining(['etag', 'x-amz-request-id', 'x-amz-server-side-encryption']))
  const head = await client.send(new HeadObjectCommand({ Bucket, Key }))
  expect(head).toMatchObject({ StorageClass: 'GLACIER_IR', TagCount: 1, WebsiteRedirectLocation: '/there' })
})
