import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalGcs } from '../../src/testing/local/gcs/start.ts'
import { ask, chunk, clientOf, failure, noise, session, sums } from './local-gcs-support.ts'

const unit = 262_144

let cloud: LocalCloud
let main: ReturnType<ReturnType<typeof clientOf>['bucket']>

beforeAll(async () => {
  cloud = await startLocalGcs({ buckets: ['main'] })
  main = clientOf(cloud).bucket('main')
})

afterAll(() => cloud.stop())

async function stored(name: string): Promise<Buffer> {
  return (await main.file(name).download())[0]
}

describe('uploads of the official client', () => {
  test.each([0, 1, 100_000, 3_000_000])('in one request, %i bytes from a stream', async size => {
    const bytes = noise(size)
    await new Promise<void>((resolve, reject) => {
      const into = main.file(`stream ${size}`).createWriteStream({ resumable: false })
      into.on('finish', resolve).on('error', reject)
      into.end(bytes)
    })
    expect((await stored(`stream ${size}`)).equals(bytes)).toBe(true)
  })

  test('bytes that look like the boundaries of the request are kept as they are', async () => {
    const bytes = Buffer.from('\r\n--x\r\n\r\n--boundary--\r\n\r\n----\r\n'.repeat(5000))
    await main.file('boundaries').save(bytes, { resumable: false })
    expect((await stored('boundaries')).equals(bytes)).toBe(true)
  })

  test.each([
    ['one long request', {}],
    ['chunks', { chunkSize: unit }],
    ['chunks that end with the bytes', { chunkSize: unit * 2 }],
  ])('resumable, in %s', async (name, more) => {
    const bytes = noise(unit * 4)
    await main
      .file(name)
      .save(bytes, { resumable: true, ...more, metadata: { contentType: 'image/png', metadata: { a: 'b' } } })
    expect((await stored(name)).equals(bytes)).toBe(true)
    const [metadata] = await main.file(name).getMetadata()
    expect(metadata).toMatchObject({ contentType: 'image/png', metadata: { a: 'b' }, ...sums(bytes) })
  })

  test('resumable, without a byte', async () => {
    await main.file('nothing').save('', { resumable: true })
    expect((await stored('nothing')).byteLength).toBe(0)
  })

  test('goes on after a cut connection and a 503, without losing or doubling a byte', async () => {
    const bytes = noise(unit * 6)
    await cloud.fault({
      match: { operation: 'resumable.chunk', key: 'bumpy' },
      skip: 1,
      times: 1,
      fault: { kind: 'reset', of: 'request', afterBytes: 100_000 },
    })
    await cloud.fault({
      match: { operation: 'resumable.chunk', key: 'bumpy' },
      skip: 3,
      times: 1,
      fault: { kind: 'status', status: 503 },
    })
    const patient = clientOf(cloud, {
      retryOptions: { autoRetry: true, maxRetries: 5, retryDelayMultiplier: 1.01, maxRetryDelay: 1 },
    })
    const file = patient.bucket('main').file('bumpy')
    await file.save(bytes, { resumable: true, chunkSize: unit, preconditionOpts: { ifGenerationMatch: 0 } })
    await cloud.heal()
    expect((await stored('bumpy')).equals(bytes)).toBe(true)
  })
})

describe('upload sessions', () => {
  test('say how far they are, and become an object with the last byte', async () => {
    const bytes = noise(unit * 2 + 5)
    const at = await session(cloud, 'steps', '', { contentType: 'text/x', ...sums(bytes) })
    const fresh = await chunk(cloud, at, '*/*')
    expect([fresh.status, fresh.headers.get('range')]).toEqual([308, null])
    const one = await chunk(cloud, at, `0-${unit - 1}/*`, bytes.subarray(0, unit))
    expect([one.status, one.headers.get('range'), one.text]).toEqual([308, `bytes=0-${unit - 1}`, ''])
    expect(one.headers.get('x-guploader-uploadid')).not.toBe(null)
    expect((await chunk(cloud, at, `*/${bytes.byteLength}`)).status).toBe(308)
    expect(await main.file('steps').exists()).toEqual([false])
    const total = bytes.byteLength
    const last = await chunk(cloud, at, `${unit}-${total - 1}/${total}`, bytes.subarray(unit))
    expect(last.status).toBe(200)
    expect(JSON.parse(last.text)).toMatchObject({
      kind: 'storage#object',
      name: 'steps',
      size: String(total),
      ...sums(bytes),
    })
    const again = await chunk(cloud, at, '*/*')
    expect([again.status, JSON.parse(again.text).generation]).toEqual([200, JSON.parse(last.text).generation])
    expect((await stored('steps')).equals(bytes)).toBe(true)
  })

  test('take a whole body without saying where it begins, and one whose end is not known', async () => {
    const bytes = noise(unit + 7)
    const whole = await session(cloud, 'whole')
    expect((await ask(cloud, 'PUT', whole, { body: bytes })).status).toBe(200)
    const open = await session(cloud, 'open')
    expect((await chunk(cloud, open, '0-*/*', bytes)).status).toBe(200)
    const later = await session(cloud, 'later')
    await chunk(cloud, later, `0-${unit - 1}/*`, bytes.subarray(0, unit))
    expect((await chunk(cloud, later, `${unit}-*/*`, bytes.subarray(unit))).status).toBe(200)
    for (const name of ['whole', 'open', 'later']) expect((await stored(name)).equals(bytes)).toBe(true)
  })

  test('end with the length alone, where all bytes are there', async () => {
    const bytes = noise(unit)
    const at = await session(cloud, 'length')
    await chunk(cloud, at, `0-${unit - 1}/*`, bytes)
    expect((await chunk(cloud, at, `*/${unit}`)).status).toBe(200)
    expect((await stored('length')).equals(bytes)).toBe(true)
  })

  test('refuse chunks that are no multiple of 256 KiB, and those that leave a gap', async () => {
    const at = await session(cloud, 'units')
    const odd = await chunk(cloud, at, '0-99/*', noise(100))
    expect([odd.status, odd.text.includes('multiple of 262144')]).toEqual([400, true])
    expect((await chunk(cloud, at, '0-99/200', noise(100))).status).toBe(400)
    const gap = await chunk(cloud, at, `${unit}-${2 * unit - 1}/*`, noise(unit))
    expect(gap.status).toBe(503)
    expect(gap.text).toContain(`the upload offset is ${unit} byte(s), which exceeds already uploaded size of 0 byte(s)`)
    expect((await chunk(cloud, at, 'nonsense', noise(1))).status).toBe(400)
    expect((await chunk(cloud, at, '0-199/200', noise(100))).status).toBe(400)
    expect((await chunk(cloud, at, '0-9/10', noise(10))).status).toBe(200)
  })

  test('pass over bytes that they have already', async () => {
    const bytes = noise(unit * 2)
    const at = await session(cloud, 'overlap', '', sums(bytes))
    await chunk(cloud, at, `0-${unit - 1}/*`, bytes.subarray(0, unit))
    expect((await chunk(cloud, at, `0-${unit * 2 - 1}/${unit * 2}`, bytes)).status).toBe(200)
    expect((await stored('overlap')).equals(bytes)).toBe(true)
  })

  test('keep what came of a chunk that was cut, in whole units', async () => {
    const bytes = noise(unit * 4)
    const at = await session(cloud, 'cut', '', sums(bytes))
    await cloud.fault({
      match: { operation: 'resumable.chunk', key: 'cut' },
      times: 1,
      fault: { kind: 'reset', of: 'request', afterBytes: unit * 2 + 1000 },
    })
    await failure(chunk(cloud, at, `0-${unit * 4 - 1}/${unit * 4}`, bytes))
    const status = await chunk(cloud, at, '*/*')
    const reached = Number(/bytes=0-(\d+)/.exec(status.headers.get('range') ?? '')?.[1]) + 1
    expect(reached % unit).toBe(0)
    expect(reached).toBeGreaterThanOrEqual(unit)
    const rest = await chunk(cloud, at, `${reached}-${unit * 4 - 1}/${unit * 4}`, bytes.subarray(reached))
    expect(rest.status).toBe(200)
    expect((await stored('cut')).equals(bytes)).toBe(true)
  })

  test('look at their condition when they begin, and again when they end', async () => {
    await main.file('taken').save('first', { resumable: false })
    const path = '/upload/storage/v1/b/main/o?uploadType=resumable&name=taken&ifGenerationMatch=0'
    expect((await ask(cloud, 'POST', path)).status).toBe(412)
    const at = await session(cloud, 'contested', '&ifGenerationMatch=0')
    await main.file('contested').save('somebody else', { resumable: false })
    const late = await chunk(cloud, at, '0-4/5', Buffer.from('later'))
    expect([late.status, JSON.parse(late.text).error.errors[0].reason]).toEqual([412, 'conditionNotMet'])
    expect((await stored('contested')).toString()).toBe('somebody else')
    expect((await chunk(cloud, at, '*/*')).status).toBe(404)
  })

  test('refuse bytes that are not those announced, at the end', async () => {
    for (const [key, description, headers] of [
      ['announced', { crc32c: sums('wrong').crc32c }, {}],
      ['announced md5', { md5Hash: sums('wrong').md5Hash }, {}],
      ['by header', {}, { 'x-goog-hash': `crc32c=${sums('wrong').crc32c}` }],
    ] as const) {
      const at = await session(cloud, key, '', description)
      const end = await chunk(cloud, at, '0-4/5', Buffer.from('right'), headers)
      expect([end.status, end.text.includes("doesn't match calculated")]).toEqual([400, true])
      expect(await main.file(key).exists()).toEqual([false])
    }
  })

  test('are gone when cancelled, when never begun, and when told so', async () => {
    const at = await session(cloud, 'cancelled')
    expect((await ask(cloud, 'DELETE', at)).status).toBe(499)
    expect((await chunk(cloud, at, '*/*')).status).toBe(404)
    expect((await ask(cloud, 'DELETE', at)).status).toBe(404)
    expect((await chunk(cloud, at.replace(/upload_id=.*/, 'upload_id=none'), '*/*')).status).toBe(404)
    const other = await session(cloud, 'terminated')
    await cloud.fault({ match: { key: 'terminated' }, times: 1, fault: { kind: 'status', status: 410 } })
    expect((await chunk(cloud, other, '*/*')).status).toBe(410)
    expect((await ask(cloud, 'POST', '/upload/storage/v1/b/gone-bucket/o?uploadType=resumable&name=x')).status).toBe(
      404,
    )
  })

  test('need no token: their address is one', async () => {
    await using closed = await startLocalGcs({ buckets: ['main'], auth: { token: 'open-sesame' } })
    const path = '/upload/storage/v1/b/main/o?uploadType=resumable&name=x'
    expect((await ask(closed, 'POST', path)).status).toBe(401)
    const begun = await ask(closed, 'POST', path, { headers: { authorization: 'Bearer open-sesame' } })
    const url = new URL(begun.headers.get('location') ?? '')
    expect((await chunk(closed, url.pathname + url.search, '0-0/1', Buffer.from('x'))).status).toBe(200)
  })
})
