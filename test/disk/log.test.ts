import { mkdirSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { openHoldfast } from '../../src/holdfast/open.ts'
import { bodyFor } from '../kill/body.ts'
import { twoClouds } from './acked.ts'
import { copyJournal } from './journal-files.ts'
import { scratch } from './place.ts'
import { storeProcess } from './process.ts'

// Processes and mounts: seconds where the machine has nothing else to do, many more where it has.
vi.setConfig({ testTimeout: 60_000 })

// A journal that was not closed, and its log.

const [small, large] = [10, 50_000]

/** A directory whose process was killed with all that it acknowledged in the log of the journal. */
async function killed(count: number): Promise<{ readonly directory: string; readonly keys: readonly string[] }> {
  const directory = join(await scratch(), 'store')
  const app = await life(directory)
  const keys = Array.from({ length: count }, (_, n) => `k/${n}`)
  for (const [n, key] of keys.entries())
    await app.order({ do: 'put', key, seed: key, size: n % 4 === 3 ? large : small })
  app.process.kill('SIGKILL')
  await app.ended
  return { directory, keys }
}

async function openAlone(directory: string) {
  const [primary, secondary] = twoClouds().providers
  const store = await openHoldfast({ directory, primary, secondary, holdMs: 0, replication: { run: 'external' } })
  onTestFinished(() => store.close())
  return store
}

/** Which of these keys are served; other bytes than their own are nobody's. */
async function served(directory: string, keys: readonly string[]): Promise<string[]> {
  const store = await openAlone(directory)
  const found: string[] = []
  for (const key of keys) {
    const bytes = await (await store.get(key))?.bytes()
    if (bytes === undefined) continue
    expect(Buffer.from(bytes).equals(bodyFor(key, bytes.byteLength))).toBe(true)
    found.push(key)
  }
  await store.close()
  return found
}

describe('the log of a journal', () => {
  test('that is gone after a kill is missed: the journal is not opened without what was promised in it (J2, I8, I14, I20)', async () => {
    const { directory, keys } = await killed(8)
    const kept = join(directory, '..', 'kept')
    mkdirSync(kept)
    copyJournal(directory, kept)
    for (const gone of [['-wal', '-shm'], ['-wal']]) {
      for (const suffix of gone) rmSync(join(directory, `journal.sqlite${suffix}`))
      await expect(openAlone(directory)).rejects.toMatchObject({ code: 'CORRUPT', field: 'journal', rule: 'missing' })
      // Asked again, it is the same: nothing was made in its place.
      await expect(openAlone(directory)).rejects.toMatchObject({ code: 'CORRUPT', field: 'journal', rule: 'missing' })
      copyJournal(kept, directory)
    }
    // Its index is nothing that cannot be made again.
    rmSync(join(directory, 'journal.sqlite-shm'))
    expect(await served(directory, keys)).toEqual(keys)
    // Closed, it has no log, and needs none.
    expect(await served(directory, keys)).toEqual(keys)
  })

  test('may end in the middle of what was not promised; damage before that is found (I8, I7)', async () => {
    const { directory, keys } = await killed(8)
    const log = join(directory, 'journal.sqlite-wal')
    const kept = join(directory, '..', 'kept')
    mkdirSync(kept)
    copyJournal(directory, kept)
    const size = statSync(log).size
    const frame = 4096 + 24
    truncateSync(log, size - 100)
    expect(await served(directory, keys)).toEqual(keys.slice(0, -1))
    for (const at of [32 + 30, 32 + frame * 3 + 1000, 32 + Math.floor((size - 32) / 2 / frame) * frame + 10]) {
      copyJournal(kept, directory)
      const bytes = readFileSync(log)
      bytes.writeUInt8(bytes.readUInt8(at) ^ 4, at)
      writeFileSync(log, bytes)
      await expect(openAlone(directory), `byte ${at} of ${size}`).rejects.toMatchObject({
        code: 'CORRUPT',
        field: 'journal',
        rule: 'damaged',
      })
    }
    copyJournal(kept, directory)
    expect(await served(directory, keys)).toEqual(keys)
  })

  test('is begun anew when it is opened after a power cut: what two cuts tore is not taken for damage in the middle (I8, I1)', async () => {
    const directory = join(await scratch(), 'store')
    const journal = join(directory, 'journal.sqlite')
    const first = await life(directory)
    await first.order({ do: 'put', key: 'before', seed: 'before', size: small })
    // What waits for the first of them shares a commit: a long transaction is the last one.
    await first.order({ do: 'puts', prefix: 'torn', count: 30, size: 16_000 })
    first.process.kill('SIGKILL')
    await first.ended
    const longest = tearLast(journal)
    expect(longest).toBeGreaterThan(50)
    // Whoever else has it open keeps SQLite from ending the log when the first that opened it closes it.
    const other = new Database(journal, { readonly: true })
    onTestFinished(() => void other.close())
    other.prepare('SELECT count(*) FROM writes').get()
    const second = await life(directory)
    for (const key of ['between', 'last']) await second.order({ do: 'put', key, seed: key, size: small })
    second.process.kill('SIGKILL')
    await second.ended
    expect(tearLast(journal)).toBeLessThan(longest)
    const kept = join(directory, '..', 'kept')
    mkdirSync(kept)
    copyJournal(directory, kept)
    other.close()
    copyJournal(kept, directory)
    expect(await served(directory, ['before', 'between'])).toEqual(['before', 'between'])
  })
})

async function life(directory: string) {
  const app = await storeProcess(directory, { store: { replication: { run: 'external' } } })
  await app.order({ do: 'open' })
  return app
}

/** As the power leaves a transaction that was being written: its first sector is not there, the others are. Answers how many frames it has. */
function tearLast(journal: string): number {
  const log = readFileSync(`${journal}-wal`)
  const frame = 4096 + 24
  const isCommit = (n: number) => log.readUInt32BE(32 + (n - 1) * frame + 4) !== 0
  // In the header of the index: the last frame that counts.
  const last = readFileSync(`${journal}-shm`).readUInt32LE(16)
  expect(isCommit(last)).toBe(true)
  let begin = last
  while (begin > 1 && !isCommit(begin - 1)) begin--
  log.fill(0, 32 + (begin - 1) * frame + 24, 32 + (begin - 1) * frame + 512)
  writeFileSync(`${journal}-wal`, log)
  return last - begin + 1
}
