import { randomBytes } from 'node:crypto'
import { existsSync, rmSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { digestsOf } from '../../src/core/digest.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import { bodyFiles } from '../../src/journal/bodies.ts'
import type { Evidence, Journal, NewWrite } from '../../src/journal/contract.ts'
import type { OpenedJournal, OpenJournal } from '../../src/journal/port.ts'
import { memoryTables, type MemoryTables, openMemoryJournal } from '../../src/journal/memory.ts'
import { openJournal } from '../../src/journal/sqlite.ts'
import { openDirectory } from '../../src/stage/directory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { checkDirectory } from '../support/directory.ts'
import { checkTables } from './tables.ts'

/** What keeps the rows. Both are held to the same contract by the same tests. */
export type Engine = 'sqlite' | 'memory'

export const engines: readonly Engine[] = ['sqlite', 'memory']

export interface Scene extends AsyncDisposable {
  readonly path: string
  /** A journal as another process would open it; buckets of these names are registered, two of them, ids 1 and 2, where none are given. */
  open(names?: readonly string[]): Promise<OpenedJournal>
  /** The same, for tests that expect nothing to verify. */
  journal(names?: readonly string[]): Promise<Journal>
  /** As if so many replicas had been given up before. */
  pretendAbandoned(count: number): void
}

export async function scene(engine: Engine = 'sqlite'): Promise<Scene> {
  const root = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-journal-'))
  const path = join(root, 'store')
  const directory = await openDirectory({
    path,
    kind: 'durable',
    disk: nodeDisk,
    random: systemRandom,
    clock: systemClock,
  })
  const tables = memoryTables(directory.identity)
  const openOne = engine === 'sqlite' ? openJournal : inMemory(path, tables)
  const opened: Journal[] = []
  const open = async (names: readonly string[] = ['a', 'b']) => {
    const found = await openOne({
      path,
      directory: directory.identity,
      writer: systemRandom.hex(8),
      clock: systemClock,
    })
    opened.push(found.journal)
    if (found.verification === undefined) await found.journal.register(names.map(at))
    return found
  }
  return {
    path,
    open,
    journal: async names => (await open(names)).journal,
    pretendAbandoned(count) {
      if (engine === 'sqlite') pretendAbandoned(path, count)
      else {
        const madeUp = {
          key: 'made up',
          version: '',
          kind: 'put',
          provider: 'b',
          reason: 'REFUSED',
          why: '',
          at: 0,
        } as const
        tables.abandoned = [...tables.abandoned, ...Array.from({ length: count }, () => madeUp)]
        tables.abandonedEver += count
      }
    },
    async [Symbol.asyncDispose]() {
      for (const journal of opened) await journal.close()
      if (engine === 'sqlite') await checkDirectory(path)
      else await checkTables(tables, path)
      await rm(root, { recursive: true, force: true })
    },
  }
}

/** A journal in memory of which the bodies, and the mark of a failed write, are on disk. */
function inMemory(path: string, tables: MemoryTables): OpenJournal {
  const mark = join(path, 'poisoned')
  const poison = { isSet: () => existsSync(mark), clear: () => rmSync(mark, { force: true }) }
  const bodies = bodyFiles(join(path, 'bodies'))
  return options => openMemoryJournal({ ...options, tables, bodies, poison })
}

function pretendAbandoned(path: string, count: number): void {
  const database = new Database(join(path, 'journal.sqlite'))
  database.exec(`
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ${count})
    INSERT INTO abandoned (key, version, kind, provider, reason, why, at) SELECT 'made up', '', 'put', 'b', 'REFUSED', '', 0 FROM n`)
  database.close()
}

export function at(name: string): { location: string; name: string } {
  return { location: `test://${name}`, name }
}

export function write(key: string, more: Partial<NewWrite> = {}): NewWrite {
  const bytes = randomBytes(10)
  return {
    key,
    kind: 'put',
    origin: 'app',
    version: undefined,
    stampMs: Date.now(),
    condition: undefined,
    size: bytes.byteLength,
    ...digestsOf(bytes),
    attributes: { contentType: 'text/plain', metadata: { a: 'b' } },
    body: { in: 'row', bytes },
    providers: [1, 2],
    maxStageBytes: 1_000_000,
    ...more,
  }
}

export function deletion(key: string, more: Partial<NewWrite> = {}): NewWrite {
  return write(key, { kind: 'delete', size: 0, crc32c: '', md5: '', body: { in: 'none' }, ...more })
}

export function evidence(more: Partial<Evidence> = {}): Evidence {
  return {
    token: 'token',
    proof: 'server-full',
    etag: undefined,
    partSize: undefined,
    storedAt: Date.now(),
    lookAt: Date.now(),
    ...more,
  }
}
