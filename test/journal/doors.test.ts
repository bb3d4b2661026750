import { existsSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import Database from 'better-sqlite3'
import { expect, onTestFinished, test } from 'vitest'
import { fileLock } from '../../src/journal/locks.ts'
import { eventually } from '../support/store.ts'
import { scene, write } from './scene.ts'

test('whoever opens while another process has the directory alone, and for long, is told to try again (D9)', async () => {
  await using at = await scene()
  await (await at.journal()).close()
  const alone = fileLock(join(at.path, 'members.lock'))
  expect(alone.seize()).toBe(true)
  await expect(at.open()).rejects.toMatchObject({ code: 'UNAVAILABLE', field: 'directory', rule: 'verifying' })
  alone.release()
  await (await at.journal()).accept(write('k'))
})

test('nobody gets the lease of a directory in which a write failed (I4)', async () => {
  await using at = await scene()
  const journal = await at.journal()
  const mark = join(at.path, 'poisoned')
  writeFileSync(mark, 'a failed fsync', { mode: 0o600 })
  await expect(journal.lease()).rejects.toMatchObject({ code: 'CORRUPT', field: 'directory', rule: 'poisoned' })
  rmSync(mark)
  expect(await journal.lease()).toBeDefined()
})

test('after a commit that failed for a reason that nobody foresaw nothing is promised any more, by no process, until all was verified (I3, I4)', async () => {
  await using at = await scene()
  const [one, two] = [await at.journal(), await at.journal()]
  const { seq } = await one.accept(write('before'))
  const other = new Database(join(at.path, 'journal.sqlite'))
  other.exec('ALTER TABLE writes RENAME TO elsewhere')
  const poisoned = { code: 'CORRUPT', field: 'directory', rule: 'poisoned', retryable: false }
  const cause = { message: expect.stringContaining('no such table') }
  const failed = one.accept(write('k'))
  await expect(failed).rejects.toMatchObject({ ...poisoned, outcome: 'unknown', cause })
  other.exec('ALTER TABLE elsewhere RENAME TO writes')
  other.close()
  for (const journal of [one, two]) {
    await expect(journal.accept(write('k'))).rejects.toMatchObject({ ...poisoned, outcome: 'rejected' })
    await journal.close()
  }
  const { journal, verification } = await at.open()
  await verification?.done()
  expect(journal.write(seq)).toMatchObject({ key: 'before' })
  expect(journal.view('k').open).toBeUndefined()
  await journal.accept(write('k'))
})

/** Brings the log into the journal, and waits for whoever reads it, as a tool of a person does. */
const checkpoint = `
const { parentPort, workerData } = require('node:worker_threads')
const Database = require(workerData.driver)
const database = new Database(workerData.journal, { timeout: 30_000 })
parentPort.postMessage(database.pragma('wal_checkpoint(TRUNCATE)'))
database.close()
`

test('a journal that cannot be written anew after a failed write, since a tool is at its log, is not opened and stays as it is: the next that opens it can (I4, I8)', async () => {
  await using at = await scene()
  const path = join(at.path, 'journal.sqlite')
  const before = await at.journal()
  const { seq } = await before.accept(write('k'))
  const reader = new Database(path, { readonly: true })
  onTestFinished(() => void reader.close())
  // Whoever is the last to close it would bring the log into it.
  reader.exec('BEGIN')
  reader.prepare('SELECT count(*) FROM writes').get()
  await before.close()
  const workerData = { journal: path, driver: createRequire(import.meta.url).resolve('better-sqlite3') }
  const tool = new Worker(checkpoint, { eval: true, workerData })
  const done = new Promise(resolve => tool.once('message', resolve))
  const looking = new Database(path, { timeout: 0 })
  await eventually(() => {
    try {
      looking.exec('BEGIN IMMEDIATE; ROLLBACK')
      return false
    } catch {
      return true
    }
  })
  looking.close()
  const mark = join(at.path, 'poisoned')
  writeFileSync(mark, 'a failed fsync', { mode: 0o600 })
  await expect(at.open()).rejects.toMatchObject({ code: 'CORRUPT', field: 'directory', rule: 'poisoned' })
  expect(existsSync(mark)).toBe(true)
  reader.close()
  await done
  const { journal, verification } = await at.open()
  await verification?.done()
  expect(journal.write(seq)).toMatchObject({ key: 'k' })
})
