import { join } from 'node:path'
import Sqlite from 'better-sqlite3'
import { expect, test } from 'vitest'
import { look } from '../../src/journal/look.ts'
import { scene, write } from './scene.ts'

/** The same database, and something that another connection does just before its first look at this table. */
function interrupted(database: Sqlite.Database, table: string, meanwhile: () => void): Sqlite.Database {
  let isDone = false
  const watched = <Statement extends Sqlite.Statement>(text: string, statement: Statement): Statement => {
    if (!text.startsWith(`SELECT * FROM ${table} WHERE seq`)) return statement
    const all = statement.all.bind(statement)
    return Object.assign(statement, {
      all: (...args: unknown[]) => {
        if (!isDone) meanwhile()
        isDone = true
        return all(...args)
      },
    })
  }
  return new Proxy(database, {
    get(target, name) {
      if (name === 'prepare') return (text: string) => watched(text, target.prepare(text))
      const value: unknown = Reflect.get(target, name, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

test.each(['write', 'view'] as const)(
  'what `%s` finds is of one moment: a write that ends meanwhile is seen whole, not without its replicas, as if it had been given up (I2, I9)',
  async what => {
    await using at = await scene('sqlite')
    const journal = await at.journal()
    const { seq } = await journal.accept(write('k'))
    const copy = join(at.path, '..', 'copy.sqlite')
    const original = new Sqlite(join(at.path, 'journal.sqlite'), { readonly: true })
    original.prepare('VACUUM INTO ?').run(copy)
    original.close()
    const [here, other] = [new Sqlite(copy), new Sqlite(copy)]
    here.pragma('journal_mode = WAL')
    const looking = look(
      interrupted(here, 'replicas', () => {
        other.transaction(() => {
          other.prepare('DELETE FROM replicas WHERE seq = ?').run(seq)
          other.prepare('DELETE FROM writes WHERE seq = ?').run(seq)
        })()
      }),
    )
    const find = () => (what === 'write' ? looking.write(seq) : looking.view('k').open)
    expect(find()?.replicas.map(({ provider }) => provider)).toEqual([1, 2])
    expect(find()).toBeUndefined()
    here.close()
    other.close()
  },
)
