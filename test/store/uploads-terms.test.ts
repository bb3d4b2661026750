import { fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { open, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { expect, test } from 'vitest'
import { checksummer } from '../../src/core/checksum.ts'
import { recognise } from '../../src/core/entry.ts'
import { systemRandom } from '../../src/core/system.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openWith } from '../../src/holdfast/open.ts'
import { memory } from '../../src/providers/memory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { type Faults, outage } from '../../src/testing/faulty/rules.ts'
import { providersOf, startClouds } from '../support/clouds.ts'
import { bodyAt, eventually, testDirectory } from '../support/store.ts'
import type { Asked } from './uploads-child.ts'

const pair = () => [memory({ name: 'a' }), memory({ name: 'b' })] as const
const both = [{ number: 1 }, { number: 2 }]
const bodies = (path: string) => readdir(join(path, 'bodies'))

function crc32Of(bytes: Uint8Array): string {
  const value = Buffer.alloc(4)
  value.writeUInt32BE(crc32(bytes))
  return value.toString('base64')
}

async function begun(store: Holdfast, key: string, parts: readonly (Uint8Array | string)[]): Promise<string> {
  const { id } = await store.uploads.create(key)
  for (const [index, part] of parts.entries()) await store.uploads.putPart(id, index + 1, part)
  return id
}

test('a checksum of the whole is what S3 makes of it: of the parts, or of all bytes', async () => {
  await using directory = await testDirectory()
  const providers = pair()
  const store = await directory.open(providers)
  const parts = [randomBytes(70_000), randomBytes(30_000)] as const
  const whole = Buffer.concat(parts)
  const sha = (bytes: Uint8Array) => createHash('sha256').update(bytes).digest()
  const composite = `${sha(Buffer.concat(parts.map(sha))).toString('base64')}-2`
  const nvme = checksummer('CRC64NVME')
  nvme.update(whole)
  const castagnoli = checksummer('CRC32C')
  castagnoli.update(whole)
  const partsOf32 = Buffer.concat(parts.map(part => Buffer.from(crc32Of(part), 'base64')))
  for (const [checksum, type, value, ofFirst] of [
    [{ algorithm: 'SHA256' }, 'COMPOSITE', composite, sha(parts[0]).toString('base64')],
    [{ algorithm: 'CRC32' }, 'COMPOSITE', `${crc32Of(partsOf32)}-2`, crc32Of(parts[0])],
    [{ algorithm: 'CRC32', type: 'FULL_OBJECT' }, 'FULL_OBJECT', crc32Of(whole), crc32Of(parts[0])],
    [{ algorithm: 'CRC32C', type: 'FULL_OBJECT' }, 'FULL_OBJECT', castagnoli.digest().toString('base64'), undefined],
    [{ algorithm: 'CRC64NVME' }, 'FULL_OBJECT', nvme.digest().toString('base64'), undefined],
  ] as const) {
    const upload = await store.uploads.create('k', { checksum })
    expect(upload.checksum).toEqual({ algorithm: checksum.algorithm, type })
    const first = await store.uploads.putPart(upload.id, 1, parts[0])
    if (ofFirst !== undefined) expect(first.checksum).toEqual({ algorithm: checksum.algorithm, value: ofFirst })
    await store.uploads.putPart(upload.id, 2, parts[1])
    expect((await store.uploads.get(upload.id))?.parts[0]?.checksum).toEqual(first.checksum)
    const wrong = store.uploads.complete(upload.id, both, { expect: { checksum: 'AAAAAA==' } })
    await expect(wrong).rejects.toMatchObject({ code: 'CHECKSUM', field: 'checksum', outcome: 'rejected' })
    const receipt = await store.uploads.complete(upload.id, both, { expect: { checksum: value } })
    expect(receipt.checksum).toEqual({ algorithm: checksum.algorithm, value })
    expect((await store.head('k'))?.checksum).toEqual({ algorithm: checksum.algorithm, value })
    await store.drain({ until: 'verified' })
    expect((await store.head('k'))?.checksum).toEqual({ algorithm: checksum.algorithm, value })
  }
})

test('S3 has the same parts and the ETag that the app was told, and every cloud the same bytes', async () => {
  await using directory = await testDirectory()
  await using started = await startClouds()
  const providers = providersOf(started.clouds)
  const store = await directory.open(providers)
  const parts = [randomBytes(5_242_880), randomBytes(5_242_880), randomBytes(9)]
  const id = await begun(store, 'k', parts)
  const receipt = await store.uploads.complete(id, [...both, { number: 3 }])
  await receipt.replicated({ until: 'verified' })
  for (const provider of providers) {
    expect((await bodyAt(provider, 'k'))?.equals(Buffer.concat(parts))).toBe(true)
    const object = await provider.head('k', AbortSignal.timeout(10_000))
    if (provider.name === 's3') expect(object?.etag).toBe(receipt.etag)
    expect(object === undefined ? undefined : recognise(object)).toMatchObject({
      entry: { etag: receipt.etag, partSize: 5_242_880 },
    })
  }
  expect(receipt.etag).toMatch(/^[0-9a-f]{32}-3$/)
}, 60_000)

test('checksums that cannot be are refused, before anything is stored', async () => {
  await using directory = await testDirectory()
  const store = await directory.open(pair())
  const refused = (checksum: unknown, told: object) =>
    expect(store.uploads.create('k', { checksum } as never)).rejects.toMatchObject({ code: 'INVALID', ...told })
  await refused({ algorithm: 'SHA1', type: 'FULL_OBJECT' }, { field: 'checksum', rule: 'algorithm' })
  await refused({ algorithm: 'CRC64NVME', type: 'COMPOSITE' }, { field: 'checksum', rule: 'algorithm' })
  await refused({ algorithm: 'MD4' }, { field: 'checksum' })
  await refused('CRC32', { field: 'checksum', rule: 'type' })
  const { id } = await store.uploads.create('k', { checksum: { algorithm: 'CRC32' } })
  const part = (checksum: object) => store.uploads.putPart(id, 1, 'part', { checksum } as never)
  await expect(part({ algorithm: 'SHA1' })).rejects.toMatchObject({ field: 'checksum', rule: 'algorithm' })
  await expect(part({ algorithm: 'CRC32', value: 'AAAAAA==' })).rejects.toMatchObject({
    code: 'CHECKSUM',
    field: 'checksum',
  })
  expect((await part({ algorithm: 'CRC32', value: crc32Of(Buffer.from('part')) })).size).toBe(4)
  expect(await store.uploads.list()).toHaveLength(1)
})

test('a condition on the whole is decided at the primary; a refused one leaves the upload as it was (I23)', async () => {
  await using directory = await testDirectory()
  const faults: Faults = {}
  const inner = memory({ name: 'a' })
  const store = await directory.open([faulty(inner, faults), memory({ name: 'b' })], { ackTimeoutMs: 3_000 })
  const parts = [randomBytes(20_000), randomBytes(20_000)]
  await store.put('k', 'there', { ack: 'all' })
  const id = await begun(store, 'k', parts)
  const refused = { code: 'PRECONDITION', outcome: 'rejected' }
  await expect(store.uploads.complete(id, both, { if: 'absent' })).rejects.toMatchObject(refused)
  // What this directory does not know of is refused by the primary.
  await store.drain({ until: 'verified' })
  await eventually(async () => (await store.status()).done === 1)
  await expect(store.uploads.complete(id, both, { if: 'absent' })).rejects.toMatchObject(refused)
  expect((await store.uploads.get(id))?.parts).toHaveLength(2)
  faults.rules = [{ fault: outage }]
  await expect(store.uploads.complete(id, both, { if: 'absent' })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
  })
  faults.rules = []
  const version = (await store.head('k'))?.version ?? ''
  await eventually(async () => (await store.status()).providers.every(({ state }) => state === 'up'))
  await eventually(async () => (await store.uploads.get(id)) !== undefined)
  expect((await store.uploads.get(id))?.parts).toHaveLength(2)
  await store.uploads.complete(id, both, { if: { version } })
  await store.drain({ until: 'verified' })
  expect((await bodyAt(inner, 'k'))?.equals(Buffer.concat(parts))).toBe(true)
  await eventually(async () => (await bodies(directory.path)).length === 0, 70_000)
}, 90_000)

test('one process begins an upload, another adds to it, the first makes the object', async () => {
  await using directory = await testDirectory()
  const providers = pair()
  const store = await directory.open(providers)
  await using other = await otherProcess(directory.path)
  const id = (await other.ask({ call: 'create', key: 'k' })) as string
  await store.uploads.putPart(id, 1, 'one')
  await other.ask({ call: 'putPart', id, number: 2, body: 'two' })
  expect((await store.uploads.get(id))?.parts.map(({ number }) => number)).toEqual([1, 2])
  expect(await other.ask({ call: 'numbers', id })).toEqual([1, 2])
  const receipt = await store.uploads.complete(id, both)
  await expect(other.ask({ call: 'putPart', id, number: 3, body: 'three' })).rejects.toThrow('there is no upload')
  await expect(other.ask({ call: 'complete', id, numbers: [1] })).rejects.toThrow('there is no upload')
  await receipt.replicated({ until: 'verified' })

  const theirs = (await other.ask({ call: 'create', key: 'k' })) as string
  await store.uploads.putPart(theirs, 1, 'new')
  await other.ask({ call: 'complete', id: theirs, numbers: [1] })
  expect(await store.uploads.get(theirs)).toBeUndefined()
  expect(await (await store.get('k'))?.text()).toBe('new')
  await store.drain({ until: 'verified' })
  expect((await bodyAt(providers[1], 'k'))?.toString()).toBe('new')
})

interface OtherProcess extends AsyncDisposable {
  ask(asked: Asked): Promise<unknown>
}

async function otherProcess(directory: string): Promise<OtherProcess> {
  const child = fork(join(import.meta.dirname, 'uploads-child.ts'), [directory], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const ended = new Promise<void>(resolve => child.once('exit', () => resolve()))
  const answer = () =>
    new Promise((resolve, reject) => {
      child.once('message', ({ value, error }: { value?: unknown; error?: string }) =>
        error === undefined ? resolve(value) : reject(new Error(error)),
      )
      child.once('exit', () => reject(new Error('the other process ended')))
    })
  await answer()
  return {
    ask(asked) {
      const answered = answer()
      child.send(asked)
      return answered
    },
    async [Symbol.asyncDispose]() {
      child.disconnect()
      await ended
    },
  }
}

test('an upload that nobody added to for uploads.idleMs is dropped, one that grows is not', async () => {
  await using directory = await testDirectory()
  const [primary, secondary] = pair()
  await (await directory.open([primary, secondary])).close()
  const clock = manualClock(Date.now())
  const store = await openWith(
    { directory: directory.path, primary, secondary, uploads: { idleMs: 3_600_000 } },
    { clock, random: systemRandom, disk: nodeDisk },
  )
  const idle = await begun(store, 'idle', [randomBytes(20_000)])
  const growing = await begun(store, 'growing', [randomBytes(20_000)])
  await clock.advance(3_000_000)
  await store.uploads.putPart(growing, 2, 'more')
  expect(await store.uploads.list()).toHaveLength(2)
  await clock.advance(700_000)
  await eventually(async () => {
    await clock.advance(70_000)
    return (await store.uploads.get(idle)) === undefined
  })
  expect((await store.uploads.get(growing))?.parts).toHaveLength(2)
  expect((await store.status()).stage.bytes).toBe(20_004)
  await expect(store.uploads.putPart(idle, 1, 'late')).rejects.toMatchObject({ field: 'upload', rule: 'absent' })
  await eventually(async () => {
    await clock.advance(20_000)
    return (await bodies(directory.path)).length === 2
  })
  await store.close()
})

test('a wall clock that jumps drops no upload: only time that passes does (P12, I41)', async () => {
  await using directory = await testDirectory()
  const [primary, secondary] = pair()
  await (await directory.open([primary, secondary])).close()
  const clock = manualClock(Date.now())
  const store = await openWith(
    { directory: directory.path, primary, secondary, uploads: { idleMs: 3_600_000 } },
    { clock, random: systemRandom, disk: nodeDisk },
  )
  const id = await begun(store, 'k', [randomBytes(20_000)])
  clock.jump(clock.now() + 30 * 86_400_000)
  for (let minute = 0; minute < 10; minute++) await clock.advance(70_000)
  expect((await store.uploads.get(id))?.parts).toHaveLength(1)
  await store.close()
})

test('after a failed write, parts are promised no more, and a body in parts is verified by the next opening (I4, I7)', async () => {
  await using directory = await testDirectory()
  const providers = pair()
  const parts = [randomBytes(50_000), randomBytes(50_000)]
  const first = await directory.open(providers, { replication: { run: 'external' } })
  await first.uploads.complete(await begun(first, 'damaged', parts), both)
  const [file = ''] = await bodies(directory.path)
  await first.uploads.complete(await begun(first, 'whole', parts), both)
  const id = await begun(first, 'open', parts)
  await writeFile(join(directory.path, 'poisoned'), 'EIO\n', { mode: 0o600 })
  const poisoned = { code: 'CORRUPT', field: 'directory', rule: 'poisoned', outcome: 'rejected' }
  await expect(first.uploads.create('k')).rejects.toMatchObject(poisoned)
  await expect(first.uploads.putPart(id, 3, 'x')).rejects.toMatchObject(poisoned)
  await expect(first.uploads.complete(id, both)).rejects.toMatchObject(poisoned)
  await first.close()
  const flip = async () => {
    await using handle = await open(join(directory.path, 'bodies', file), 'r+')
    const { buffer } = await handle.read(Buffer.alloc(1), 0, 1, 30_000)
    await handle.write(Buffer.from([(buffer[0] ?? 0) ^ 1]), 0, 1, 30_000)
  }
  await flip()
  const store = await directory.open(providers)
  const blocked = await store.drain().catch((error: unknown) => error)
  expect(blocked).toMatchObject({ code: 'BLOCKED', reason: 'LOCAL_CORRUPT' })
  await store.uploads.complete(id, both)
  for (const key of ['whole', 'open'])
    await eventually(async () => (await bodyAt(providers[1], key))?.equals(Buffer.concat(parts)))
  await store.close()
  await flip()
  const again = await directory.open(providers)
  await eventually(async () => (await again.status()).blocked.writes === 0)
  await again.drain({ until: 'verified' })
  expect((await bodyAt(providers[0], 'damaged'))?.equals(Buffer.concat(parts))).toBe(true)
})
