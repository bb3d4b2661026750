import { createHash, randomBytes } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { recognise } from '../../src/core/entry.ts'
import type { Disk } from '../../src/core/ports.ts'
import type { Provider } from '../../src/core/provider.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openWith } from '../../src/holdfast/open.ts'
import { memory } from '../../src/providers/memory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { type Faults, outage } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually, testDirectory } from '../support/store.ts'

const md5 = (bytes: Uint8Array) => createHash('md5').update(bytes).digest('hex')
const etagOf = (parts: readonly Uint8Array[]) =>
  `${md5(Buffer.concat(parts.map(part => createHash('md5').update(part).digest())))}-${parts.length}`

/** Two providers that are down until `heal`. */
function downPair() {
  const faults: Faults = { rules: [{ fault: outage }] }
  const inner = [memory({ name: 'a' }), memory({ name: 'b' })] as const
  return {
    inner,
    providers: inner.map(each => faulty(each, faults)) as unknown as readonly [Provider, Provider],
    heal: () => {
      faults.rules = []
    },
  }
}

const pair = () => [memory({ name: 'a' }), memory({ name: 'b' })] as const

/** Begins an upload of these parts, in the order of the list; answers its id. */
async function begun(store: Holdfast, key: string, parts: readonly Uint8Array[]): Promise<string> {
  const { id } = await store.uploads.create(key)
  for (const [index, part] of parts.entries()) await store.uploads.putPart(id, index + 1, part)
  return id
}

const bodies = (path: string) => readdir(join(path, 'bodies'))

test('an upload in parts is one object, with both clouds down too, and the same at both when they are back (P1, I1)', async () => {
  await using directory = await testDirectory()
  const { inner, providers, heal } = downPair()
  const store = await directory.open(providers)
  const parts = [randomBytes(300_000), randomBytes(300_000), randomBytes(70_000)] as const
  const upload = await store.uploads.create('k', { contentType: 'video/mp4', metadata: { a: 'ü' } })
  expect(upload).toMatchObject({ key: 'k', id: expect.stringMatching(/^[0-9a-f]{32}$/) })
  await store.uploads.putPart(upload.id, 3, parts[2])
  await store.uploads.putPart(upload.id, 1, randomBytes(100))
  const second = await store.uploads.putPart(upload.id, 2, parts[1], { expect: { md5: md5(parts[1]) } })
  const first = await store.uploads.putPart(upload.id, 1, parts[0])
  await store.uploads.putPart(upload.id, 4, 'left out')
  expect(second).toMatchObject({ number: 2, size: 300_000, etag: md5(parts[1]), uploadedAt: expect.any(Date) })
  const open = await store.uploads.get(upload.id)
  expect(open).toMatchObject({ key: 'k', attributes: { contentType: 'video/mp4', metadata: { a: 'ü' } } })
  expect(open?.parts.map(({ number, size }) => [number, size])).toEqual([
    [1, 300_000],
    [2, 300_000],
    [3, 70_000],
    [4, 8],
  ])
  expect((await store.status()).stage.bytes).toBe(670_008)
  expect(await store.get('k').catch(() => undefined)).toBeUndefined()

  const whole = Buffer.concat(parts)
  const receipt = await store.uploads.complete(upload.id, [
    { number: 1, etag: first.etag },
    { number: 2, etag: `"${second.etag}"` },
    { number: 3 },
  ])
  expect(receipt).toMatchObject({ key: 'k', size: 670_000, md5: md5(whole), etag: etagOf(parts) })
  expect(await store.uploads.get(upload.id)).toBeUndefined()
  expect(await store.uploads.list()).toEqual([])
  expect((await store.status()).stage.bytes).toBe(670_000)
  const found = await store.get('k')
  expect(found).toMatchObject({ from: 'local', info: { size: 670_000, etag: etagOf(parts), contentType: 'video/mp4' } })
  expect((await found?.bytes())?.length).toBe(670_000)
  const across = await store.get('k', { range: { start: 299_990, end: 600_010 } })
  expect(Buffer.from((await across?.bytes()) ?? []).equals(whole.subarray(299_990, 600_010))).toBe(true)

  heal()
  await store.drain({ until: 'verified' })
  for (const provider of inner) {
    expect((await bodyAt(provider, 'k'))?.equals(whole)).toBe(true)
    const object = await provider.head('k', AbortSignal.timeout(5_000))
    if (object === undefined) throw new Error('it is there')
    expect(recognise(object)).toMatchObject({
      whose: 'ours',
      entry: { etag: etagOf(parts), partSize: 300_000, size: 670_000 },
    })
  }
  expect(await store.head('k')).toMatchObject({ etag: etagOf(parts), parts: { count: 3, bytes: 300_000 } })
  await eventually(async () => (await bodies(directory.path)).length === 0)
  expect((await store.status()).stage.bytes).toBe(0)
})

test('an upload goes on after a restart at every step, and is readable after one', async () => {
  await using directory = await testDirectory()
  const providers = pair()
  const parts = [randomBytes(20_000), Buffer.alloc(0), randomBytes(30_000)]
  const reopen = async (work: (store: Holdfast) => Promise<void>) => {
    const store = await directory.open(providers, { replication: { run: 'external' } })
    await work(store)
    await store.close()
  }
  let id = ''
  await reopen(async store => {
    id = (await store.uploads.create('k', { metadata: { __proto__x: '1' } })).id
  })
  for (const [index, part] of parts.entries())
    await reopen(async store => {
      expect((await store.uploads.get(id))?.parts.map(({ number }) => number)).toEqual([1, 2, 3].slice(0, index))
      await store.uploads.putPart(id, index + 1, part)
    })
  await reopen(async store => {
    const receipt = await store.uploads.complete(
      id,
      [1, 2, 3].map(number => ({ number })),
    )
    expect(receipt.etag).toBe(etagOf(parts))
  })
  await reopen(async store => {
    const body = await (await store.get('k'))?.bytes()
    expect(Buffer.concat(parts).equals(Buffer.from(body ?? []))).toBe(true)
  })
  const store = await directory.open(providers)
  await store.drain({ until: 'verified' })
  expect(Buffer.concat(parts).equals((await bodyAt(providers[1], 'k')) ?? Buffer.alloc(0))).toBe(true)
})

test('an upload that is aborted leaves nothing, and every call for it says so', async () => {
  await using directory = await testDirectory()
  const store = await directory.open(pair())
  const id = await begun(store, 'k', [randomBytes(100), randomBytes(100)])
  expect(await store.uploads.abort(id)).toBe(true)
  expect(await store.uploads.abort(id)).toBe(false)
  const absent = { code: 'INVALID', field: 'upload', rule: 'absent', outcome: 'rejected' }
  await expect(store.uploads.putPart(id, 3, 'x')).rejects.toMatchObject(absent)
  await expect(store.uploads.complete(id, [{ number: 1 }])).rejects.toMatchObject(absent)
  await expect(store.uploads.complete('no id', [{ number: 1 }])).rejects.toMatchObject(absent)
  expect(await store.uploads.get(id)).toBeUndefined()
  await eventually(async () => (await bodies(directory.path)).length === 0)
  expect((await store.status()).stage.bytes).toBe(0)
})

test('an upload that is aborted while a part arrives takes the part with it', async () => {
  await using directory = await testDirectory()
  const store = await directory.open(pair())
  const { id } = await store.uploads.create('k')
  async function* slow() {
    yield randomBytes(50_000)
    await store.uploads.abort(id)
    yield randomBytes(50_000)
  }
  await expect(store.uploads.putPart(id, 1, slow())).rejects.toMatchObject({ field: 'upload', rule: 'absent' })
  expect(await bodies(directory.path)).toEqual([])
})

test('parts that do not fit together are refused, and the upload stays as it was', async () => {
  await using directory = await testDirectory()
  const store = await directory.open(pair())
  const id = await begun(store, 'k', [randomBytes(10), randomBytes(10)])
  const refused = async (parts: readonly { number: number; etag?: string }[], told: object) =>
    expect(store.uploads.complete(id, parts)).rejects.toMatchObject({ code: 'INVALID', ...told })
  await refused([], { field: 'parts', rule: 'count' })
  await refused([{ number: 2 }, { number: 1 }], { field: 'parts', rule: 'order' })
  await refused([{ number: 1 }, { number: 1 }], { field: 'parts', rule: 'order' })
  await refused([{ number: 1 }, { number: 3 }], { field: 'parts', rule: 'absent' })
  await refused([{ number: 1, etag: 'x' }], { field: 'parts', rule: 'absent' })
  await refused([{ number: 0 }], { field: 'number', rule: 'range' })
  await expect(store.uploads.putPart(id, 10_001, 'x')).rejects.toMatchObject({ field: 'number', rule: 'range' })
  await expect(store.uploads.putPart(id, 1, 'x', { expect: { size: 2 } })).rejects.toMatchObject({ code: 'CHECKSUM' })
  await expect(store.uploads.complete(id, [{ number: 1 }], { expect: { size: 9 } })).rejects.toMatchObject({
    code: 'CHECKSUM',
    field: 'size',
  })
  expect((await store.uploads.get(id))?.parts).toHaveLength(2)
  const [first] = (await store.uploads.get(id))?.parts ?? []
  expect((await store.uploads.complete(id, [{ number: 1, etag: first?.etag ?? '' }])).size).toBe(10)
  expect((await store.status()).stage.bytes).toBe(10)
  await store.drain({ until: 'verified' })
})

test('open uploads are listed in order of key and time', async () => {
  await using directory = await testDirectory()
  const store = await directory.open(pair())
  const ids: string[] = []
  for (const key of ['b/2', 'a', 'b/1', 'b/2']) {
    ids.push((await store.uploads.create(key)).id)
    await new Promise(resolve => setTimeout(resolve, 3))
  }
  const listed = async (prefix?: string) =>
    (await store.uploads.list(prefix === undefined ? {} : { prefix })).map(({ id }) => id)
  expect(await listed()).toEqual([ids[1], ids[2], ids[0], ids[3]])
  expect(await listed('b/')).toEqual([ids[2], ids[0], ids[3]])
  expect(await listed('c')).toEqual([])
})

test('bytes of open uploads count against maxStageBytes, once, and completing needs no more of them', async () => {
  await using directory = await testDirectory()
  const { providers } = downPair()
  const store = await directory.open(providers, { maxStageBytes: 100_000 })
  const id = await begun(store, 'k', [randomBytes(40_000), randomBytes(40_000)])
  expect((await store.status()).stage.bytes).toBe(80_000)
  const full = { code: 'NO_SPACE', outcome: 'rejected' }
  await expect(store.uploads.putPart(id, 3, randomBytes(30_000))).rejects.toMatchObject(full)
  await expect(store.put('other', randomBytes(30_000))).rejects.toMatchObject(full)
  await store.uploads.complete(id, [{ number: 1 }, { number: 2 }])
  expect((await store.status()).stage.bytes).toBe(80_000)
  expect((await store.status()).pending).toMatchObject({ writes: 1, bytes: 80_000 })
  await expect(store.put('other', randomBytes(30_000))).rejects.toMatchObject(full)
  await store.put('other', randomBytes(20_000))
})

test('an object in parts is overwritten, deleted and copied as any other, and all its files go', async () => {
  await using directory = await testDirectory()
  const { inner, providers, heal } = downPair()
  const store = await directory.open(providers)
  const parts = [randomBytes(20_000), randomBytes(20_000)]
  for (const key of ['over', 'gone', 'from'])
    await store.uploads.complete(await begun(store, key, parts), [{ number: 1 }, { number: 2 }])
  await store.put('over', 'new')
  await store.delete('gone')
  await store.copy('from', 'to')
  heal()
  await store.drain({ until: 'verified' })
  for (const provider of inner) {
    expect((await bodyAt(provider, 'over'))?.toString()).toBe('new')
    expect(await bodyAt(provider, 'gone')).toBeUndefined()
    for (const key of ['from', 'to']) expect((await bodyAt(provider, key))?.equals(Buffer.concat(parts))).toBe(true)
  }
  await eventually(async () => (await bodies(directory.path)).length === 0)
})

test('an object in parts is not kept in the cache, and the cache goes on without it', async () => {
  await using directory = await testDirectory()
  const store = await directory.open(pair(), { cacheBytes: 1_000_000 })
  await (await store.put('k', randomBytes(30_000))).replicated({ until: 'verified' })
  await eventually(async () => (await readdir(join(directory.path, 'cache'))).length === 1)
  await store.uploads.complete(await begun(store, 'k', [randomBytes(20_000)]), [{ number: 1 }])
  await store.drain({ until: 'verified' })
  await eventually(async () => (await bodies(directory.path)).length === 0)
  expect((await (await store.get('k'))?.bytes())?.length).toBe(20_000)
})

test('a part that was damaged on local disk is found when the object is made, and can be uploaded again (I7)', async () => {
  await using directory = await testDirectory()
  const store = await directory.open(pair())
  const parts = [randomBytes(40_000), randomBytes(40_000)]
  const { id } = await store.uploads.create('k')
  await store.uploads.putPart(id, 1, parts[0] as Buffer)
  const [file = ''] = await bodies(directory.path)
  await store.uploads.putPart(id, 2, parts[1] as Buffer)
  await writeFile(join(directory.path, 'bodies', file), Buffer.alloc(40_000))
  const both = [{ number: 1 }, { number: 2 }]
  const damaged = { code: 'CORRUPT', field: 'body', rule: 'digest', outcome: 'rejected', retryable: false }
  await expect(store.uploads.complete(id, both)).rejects.toMatchObject(damaged)
  expect(await store.status()).toMatchObject({ accepted: 0, stage: { bytes: 80_000, journal: 'open' } })
  await store.uploads.putPart(id, 1, parts[0] as Buffer)
  await store.uploads.complete(id, both)
  await store.drain({ until: 'verified' })
  expect(Buffer.concat(parts).equals(Buffer.from((await (await store.get('k'))?.bytes()) ?? []))).toBe(true)
})

test('a body in parts that is damaged after it was promised goes nowhere and is not served, until it is right again (I7, I2)', async () => {
  await using directory = await testDirectory()
  const providers = pair()
  const external = await directory.open(providers, { replication: { run: 'external' } })
  const parts = [randomBytes(40_000), Buffer.alloc(40_000, 7)]
  await external.uploads.complete(await begun(external, 'k', parts), [{ number: 1 }, { number: 2 }])
  const files = await bodies(directory.path)
  const names = await Promise.all(files.map(async name => ({ name, is: await isFilledWith(directory.path, name, 7) })))
  const file = names.find(({ is }) => is)?.name ?? ''
  await writeFile(join(directory.path, 'bodies', file), Buffer.alloc(40_000, 8))
  await external.close()
  const store = await directory.open(providers)
  await eventually(async () => (await store.status()).blocked.writes === 1)
  expect((await store.status()).blocked.reasons.map(({ reason }) => reason)).toEqual(['LOCAL_CORRUPT', 'LOCAL_CORRUPT'])
  await expect(store.get('k').then(found => found?.bytes())).rejects.toMatchObject({ code: 'CORRUPT' })
  await store.close()
  await writeFile(join(directory.path, 'bodies', file), parts[1] as Buffer)
  const again = await directory.open(providers)
  await eventually(async () => (await again.status()).blocked.writes === 0)
  await again.drain({ until: 'verified' })
  expect(Buffer.concat(parts).equals((await bodyAt(providers[0], 'k')) ?? Buffer.alloc(0))).toBe(true)
})

async function isFilledWith(path: string, name: string, byte: number): Promise<boolean> {
  return (await readFile(join(path, 'bodies', name))).every(each => each === byte)
}

test('a part that is uploaded anew while the object is made is in it whole, or not at all', async () => {
  await using directory = await testDirectory()
  const store = await directory.open(pair())
  for (let round = 0; round < 10; round++) {
    const bodiesOf = [Buffer.alloc(3_000_000, 1), Buffer.alloc(3_000_000, 2)] as const
    const id = await begun(store, `k${round}`, [bodiesOf[0], randomBytes(10)])
    const making = store.uploads.complete(id, [{ number: 1 }, { number: 2 }])
    const anew = store.uploads.putPart(id, 1, bodiesOf[1]).catch((error: unknown) => error)
    const receipt = await making
    await anew
    const got = Buffer.from((await (await store.get(`k${round}`))?.bytes()) ?? []).subarray(0, 3_000_000)
    expect(bodiesOf.some(body => body.equals(got))).toBe(true)
    expect(receipt.size).toBe(3_000_010)
  }
  await store.drain({ until: 'verified' })
  await eventually(async () => (await bodies(directory.path)).length === 0)
}, 30_000)

test('what happens to an upload while its object is made is what its object is made of', async () => {
  await using directory = await testDirectory()
  const [primary, secondary] = pair()
  let meanwhile: (() => Promise<unknown>) | undefined
  const disk: Disk = {
    ...nodeDisk,
    async read(path) {
      const work = meanwhile
      meanwhile = undefined
      await work?.()
      return nodeDisk.read(path)
    },
  }
  const store = await openWith(
    { directory: directory.path, primary, secondary, holdMs: 0 },
    { disk, clock: systemClock, random: systemRandom },
  )
  const both = [{ number: 1 }, { number: 2 }]
  const [old, anew] = [randomBytes(30_000), randomBytes(40_000)]
  for (const isGone of [false, true]) {
    const id = await begun(store, 'k', [old, old])
    meanwhile = async () => {
      await store.uploads.putPart(id, 2, anew)
      if (isGone) await eventually(async () => (await bodies(directory.path)).length === 2)
    }
    expect((await store.uploads.complete(id, both)).size).toBe(70_000)
    expect(Buffer.concat([old, anew]).equals(Buffer.from((await (await store.get('k'))?.bytes()) ?? []))).toBe(true)
    await store.drain({ until: 'verified' })
    await eventually(async () => (await bodies(directory.path)).length === 0)
  }

  const pinned = await begun(store, 'k', [old, old])
  meanwhile = () => store.uploads.putPart(pinned, 2, anew)
  const wanted = [{ number: 1 }, { number: 2, etag: md5(old) }]
  await expect(store.uploads.complete(pinned, wanted)).rejects.toMatchObject({ field: 'parts', rule: 'absent' })

  for (const isGone of [false, true]) {
    const id = await begun(store, 'k2', [old, old])
    meanwhile = async () => {
      await store.uploads.abort(id)
      if (isGone) await eventually(async () => (await bodies(directory.path)).length === 2)
    }
    await expect(store.uploads.complete(id, both)).rejects.toMatchObject({ field: 'upload', rule: 'absent' })
  }
  expect(await store.get('k2')).toBeUndefined()
  expect(await store.uploads.abort(pinned)).toBe(true)
  await eventually(async () => (await bodies(directory.path)).length === 0)
  await store.close()
})

test('the signal ends a part and the making of an object, the closing of the store too, and nothing is half done', async () => {
  await using directory = await testDirectory()
  const providers = pair()
  const store = await directory.open(providers)
  const id = await begun(store, 'k', [randomBytes(2_000_000), randomBytes(2_000_000)])
  const both = [{ number: 1 }, { number: 2 }]
  const stop = new AbortController()
  const making = store.uploads.complete(id, both, { signal: stop.signal })
  stop.abort(new Error('enough'))
  await expect(making).rejects.toThrow('enough')
  async function* hanging() {
    yield randomBytes(20)
    await new Promise(() => {})
  }
  const arriving = store.uploads.putPart(id, 3, hanging())
  const end = expect(arriving).rejects.toMatchObject({ code: 'CLOSED' })
  await new Promise(resolve => setTimeout(resolve, 20))
  await store.close()
  await end
  await expect(store.uploads.create('k')).rejects.toMatchObject({ code: 'CLOSED' })
  const again = await directory.open(providers)
  expect((await again.uploads.get(id))?.parts).toHaveLength(2)
  await again.uploads.complete(id, both)
  await again.drain({ until: 'verified' })
})
