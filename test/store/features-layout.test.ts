import { expect, test } from 'vitest'
import { entryName } from '../../src/core/entry.ts'
import { digestsOf } from '../../src/core/digest.ts'
import { etagOfParts } from '../../src/core/layout.ts'
import { memory } from '../../src/providers/memory.ts'
import { bodyAt, eventually, testDirectory } from '../support/store.ts'
import { keeper, putPast } from './features.ts'

const body = Buffer.from('part one..part two..end')
const parts = [
  { count: 2, bytes: 10 },
  { count: 1, bytes: 3 },
]
const etag = etagOfParts(['part one..', 'part two..', 'end'].map(text => digestsOf(Buffer.from(text)).md5))

test('an object that came in parts keeps its ETag when it is adopted with them, at every provider', async () => {
  await using directory = await testDirectory()
  const [a, b] = [keeper('a'), keeper('b')]
  const store = await directory.open([a.provider, b.provider])
  await putPast(a.provider, 'k', body, { parts })
  expect(await store.head('k')).toMatchObject({ etag })
  expect(await store.head('k')).not.toHaveProperty('parts')
  const receipt = await store.adopt('k', { parts })
  expect(receipt.etag).toBe(etag)
  expect(await store.head('k')).toMatchObject({ etag, parts: { count: 3, bytes: 10 } })
  await receipt.replicated({ until: 'verified' })
  for (const at of [a, b]) {
    expect(at.sent('k')?.parts).toEqual(parts)
    expect(at.sent('k')?.metadata[entryName]).toContain(`;${etag}:10;`)
  }
  expect(await store.head('k')).toMatchObject({ etag, parts: { count: 3, bytes: 10 } })
  expect(await Array.fromAsync(store.list())).toMatchObject([{ key: 'k', etag }])
})

test('parts of different sizes are kept too, until nobody knows them any more', async () => {
  await using directory = await testDirectory()
  const [a, b] = [keeper('a'), keeper('b')]
  const store = await directory.open([a.provider, b.provider])
  const uneven = [
    { count: 1, bytes: 3 },
    { count: 2, bytes: 10 },
  ]
  await putPast(a.provider, 'k', body, { parts: uneven })
  const receipt = await store.adopt('k', { parts: uneven })
  await receipt.replicated({ until: 'verified' })
  for (const at of [a, b]) expect(at.sent('k')?.parts).toEqual(uneven)
  await eventually(async () => (await store.status()).done === 1)
  expect(await store.head('k')).toMatchObject({ etag: receipt.etag, parts: { count: 3, bytes: 0 } })
})

test('parts that are not those of the ETag are taken for nothing; parts of another size are refused', async () => {
  await using directory = await testDirectory()
  const [a, b] = [keeper('a'), keeper('b')]
  const store = await directory.open([a.provider, b.provider])
  const { md5 } = digestsOf(body)
  await putPast(a.provider, 'k', body, { parts })
  await expect(store.adopt('k', { parts: [{ count: 2, bytes: 10 }] })).rejects.toMatchObject({
    code: 'INVALID',
    field: 'parts',
    rule: 'size',
    outcome: 'rejected',
  })
  const receipt = await store.adopt('k', { parts: [{ count: 1, bytes: 23 }] })
  expect(receipt.etag).toBe(md5)
  await receipt.replicated()
  expect(a.sent('k')?.parts).toBeUndefined()
})

test('an object that came in one piece stays in one piece', async () => {
  await using directory = await testDirectory()
  const [a, b] = [keeper('a'), keeper('b')]
  const store = await directory.open([a.provider, b.provider])
  await putPast(a.provider, 'k', body)
  const receipt = await store.adopt('k')
  expect(receipt.etag).toBe(digestsOf(body).md5)
  await receipt.replicated()
  expect(b.sent('k')?.parts).toEqual([{ count: 1, bytes: 23 }])
})

test('what is adopted has the features that its provider tells of, or those that are given', async () => {
  await using directory = await testDirectory()
  const a = keeper('a')
  const b = keeper('b')
  const store = await directory.open([a.provider, b.provider])
  const s3 = { StorageClass: 'STANDARD_IA', ServerSideEncryption: 'aws:kms', SSEKMSKeyId: 'key' }
  await putPast(a.provider, 'k', body, { features: { s3 } })
  await putPast(a.provider, 'given', body, { features: { s3 } })
  await (await store.adopt('k')).replicated()
  await (await store.adopt('given', { features: { s3: { ACL: 'private' } } })).replicated()
  for (const at of [a, b]) {
    expect(at.sent('k')?.features?.s3).toEqual({ StorageClass: 'STANDARD_IA' })
    expect(at.sent('given')?.features?.s3).toEqual({ ACL: 'private' })
  }
})

test('metadata that another provider cannot hold is refused before the object is fetched (I36, I37)', async () => {
  await using directory = await testDirectory()
  const a = keeper('a')
  const b = memory({ name: 'b' })
  const small = { ...b, limits: { ...b.limits, metadata: { bytes: 300, holds: () => true } } }
  const store = await directory.open([a.provider, small])
  await putPast(a.provider, 'k', body, { metadata: { note: 'x'.repeat(200) } })
  for (const call of [() => store.adopt('k'), () => store.copy('k', 'copy')])
    await expect(call()).rejects.toMatchObject({ code: 'INVALID', field: 'metadata', rule: 'size', provider: 'b' })
  expect(await store.status()).toMatchObject({ accepted: 0 })
})

test('a repaired copy has the parts, the ETag, the checksum and the storage class of the one it was made from', async () => {
  await using directory = await testDirectory()
  const [a, b] = [keeper('a'), keeper('b')]
  const store = await directory.open([a.provider, b.provider])
  const s3 = { StorageClass: 'STANDARD_IA', ObjectLockLegalHoldStatus: 'ON' }
  await putPast(a.provider, 'parts', body, { parts })
  const adopted = await store.adopt('parts', { parts, features: { s3 } })
  const put = await store.put('whole', body, { inOnePiece: true, checksum: { algorithm: 'SHA256' } })
  for (const receipt of [adopted, put]) await receipt.replicated({ until: 'verified' })
  await eventually(async () => (await store.status()).done === 2)

  const signal = AbortSignal.timeout(10_000)
  for (const key of ['parts', 'whole']) {
    await a.inner.delete(key, undefined, signal)
    a.puts.length = 0
    expect(await (await store.get(key))?.text()).toBe(body.toString())
    await eventually(async () => await bodyAt(a.inner, key))
    const found = await store.head(key)
    if (key === 'parts') {
      expect(found).toMatchObject({ etag, version: adopted.version, parts: { count: 3, bytes: 10 } })
      expect(a.sent(key)?.parts).toEqual(parts)
      expect(a.sent(key)?.features?.s3).toEqual({ StorageClass: 'STANDARD_IA' })
    } else {
      expect(found).toMatchObject({ etag: put.md5, version: put.version, checksum: put.checksum })
      expect(a.sent(key)?.parts).toEqual([{ count: 1, bytes: 23 }])
    }
  }
  await store.drain({ until: 'verified' })
})

test('a second look that finds another ETag in the entry sends the write again', async () => {
  await using directory = await testDirectory()
  const [a, b] = [keeper('a'), keeper('b')]
  const store = await directory.open([a.provider, b.provider], { holdMs: 400 })
  await putPast(a.provider, 'k', body, { parts })
  const receipt = await store.adopt('k', { parts, from: 'a' })
  await receipt.replicated()
  const entry = a.sent('k')?.metadata[entryName] as string
  // As a version that knew nothing of parts would have repaired it.
  const other = entry.replace(`;${etag}:10;`, `;${digestsOf(body).md5};`)
  await putPast(b.provider, 'k', body, { metadata: { [entryName]: other } })
  await receipt.replicated({ until: 'verified' })
  expect(b.sent('k')?.metadata[entryName]).toBe(entry)
})
