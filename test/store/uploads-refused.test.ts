import Database from 'better-sqlite3'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { bytesSource } from '../../src/core/source.ts'
import { readWhole } from '../../src/holdfast/uploads/whole.ts'
import { memory } from '../../src/providers/memory.ts'
import type { Stage } from '../../src/stage/stage.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { type Faults, outage } from '../../src/testing/faulty/rules.ts'
import { testDirectory } from '../support/store.ts'

const pair = () => [memory({ name: 'a' }), memory({ name: 'b' })] as const
const one = [{ number: 1 }]

test('an upload is not completed by a checksum that it was not begun with, nor longer than each provider takes (I15)', async () => {
  await using directory = await testDirectory()
  const [a, b] = pair()
  const small: Provider = { ...b, limits: { ...b.limits, objectBytes: 5 } }
  const store = await directory.open([a, small])
  const { id } = await store.uploads.create('k')
  await store.uploads.putPart(id, 1, 'four')
  const expected = { expect: { checksum: 'AAAAAA==' } }
  await expect(store.uploads.complete(id, one, expected)).rejects.toMatchObject({ field: 'expect', rule: 'checksum' })
  await store.uploads.putPart(id, 2, 'four')
  const both = [...one, { number: 2 }]
  await expect(store.uploads.complete(id, both)).rejects.toMatchObject({ field: 'size', rule: 'limit', provider: 'b' })
  await (await store.uploads.complete(id, one)).replicated()
  expect(await store.head('k')).toMatchObject({ size: 4 })
})

test('nothing is made of an upload, or a part, whose row in the journal was damaged (I7)', async () => {
  await using directory = await testDirectory()
  const store = await directory.open([...pair()], { replication: { run: 'external' } })
  const { id } = await store.uploads.create('k', { checksum: { algorithm: 'SHA256' } })
  await store.uploads.putPart(id, 1, 'four')
  const database = new Database(join(directory.path, 'journal.sqlite'))
  const damaged = { code: 'CORRUPT', field: 'journal', rule: 'damaged', outcome: 'rejected' }
  const flipped = async (table: string, column: string, value: string) => {
    const before: unknown = database.prepare(`SELECT ${column} FROM ${table}`).pluck().get()
    database.prepare(`UPDATE ${table} SET ${column} = ?`).run(value)
    await expect(store.uploads.complete(id, one), table).rejects.toMatchObject(damaged)
    database.prepare(`UPDATE ${table} SET ${column} = ?`).run(before)
  }
  await flipped('uploads', 'key', 'j')
  await flipped('parts', 'md5', '0'.repeat(32))
  database.close()
  await store.uploads.abort(id)
})

test('a copy that is to have another CRC-32C than the object says is refused', async () => {
  await using directory = await testDirectory()
  const store = await directory.open([...pair()])
  await (await store.put('from', 'body')).replicated({ until: 'verified' })
  const expected = { expect: { crc32c: '00000000' } }
  await expect(store.copy('from', 'to', expected)).rejects.toMatchObject({ code: 'CHECKSUM', field: 'crc32c' })
})

test('no URL is signed for reading a key that is deleted', async () => {
  await using directory = await testDirectory()
  const [a, b] = pair()
  const signing: Provider = {
    ...a,
    capabilities: { ...a.capabilities, sign: true },
    sign: () => Promise.reject(new Error('is not asked')),
  }
  const store = await directory.open([signing, b], { replication: { run: 'external' } })
  await store.delete('k')
  const reading = { method: 'GET', expiresInSeconds: 60 } as const
  await expect(store.signedUrl('k', reading)).rejects.toMatchObject({ code: 'UNAVAILABLE', outcome: 'rejected' })
})

test('adopting says who could not be asked, and that an object went away between look and reading', async () => {
  await using directory = await testDirectory()
  const faults: Faults = {}
  const [a, b] = pair()
  const gone: Provider = {
    ...a,
    get: async (request, signal) => (request.key === 'k' ? undefined : a.get(request, signal)),
  }
  const store = await directory.open([gone, faulty(b, faults)])
  await (await store.put('other', 'both are known')).replicated()
  const bytes = Buffer.from('foreign')
  const source = bytesSource(bytes, digestsOf(bytes))
  const request = { key: 'k', source, headers: { contentType: 'text/plain' }, metadata: {}, condition: undefined }
  await a.put({ ...request, upload: noMemo }, AbortSignal.timeout(10_000))
  const unavailable = { code: 'UNAVAILABLE', outcome: 'rejected' }
  await expect(store.adopt('k')).rejects.toMatchObject({ ...unavailable, key: 'k' })
  faults.rules = [{ fault: outage }]
  await expect(store.adopt('nowhere')).rejects.toMatchObject({ ...unavailable, key: 'nowhere' })
})

test('parts without the checksum that their upload was begun with make no checksum of the whole', async () => {
  const bytes = Buffer.from('part')
  const stage = { source: () => bytesSource(bytes, digestsOf(bytes)) } as unknown as Stage
  const part = { number: 1, file: 'f', size: 4, ...digestsOf(bytes), uploadedAt: 0, damaged: false }
  const kind = { algorithm: 'SHA256', type: 'COMPOSITE' } as const
  const { signal } = new AbortController()
  await expect(readWhole(stage, [{ ...part, checksum: undefined }], kind, signal)).rejects.toMatchObject({
    code: 'CORRUPT',
    field: 'journal',
    rule: 'damaged',
    outcome: 'rejected',
  })
})
