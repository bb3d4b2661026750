import { createHash } from 'node:crypto'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Provider, UploadMemo } from '../../src/core/provider.ts'
import type { Source } from '../../src/core/source.ts'
import { partBytes } from '../../src/providers/s3/plan.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { errorOf, putOf } from './s3-recorder.ts'
import { mebibyte, openS3 } from './s3-suite.ts'

const partSize = 5 * mebibyte
const size = 23 * mebibyte
const bytes = new Uint8Array(size).map((_none, index) => (index * 31 + (index >>> 10)) & 0xff)
const { signal } = new AbortController()
let cloud: LocalCloud
let provider: Provider
let keys = 0

beforeAll(async () => {
  cloud = await startLocalS3({ buckets: ['main'] })
  provider = open()
  await provider.learn(undefined, signal)
})

afterAll(() => cloud.stop())

afterEach(() => cloud.heal())

const open = (): Provider =>
  openS3({
    endpoint: cloud.endpoint,
    credentials: { accessKeyId: cloud.credentials.id, secretAccessKey: cloud.credentials.secret },
  })

const newKey = (): string => `key ${++keys}`

function remember(saved?: string): UploadMemo & { readonly states: string[] } {
  const states: string[] = []
  return { saved, states, save: async state => void states.push(state) }
}

/** What was asked for since the last time, as `PutObject`, `UploadPart` … */
async function operations(): Promise<string[]> {
  return (await cloud.requests({ reset: true })).map(seen => seen.operation)
}

/** A part that was given up half-way is seen by the server a moment later. */
async function quiet(): Promise<void> {
  for (let before = -1, now = 0; before !== now; ) {
    before = now
    await new Promise(resolve => setTimeout(resolve, 200))
    now = (await cloud.requests()).length
  }
  await operations()
}

const count = (operation: string, seen: readonly string[]): number => seen.filter(each => each === operation).length

function etagOf(whole: Uint8Array): string {
  const md5s: Buffer[] = []
  for (let at = 0; at < whole.byteLength; at += partSize) {
    md5s.push(
      createHash('md5')
        .update(whole.subarray(at, at + partSize))
        .digest(),
    )
  }
  return `${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-${md5s.length}`
}

test('a large body goes in parts, each remembered, and the service proves the whole', async () => {
  const key = newKey()
  const memo = remember()
  await operations()
  const result = await provider.put(putOf(key, bytes, { upload: memo, metadata: { holdfast: 'entry' } }), signal)
  expect(result).toMatchObject({ token: etagOf(bytes), etag: etagOf(bytes), proof: 'server-full' })
  expect(await operations()).toEqual([
    'CreateMultipartUpload',
    ...Array.from({ length: 5 }, () => 'UploadPart'),
    'CompleteMultipartUpload',
  ])
  expect(memo.states).toHaveLength(6)
  expect(await provider.head(key, signal)).toMatchObject({
    size,
    token: etagOf(bytes),
    attested: { crc32c: digestsOf(bytes).crc32c },
    metadata: { holdfast: 'entry' },
  })
})

test('at most two parts are on their way', async () => {
  await cloud.fault({ match: { operation: 'UploadPart' }, fault: { kind: 'slow', ms: 100 } })
  const source: Source = {
    size,
    ...digestsOf(bytes),
    async *open(start, end) {
      for (let at = start; at < end; at += 65_536) yield bytes.subarray(at, Math.min(end, at + 65_536))
    },
  }
  const key = newKey()
  await cloud.requests({ reset: true })
  await provider.put({ ...putOf(key, ''), source }, signal)
  const parts = (await cloud.requests()).filter(seen => seen.operation === 'UploadPart').map(seen => seen.at)
  for (let i = 2; i < parts.length; i++) expect((parts[i] ?? 0) - (parts[i - 2] ?? 0)).toBeGreaterThanOrEqual(90)
})

test('an upload goes on in another process where it was, and sends no part twice', async () => {
  const key = newKey()
  await cloud.fault({
    match: { operation: 'UploadPart', key },
    skip: 3,
    fault: { kind: 'status', status: 503, code: 'SlowDown' },
  })
  const memo = remember()
  expect(await errorOf(provider.put(putOf(key, bytes, { upload: memo }), signal))).toMatchObject({
    code: 'UNAVAILABLE',
    reason: 'THROTTLED',
  })
  expect(await provider.head(key, signal)).toBeUndefined()
  await cloud.heal()
  await quiet()
  const saved = memo.states.at(-1) ?? ''
  const there = (JSON.parse(saved) as { etags: (string | null)[] }).etags.filter(etag => etag !== null).length
  expect(there).toBeGreaterThanOrEqual(2)
  const other = open()
  await other.learn(provider.capabilities, signal)
  const result = await other.put(putOf(key, bytes, { upload: remember(saved) }), signal)
  expect(result.etag).toBe(etagOf(bytes))
  const rest = Array.from({ length: 5 - there }, () => 'UploadPart')
  expect(await operations()).toEqual([...rest, 'CompleteMultipartUpload'])
})

test.each([
  [
    'other bytes',
    {
      ...putOf(
        '',
        bytes.map(byte => byte ^ 1),
      ),
    },
  ],
  ['other metadata', { ...putOf('', bytes, { metadata: { a: 'b' } }) }],
  ['other headers', { ...putOf('', bytes, { headers: { contentType: 'image/png' } }) }],
])('an upload of %s is not gone on with, but dropped', async (_what, other) => {
  const key = newKey()
  await cloud.fault({ match: { operation: 'UploadPart', key }, skip: 2, fault: { kind: 'status', status: 503 } })
  const memo = remember()
  await errorOf(provider.put(putOf(key, bytes, { upload: memo }), signal))
  await cloud.heal()
  await quiet()
  await provider.put({ ...other, key, upload: remember(memo.states.at(-1)) }, signal)
  const seen = await operations()
  expect(seen.slice(0, 2)).toEqual(['AbortMultipartUpload', 'CreateMultipartUpload'])
  expect(count('UploadPart', seen)).toBe(5)
})

test('an upload of one empty part is remembered, and can be dropped (S21)', async () => {
  const key = newKey()
  await cloud.fault({ match: { operation: 'UploadPart', key }, times: 1, fault: { kind: 'status', status: 503 } })
  const memo = remember()
  const request = {
    ...putOf(key, new Uint8Array(), { upload: memo }),
    parts: [{ count: 1, bytes: 0 }],
    inParts: true as const,
  }
  await errorOf(provider.put(request, signal))
  await quiet()
  await provider.abandon(key, memo.states.at(-1) ?? '', signal)
  expect(await operations()).toEqual(['AbortMultipartUpload'])
})

test('an upload that the service has forgotten is begun again, once (S3, S17, I29)', async () => {
  const key = newKey()
  await cloud.fault({
    match: { operation: 'UploadPart', key },
    skip: 2,
    times: 1,
    fault: { kind: 'status', status: 503 },
  })
  const memo = remember()
  await errorOf(provider.put(putOf(key, bytes, { upload: memo }), signal))
  const saved = memo.states.at(-1) ?? ''
  await provider.abandon(key, saved, signal)
  await quiet()
  expect((await provider.put(putOf(key, bytes, { upload: remember(saved) }), signal)).etag).toBe(etagOf(bytes))
  expect(count('CreateMultipartUpload', await operations())).toBe(1)

  await cloud.fault({
    match: { operation: 'UploadPart' },
    fault: { kind: 'status', status: 404, code: 'NoSuchUpload' },
  })
  const error = await errorOf(provider.put(putOf(newKey(), bytes), signal))
  expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'UPLOAD_GONE', retryable: true })
})

describe('the end of an upload', () => {
  test('whose answer is lost is not known, and is found done when asked again (S3, N6, I15)', async () => {
    const key = newKey()
    await cloud.fault({
      match: { operation: 'CompleteMultipartUpload', key },
      times: 1,
      fault: { kind: 'lose-answer' },
    })
    const memo = remember()
    const put = putOf(key, bytes, { upload: memo, condition: { absent: true } })
    expect(await errorOf(provider.put(put, signal))).toMatchObject({ code: 'UNAVAILABLE', outcome: 'unknown' })
    expect(await provider.head(key, signal)).toMatchObject({ token: etagOf(bytes) })
    await operations()
    const again = { ...put, condition: undefined, upload: remember(memo.states.at(-1)) }
    expect(await provider.put(again, signal)).toMatchObject({ token: etagOf(bytes) })
    expect(count('UploadPart', await operations())).toBe(0)
  })

  test('that is forgotten, and was not ours, is begun again (S3, I15)', async () => {
    const key = newKey()
    const memo = remember()
    await cloud.fault({
      match: { operation: 'CompleteMultipartUpload', key },
      times: 1,
      fault: { kind: 'status', status: 503 },
    })
    await errorOf(provider.put(putOf(key, bytes, { upload: memo }), signal))
    const saved = memo.states.at(-1) ?? ''
    await provider.abandon(key, saved, signal)
    await provider.put(putOf(key, 'of somebody else'), signal)
    expect((await provider.put(putOf(key, bytes, { upload: remember(saved) }), signal)).etag).toBe(etagOf(bytes))
    expect(await provider.head(key, signal)).toMatchObject({ size })
  })

  test.each(['InternalError', 'SlowDown', 'ServiceUnavailable'])(
    'that is a 200 with %s in it is no success (S2)',
    async code => {
      const key = newKey()
      await cloud.fault({
        match: { operation: 'CompleteMultipartUpload', key },
        times: 1,
        fault: { kind: 'error-in-200', code },
      })
      const memo = remember()
      const error = await errorOf(provider.put(putOf(key, bytes, { upload: memo }), signal))
      expect(error).toMatchObject({ code: 'UNAVAILABLE', outcome: 'unknown', retryable: true })
      expect((error as HoldfastError).message).toContain(code)
      await provider.put(putOf(key, bytes, { upload: remember(memo.states.at(-1)) }), signal)
      expect(await provider.head(key, signal)).toMatchObject({ size })
    },
  )

  test('that is not of S3 is not believed (S2, N12)', async () => {
    const key = newKey()
    await cloud.fault({ match: { operation: 'CompleteMultipartUpload', key }, times: 1, fault: { kind: 'html' } })
    expect(await errorOf(provider.put(putOf(key, bytes), signal))).toMatchObject({
      reason: 'NOT_PROVIDER',
      outcome: 'unknown',
    })
  })

  test('under a condition that does not hold leaves nothing behind (S13, S21)', async () => {
    const key = newKey()
    const { token } = await provider.put(putOf(key, 'there'), signal)
    const memo = remember()
    await operations()
    const error = await errorOf(provider.put(putOf(key, bytes, { condition: { absent: true }, upload: memo }), signal))
    expect(error).toMatchObject({ code: 'PRECONDITION', reason: 'CONDITION', outcome: 'rejected' })
    expect((await operations()).at(-1)).toBe('AbortMultipartUpload')
    expect(await provider.head(key, signal)).toMatchObject({ token })
    await provider.put(putOf(key, bytes, { condition: { token } }), signal)
    expect(await provider.head(key, signal)).toMatchObject({ size })
    const gone = putOf(newKey(), bytes, { condition: { token } })
    expect(await errorOf(provider.put(gone, signal))).toMatchObject({ code: 'PRECONDITION' })
  })

  test('is looked before where the service does not hold conditions there, and is no success over another object (S13, S14)', async () => {
    const other = open()
    const quirks = { ...provider.capabilities.quirks, 'parts-condition': 'none' }
    await other.learn({ ...provider.capabilities, quirks }, signal)
    const key = newKey()
    await other.put(putOf(key, 'there'), signal)
    await operations()
    const error = await errorOf(other.put(putOf(key, bytes, { condition: { absent: true } }), signal))
    expect(error).toMatchObject({ code: 'PRECONDITION', outcome: 'rejected' })
    const seen = await operations()
    expect(seen.slice(-2)).toEqual(['HeadObject', 'AbortMultipartUpload'])
    expect(seen).not.toContain('CompleteMultipartUpload')
  })
})

test('a part that arrives damaged is refused by the service, and said to be worth another try (S4)', async () => {
  const key = newKey()
  await cloud.fault({
    match: { operation: 'UploadPart', key },
    skip: 1,
    times: 1,
    fault: { kind: 'status', status: 400, code: 'BadDigest' },
  })
  const memo = remember()
  expect(await errorOf(provider.put(putOf(key, bytes, { upload: memo }), signal))).toMatchObject({
    code: 'CHECKSUM',
    reason: 'DIGEST',
    retryable: true,
  })
  await provider.put(putOf(key, bytes, { upload: remember(memo.states.at(-1)) }), signal)
  expect(await provider.head(key, signal)).toMatchObject({ size })
})

test.each(['checked', 'refused'])(
  'a body that changed since its parts were sent never becomes an object, where checksums of parts are %s (S4, I7)',
  async partsCrc32c => {
    const other = open()
    const quirks = { ...provider.capabilities.quirks, 'parts-crc32c': partsCrc32c }
    await other.learn({ ...provider.capabilities, quirks }, signal)
    const key = newKey()
    await cloud.fault({
      match: { operation: 'CompleteMultipartUpload', key },
      times: 1,
      fault: { kind: 'status', status: 503 },
    })
    const memo = remember()
    await errorOf(other.put(putOf(key, bytes, { upload: memo }), signal))
    const damaged = Uint8Array.from(bytes)
    damaged[12 * mebibyte] = (damaged[12 * mebibyte] ?? 0) ^ 1
    const source: Source = {
      size,
      ...digestsOf(bytes),
      async *open(start, end) {
        yield damaged.subarray(start, end)
      },
    }
    const put = { ...putOf(key, ''), source, upload: remember(memo.states.at(-1)) }
    expect(await errorOf(other.put(put, signal))).toMatchObject({ code: 'CHECKSUM', reason: 'DIGEST' })
    expect(await other.head(key, signal)).toBeUndefined()
  },
)

test('abandoning what is no state of ours is no error (S21)', async () => {
  for (const state of ['', 'x', '{}', '{"format":2}']) await provider.abandon('k', state, signal)
})

test('parts grow where an object would take too many', () => {
  for (const [bytesOf, wanted, expected] of [
    [1, 8 * mebibyte, 8 * mebibyte],
    [9_000 * 8 * mebibyte, 8 * mebibyte, 8 * mebibyte],
    [9_000 * 8 * mebibyte + 1, 8 * mebibyte, 9 * mebibyte],
    [5 * 2 ** 40, 8 * mebibyte, 583 * mebibyte],
    [5 * 2 ** 40, 1024 * mebibyte, 1024 * mebibyte],
  ] as const) {
    expect(partBytes(bytesOf, wanted)).toBe(expected)
    expect(Math.ceil(bytesOf / partBytes(bytesOf, wanted))).toBeLessThanOrEqual(10_000)
  }
})
