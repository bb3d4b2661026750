import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, expect, onTestFinished, test, vi } from 'vitest'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { openForReading, openForWriting } from '../../src/journal/schema.ts'

/** What SQLite is to say of itself, whatever it was told; the rest it says as it is. */
const claims: { pragmas: Record<string, unknown>; version?: string } = { pragmas: {} }

const { pragma, prepare } = Database.prototype
vi.spyOn(Database.prototype, 'pragma').mockImplementation(function (this: Database.Database, source, options) {
  const found = pragma.call(this, source, options)
  return options?.simple === true && source in claims.pragmas ? claims.pragmas[source] : found
})
vi.spyOn(Database.prototype, 'prepare').mockImplementation(function (this: Database.Database, source: string) {
  const isAsked = claims.version !== undefined && source.includes('sqlite_version()')
  return prepare.call(this, isAsked ? `SELECT '${claims.version}'` : source)
})

afterEach(() => {
  claims.pragmas = {}
  delete claims.version
})

function place(): string {
  const root = mkdtempSync(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-schema-'))
  onTestFinished(() => rmSync(root, { recursive: true, force: true }))
  return join(root, 'journal.sqlite')
}

test.each([
  ['journal_mode', 'delete'],
  ['journal_mode', undefined],
  ['synchronous', 1],
  ['synchronous', 0],
  ['mmap_size', 268_435_456],
])('a SQLite that was told what durability needs and says %s = %s is not written to (J1)', (pragma, says) => {
  const path = place()
  claims.pragmas = { [pragma]: says }
  expect(() => openForWriting(path, 'directory')).toThrow(
    expect.objectContaining({ code: 'UNSUPPORTED', field: 'journal', rule: pragma }),
  )
  claims.pragmas = {}
  const database = openForWriting(path, 'directory')
  expect(database.pragma('synchronous', { simple: true })).toBe(2)
  expect(database.pragma('journal_mode', { simple: true })).toBe('wal')
  database.close()
})

test('nor is one read that maps the journal into memory (J1)', () => {
  const path = place()
  openForWriting(path, 'directory').close()
  claims.pragmas = { mmap_size: 1_048_576 }
  expect(() => openForReading(path)).toThrow(expect.objectContaining({ code: 'UNSUPPORTED', rule: 'mmap_size' }))
})

test.each(['3.51.2', '3.50.4', '2.99.99'])('SQLite %s, which can damage what it keeps, is not used (J1)', version => {
  claims.version = version
  expect(() => openForWriting(place(), 'directory')).toThrow(
    expect.objectContaining({ code: 'UNSUPPORTED', field: 'journal', rule: 'sqlite' }),
  )
})

test.each(['3.51.3', '3.60.0', '4.0.0'])('SQLite %s is', version => {
  claims.version = version
  openForWriting(place(), 'directory').close()
})
