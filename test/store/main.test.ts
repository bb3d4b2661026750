import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'

test('a put reaches both providers with its attributes, is looked at twice, and its local body goes (I10, I18)', async () => {
  await using directory = await testDirectory()
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const store = await directory.open([a, b])
  const body = Buffer.alloc(100_000, 'photo')
  const receipt = await store.put('photos/1.jpg', body, {
    contentType: 'image/jpeg',
    cacheControl: 'max-age=60',
    metadata: { owner: 'Zoë', __a: 'b' },
  })
  await receipt.replicated({ until: 'verified' })
  for (const provider of [a, b]) expect(await bodyAt(provider, 'photos/1.jpg')).toEqual(body)
  const got = await store.get('photos/1.jpg')
  expect(got?.info).toMatchObject({
    size: 100_000,
    contentType: 'image/jpeg',
    cacheControl: 'max-age=60',
    version: receipt.version,
    etag: receipt.etag,
  })
  expect({ ...got?.info.metadata }).toEqual({ owner: 'Zoë', __a: 'b' })
  expect(Buffer.from((await got?.bytes()) ?? [])).toEqual(body)
  await eventually(async () => (await store.status()).stage.bytes === 0)
  expect(await store.status()).toMatchObject({ accepted: 1, done: 1, superseded: 0 })
})

test('a delete leaves a marker at both, and the key is absent in every read and listing (I13)', async () => {
  await using directory = await testDirectory()
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const store = await directory.open([a, b])
  await store.put('k', 'one', { ack: 'all' })
  await store.delete('k', { ack: 'all' })
  expect(await store.get('k')).toBeUndefined()
  expect(await store.head('k')).toBeUndefined()
  for (const provider of [a, b]) {
    expect(await keysOf(provider)).toEqual([])
    expect(await bodyAt(provider, '.holdfast/deleted/k')).toBeDefined()
  }
  const listed = await Array.fromAsync(store.list())
  expect(listed).toEqual([])
})

test('writes of one key arrive in order, and older ones are superseded (I12)', async () => {
  await using directory = await testDirectory()
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const store = await directory.open([a, b])
  const receipts = await Promise.all(Array.from({ length: 50 }, (_, i) => store.put('k', `write ${i}`)))
  const versions = receipts.map(({ version }) => version)
  expect(new Set(versions).size).toBe(50)
  await Promise.all(receipts.map(receipt => receipt.replicated({ until: 'verified' })))
  const newest = receipts.findIndex(({ version }) => version === versions.toSorted().at(-1))
  for (const provider of [a, b]) expect((await bodyAt(provider, 'k'))?.toString()).toBe(`write ${newest}`)
  await eventually(async () => (await store.status()).stage.bytes === 0)
  const { accepted, done, superseded } = await store.status()
  expect({ accepted, sum: done + superseded }).toEqual({ accepted: 50, sum: 50 })
})

test('put under `if` is decided at the primary: absent, then over a version, then refused', async () => {
  await using directory = await testDirectory()
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const store = await directory.open([a, b])
  const first = await store.put('k', 'one', { if: 'absent' })
  await expect(store.put('k', 'two', { if: 'absent' })).rejects.toMatchObject({
    code: 'PRECONDITION',
    outcome: 'rejected',
  })
  const second = await store.put('k', 'two', { if: { version: first.version } })
  await expect(store.put('k', 'three', { if: { version: first.version } })).rejects.toMatchObject({
    code: 'PRECONDITION',
  })
  await store.drain({ until: 'verified' })
  await eventually(async () => (await store.status()).done > 0)
  await expect(store.put('k', 'three', { if: 'absent' })).rejects.toMatchObject({ code: 'PRECONDITION' })
  await expect(store.delete('k', { if: { version: first.version } })).rejects.toMatchObject({ code: 'PRECONDITION' })
  await store.delete('k', { if: { version: second.version } })
  expect(await store.get('k')).toBeUndefined()
  await store.put('k', 'again', { if: 'absent' })
  expect(await (await store.get('k'))?.text()).toBe('again')
})

test('a copy is a write of its own: deleting the source does not take it away', async () => {
  await using directory = await testDirectory()
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const store = await directory.open([a, b])
  for (const size of [5, 50_000]) {
    await store.put('from', Buffer.alloc(size, 1), { contentType: 'image/png', metadata: { a: '1' } })
    const copied = await store.copy('from', 'to', { metadata: { b: '2' } })
    expect(copied.size).toBe(size)
    await store.delete('from')
    await store.drain()
    const got = await store.get('to')
    expect(got?.info.contentType).toBe('image/png')
    expect({ ...got?.info.metadata }).toEqual({ b: '2' })
    expect((await got?.bytes())?.byteLength).toBe(size)
  }
  await expect(store.copy('nothing', 'to')).rejects.toMatchObject({ code: 'INVALID', field: 'from', rule: 'absent' })
})

test('what another put past Holdfast is taken in by adopt, given a version, and mirrored', async () => {
  await using directory = await testDirectory()
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const store = await directory.open([a, b])
  const { bytesSource } = await import('../../src/core/source.ts')
  const { digestsOf } = await import('../../src/core/digest.ts')
  const { noMemo } = await import('../../src/core/provider.ts')
  const bytes = Buffer.from('from a browser')
  const source = bytesSource(bytes, digestsOf(bytes))
  const headers = { contentType: 'image/webp' }
  await b.put(
    { key: 'up', source, headers, metadata: {}, condition: undefined, upload: noMemo },
    AbortSignal.timeout(5000),
  )
  const receipt = await store.adopt('up')
  await receipt.replicated({ until: 'verified' })
  for (const provider of [a, b]) expect((await bodyAt(provider, 'up'))?.toString()).toBe('from a browser')
  expect((await store.head('up'))?.contentType).toBe('image/webp')
  expect((await store.adopt('up')).version).toBe(receipt.version)
  await expect(store.adopt('nothing')).rejects.toMatchObject({ code: 'INVALID', rule: 'absent' })
})

test('what was accepted in one life is replicated in the next, and every counter goes on (I1, I9)', async () => {
  await using directory = await testDirectory()
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const external = { replication: { run: 'external' as const } }
  const first = await directory.open([a, b], external)
  for (let i = 0; i < 20; i++) await first.put(`k${i}`, Buffer.alloc(i * 3000, i))
  await first.delete('k3')
  expect(await first.get('k3')).toBeUndefined()
  expect((await first.status()).pending.writes).toBe(20)
  await first.close()
  const second = await directory.open([a, b])
  await second.drain({ until: 'verified' })
  await eventually(async () => (await second.status()).done === 20)
  expect(await second.status()).toMatchObject({ accepted: 21, superseded: 1 })
  for (const provider of [a, b]) expect((await keysOf(provider)).length).toBe(19)
})

test('after close every call rejects with CLOSED, and closing again is no error', async () => {
  await using directory = await testDirectory()
  const store = await directory.open([memory({ name: 'a' }), memory({ name: 'b' })])
  await store.close()
  await store.close()
  for (const call of [
    () => store.put('k', 'v'),
    () => store.get('k'),
    () => store.delete('k'),
    () => store.status(),
    () => store.drain(),
    () => Array.fromAsync(store.list()),
  ])
    await expect(call()).rejects.toMatchObject({ code: 'CLOSED' })
})

test('one directory is open once in a process', async () => {
  await using directory = await testDirectory()
  const providers = [memory({ name: 'a' }), memory({ name: 'b' })] as const
  await directory.open(providers)
  await expect(directory.open(providers)).rejects.toMatchObject({ code: 'INVALID', field: 'directory', rule: 'open' })
})
