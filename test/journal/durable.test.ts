import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { openForWriting } from '../../src/journal/schema.ts'
import { deletion, evidence, scene, write } from './scene.ts'

test('whoever writes the journal syncs every commit, and maps none of it into memory (I1, I2)', async () => {
  await using at = await scene()
  const { directory } = await at.journal()
  const database = openForWriting(join(at.path, 'journal.sqlite'), directory)
  const settings = ['journal_mode', 'synchronous', 'mmap_size'].map(name => database.pragma(name, { simple: true }))
  database.close()
  // 2 is FULL: in NORMAL, a commit waits in the log for the next checkpoint to sync it.
  expect(settings).toEqual(['wal', 2, 0])
})

test('after a failed write the journal is another file before anything is promised again (I4)', async () => {
  await using at = await scene()
  const journal = join(at.path, 'journal.sqlite')
  const before = await at.journal()
  const { seq, version } = await before.accept(write('k'))
  writeFileSync(join(at.path, 'poisoned'), 'a failed fsync', { mode: 0o600 })
  await before.close()
  const { ino } = statSync(journal)
  const { journal: after, verification } = await at.open()
  expect(statSync(journal).ino).not.toBe(ino)
  expect(after.write(seq)).toMatchObject({ key: 'k', version })
  await verification?.done()
})

test('attempts are counted, and waited between, over a change of the process that replicates (I29)', async () => {
  await using at = await scene()
  const [one, two] = [await at.journal(), await at.journal()]
  const { seq } = await one.accept(write('k'))
  const first = await one.lease()
  const later = Date.now() + 60_000
  await first?.postpone(seq, 1, { notBefore: later, attempt: 7, reason: 'SERVER', message: 'busy' })
  await first?.end()
  const second = await two.lease()
  expect(two.write(seq)?.replicas[0]).toMatchObject({ state: 'waiting', attempt: 7, notBefore: later })
  const query = { provider: 1, limit: 10, order: 'oldest', except: new Set<string>() } as const
  expect(second?.due({ ...query, now: later - 1 })).toEqual([])
  expect(second?.due({ ...query, now: later })).toHaveLength(1)
})

test('what is not verified everywhere is not released, whoever asks for it (I18)', async () => {
  await using at = await scene()
  const journal = await at.journal()
  const { seq } = await journal.accept(write('k'))
  const lease = await journal.lease()
  const release = () => lease?.release([{ seq, cache: false }])
  await release()
  for (const provider of [1, 2]) await lease?.stored(seq, provider, evidence())
  await lease?.verified(seq, 1)
  await release()
  expect(journal.write(seq)).toMatchObject({ state: 'open', body: { in: 'row' } })
  await lease?.verified(seq, 2)
  await release()
  expect(journal.write(seq)).toBeUndefined()
})

test('a repair of what was deleted here is not taken, also after the delete is finished (I13)', async () => {
  await using at = await scene()
  const journal = await at.journal()
  const { version } = await journal.accept(write('k'))
  const { seq } = await journal.accept(deletion('k'))
  const lease = await journal.lease()
  for (const provider of [1, 2]) {
    await lease?.stored(seq, provider, evidence())
    await lease?.verified(seq, provider)
  }
  await lease?.release([{ seq, cache: false }])
  expect(journal.view('k').open).toBeUndefined()
  const repair = write('k', { origin: 'repair', version, providers: [1] })
  await expect(journal.accept(repair)).rejects.toMatchObject({ code: 'PRECONDITION', outcome: 'rejected' })
})
