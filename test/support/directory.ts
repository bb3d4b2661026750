import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { sumOf, type WriteRecord } from '../../src/journal/rows.ts'

interface Counted {
  origin: string
  state: string
  waiting: number
  blocked: number
  stored: number
  writes: number
  bytes: number
}

/**
 * Checks all of a directory that nobody has open: the database, its counters against a recount (I9), the masks against the replicas,
 * every body against the row that names it (I5, I7), that nothing is in `bodies/` that nobody names but what a crash may leave, and modes (I43).
 */
export async function checkDirectory(path: string, options: { readonly orphans?: 'allowed' } = {}): Promise<void> {
  const database = new Database(join(path, 'journal.sqlite'), { readonly: true })
  try {
    expect(database.pragma('integrity_check', { simple: true })).toBe('ok')
    const writes = database.prepare<[], WriteRecord>('SELECT * FROM writes').all()
    checkCounters(database, writes)
    checkMasks(database, writes)
    for (const write of writes) await checkBody(path, write)
    const named = new Set([
      ...writes.flatMap(({ file }) => file ?? []),
      ...database.prepare<[], string>('SELECT file FROM trash').pluck().all(),
      ...database.prepare<[], string>('SELECT file FROM cached WHERE file IS NOT NULL').pluck().all(),
    ])
    if (options.orphans !== 'allowed') {
      const orphans = (await readdir(join(path, 'bodies'))).filter(file => !named.has(file))
      expect(orphans, 'files in bodies/ that nothing refers to').toEqual([])
    }
  } finally {
    database.close()
  }
  await checkModes(path)
}

function checkCounters(database: Database.Database, writes: readonly WriteRecord[]): void {
  const recount = new Map<string, Counted>()
  for (const { origin, state, waiting, blocked, stored, size } of writes) {
    const key = [origin, state, waiting, blocked, stored].join()
    const group = recount.get(key) ?? { origin, state, waiting, blocked, stored, writes: 0, bytes: 0 }
    recount.set(key, { ...group, writes: group.writes + 1, bytes: group.bytes + size })
  }
  const tally = database.prepare<[], Counted>('SELECT * FROM tally WHERE writes != 0 OR bytes != 0').all()
  const sorted = (groups: Iterable<Counted>) =>
    [...groups]
      .map(({ origin, state, waiting, blocked, stored, writes: n, bytes }) =>
        [origin, state, waiting, blocked, stored, n, bytes].join(),
      )
      .toSorted()
  expect(sorted(tally)).toEqual(sorted(recount.values()))
  const meta = (name: string) => database.prepare('SELECT value FROM meta WHERE name = ?').pluck().get(name) as number
  const open = writes.filter(({ origin, state }) => origin === 'app' && state === 'open').length
  expect(meta('accepted'), 'accepted = done + superseded + open').toBe(meta('done') + meta('superseded') + open)
  const highest = database.prepare<[], string>("SELECT value FROM meta WHERE name = 'highest'").pluck().get() ?? ''
  for (const { version } of writes) expect(version <= highest).toBe(true)
  const openKeys = writes.filter(({ origin, state }) => origin === 'app' && state === 'open').map(({ key }) => key)
  expect(new Set(openKeys).size, 'one open write a key').toBe(openKeys.length)
}

function checkMasks(database: Database.Database, writes: readonly WriteRecord[]): void {
  const replicas = database.prepare<[number], { provider: number; state: string }>(
    'SELECT provider, state FROM replicas WHERE seq = ?',
  )
  for (const write of writes) {
    if (write.state !== 'open' && write.state !== 'tentative') continue
    const mask = (states: readonly string[]) =>
      replicas
        .all(write.seq)
        .reduce((sum, { provider, state }) => (states.includes(state) ? sum | (1 << (provider - 1)) : sum), 0)
    expect({ waiting: write.waiting, blocked: write.blocked, stored: write.stored }).toEqual({
      waiting: mask(['waiting', 'sending']),
      blocked: mask(['blocked']),
      stored: mask(['stored']),
    })
  }
}

async function checkBody(path: string, write: WriteRecord): Promise<void> {
  expect(write.sum, `row of ${write.key}`).toBe(sumOf(write))
  if (write.kind === 'delete' || write.state === 'refused') return
  const bytes = write.file === null ? write.body : await readFile(join(path, 'bodies', write.file))
  expect(bytes, `body of ${write.key}`).not.toBeNull()
  const { crc32c, md5 } = digestsOf(bytes as Uint8Array)
  expect({ size: bytes?.byteLength, crc32c, md5 }).toEqual({ size: write.size, crc32c: write.crc32c, md5: write.md5 })
}

async function checkModes(path: string): Promise<void> {
  for (const entry of ['.', 'bodies', 'drafts', 'cache'])
    expect(((await stat(join(path, entry))).mode & 0o777).toString(8), entry).toBe('700')
  for (const entry of await readdir(path, { withFileTypes: true })) {
    if (!entry.isFile()) continue
    expect(
      ((await stat(join(path, entry.name))).mode & 0o077).toString(8),
      `others may not look into ${entry.name}`,
    ).toBe('0')
  }
}
