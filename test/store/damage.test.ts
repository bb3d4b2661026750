import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import type { Clock } from '../../src/core/ports.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import { openWith } from '../../src/holdfast/open.ts'
import { memory } from '../../src/providers/memory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { eventually, testDirectory } from '../support/store.ts'

test('a body that was damaged on local disk is not copied, uploaded or served as if it were right (D10, I7, I2)', async () => {
  await using directory = await testDirectory()
  const providers = [memory({ name: 'a' }), memory({ name: 'b' })] as const
  const external = await directory.open(providers, { replication: { run: 'external' } })
  await external.put('k', Buffer.alloc(50_000, 1))
  const bodies = join(directory.path, 'bodies')
  const [file = ''] = await readdir(bodies)
  const right = await readFile(join(bodies, file))
  const wrong = Buffer.from(right)
  wrong.writeUInt8(2, 25_000)
  await writeFile(join(bodies, file), wrong)
  await expect(external.copy('k', 'k2')).rejects.toMatchObject({ code: 'CORRUPT' })
  expect((await external.status()).accepted).toBe(1)
  await external.close()
  const store = await directory.open(providers)
  await eventually(async () => (await store.status()).blocked.writes === 1)
  expect((await store.status()).blocked.reasons.map(({ reason }) => reason)).toEqual(['LOCAL_CORRUPT', 'LOCAL_CORRUPT'])
  await expect(store.get('k').then(found => found?.bytes())).rejects.toMatchObject({ code: 'CORRUPT' })
  await store.close()
  // Put right again, it goes on by itself at the next open.
  await writeFile(join(bodies, file), right)
  const again = await directory.open(providers)
  await eventually(async () => (await again.status()).blocked.writes === 0)
  await again.drain({ until: 'verified' })
})

test('a damaged name of a body in the journal leads nowhere, and holds up nothing else (D10, I7)', async () => {
  await using directory = await testDirectory({ orphans: 'allowed' })
  const providers = [memory({ name: 'a' }), memory({ name: 'b' })] as const
  const external = await directory.open(providers, { replication: { run: 'external' } })
  const { id } = await external.uploads.create('k')
  await external.uploads.putPart(id, 1, 'part')
  await external.put('replaced', Buffer.alloc(50_000, 1))
  await external.put('replaced', 'by this')
  await external.put('k', 'body')
  const database = new Database(join(directory.path, 'journal.sqlite'))
  database.exec("UPDATE parts SET file = 'ü' || substr(file, 2)")
  database.exec("UPDATE writes SET file = '../' || substr(file, 4) WHERE file IS NOT NULL")
  database.close()
  await external.uploads.abort(id)
  await external.close()
  const store = await directory.open(providers)
  await store.drain()
  await store.put('k', 'again', { ack: 'all' })
  expect((await store.status()).stage.warnings).toEqual([])
})

test('a replicator that fails for a reason nobody foresaw says so in status, and is begun again (P8)', async () => {
  await using directory = await testDirectory()
  const providers = [memory({ name: 'a' }), memory({ name: 'b' })] as const
  await (await directory.open(providers)).close()
  let isBroken = true
  const clock: Clock = {
    ...systemClock,
    now: () => {
      if (isBroken && new Error('trace').stack?.includes('replicate/lane') === true) throw new Error('the clock broke')
      return systemClock.now()
    },
  }
  const store = await openWith(
    { directory: directory.path, primary: providers[0], secondary: providers[1], holdMs: 0 },
    { clock, random: systemRandom, disk: nodeDisk },
  )
  await store.put('k', 'body')
  await eventually(async () =>
    (await store.status()).stage.warnings.some(warning => warning.includes('the clock broke')),
  )
  isBroken = false
  await store.drain({ until: 'verified' })
  await store.close()
})
