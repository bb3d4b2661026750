import Database from 'better-sqlite3'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults, ProviderFault } from '../../src/testing/faulty/rules.ts'
import { eventually, testDirectory } from '../support/store.ts'

const otherBytes: ProviderFault = { kind: 'fail', code: 'CHECKSUM', reason: 'DIGEST' }
const outside = { replication: { run: 'external' } } as const

test('of a write whose row in the journal was damaged nothing is sent, and it is blocked (I7)', async () => {
  await using directory = await testDirectory()
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const accepting = await directory.open([a, b], outside)
  await accepting.put('k', 'body')
  const database = new Database(join(directory.path, 'journal.sqlite'))
  await accepting.close()
  const before: unknown = database.prepare('SELECT md5 FROM writes').pluck().get()
  database.prepare('UPDATE writes SET md5 = ?').run('0'.repeat(32))
  const replicating = await directory.open([a, b])
  const reasons = async () => (await replicating.status()).blocked.reasons
  await eventually(async () => (await reasons()).length === 2)
  expect((await reasons()).map(({ reason }) => reason)).toEqual(['LOCAL_CORRUPT', 'LOCAL_CORRUPT'])
  expect(await a.head('k', AbortSignal.timeout(5_000))).toBeUndefined()
  database.prepare('UPDATE writes SET md5 = ?').run(before)
  database.close()
})

test('a service that found other bytes is believed where the local ones are damaged: the write is blocked as that (I7)', async () => {
  await using directory = await testDirectory()
  const faults: Faults = {}
  const pair = [faulty(memory({ name: 'a' }), faults), memory({ name: 'b' })] as const
  const accepting = await directory.open([...pair], outside)
  const body = Buffer.alloc(100_000, 'body')
  await accepting.put('k', body)
  const bodies = join(directory.path, 'bodies')
  const file = join(bodies, readdirSync(bodies)[0] ?? '')
  faults.rules = [{ on: 'put', key: 'k', fault: otherBytes }]
  const bytes = readFileSync(file)
  bytes[50_000] = 0
  writeFileSync(file, bytes)
  await accepting.close()
  const store = await directory.open([...pair])
  await eventually(async () =>
    (await store.status()).blocked.reasons.some(
      ({ provider, reason }) => provider === 'a' && reason === 'LOCAL_CORRUPT',
    ),
  )
  writeFileSync(file, body)
})
