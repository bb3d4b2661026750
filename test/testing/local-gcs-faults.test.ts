import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Bucket } from '@google-cloud/storage'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import type { Fault, FaultRule, LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { ask, chunk, clientOf, failure, noise, session, sums } from './local-gcs-support.ts'

describe('each fault', () => {
  let cloud: LocalCloud
  let main: Bucket

  beforeAll(async () => {
    cloud = await startLocalGcs({ buckets: ['main'] })
    main = clientOf(cloud).bucket('main')
    await main.file('there').save(noise(300_000), { resumable: false })
  })

  afterEach(() => cloud.heal())
  afterAll(() => cloud.stop())

  const media = '/storage/v1/b/main/o/there?alt=media'
  const once = (fault: Fault, match: FaultRule['match'] = {}): Promise<string> =>
    cloud.fault({ match, times: 1, fault })

  test('status: Google’s error, with its reason and the time to wait', async () => {
    await once({ kind: 'status', status: 503, retryAfterSeconds: 7 })
    const answer = await ask(cloud, 'GET', '/storage/v1/b/main/o/there')
    expect([answer.status, answer.headers.get('retry-after')]).toEqual([503, '7'])
    expect(JSON.parse(answer.text).error).toMatchObject({ code: 503, errors: [{ reason: 'backendError' }] })
    await once({ kind: 'status', status: 403, code: 'accountDisabled', message: 'The billing account is disabled' })
    const error = await failure(main.file('there').getMetadata())
    expect(error).toMatchObject({ code: 403, errors: [{ reason: 'accountDisabled' }] })
    await once({ kind: 'status', status: 403, code: 'AccessDenied' }, { operation: 'xml.get' })
    expect((await ask(cloud, 'GET', '/main/there')).text).toContain('<Code>AccessDenied</Code>')
  })

  test('rules match by operation, bucket and key, skip some and end', async () => {
    await cloud.fault({
      match: { operation: 'objects.insert', bucket: 'main', keyPrefix: 'photos/' },
      skip: 1,
      times: 2,
      fault: { kind: 'status', status: 500 },
    })
    const save = (key: string): Promise<void> => main.file(key).save('x', { resumable: false })
    await save('photos/0')
    await save('notes/0')
    await main.file('photos/0').getMetadata()
    expect((await failure(save('photos/1'))).code).toBe(500)
    expect((await failure(save('photos/2'))).code).toBe(500)
    await save('photos/3')
  })

  test('reset: before the request is read, within it, and within the answer', async () => {
    await once({ kind: 'reset' })
    expect(String((await failure(ask(cloud, 'GET', media))).cause)).toContain('ECONNRESET')
    await once({ kind: 'reset', of: 'request', afterBytes: 100_000 })
    await failure(main.file('half').save(noise(1_000_000), { resumable: false }))
    expect(await main.file('half').exists()).toEqual([false])
    await once({ kind: 'reset', of: 'answer', afterBytes: 1000 })
    await failure(ask(cloud, 'GET', media))
  })

  test('cut: the answer ends before the length that it announced', async () => {
    await once({ kind: 'cut', afterBytes: 1000 })
    const answer = await fetch(cloud.endpoint + media)
    expect(answer.headers.get('content-length')).toBe('300000')
    await failure(answer.arrayBuffer())
  })

  test('stall: not another byte, until it is healed', async () => {
    const id = await once({ kind: 'stall', of: 'answer', afterBytes: 1000 })
    const answer = await fetch(cloud.endpoint + media)
    const reader = answer.body?.getReader()
    let came = (await reader?.read())?.value?.byteLength ?? 0
    expect(came).toBe(1000)
    const more = reader?.read()
    expect(await Promise.race([more, new Promise(resolve => setTimeout(resolve, 100, 'silence'))])).toBe('silence')
    await cloud.heal(id)
    for (let next = await more; next?.done === false; next = await reader?.read()) came += next.value.byteLength
    expect(came).toBe(300_000)
    await once({ kind: 'stall' })
    const signal = AbortSignal.timeout(100)
    expect((await failure(fetch(cloud.endpoint + media, { signal }))).name).toBe('TimeoutError')
  })

  test('drip, slow: late, but whole', async () => {
    await once({ kind: 'drip', bytesPerSecond: 1_000_000 })
    const begun = performance.now()
    expect((await main.file('there').download())[0].byteLength).toBe(300_000)
    expect(performance.now() - begun).toBeGreaterThan(200)
    await once({ kind: 'slow', ms: 150 })
    const asked = performance.now()
    await main.file('there').getMetadata()
    expect(performance.now() - asked).toBeGreaterThan(140)
  })

  test('corrupt: one bit is wrong, and the client can tell by the headers', async () => {
    await once({ kind: 'corrupt', atByte: 1234 })
    const { headers, text } = await ask(cloud, 'GET', media)
    expect(headers.get('x-goog-hash')).toContain(sums(noise(300_000)).crc32c)
    expect(Buffer.from(text).byteLength).toBeGreaterThan(0)
    await once({ kind: 'corrupt', atByte: 1234 })
    expect((await failure(main.file('there').download())).code).toBe('CONTENT_DOWNLOAD_MISMATCH')
  })

  test('lose-answer: it is done, nobody is told', async () => {
    await once({ kind: 'lose-answer' })
    await failure(main.file('lost').save('x', { resumable: false }))
    expect(await main.file('lost').exists()).toEqual([true])
    const at = await session(cloud, 'lost session')
    await once({ kind: 'lose-answer' })
    await failure(chunk(cloud, at, '0-4/5', Buffer.from('hello')))
    expect((await chunk(cloud, at, '*/*')).status).toBe(200)
  })

  test('late: done when nobody expects it any more, under the condition that came with it', async () => {
    await once({ kind: 'late', ms: 150 })
    await failure(main.file('late').save('late', { resumable: false }))
    expect(await main.file('late').exists()).toEqual([false])
    await expect.poll(() => main.file('late').exists()).toEqual([true])
    await main.file('fenced').save('first', { resumable: false })
    await once({ kind: 'late', ms: 50 })
    await failure(main.file('fenced').save('late', { resumable: false, preconditionOpts: { ifGenerationMatch: 0 } }))
    await new Promise(resolve => setTimeout(resolve, 150))
    expect((await main.file('fenced').download())[0].toString()).toBe('first')
  })

  test('error-in-200, html, redirect, empty-list: answers that are none', async () => {
    await once({ kind: 'error-in-200', code: 'backendError' })
    const inside = await ask(cloud, 'GET', '/storage/v1/b/main/o/there')
    expect([inside.status, JSON.parse(inside.text).error.errors[0].reason]).toEqual([200, 'backendError'])
    await once({ kind: 'html' })
    const page = await ask(cloud, 'GET', '/storage/v1/b/main/o/there')
    expect([page.status, page.headers.get('x-guploader-uploadid')]).toEqual([200, null])
    expect(page.text).toContain('<html>')
    await once({ kind: 'redirect', status: 307, location: 'https://login.example/' })
    const moved = await ask(cloud, 'GET', '/storage/v1/b/main/o/there')
    expect([moved.status, moved.headers.get('location')]).toEqual([307, 'https://login.example/'])
    await once({ kind: 'empty-list' })
    await main.file('there').getMetadata()
    expect((await main.getFiles())[0]).toEqual([])
    expect((await main.getFiles())[0].length).toBeGreaterThan(0)
  })

  test('what was asked is told, with the name that rules know it by', async () => {
    await cloud.requests({ reset: true })
    await main.file('a b/c').save('x', { resumable: false })
    await main.file('a b/c').getMetadata()
    await main.file('a b/c').download()
    await main.getFiles({ maxResults: 1, autoPaginate: false })
    await main.file('a b/c').delete()
    const seen = await cloud.requests()
    expect(seen.map(({ operation, key, status }) => [operation, key, status])).toEqual([
      ['objects.insert', 'a b/c', 200],
      ['objects.get', 'a b/c', 200],
      ['media', 'a b/c', 200],
      ['objects.list', undefined, 200],
      ['objects.delete', 'a b/c', 204],
    ])
    expect(seen[1]?.url).toContain('/o/a%20b%2Fc')
  })
})

describe('a process of its own', () => {
  let directory: string

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-gcs-'))
  })

  afterAll(() => rm(directory, { recursive: true, force: true }))

  test('killed and started again, it has every object, and uploads go on', async () => {
    const bytes = noise(262_144 * 3)
    const first = await startLocalGcs({ buckets: ['main'], directory, process: 'own' })
    expect(first.pid).not.toBe(process.pid)
    const main = clientOf(first).bucket('main')
    await main.file('small').save('small', { resumable: false, metadata: { metadata: { __proto__x: 'y', a: 'é' } } })
    await main.file('large').save(bytes, { resumable: false })
    await main.file('gone').save('x', { resumable: false })
    await main.file('gone').delete()
    const [before] = await main.file('small').getMetadata()
    const at = await session(first, 'resumed', '', sums(bytes))
    await chunk(first, at, `0-${262_144 - 1}/*`, bytes.subarray(0, 262_144))
    process.kill(first.pid, 'SIGKILL')
    await failure(ask(first, 'GET', '/storage/v1/b/main'))
    await first.stop()

    await using again = await startLocalGcs({
      directory,
      process: 'own',
      port: first.port,
      credentials: first.credentials,
    })
    expect(again.endpoint).toBe(first.endpoint)
    expect((await main.getFiles())[0].map(({ name }) => name)).toEqual(['large', 'small'])
    const [after] = await main.file('small').getMetadata()
    expect(after).toEqual(before)
    expect((await main.file('large').download({ validation: 'crc32c' }))[0].equals(bytes)).toBe(true)
    expect((await chunk(again, at, '*/*')).headers.get('range')).toBe('bytes=0-262143')
    const rest = await chunk(again, at, `262144-${bytes.byteLength - 1}/${bytes.byteLength}`, bytes.subarray(262_144))
    expect(rest.status).toBe(200)
    expect((await main.file('resumed').download())[0].equals(bytes)).toBe(true)
    await main.file('small').save('newer', { resumable: false })
    const [newer] = await main.file('small').getMetadata()
    expect(BigInt(newer.generation ?? 0)).toBeGreaterThan(BigInt(before.generation ?? 0))

    await again.fault({ match: { key: 'small' }, times: 1, fault: { kind: 'status', status: 429 } })
    expect((await failure(main.file('small').getMetadata())).code).toBe(429)
    expect((await again.requests()).some(({ fault }) => fault === 'status')).toBe(true)
  })

  test('told to keep only sizes, it still compares digests', async () => {
    await using cloud = await startLocalGcs({ buckets: ['main'], discard: true })
    const main = clientOf(cloud).bucket('main')
    await main.file('x').save(noise(200_000), { resumable: false, metadata: sums(noise(200_000)) })
    expect((await failure(main.file('y').save('y', { resumable: false, metadata: sums('z') }))).code).toBe(400)
    expect((await main.file('x').getMetadata())[0]).toMatchObject({ size: '200000', ...sums(noise(200_000)) })
    const [zeros] = await main.file('x').download({ validation: false })
    expect(zeros.equals(Buffer.alloc(200_000))).toBe(true)
  })
})
