import { randomBytes } from 'node:crypto'
import { chmodSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect, test } from 'vitest'
import { fileLock } from '../../src/journal/locks.ts'
import { journalFormat } from '../../src/journal/schema.ts'
import { makeFormat1 } from './format-1.ts'
import { makeFormat2 } from './format-2.ts'
import { scene, write } from './scene.ts'

function inJournal<T>(path: string, look: (database: Database.Database) => T): T {
  const database = new Database(path)
  try {
    return look(database)
  } finally {
    database.close()
  }
}

const formatIn = (path: string) => inJournal(path, database => database.pragma('user_version', { simple: true }))
const schemaOf = (path: string) =>
  inJournal(path, database => database.prepare('SELECT type, name, sql FROM sqlite_master ORDER BY type, name').all())

const old = (key: string, n: number) => ({ key, version: String(n).padStart(32, '0'), bytes: randomBytes(20) })

test.each([
  ['1', makeFormat1],
  ['2', makeFormat2],
])(
  'a journal of format %s becomes the same as a new one, with all that was in it, by one of many that open at once (J5)',
  async (_format, make) => {
    await using at = await scene()
    const fresh = await at.journal()
    const { directory } = fresh
    await fresh.close()
    const path = join(at.path, 'journal.sqlite')
    const schema = schemaOf(path)
    for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
    make(path, directory, [old('one', 1), old('two', 2)])
    chmodSync(path, 0o600)

    const journals = await Promise.all(Array.from({ length: 4 }, () => at.journal()))
    expect(schemaOf(path)).toEqual(schema)
    expect(formatIn(path)).toBe(journalFormat)
    for (const journal of journals) {
      expect(journal.counts()).toMatchObject({ accepted: 2, abandoned: 0 })
      expect(journal.view('two').open).toMatchObject({
        damaged: false,
        replicas: [{ provider: 1, isConfirmed: false }],
      })
      expect(journal.providers()).toMatchObject([
        { id: 1, name: 'a', isFilled: true, isStale: false },
        // Added to a directory with history.
        { id: 2, name: 'b', isFilled: false, isStale: false },
      ])
    }
    await journals[0]?.accept(write('three'))
    expect(journals[1]?.counts().accepted).toBe(3)
  },
  20_000,
)

test('what was blocked as TOO_OLD before is confirmed by retry after the journal was taken over', async () => {
  await using at = await scene()
  const fresh = await at.journal()
  const { directory } = fresh
  await fresh.close()
  const path = join(at.path, 'journal.sqlite')
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
  makeFormat2(path, directory, [old('k', 1)])
  chmodSync(path, 0o600)
  const journal = await at.journal()
  expect(await journal.retry({})).toBe(1)
  expect(journal.write(1)?.replicas).toMatchObject([{ state: 'waiting', isConfirmed: true, reason: undefined }])
})

test('taking over waits for whoever has an older format open, and leaves the journal as it is where that lasts', async () => {
  await using at = await scene()
  const fresh = await at.journal()
  const { directory } = fresh
  await fresh.close()
  const path = join(at.path, 'journal.sqlite')
  for (const suffix of ['', '-wal', '-shm']) rmSync(path + suffix, { force: true })
  makeFormat2(path, directory, [old('k', 1)])
  chmodSync(path, 0o600)
  const older = fileLock(join(at.path, 'members.lock'))
  expect(older.share()).toBe(true)
  const opening = at.journal()
  await new Promise(resolve => setTimeout(resolve, 300))
  expect(formatIn(path)).toBe(2)
  older.release()
  expect((await opening).counts().accepted).toBe(1)
  expect(formatIn(path)).toBe(journalFormat)
})
