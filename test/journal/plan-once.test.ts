import Database from 'better-sqlite3'
import { expect, onTestFinished, test, vi } from 'vitest'
import { planOnce } from '../../src/journal/plan-once.ts'

function tables(make: (database: Database.Database) => Database.Database): Database.Database {
  const database = make(new Database(':memory:'))
  onTestFinished(() => void database.close())
  database.exec(`CREATE TABLE known (key TEXT NOT NULL, provider INTEGER NOT NULL, version TEXT NOT NULL, PRIMARY KEY (key, provider)) STRICT, WITHOUT ROWID;
    INSERT INTO known VALUES ('a', 1, 'v1'), ('a', 2, 'v2'), ('b', 1, 'v3')`)
  return database
}

/** better-sqlite3 makes the function that makes its rows anew whenever a statement was compiled anew. */
function compiledBy(work: () => void): number {
  const made = vi.spyOn(globalThis, 'Function')
  try {
    work()
    return made.mock.calls.length
  } finally {
    made.mockRestore()
  }
}

test.each([
  ['SELECT max(version) AS newest FROM known WHERE key = @key', [{ key: 'a' }, { key: 'b' }, { key: 'a' }]],
  ['SELECT version FROM known WHERE key = ? LIMIT ?', ['a', 'b', 'a'].map(key => [key, 1])],
])('a statement is compiled once, whatever values it is used with: %s', (sql, uses) => {
  const compiled = (database: Database.Database) =>
    compiledBy(() => {
      const statement = database.prepare(sql)
      for (const use of uses) statement.get(use)
    })
  expect(compiled(tables(database => database)), 'else there is nothing to prevent').toBeGreaterThan(1)
  expect(compiled(tables(planOnce))).toBe(1)
})

test('values arrive as they were given, and find what they would have found', () => {
  const database = tables(planOnce)
  const same = database.prepare('SELECT ? AS blob, @text AS text, ? AS number, ? AS missing')
  const given = { blob: Buffer.from([0, 255]), text: '+1 ?', number: 2 ** 40, missing: null }
  expect(same.get(given.blob, given.number, given.missing, { text: given.text })).toEqual(given)
  expect(database.prepare('SELECT version FROM known WHERE key = ? AND provider = ?').pluck().get('a', 2)).toBe('v2')
  database.prepare('UPDATE known SET version = ? WHERE key = ?').run('v4', 'b')
  expect(database.prepare("SELECT version FROM known WHERE key = 'b'").pluck().get()).toBe('v4')
})
