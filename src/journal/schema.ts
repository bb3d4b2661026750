import { existsSync, statSync } from 'node:fs'
import Database from 'better-sqlite3'
import { HoldfastError } from '../core/errors.ts'
import { planOnce } from './plan-once.ts'
import { sinceFormat } from './tables.ts'

/** The journal's format, in SQLite's `user_version`. What the tables hold is said in FORMAT.md. */
export const journalFormat = 3

/** SQLite before this has a race in WAL mode that can damage a database (sqlite.org/wal.html, "WAL reset bug"). */
const leastSqlite = [3, 51, 3] as const

/**
 * Opens the journal for writing, making it if there is none and taking over one of an older format, with durability set and read back.
 * Nobody else may have such a one open: older versions of Holdfast would collect what they know nothing of. CORRUPT where SQLite finds damage,
 * INVALID journal/version where a newer version of Holdfast wrote it.
 */
export function openForWriting(path: string, directory: string): Database.Database {
  requireSqlite()
  const database = planOnce(new Database(path, { timeout: 20_000 }))
  try {
    const format = database.pragma('user_version', { simple: true }) as number
    if (format > journalFormat) throw otherFormat(path, format)
    setAndReadBack(database, 'journal_mode', 'wal')
    setAndReadBack(database, 'synchronous', 2)
    setAndReadBack(database, 'mmap_size', 0)
    database.pragma('wal_autocheckpoint = 2000')
    database.pragma('journal_size_limit = 67108864')
    database.pragma('temp_store = memory')
    if (format < journalFormat) create(database, directory)
    const written = database.prepare("SELECT value FROM meta WHERE name = 'directory'").pluck().get()
    if (written !== directory)
      throw new HoldfastError(
        'CORRUPT',
        `the journal belongs to directory ${String(written)}, but holdfast.json says ${directory}: a file was replaced; put the right ones back together`,
        { field: 'directory', rule: 'identity' },
      )
    return database
  } catch (error) {
    database.close()
    throw asJournalError(error, path)
  }
}

/** What is there before it is opened. */
export interface Standing {
  /** 0: none yet. */
  readonly format: number
  /** Whether ids of retired providers can be freed. */
  readonly hasRetired: boolean
}

/** Opens it for a moment. CORRUPT where SQLite finds damage. */
export function standingOf(path: string): Standing {
  if (!existsSync(path) || statSync(path).size === 0) return { format: 0, hasRetired: false }
  const database = new Database(path, { timeout: 20_000 })
  try {
    const format = database.pragma('user_version', { simple: true }) as number
    const hasRetired =
      format === journalFormat && database.prepare('SELECT 1 FROM providers WHERE retired = 1').get() !== undefined
    return { format, hasRetired }
  } catch (error) {
    throw asJournalError(error, path)
  } finally {
    database.close()
  }
}

/** Names that mean something. A row with another one is in no index of what is to be done: nobody would ever miss it. */
const names: Readonly<Record<string, Readonly<Record<string, readonly string[]>>>> = {
  writes: {
    kind: ['put', 'delete'],
    origin: ['app', 'repair'],
    state: ['tentative', 'open', 'superseded', 'refused'],
  },
  replicas: { state: ['waiting', 'sending', 'stored', 'verified', 'blocked', 'superseded', 'abandoned'] },
}

/** What is wrong with the journal, in a few words; `undefined` where nothing is found. `compared`: whether its indexes say what its tables do, too. */
export function damageIn(database: Database.Database, compared: boolean): string | undefined {
  const found = database.pragma(compared ? 'integrity_check(1)' : 'quick_check(1)', { simple: true })
  if (found !== 'ok') return String(found)
  for (const [table, columns] of Object.entries(names))
    for (const [column, known] of Object.entries(columns)) {
      const list = known.map(name => `'${name}'`).join(', ')
      const odd = database.prepare(`SELECT ${column} FROM ${table} WHERE ${column} NOT IN (${list}) LIMIT 1`).pluck()
      const name = odd.get()
      if (name !== undefined) return `${column} of ${table} is ${JSON.stringify(name)}`
    }
  return undefined
}

/** A second connection that only looks. It sees every commit from the moment that the commit resolved. */
export function openForReading(path: string): Database.Database {
  const database = planOnce(new Database(path, { readonly: true, fileMustExist: true, timeout: 20_000 }))
  database.pragma('query_only = on')
  setAndReadBack(database, 'mmap_size', 0)
  return database
}

/** Makes what a journal of this format has and this one lacks, in one transaction. */
function create(database: Database.Database, directory: string): void {
  // Another process may be making it at this moment: whoever is second finds it made.
  database
    .transaction(() => {
      const format = database.pragma('user_version', { simple: true }) as number
      if (format === journalFormat) return
      for (const changes of sinceFormat.slice(format)) database.exec(changes)
      database.pragma(`user_version = ${journalFormat}`)
      if (format > 0) return
      const put = database.prepare('INSERT INTO meta VALUES (?, ?)')
      put.run('directory', directory)
      put.run('highest', '')
      for (const counter of ['lease', 'accepted', 'done', 'superseded']) put.run(counter, 0)
    })
    .immediate()
}

function setAndReadBack(database: Database.Database, name: string, value: string | number): void {
  database.pragma(`${name} = ${value}`)
  const found = (database.pragma(name, { simple: true }) ?? 0) as string | number
  if (String(found).toLowerCase() !== String(value))
    throw new HoldfastError(
      'UNSUPPORTED',
      `SQLite was told ${name} = ${value} and says ${found}: this build cannot keep the promise of durability`,
      {
        field: 'journal',
        rule: name,
      },
    )
}

function requireSqlite(): void {
  const probe = new Database(':memory:')
  const version = probe.prepare('SELECT sqlite_version()').pluck().get() as string
  probe.close()
  const parts = version.split('.').map(Number)
  for (const [i, least] of leastSqlite.entries()) {
    const part = parts[i] ?? 0
    if (part > least) return
    if (part < least)
      throw new HoldfastError(
        'UNSUPPORTED',
        `SQLite ${version} is too old, ${leastSqlite.join('.')} is needed: install better-sqlite3 13 or newer`,
        {
          field: 'journal',
          rule: 'sqlite',
        },
      )
  }
}

function otherFormat(path: string, format: number): HoldfastError {
  return new HoldfastError(
    'INVALID',
    `the journal ${path} has format ${format}, this version of holdfast reads formats 1 to ${journalFormat}: use the version that wrote it, or drain it there and give this one an empty directory`,
    { field: 'journal', rule: 'version', retryable: false },
  )
}

/** What SQLite threw, in our codes. */
export function asJournalError(error: unknown, path: string): Error {
  if (error instanceof HoldfastError) return error
  const code = (error as { code?: string }).code ?? ''
  if (/^SQLITE_(CORRUPT|NOTADB)/.test(code))
    return new HoldfastError(
      'CORRUPT',
      `the journal ${path} is damaged (${code}). Keep the directory, do not delete it: the bodies in it may be the only copies`,
      { field: 'journal', rule: 'damaged', cause: error },
    )
  if (code.startsWith('SQLITE_FULL'))
    return new HoldfastError('NO_SPACE', `no space on the disk of ${path}`, {
      field: 'disk',
      rule: 'full',
      outcome: 'rejected',
      retryable: true,
      cause: error,
    })
  if (/^SQLITE_(BUSY|LOCKED)/.test(code))
    return new HoldfastError('UNAVAILABLE', `the journal ${path} is locked by another process for too long`, {
      outcome: 'rejected',
      cause: error,
    })
  if (/^SQLITE_(CANTOPEN|READONLY|PERM)/.test(code))
    return new HoldfastError(
      'INVALID',
      `the journal ${path} cannot be written (${code}): check owner, rights and mount`,
      {
        field: 'directory',
        rule: 'writable',
        cause: error,
      },
    )
  return new HoldfastError('CORRUPT', `the journal ${path} failed: ${(error as Error).message}`, {
    field: 'journal',
    rule: 'failed',
    cause: error,
  })
}
