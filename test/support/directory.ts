import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import type { PartRecord } from '../../src/journal/parts.ts'
import { listSum, sumOf, sumOfPart, type WriteRecord } from '../../src/journal/rows.ts'

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
    const parts = database.prepare<[], PartRecord>('SELECT * FROM parts ORDER BY number').all()
    checkCounters(database, writes, parts)
    checkMasks(database, writes)
    checkGivenUp(database, writes)
    for (const write of writes) await checkBody(path, write, partsOf(write, parts))
    for (const part of parts) await checkPart(database, path, part)
    const named = new Set([
      ...writes.flatMap(({ file }) => file ?? []),
      ...parts.map(({ file }) => file),
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

function checkCounters(
  database: Database.Database,
  writes: readonly WriteRecord[],
  parts: readonly PartRecord[],
): void {
  const recount = new Map<string, Counted>()
  const open = parts
    .filter(({ upload }) => upload !== null)
    .map(({ size }) => ({ origin: 'app', state: 'upload', waiting: 0, blocked: 0, stored: 0, size }))
  for (const { origin, state, waiting, blocked, stored, size } of [...writes, ...open]) {
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
  const going = writes.filter(({ origin, state }) => origin === 'app' && state === 'open').length
  expect(meta('accepted'), 'accepted = done + superseded + open').toBe(meta('done') + meta('superseded') + going)
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

/** What was given up everywhere is no open write, and nothing is on its way to a provider that was retired. */
function checkGivenUp(database: Database.Database, writes: readonly WriteRecord[]): void {
  const states = database.prepare<[number], string>('SELECT state FROM replicas WHERE seq = ?').pluck()
  for (const write of writes) {
    if (write.state !== 'open') continue
    const found = states.all(write.seq)
    expect(
      found.length > 0 && found.every(state => state === 'abandoned'),
      `${write.key} is open, and given up everywhere`,
    ).toBe(false)
  }
  const owed = database.prepare(
    `SELECT count(*) FROM replicas JOIN providers ON id = provider WHERE retired = 1 AND state IN ('waiting', 'sending', 'stored', 'blocked')`,
  )
  expect(owed.pluck().get(), 'replicas on their way to retired providers').toBe(0)
}

function partsOf({ seq, parts: list }: WriteRecord, parts: readonly PartRecord[]): readonly PartRecord[] | undefined {
  const own = parts.filter(part => part.seq === seq)
  expect(own.length === 0 ? null : listSum(own), 'the parts that the row of the write tells of').toBe(list)
  return list === null ? undefined : own
}

async function checkBody(path: string, write: WriteRecord, parts: readonly PartRecord[] | undefined): Promise<void> {
  expect(write.sum, `row of ${write.key}`).toBe(sumOf(write))
  if (write.kind === 'delete' || write.state === 'refused') return
  const read = (file: string) => readFile(join(path, 'bodies', file))
  const bytes =
    parts === undefined
      ? write.file === null
        ? write.body
        : await read(write.file)
      : Buffer.concat(await Promise.all(parts.map(({ file }) => read(file))))
  expect(bytes, `body of ${write.key}`).not.toBeNull()
  const { crc32c, md5 } = digestsOf(bytes as Uint8Array)
  expect({ size: bytes?.byteLength, crc32c, md5 }).toEqual({ size: write.size, crc32c: write.crc32c, md5: write.md5 })
}

/** A part belongs to one upload or one write that is there, and its file is what its row says. */
async function checkPart(database: Database.Database, path: string, part: PartRecord): Promise<void> {
  expect((part.upload === null) !== (part.seq === null), 'whose a part is').toBe(true)
  expect(part.sum, `row of part ${part.number}`).toBe(sumOfPart(part))
  const owner =
    part.upload === null
      ? database.prepare('SELECT 1 FROM writes WHERE seq = ?').get(part.seq)
      : database.prepare('SELECT 1 FROM uploads WHERE id = ?').get(part.upload)
  expect(owner, `whose part ${part.number} is`).toBeDefined()
  const bytes = await readFile(join(path, 'bodies', part.file))
  const { crc32c, md5 } = digestsOf(bytes)
  expect({ size: bytes.byteLength, crc32c, md5 }).toEqual({ size: part.size, crc32c: part.crc32c, md5: part.md5 })
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
