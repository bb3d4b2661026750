import { existsSync, statSync } from 'node:fs'
import Database from 'better-sqlite3'
import { HoldfastError } from '../core/errors.ts'

/** The journal's format, in SQLite's `user_version`. What the tables hold is said in FORMAT.md. */
export const journalFormat = 2

/** SQLite before this has a race in WAL mode that can damage a database (sqlite.org/wal.html, "WAL reset bug"). */
const leastSqlite = [3, 51, 3] as const

const tables = `
CREATE TABLE meta (name TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;
CREATE TABLE providers (
  id INTEGER PRIMARY KEY, location TEXT NOT NULL UNIQUE, name TEXT NOT NULL, identity TEXT, capabilities TEXT, health TEXT
) STRICT;
CREATE TABLE writes (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT NOT NULL, version TEXT NOT NULL, kind TEXT NOT NULL, origin TEXT NOT NULL,
  state TEXT NOT NULL, condition TEXT, refusal TEXT, size INTEGER NOT NULL, crc32c TEXT NOT NULL, md5 TEXT NOT NULL,
  attributes TEXT NOT NULL, sum TEXT NOT NULL, body BLOB, file TEXT, accepted_at INTEGER NOT NULL,
  targets INTEGER NOT NULL, waiting INTEGER NOT NULL, blocked INTEGER NOT NULL, stored INTEGER NOT NULL
) STRICT;
CREATE INDEX writes_by_key ON writes (key, version);
CREATE UNIQUE INDEX writes_by_file ON writes (file) WHERE file IS NOT NULL;
CREATE INDEX writes_tentative ON writes (seq) WHERE state = 'tentative';
CREATE INDEX writes_waiting ON writes (seq) WHERE state = 'open' AND waiting != 0;
CREATE INDEX writes_releasable ON writes (seq) WHERE state = 'open' AND waiting = 0 AND blocked = 0 AND stored = 0;
CREATE INDEX writes_over ON writes (seq) WHERE state IN ('superseded', 'refused');
CREATE TABLE replicas (
  seq INTEGER NOT NULL, provider INTEGER NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL, not_before INTEGER NOT NULL,
  reason TEXT, message TEXT, token TEXT, proof TEXT, etag TEXT, part_size INTEGER, stored_at INTEGER, upload TEXT,
  PRIMARY KEY (seq, provider)
) STRICT, WITHOUT ROWID;
CREATE INDEX replicas_due ON replicas (provider, not_before, seq) WHERE state = 'waiting';
CREATE INDEX replicas_look ON replicas (provider, not_before, seq) WHERE state = 'stored';
CREATE INDEX replicas_blocked ON replicas (provider, reason) WHERE state = 'blocked';
CREATE TABLE tally (
  origin TEXT NOT NULL, state TEXT NOT NULL, waiting INTEGER NOT NULL, blocked INTEGER NOT NULL, stored INTEGER NOT NULL,
  writes INTEGER NOT NULL, bytes INTEGER NOT NULL, PRIMARY KEY (origin, state, waiting, blocked, stored)
) STRICT, WITHOUT ROWID;
CREATE TABLE trash (file TEXT PRIMARY KEY, "to" TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE deleted (key TEXT PRIMARY KEY, version TEXT NOT NULL, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;
CREATE INDEX deleted_at ON deleted (at);
CREATE TABLE known (
  key TEXT NOT NULL, provider INTEGER NOT NULL, version TEXT NOT NULL, token TEXT NOT NULL, at INTEGER NOT NULL,
  PRIMARY KEY (key, provider)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_at ON known (at);
CREATE TABLE cached (
  key TEXT PRIMARY KEY, version TEXT NOT NULL, body BLOB, file TEXT, size INTEGER NOT NULL, crc32c TEXT NOT NULL, md5 TEXT NOT NULL,
  attributes TEXT NOT NULL, used_at INTEGER NOT NULL
) STRICT;
CREATE INDEX cached_used ON cached (used_at);
`

const countIn = (row: 'new' | 'old', sign: '+' | '-') => `
  INSERT INTO tally VALUES (${row}.origin, ${row}.state, ${row}.waiting, ${row}.blocked, ${row}.stored, ${sign}1, ${sign}${row}.size)
  ON CONFLICT DO UPDATE SET writes = writes + excluded.writes, bytes = bytes + excluded.bytes;`

/** The tally is kept by the same transaction that changes a write, whoever changes it. */
const triggers = `
CREATE TRIGGER tally_in AFTER INSERT ON writes BEGIN ${countIn('new', '+')} END;
CREATE TRIGGER tally_out AFTER DELETE ON writes BEGIN ${countIn('old', '-')} END;
CREATE TRIGGER tally_move AFTER UPDATE OF state, waiting, blocked, stored ON writes BEGIN ${countIn('old', '-')} ${countIn('new', '+')} END;
`

/** What format 2 has more: uploads in parts, and writes whose body is in parts. Over a journal of format 1 it makes the same as a new one is. */
const uploadTables = `
ALTER TABLE writes ADD COLUMN parts TEXT;
CREATE TABLE uploads (
  id TEXT PRIMARY KEY, key TEXT NOT NULL, attributes TEXT NOT NULL, checksum TEXT, sum TEXT NOT NULL,
  created_at INTEGER NOT NULL, used_at INTEGER NOT NULL, seq INTEGER
) STRICT, WITHOUT ROWID;
CREATE INDEX uploads_by_key ON uploads (key, created_at, id);
CREATE INDEX uploads_by_write ON uploads (seq) WHERE seq IS NOT NULL;
CREATE INDEX uploads_used ON uploads (used_at);
CREATE TABLE parts (
  file TEXT PRIMARY KEY, upload TEXT, seq INTEGER, number INTEGER NOT NULL, size INTEGER NOT NULL, crc32c TEXT NOT NULL, md5 TEXT NOT NULL,
  checksum TEXT, sum TEXT NOT NULL, uploaded_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX parts_of_upload ON parts (upload, number) WHERE upload IS NOT NULL;
CREATE UNIQUE INDEX parts_of_write ON parts (seq, number) WHERE seq IS NOT NULL;
`

const countPart = (row: 'new' | 'old', sign: '+' | '-') => `
  INSERT INTO tally VALUES ('app', 'upload', 0, 0, 0, ${sign}1, ${sign}${row}.size)
  ON CONFLICT DO UPDATE SET writes = writes + excluded.writes, bytes = bytes + excluded.bytes;`

/** Parts of open uploads are on local disk as bodies of writes are, and counted with them. */
const uploadTriggers = `
CREATE TRIGGER part_in AFTER INSERT ON parts WHEN new.upload IS NOT NULL BEGIN ${countPart('new', '+')} END;
CREATE TRIGGER part_out AFTER DELETE ON parts WHEN old.upload IS NOT NULL BEGIN ${countPart('old', '-')} END;
CREATE TRIGGER part_taken AFTER UPDATE OF upload ON parts WHEN old.upload IS NOT NULL AND new.upload IS NULL BEGIN ${countPart('old', '-')} END;
CREATE TRIGGER part_returned AFTER UPDATE OF upload ON parts WHEN old.upload IS NULL AND new.upload IS NOT NULL BEGIN ${countPart('new', '+')} END;
`

/**
 * Opens the journal for writing, making it if there is none and taking over one of format 1, with durability set and read back.
 * Nobody else may have one of format 1 open: older versions of Holdfast know nothing of parts, and would collect them. CORRUPT where SQLite finds damage,
 * INVALID journal/version where another version of Holdfast wrote it.
 */
export function openForWriting(path: string, directory: string): Database.Database {
  requireSqlite()
  const database = new Database(path, { timeout: 20_000 })
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

/** The format of the journal that is there; 0 where there is none yet. */
export function formatOf(path: string): number {
  if (!existsSync(path) || statSync(path).size === 0) return 0
  const database = new Database(path, { timeout: 20_000 })
  try {
    return database.pragma('user_version', { simple: true }) as number
  } catch (error) {
    throw asJournalError(error, path)
  } finally {
    database.close()
  }
}

/** A second connection that only looks. It sees every commit from the moment that the commit resolved. */
export function openForReading(path: string): Database.Database {
  const database = new Database(path, { readonly: true, fileMustExist: true, timeout: 20_000 })
  database.pragma('query_only = on')
  setAndReadBack(database, 'mmap_size', 0)
  return database
}

/** Makes what a journal of this format has and this one lacks, in one transaction. */
function create(database: Database.Database, directory: string): void {
  // Another process may be making it at this moment: whoever is second finds it made.
  database
    .transaction(() => {
      const format = database.pragma('user_version', { simple: true })
      if (format === journalFormat) return
      if (format === 1) {
        database.exec(uploadTables + uploadTriggers)
        database.pragma(`user_version = ${journalFormat}`)
        return
      }
      database.exec(tables + triggers + uploadTables + uploadTriggers)
      const put = database.prepare('INSERT INTO meta VALUES (?, ?)')
      put.run('directory', directory)
      put.run('highest', '')
      for (const counter of ['lease', 'accepted', 'done', 'superseded']) put.run(counter, 0)
      database.pragma(`user_version = ${journalFormat}`)
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
