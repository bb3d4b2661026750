import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { type Faults, outage } from '../../src/testing/faulty/rules.ts'
import { putAt } from '../replicate/mending.ts'
import { bodyAt, eventually, testDirectory } from '../support/store.ts'
import { attended, version } from './scene.ts'

test('a provider is not trusted again while a delete for it is blocked: nobody else would know of it (I13)', async () => {
  await using directory = await testDirectory()
  const faults: Faults = {}
  const innerB = memory({ name: 'b' })
  const [a, b] = [memory({ name: 'a' }), faulty(innerB, faults)]
  const before = await directory.open([a, b], { tombstoneDays: 1 })
  await before.put('k', 'v')
  await before.drain({ until: 'verified' })
  faults.rules = [{ fault: outage }]
  await before.delete('k', { ack: 'one' })
  await before.close()
  const database = new Database(join(directory.path, 'journal.sqlite'))
  database.prepare('UPDATE writes SET accepted_at = accepted_at - 86400000').run()
  database.prepare("UPDATE providers SET stale = 1 WHERE name = 'b'").run()
  database.close()
  faults.rules = []
  const store = await directory.open([a, b], { tombstoneDays: 1 })
  await eventually(async () => (await store.status()).blocked.writes === 1)
  await store.reconcile({ repair: true, confirm: true })
  expect(await bodyAt(innerB, 'k')).toBeDefined()
  expect((await store.status()).providers[1]).toMatchObject({ name: 'b', stale: true })
})

test('a fill of a provider that lets nobody in rejects, also where the room for repairs is full before its end', async () => {
  await using directory = await testDirectory()
  const faults: Faults = {}
  const innerB = memory({ name: 'b' })
  const [a, b] = [memory({ name: 'a' }), faulty(innerB, faults)]
  for (let n = 0; n < 10; n++) await putAt(a, `k/${n}`, Buffer.alloc(10_000), { version: version(Date.now() - 60_000) })
  const store = await directory.open([a, b], { maxStageBytes: 100_000 })
  await attended(store)
  faults.rules = [{ on: 'put', fault: { kind: 'fail', code: 'DENIED', reason: 'ACCOUNT', message: 'account closed' } }]
  const ended = store.backfill({ to: 'b', signal: AbortSignal.timeout(8_000) })
  await expect(Promise.resolve(ended)).rejects.toMatchObject({ code: 'BLOCKED', provider: 'b' })
}, 20_000)
