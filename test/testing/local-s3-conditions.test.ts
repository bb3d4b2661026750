import { Readable } from 'node:stream'
import {
  CopyObjectCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { Upload } from '@aws-sdk/lib-storage'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { clientOf, failure, pieces } from './local-s3-tools.ts'

let cloud: LocalCloud
let client: S3Client
const Bucket = 'conditions'

beforeAll(async () => {
  cloud = await startLocalS3({ buckets: [Bucket] })
  client = clientOf(cloud)
})
afterAll(async () => {
  client.destroy()
  await cloud.stop()
})

const put = async (Key: string, Body: string, more: object = {}): Promise<string> =>
  (await client.send(new PutObjectCommand({ Bucket, Key, Body, ...more }))).ETag ?? ''
const text = async (Key: string): Promise<string | undefined> =>
  (await client.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToString()
const failed = { name: 'PreconditionFailed', status: 412 }

describe('a put', () => {
  test('that creates only does so once', async () => {
    await put('new', 'first', { IfNoneMatch: '*' })
    expect(await failure(put('new', 'second', { IfNoneMatch: '*' }))).toMatchObject(failed)
    expect(await text('new')).toBe('first')
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'new' }))
    await put('new', 'third', { IfNoneMatch: '*' })
  })

  test('that replaces does so only over what it names, quoted or not', async () => {
    const first = await put('replaced', 'first')
    const second = await put('replaced', 'second', { IfMatch: first })
    expect(await failure(put('replaced', 'third', { IfMatch: first }))).toMatchObject(failed)
    await put('replaced', 'third', { IfMatch: second.replaceAll('"', '') })
    expect(await text('replaced')).toBe('third')
    expect(await failure(put('never', 'x', { IfMatch: first }))).toMatchObject({ name: 'NoSuchKey', status: 404 })
  })

  test('with a condition that S3 does not know is refused, not done', async () => {
    for (const condition of [{ IfNoneMatch: '"00"' }, { IfMatch: '*' }, { IfMatch: '"00"', IfNoneMatch: '*' }])
      expect(await failure(put('unknown', 'x', condition))).toMatchObject({ name: 'NotImplemented', status: 501 })
    expect((await failure(text('unknown'))).name).toBe('NoSuchKey')
  })

  test.each([100, 300_000, 6_000_000])('of eight that create %d bytes at once, one wins', async size => {
    for (let round = 0; round < 5; round++) {
      const Key = `race/${size}/${round}`
      const bodies = Array.from({ length: 8 }, (_, writer) => Buffer.alloc(size, String(writer)))
      const results = await Promise.allSettled(
        bodies.map(Body => client.send(new PutObjectCommand({ Bucket, Key, Body, IfNoneMatch: '*' }))),
      )
      const winners = results.flatMap((result, writer) => (result.status === 'fulfilled' ? [writer] : []))
      expect(winners).toHaveLength(1)
      for (const result of results)
        if (result.status === 'rejected') expect(result.reason).toMatchObject({ name: 'PreconditionFailed' })
      const stored = await (await client.send(new GetObjectCommand({ Bucket, Key }))).Body?.transformToByteArray()
      expect(Buffer.from(stored ?? []).equals(bodies[winners[0] as number] as Buffer)).toBe(true)
    }
  })

  test('of eight that replace the same object at once, one wins', async () => {
    const IfMatch = await put('race/replace', 'old')
    const results = await Promise.allSettled(
      Array.from({ length: 8 }, (_, writer) => put('race/replace', `new ${writer}`, { IfMatch })),
    )
    expect(results.filter(({ status }) => status === 'fulfilled')).toHaveLength(1)
  })

  test('Upload passes its condition on, in one part or in several', async () => {
    const upload = (Key: string, size: number) =>
      new Upload({ client, params: { Bucket, Key, Body: Readable.from(pieces(size)), IfNoneMatch: '*' } }).done()
    for (const size of [1_000, 6_000_000]) {
      await upload(`upload/${size}`, size)
      expect(await failure(upload(`upload/${size}`, size))).toMatchObject(failed)
    }
  })
})

describe('a delete', () => {
  test('removes only what it names', async () => {
    const old = await put('deleted', 'old')
    const now = await put('deleted', 'now')
    const remove = (IfMatch: string, Key = 'deleted') => client.send(new DeleteObjectCommand({ Bucket, Key, IfMatch }))
    expect(await failure(remove(old))).toMatchObject(failed)
    expect(await text('deleted')).toBe('now')
    await remove(now)
    expect(await failure(remove(now))).toMatchObject({ name: 'NoSuchKey', status: 404 })
    expect(await failure(remove('*'))).toMatchObject({ name: 'NoSuchKey', status: 404 })
    await put('deleted', 'again')
    await remove('*')
  })
})

describe('a read', () => {
  test('by ETag: 412 when it must match, 304 when it must not', async () => {
    const etag = await put('read', 'x')
    const get = (condition: object) => client.send(new GetObjectCommand({ Bucket, Key: 'read', ...condition }))
    await get({ IfMatch: etag })
    await get({ IfMatch: '*' })
    await get({ IfMatch: `"00", ${etag}` })
    await get({ IfNoneMatch: '"00"' })
    expect(await failure(get({ IfMatch: '"00"' }))).toMatchObject(failed)
    expect(await failure(get({ IfNoneMatch: etag }))).toMatchObject({ status: 304 })
    const head = new HeadObjectCommand({ Bucket, Key: 'read', IfNoneMatch: etag })
    expect(await failure(client.send(head))).toMatchObject({ status: 304 })
  })

  test('by time, with the ETag going before it', async () => {
    const etag = await put('timed', 'x')
    const before = new Date(Date.now() - 60_000)
    const after = new Date(Date.now() + 60_000)
    const get = (condition: object) => client.send(new GetObjectCommand({ Bucket, Key: 'timed', ...condition }))
    await get({ IfModifiedSince: before })
    await get({ IfUnmodifiedSince: after })
    expect(await failure(get({ IfModifiedSince: after }))).toMatchObject({ status: 304 })
    expect(await failure(get({ IfUnmodifiedSince: before }))).toMatchObject(failed)
    await get({ IfMatch: etag, IfUnmodifiedSince: before })
    await get({ IfNoneMatch: '"00"', IfModifiedSince: after })
    const { LastModified } = await get({})
    expect(await failure(get({ IfModifiedSince: LastModified }))).toMatchObject({ status: 304 })
    await get({ IfUnmodifiedSince: LastModified })
  })
})

describe('a copy', () => {
  test('has conditions on its source', async () => {
    const etag = await put('source', 'x')
    const before = new Date(Date.now() - 60_000)
    const after = new Date(Date.now() + 60_000)
    const copy = (condition: object) =>
      client.send(new CopyObjectCommand({ Bucket, Key: 'target', CopySource: `${Bucket}/source`, ...condition }))
    await copy({ CopySourceIfMatch: etag })
    await copy({ CopySourceIfNoneMatch: '"00"' })
    await copy({ CopySourceIfModifiedSince: before })
    await copy({ CopySourceIfUnmodifiedSince: after })
    await copy({ CopySourceIfMatch: etag, CopySourceIfUnmodifiedSince: before })
    for (const condition of [
      { CopySourceIfMatch: '"00"' },
      { CopySourceIfNoneMatch: etag },
      { CopySourceIfModifiedSince: after },
      { CopySourceIfUnmodifiedSince: before },
    ])
      expect(await failure(copy(condition))).toMatchObject(failed)
  })

  test('has conditions on its destination', async () => {
    await put('from', 'from')
    const copy = (Key: string, condition: object) =>
      client.send(new CopyObjectCommand({ Bucket, Key, CopySource: `${Bucket}/from`, ...condition }))
    await copy('to', { IfNoneMatch: '*' })
    expect(await failure(copy('to', { IfNoneMatch: '*' }))).toMatchObject(failed)
    const etag = await put('to', 'to')
    expect(await failure(copy('to', { IfMatch: '"00"' }))).toMatchObject(failed)
    await copy('to', { IfMatch: etag })
    expect(await text('to')).toBe('from')
    expect(await failure(copy('nothing', { IfMatch: etag }))).toMatchObject({ name: 'NoSuchKey', status: 404 })
  })
})
