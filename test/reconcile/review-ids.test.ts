import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { outage } from '../../src/testing/faulty/rules.ts'
import { putAt } from '../replicate/mending.ts'
import { testDirectory } from '../support/store.ts'
import { attended, version } from './scene.ts'

test('the id of a provider that was retired takes nothing along: no visit, no position (I13)', async () => {
  await using directory = await testDirectory()
  const [a, b, c] = [memory({ name: 'a' }), memory({ name: 'b' }), memory({ name: 'c' })]
  const d = memory({ name: 'd' })
  const old = { version: version(Date.now() - 60_000) }
  for (const key of ['k/1', 'k/2', 'k/3']) for (const at of [a, b]) await putAt(at, key, 'same', old)
  {
    const store = await directory.open([a, b])
    await attended(store)
    for (const key of ['k/2', 'k/3']) await putAt(a, key, 'differs', { version: version(Date.now()) })
    for await (const { key } of store.reconcile()) if (key === 'k/3') break
    await store.close()
  }
  {
    const store = await directory.open([a, c])
    await attended(store)
    await store.retire('b', { why: 'left' })
    await store.close()
  }
  {
    const store = await directory.open([a, faulty(d, { rules: [{ fault: outage }] })])
    await store.close()
  }
  const database = new Database(join(directory.path, 'journal.sqlite'), { readonly: true })
  const id = database.prepare('SELECT id FROM providers WHERE location = ?').pluck().get(d.location)
  const jobs = database.prepare('SELECT name FROM jobs').pluck().all()
  database.close()
  expect(id).toBe(2)
  expect(jobs).not.toContain('attended:2')
  await putAt(d, 'a/only', 'here')
  const store = await directory.open([a, d])
  await attended(store)
  const seen: string[] = []
  for await (const { key } of store.reconcile({ resume: true })) seen.push(key)
  expect(seen).toEqual(['a/only', 'k/1', 'k/2', 'k/3'])
})
