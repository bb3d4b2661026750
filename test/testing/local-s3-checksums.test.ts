import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { crc32 } from 'node:zlib'
import {
  type ChecksumAlgorithm,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { chunked, clientOf, failure, pieces, signedRaw } from './local-s3-tools.ts'

let cloud: LocalCloud
let client: S3Client
const Bucket = 'sums'
const text = '123456789'

/** Of `123456789`: the check values that the CRC catalogue gives, and digests of Node. */
const known = {
  crc32: 'cbf43926',
  crc32c: 'e3069283',
  crc64nvme: 'ae8b14860a799888',
  sha1: createHash('sha1').update(text).digest('hex'),
  sha256: createHash('sha256').update(text).digest('hex'),
  sha512: createHash('sha512').update(text).digest('hex'),
  md5: createHash('md5').update(text).digest('hex'),
} as const
const names = Object.keys(known) as (keyof typeof known)[]
const base64 = (hex: string): string => Buffer.from(hex, 'hex').toString('base64')
const other = (name: keyof typeof known): string =>
  base64(known[name].replace(/^./, digit => (digit === '0' ? '1' : '0')))

beforeAll(async () => {
  cloud = await startLocalS3({ buckets: [Bucket] })
  client = clientOf(cloud)
})
afterAll(async () => {
  client.destroy()
  await cloud.stop()
})

const head = (Key: string) => client.send(new HeadObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }))

describe.each(names)('%s', name => {
  const header = `x-amz-checksum-${name}`
  const member = `Checksum${name.toUpperCase()}`

  test('in a header: checked, kept, and given back to who asks', async () => {
    const path = `/${Bucket}/header-${name}`
    const headers = { [header]: base64(known[name]) }
    const stored = await signedRaw(cloud, 'PUT', path, text, { headers })
    expect([stored.status, stored.headers[header], stored.headers['x-amz-checksum-type']]).toEqual([
      200,
      base64(known[name]),
      'FULL_OBJECT',
    ])
    expect(await head(`header-${name}`)).toMatchObject({ [member]: base64(known[name]), ChecksumType: 'FULL_OBJECT' })
    const plain = await signedRaw(cloud, 'GET', path)
    expect(plain.headers[header]).toBeUndefined()
  })

  test('a wrong one is refused, and what was there stays', async () => {
    const path = `/${Bucket}/wrong-${name}`
    await signedRaw(cloud, 'PUT', path, 'before')
    const answer = await signedRaw(cloud, 'PUT', path, text, { headers: { [header]: other(name) } })
    expect(answer).toMatchObject({ status: 400, code: 'BadDigest' })
    expect((await signedRaw(cloud, 'GET', path)).text).toBe('before')
  })

  test('one that is none is refused', async () => {
    for (const value of ['x', base64(`${known[name]}00`), `${base64(known[name])}=`, known[name]]) {
      const answer = await signedRaw(cloud, 'PUT', `/${Bucket}/bad-${name}`, text, { headers: { [header]: value } })
      expect(answer).toMatchObject({ status: 400, code: 'InvalidRequest' })
    }
  })

  test('in a trailer: checked and kept; absent, wrong or malformed refused', async () => {
    const path = `/${Bucket}/trailer-${name}`
    const send = (trailer: Record<string, string>) =>
      signedRaw(cloud, 'PUT', path, chunked(Buffer.from(text), trailer), {
        payload: 'STREAMING-UNSIGNED-PAYLOAD-TRAILER',
        headers: { 'x-amz-decoded-content-length': '9', 'x-amz-trailer': header },
      })
    expect((await send({ [header]: other(name) })).code).toBe('BadDigest')
    expect((await send({ [header]: 'x' })).code).toBe('InvalidRequest')
    expect((await send({})).code).toBe('MalformedTrailerError')
    expect((await failure(head(`trailer-${name}`))).status).toBe(404)
    expect((await send({ [header]: base64(known[name]) })).status).toBe(200)
    expect(await head(`trailer-${name}`)).toMatchObject({ [member]: base64(known[name]) })
  })
})

describe('Content-MD5', () => {
  test('is checked', async () => {
    const send = (md5: string) => signedRaw(cloud, 'PUT', `/${Bucket}/md5`, text, { headers: { 'content-md5': md5 } })
    expect((await send(base64(known.md5))).status).toBe(200)
    expect(await send(other('md5'))).toMatchObject({ status: 400, code: 'BadDigest' })
    expect(await send('short')).toMatchObject({ status: 400, code: 'InvalidDigest' })
  })
})

describe('the SDK', () => {
  test.each(['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as ChecksumAlgorithm[])(
    'sends %s of a buffer and of a stream, and accepts what comes back',
    async ChecksumAlgorithm => {
      const whole = Buffer.concat(await Array.fromAsync(pieces(700_000)))
      for (const [Key, Body] of [
        ['buffer', whole],
        ['stream', Readable.from(pieces(700_000))],
      ] as const) {
        const stored = await client.send(
          new PutObjectCommand({ Bucket, Key, Body, ChecksumAlgorithm, ContentLength: 700_000 }),
        )
        const answer = await client.send(new GetObjectCommand({ Bucket, Key, ChecksumMode: 'ENABLED' }))
        const member = `Checksum${ChecksumAlgorithm}` as 'ChecksumCRC32'
        expect(answer[member]).toBe(stored[member])
        expect(answer[member]).toBeTruthy()
        // Validated by the SDK while it is read.
        expect(whole.equals(Buffer.from((await answer.Body?.transformToByteArray()) ?? []))).toBe(true)
      }
    },
  )

  test('finds out about a byte that was changed on the way', async () => {
    await client.send(new PutObjectCommand({ Bucket, Key: 'flipped', Body: text }))
    await cloud.fault({ match: { key: 'flipped', method: 'GET' }, times: 1, fault: { kind: 'corrupt', atByte: 4 } })
    const read = async () =>
      (await client.send(new GetObjectCommand({ Bucket, Key: 'flipped' }))).Body?.transformToString()
    expect((await failure(read())).error.message).toMatch(/[Cc]hecksum/)
    expect(await read()).toBe(text)
  })
})

test('an object that came without a checksum gets a CRC64NVME', async () => {
  const answer = await signedRaw(cloud, 'PUT', `/${Bucket}/none`, text)
  expect(answer.headers['x-amz-checksum-crc64nvme']).toBe(base64(known.crc64nvme))
  expect(await head('none')).toMatchObject({ ChecksumCRC64NVME: base64(known.crc64nvme), ChecksumType: 'FULL_OBJECT' })
})

test('a checksum of the whole is not given for a part of it', async () => {
  await client.send(new PutObjectCommand({ Bucket, Key: 'part', Body: text }))
  const get = (Range: string) =>
    client.send(new GetObjectCommand({ Bucket, Key: 'part', Range, ChecksumMode: 'ENABLED' }))
  expect((await get('bytes=0-3')).ChecksumCRC32).toBeUndefined()
  const all = Buffer.alloc(4)
  all.writeUInt32BE(crc32(text))
  expect((await get('bytes=0-8')).ChecksumCRC32).toBe(all.toString('base64'))
})

test('what contradicts itself is refused', async () => {
  const put = async (headers: Record<string, string>) =>
    (await signedRaw(cloud, 'PUT', `/${Bucket}/odd`, text, { headers })).code
  const crc = { 'x-amz-checksum-crc32': base64(known.crc32) }
  expect(await put({ ...crc, 'x-amz-checksum-sha1': base64(known.sha1) })).toBe('InvalidRequest')
  expect(await put({ ...crc, 'x-amz-sdk-checksum-algorithm': 'SHA1' })).toBe('InvalidRequest')
  expect(await put({ 'x-amz-sdk-checksum-algorithm': 'SHA1' })).toBe('InvalidRequest')
  expect(await put({ 'x-amz-trailer': 'x-amz-checksum-crc32' })).toBe('MalformedTrailerError')
  expect(await put({ 'x-amz-trailer': 'x-amz-meta-a' })).toBe('InvalidRequest')
  expect(await put({ 'x-amz-checksum-xxhash64': 'AAAAAAAAAAA=' })).toBe('NotImplemented')
  expect(await put({ ...crc, 'x-amz-sdk-checksum-algorithm': 'CRC32' })).toBeUndefined()
})
