import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { testDirectory } from '../support/store.ts'

test('after a failed write each body is read before anything is promised again, also where nobody replicates (I4, I7)', async () => {
  await using directory = await testDirectory()
  const pair = [memory({ name: 'a' }), memory({ name: 'b' })] as const
  const alone = { replication: { run: 'external' } } as const
  const before = await directory.open([...pair], alone)
  for (const key of ['damaged', 'whole']) await before.put(key, Buffer.alloc(50_000, key))
  await before.close()
  const bodies = join(directory.path, 'bodies')
  const file = join(
    bodies,
    readdirSync(bodies).find(name => readFileSync(join(bodies, name)).includes('damaged')) ?? '',
  )
  const right = readFileSync(file)
  writeFileSync(file, Buffer.alloc(50_000))
  writeFileSync(join(directory.path, 'poisoned'), 'a failed fsync', { mode: 0o600 })
  const store = await directory.open([...pair], alone)
  const blocked: unknown[] = []
  for await (const { key, reason } of store.blocked.list()) blocked.push([key, reason])
  expect(blocked).toEqual([
    ['damaged', 'LOCAL_CORRUPT'],
    ['damaged', 'LOCAL_CORRUPT'],
  ])
  writeFileSync(file, right)
})
