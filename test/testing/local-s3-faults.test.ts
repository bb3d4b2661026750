import {
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListObjectsV2Command,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import type { Fault, FaultRule, LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { clientOf, failure, raw, signedRaw } from './local-s3-tools.ts'

let cloud: LocalCloud
let client: S3Client
const Bucket = 'faulty'
const content = Buffer.alloc(300_000, 'holdfast')

beforeAll(async () => {
  cloud = await startLocalS3({ buckets: [Bucket] })
})
beforeEach(async () => {
  client = clientOf(cloud)
  await client.send(new PutObjectCommand({ Bucket, Key: 'there', Body: content }))
  await cloud.requests({ reset: true })
})
afterEach(async () => {
  await cloud.heal()
  client.destroy()
})
afterAll(() => cloud.stop())

const once = (fault: Fault, match: FaultRule['match'] = {}) => cloud.fault({ match, times: 1, fault })
const put = (Key: string, Body: string | Uint8Array = 'x', signal?: AbortSignal) =>
  client.send(new PutObjectCommand({ Bucket, Key, Body }), signal === undefined ? {} : { abortSignal: signal })
const get = async (Key = 'there', signal?: AbortSignal): Promise<Buffer> => {
  const answer = await client.send(
    new GetObjectCommand({ Bucket, Key }),
    signal === undefined ? {} : { abortSignal: signal },
  )
  return Buffer.from((await answer.Body?.transformToByteArray()) ?? [])
}
const exists = async (Key: string): Promise<boolean> =>
  (await signedRaw(cloud, 'HEAD', `/${Bucket}/${Key}`)).status === 200
const soon = (ms = 400): AbortSignal => AbortSignal.timeout(ms)

describe('status', () => {
  test('is the error of the service, with its code, message and Retry-After', async () => {
    await once({ kind: 'status', status: 503, code: 'SlowDown', message: 'Gently.', retryAfterSeconds: 7 })
    const { error, name, status } = await failure(put('a'))
    expect([name, status, error.message]).toEqual(['SlowDown', 503, 'Gently.'])
    await once({ kind: 'status', status: 503, retryAfterSeconds: 7 })
    const answer = await raw(cloud, { method: 'GET', path: '/' })
    expect([answer.headers['retry-after'], answer.code, answer.headers.server]).toEqual(['7', 'SlowDown', 'AmazonS3'])
    expect(await exists('a')).toBe(false)
  })

  test.each([
    [500, 'InternalError'],
    [403, 'AccessDenied'],
    [404, 'NoSuchKey'],
    [412, 'PreconditionFailed'],
    [429, 'SlowDown'],
    [400, 'InvalidRequest'],
  ])('%d alone is %s', async (status, code) => {
    await once({ kind: 'status', status })
    expect(await failure(put('a'))).toMatchObject({ name: code, status })
  })

  test('makes a closed account, or a bucket that is gone', async () => {
    await cloud.fault({ match: { bucket: Bucket }, fault: { kind: 'status', status: 403, code: 'AllAccessDisabled' } })
    expect((await failure(put('a'))).name).toBe('AllAccessDisabled')
    expect(await failure(client.send(new HeadObjectCommand({ Bucket, Key: 'there' })))).toMatchObject({ status: 403 })
    expect((await failure(client.send(new ListObjectsV2Command({ Bucket })))).name).toBe('AllAccessDisabled')
    await cloud.heal()
    expect((await get()).equals(content)).toBe(true)
  })

  test('is answered also to a body that waits for leave to be sent', async () => {
    await once({ kind: 'status', status: 503 })
    expect((await failure(put('large', Buffer.alloc(4_000_000)))).name).toBe('SlowDown')
    await put('large', Buffer.alloc(4_000_000))
  })
})

describe('connections', () => {
  test('reset before anything was read', async () => {
    await once({ kind: 'reset' })
    expect((await failure(put('reset-0'))).error).toMatchObject({ code: 'ECONNRESET' })
    expect(await exists('reset-0')).toBe(false)
  })

  test('reset within the request: nothing is stored', async () => {
    await once({ kind: 'reset', of: 'request', afterBytes: 100_000 })
    const { error } = await failure(put('reset-1', content))
    expect(['ECONNRESET', 'EPIPE']).toContain((error as NodeJS.ErrnoException).code)
    expect(await exists('reset-1')).toBe(false)
  })

  test('reset, or ended, within the answer: never taken for the whole', async () => {
    for (const fault of [
      { kind: 'reset', of: 'answer', afterBytes: 100_000 },
      { kind: 'reset', of: 'answer' },
      { kind: 'cut', afterBytes: 100_000 },
      { kind: 'cut', afterBytes: 0 },
    ] as const) {
      await once(fault)
      expect((await failure(get())).error.message).toMatch(/aborted|hang up|ECONNRESET/)
    }
    expect((await get()).equals(content)).toBe(true)
  })

  test('an answer that is lost, of a write that was done', async () => {
    await once({ kind: 'lose-answer' }, { operation: 'PutObject' })
    expect((await failure(put('lost'))).error).toMatchObject({ code: 'ECONNRESET' })
    expect(await exists('lost')).toBe(true)
    const [seen] = await cloud.requests()
    expect(seen).toMatchObject({ operation: 'PutObject', key: 'lost', status: 200, fault: 'lose-answer' })
  })

  test('an answer without a body that is reset or cut comes not at all', async () => {
    for (const fault of [
      { kind: 'reset', of: 'answer' },
      { kind: 'cut', afterBytes: 0 },
    ] as const) {
      await once(fault, { operation: 'PutObject' })
      expect((await failure(put('no-answer'))).error).toMatchObject({ code: 'ECONNRESET' })
      expect(await exists('no-answer')).toBe(true)
    }
  })
})

describe('time', () => {
  test('a stall never ends by itself, before the request, within it, within the answer', async () => {
    for (const [fault, work] of [
      [{ kind: 'stall' }, () => put('stalled', 'x', soon())],
      [{ kind: 'stall', of: 'request', afterBytes: 100_000 }, () => put('stalled', content, soon())],
      [{ kind: 'stall', of: 'answer', afterBytes: 100_000 }, () => get('there', soon())],
      [{ kind: 'stall', of: 'answer' }, () => get('there', soon())],
    ] as const) {
      await once(fault)
      expect((await failure(work())).error.message).toMatch(/abort/i)
    }
    expect(await exists('stalled')).toBe(false)
  })

  test('a stall goes on when it is healed', async () => {
    const id = await once({ kind: 'stall', of: 'answer', afterBytes: 100_000 })
    const reading = get()
    await expect.poll(async () => (await cloud.requests()).length).toBe(1)
    await cloud.heal(id)
    expect((await reading).equals(content)).toBe(true)
    const other = await once({ kind: 'stall', of: 'request', afterBytes: 100_000 })
    const writing = put('healed', content)
    await expect.poll(async () => (await cloud.requests()).length).toBe(2)
    await cloud.heal(other)
    await writing
    expect((await get('healed')).equals(content)).toBe(true)
  })

  test('a slow answer comes after its time, a dripping one at its rate', async () => {
    await once({ kind: 'slow', ms: 300 })
    let begun = performance.now()
    await put('slow')
    expect(performance.now() - begun).toBeGreaterThan(290)
    await once({ kind: 'drip', bytesPerSecond: 600_000 })
    begun = performance.now()
    expect((await get()).equals(content)).toBe(true)
    expect(performance.now() - begun).toBeGreaterThan(400)
    expect(performance.now() - begun).toBeLessThan(2_000)
    await once({ kind: 'drip', bytesPerSecond: 1 })
    expect((await failure(get('there', soon()))).error.message).toMatch(/abort/i)
  })

  test('a late request is done long after its connection ended, under the condition that it came with', async () => {
    await cloud.fault({ match: { operation: 'PutObject' }, times: 2, fault: { kind: 'late', ms: 300 } })
    expect((await failure(put('late', content))).error).toMatchObject({ code: 'ECONNRESET' })
    const conditional = client.send(new PutObjectCommand({ Bucket, Key: 'late-once', Body: 'late', IfNoneMatch: '*' }))
    expect((await failure(conditional)).error).toMatchObject({ code: 'ECONNRESET' })
    expect(await exists('late')).toBe(false)
    await put('late-once', 'in time')
    await expect.poll(() => exists('late')).toBe(true)
    expect((await get('late')).equals(content)).toBe(true)
    const outcomes = async () =>
      (await cloud.requests()).filter(({ fault }) => fault === 'late').map(({ status }) => status)
    await expect.poll(outcomes).toEqual([200, 412])
    expect((await get('late-once')).toString()).toBe('in time')
  })
})

describe('answers that lie', () => {
  test('a flipped bit is in the body, and only there', async () => {
    await once({ kind: 'corrupt', atByte: 200_000 })
    const answer = await signedRaw(cloud, 'GET', `/${Bucket}/there`)
    const at = answer.body.findIndex((byte, index) => byte !== content[index])
    expect([at, (answer.body[at] as number) ^ (content[at] as number)]).toEqual([200_000, 1])
    expect(answer.headers.etag).toBe((await signedRaw(cloud, 'HEAD', `/${Bucket}/there`)).headers.etag)
  })

  test('200 with an error in it: the SDK sees through it for calls that it knows to do that', async () => {
    const { UploadId } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key: 'in-200' }))
    await once({ kind: 'error-in-200', code: 'InternalError' })
    const complete = new CompleteMultipartUploadCommand({
      Bucket,
      Key: 'in-200',
      UploadId,
      MultipartUpload: { Parts: [{ PartNumber: 1, ETag: '"00"' }] },
    })
    expect((await failure(client.send(complete))).name).toBe('InternalError')
  })

  test('a page of HTML has no header of the service, nor has a redirect', async () => {
    await once({ kind: 'html' })
    const page = await signedRaw(cloud, 'GET', `/${Bucket}/there`)
    expect([page.status, page.headers['x-amz-request-id'], page.headers.server]).toEqual([200, undefined, undefined])
    expect(page.text).toContain('<html>')
    await once({ kind: 'redirect', status: 307, location: 'http://127.0.0.1:1/login' })
    const moved = await signedRaw(cloud, 'PUT', `/${Bucket}/moved`, 'x')
    expect([moved.status, moved.headers.location]).toEqual([307, 'http://127.0.0.1:1/login'])
    expect(await exists('moved')).toBe(false)
  })

  test('an empty listing of a bucket that has something; other requests pass by it', async () => {
    await cloud.fault({ fault: { kind: 'empty-list' } })
    expect((await get()).equals(content)).toBe(true)
    expect((await client.send(new ListObjectsV2Command({ Bucket }))).Contents).toBeUndefined()
    await cloud.heal()
    expect((await client.send(new ListObjectsV2Command({ Bucket }))).Contents?.length).toBeGreaterThan(0)
  })
})

describe('rules', () => {
  test('match by method, operation, bucket, key and prefix, skip some, and are used up', async () => {
    const fault = { kind: 'status', status: 500 } as const
    await cloud.fault({ match: { operation: 'PutObject', keyPrefix: 'p/' }, skip: 1, times: 2, fault })
    await put('q/1')
    await put('p/1')
    expect((await failure(put('p/2'))).status).toBe(500)
    expect((await failure(put('p/3'))).status).toBe(500)
    await put('p/4')
    await cloud.fault({ match: { method: 'HEAD', bucket: Bucket, key: 'p/1' }, fault })
    expect((await signedRaw(cloud, 'HEAD', `/${Bucket}/p/1`)).status).toBe(500)
    expect((await signedRaw(cloud, 'GET', `/${Bucket}/p/1`)).status).toBe(200)
    expect((await signedRaw(cloud, 'HEAD', `/${Bucket}/p/4`)).status).toBe(200)
  })

  test('the first that matches decides; healing one leaves the others', async () => {
    const first = await cloud.fault({ fault: { kind: 'status', status: 500 } })
    await cloud.fault({ fault: { kind: 'status', status: 503 } })
    expect((await failure(put('a'))).status).toBe(500)
    await cloud.heal(first)
    expect((await failure(put('a'))).status).toBe(503)
    await cloud.heal()
    await put('a')
  })

  test('what was asked is on record', async () => {
    await put('a b')
    await get('a b')
    const seen = await cloud.requests({ reset: true })
    expect(seen.map(({ method, operation, bucket, key, status }) => [method, operation, bucket, key, status])).toEqual([
      ['PUT', 'PutObject', Bucket, 'a b', 200],
      ['GET', 'GetObject', Bucket, 'a b', 200],
    ])
    expect(seen[0]?.url).toMatch(/^\/faulty\/a%20b/)
    expect(seen[0]?.headers['x-amz-checksum-crc32']).toBeTruthy()
    expect(await cloud.requests()).toEqual([])
  })
})
