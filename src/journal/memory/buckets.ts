import { HoldfastError } from '../../core/errors.ts'
import type { Capabilities } from '../../core/provider.ts'
import type { BucketChanges } from '../buckets.ts'
import type { ProviderHealth, ProviderRow } from '../contract.ts'
import { bit, mostProviders } from '../masks.ts'
import { demandLease } from './refusals.ts'
import { type Bucket, frozen, type MemoryTables } from './tables.ts'
import { change } from './writes.ts'

/** Changes to what is remembered of each bucket, as `contract.ts` tells of them. */
export function memoryBuckets(tables: MemoryTables): BucketChanges {
  const set = (provider: number, to: Partial<ProviderRow>) => {
    const bucket = tables.providers.get(provider)
    if (bucket !== undefined) bucket.row = frozen({ ...bucket.row, ...to })
  }

  return {
    register(providers: readonly { location: string; name: string }[]): ProviderRow[] {
      const known = new Map([...tables.providers.values()].map(bucket => [bucket.row.location, bucket]))
      const isNew = tables.providers.size === 0 || tables.accepted === 0
      if (known.size + providers.filter(({ location }) => !known.has(location)).length > mostProviders)
        throw new HoldfastError('INVALID', `a directory can remember ${mostProviders} buckets`, {
          field: 'providers',
          rule: 'count',
        })
      return providers.map(({ location, name }) => {
        const bucket = known.get(location) ?? add(tables, location, isNew)
        known.set(location, bucket)
        if (bucket.isRetired) {
          // It may be another bucket by now, and what was owed to it is owed no more.
          bucket.isRetired = false
          bucket.row = { ...bucket.row, ...unlearnt }
          forgetPositions(tables)
        }
        bucket.row = frozen({ ...bucket.row, name })
        return bucket.row
      })
    },

    filled: provider => set(provider, { isFilled: true }),
    trusted: provider => set(provider, { isStale: false }),
    stale: provider => set(provider, { isStale: true }),

    learnt(token: number, provider: number, what: { identity?: string; capabilities?: Capabilities }): void {
      demandLease(tables, token)
      const { identity, capabilities } = what
      if (identity !== undefined) set(provider, { identity })
      if (capabilities !== undefined) set(provider, { capabilities: structuredClone(capabilities) })
    },

    health(token: number, provider: number, health: ProviderHealth): void {
      demandLease(tables, token)
      set(provider, { health: { ...health } })
    },
  }
}

/** What is known of a bucket of which nothing is known. */
export const unlearnt = { identity: undefined, capabilities: undefined, health: undefined, isFilled: false } as const

function add(tables: MemoryTables, location: string, isNew: boolean): Bucket {
  let id = 1
  while (tables.providers.has(id)) id++
  const row = { id, location, name: '', ...unlearnt, isFilled: isNew, isStale: false }
  const bucket: Bucket = { row, isRetired: false }
  tables.providers.set(id, bucket)
  return bucket
}

/** Positions of comparisons say by ids for whom something is settled, and an id came to mean another bucket. */
export function forgetPositions(tables: MemoryTables): void {
  forgetJobs(tables, 'backfill/')
  forgetJobs(tables, 'reconcile/')
}

/** Of one bucket only: the one that comes for it has been visited by nobody. */
export function forgetVisits({ jobs }: MemoryTables, id: number): void {
  jobs.delete(`attended:${id}`)
  jobs.delete(`expiry:${id}`)
}

export function forgetJobs({ jobs }: MemoryTables, prefix: string): void {
  for (const name of jobs.keys()) if (name.startsWith(prefix)) jobs.delete(name)
}

export function forgetKnownAt({ known }: MemoryTables, provider: number): void {
  for (const [key, ofKey] of known) {
    ofKey.delete(provider)
    if (ofKey.size === 0) known.delete(key)
  }
}

/** Frees the ids of retired providers. For a process that has the directory alone: else somebody may still mean the old one by its id. */
export function freeRetired(tables: MemoryTables): void {
  for (const [id, { isRetired }] of tables.providers) {
    if (!isRetired) continue
    for (const entry of tables.writes.values()) {
      entry.targets &= ~bit(id)
      change(entry, { replicas: entry.row.replicas.filter(({ provider }) => provider !== id) })
    }
    forgetKnownAt(tables, id)
    forgetVisits(tables, id)
    forgetPositions(tables)
    tables.providers.delete(id)
  }
}
