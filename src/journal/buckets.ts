import type { Database } from 'better-sqlite3'
import { HoldfastError } from '../core/errors.ts'
import type { Capabilities } from '../core/provider.ts'
import type { ProviderHealth, ProviderRow } from './contract.ts'
import { fence } from './fence.ts'
import { mostProviders } from './masks.ts'
import { asProvider, type ProviderRecord } from './rows.ts'
import { dropPositions } from './settle.ts'

/** Changes to what is remembered of each bucket, as those of the ledger: a HoldfastError only before the first change. */
export function bucketChanges(database: Database) {
  const sql = <Row = unknown>(text: string) => database.prepare<unknown[], Row>(text)
  const requireLease = fence(database)
  const all = sql<ProviderRecord>('SELECT * FROM providers')
  const find = sql<ProviderRecord>('SELECT * FROM providers WHERE location = ?')
  const add = sql('INSERT INTO providers (id, location, name, filled) VALUES (?, ?, ?, ?)')
  const rename = sql('UPDATE providers SET name = ? WHERE location = ?')
  // It may be another bucket by now, and what was owed to it is owed no more.
  const returns = sql(
    'UPDATE providers SET retired = 0, filled = 0, identity = NULL, capabilities = NULL, health = NULL WHERE location = ? AND retired = 1',
  )
  const setFilled = sql('UPDATE providers SET filled = 1 WHERE id = ?')
  const setStale = sql('UPDATE providers SET stale = ? WHERE id = ?')
  const learn = sql(
    'UPDATE providers SET identity = coalesce(?, identity), capabilities = coalesce(?, capabilities) WHERE id = ?',
  )
  const setHealth = sql('UPDATE providers SET health = ? WHERE id = ?')
  const accepted = sql<number>("SELECT value FROM meta WHERE name = 'accepted'").pluck()

  return {
    register(providers: readonly { location: string; name: string }[]): ProviderRow[] {
      const rows = all.all()
      const known = new Set(rows.map(({ location }) => location))
      const taken = new Set(rows.map(({ id }) => id))
      const isNew = rows.length === 0 || accepted.get() === 0
      if (taken.size + providers.filter(({ location }) => !known.has(location)).length > mostProviders)
        throw new HoldfastError(
          'INVALID',
          `a directory can remember ${mostProviders} buckets, this one would be one more: retire those that left for good, close the directory everywhere, and open it again`,
          { field: 'providers', rule: 'count' },
        )
      return providers.map(({ location, name }) => {
        if (returns.run(location).changes > 0) dropPositions(database)
        if (known.has(location)) rename.run(name, location)
        else {
          const id = lowestFree(taken)
          taken.add(id)
          known.add(location)
          add.run(id, location, name, isNew ? 1 : 0)
        }
        return asProvider(find.get(location) as ProviderRecord)
      })
    },

    filled(provider: number): void {
      setFilled.run(provider)
    },

    trusted(provider: number): void {
      setStale.run(0, provider)
    },

    stale(provider: number): void {
      setStale.run(1, provider)
    },

    learnt(token: number, provider: number, what: { identity?: string; capabilities?: Capabilities }): void {
      requireLease(token)
      const capabilities = what.capabilities === undefined ? null : JSON.stringify(what.capabilities)
      learn.run(what.identity ?? null, capabilities, provider)
    },

    health(token: number, provider: number, health: ProviderHealth): void {
      requireLease(token)
      setHealth.run(JSON.stringify(health), provider)
    },
  }
}

export type BucketChanges = ReturnType<typeof bucketChanges>

function lowestFree(taken: ReadonlySet<number>): number {
  let id = 1
  while (taken.has(id)) id++
  return id
}
