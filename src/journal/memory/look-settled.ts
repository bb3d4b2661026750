import { compareKeys } from '../../core/key.ts'
import type { ReplicaRow, WriteRow } from '../contract.ts'
import type { LookSettled } from '../look-settled.ts'
import { bit } from '../masks.ts'
import type { BlockedQuery, BlockedReplica } from '../settle-contract.ts'
import type { MemoryTables } from './tables.ts'
import { entriesOf, isGoing } from './writes.ts'

/** What only looks, of what a person settles, as `settle-contract.ts` tells of it. */
export function memoryLookSettled(tables: MemoryTables): LookSettled {
  return {
    isOpen: key => [...entriesOf(tables, key)].some(({ row }) => isGoing(row)),
    isOpenFor: (key, provider) =>
      [...entriesOf(tables, key)].some(({ row, targets }) => isGoing(row) && (targets & bit(provider)) !== 0),
    blockedReplicas(query: BlockedQuery): BlockedReplica[] {
      const found: BlockedReplica[] = []
      let writes = 0
      for (const { row } of tables.writes.values()) {
        if (row.seq <= query.after || (query.key !== undefined && row.key !== query.key)) continue
        if (writes >= query.limit) break
        const stuck = stuckOf(row, query)
        if (stuck.length > 0) writes++
        found.push(...stuck)
      }
      return found
    },
    abandoned: limit => tables.abandoned.toReversed().slice(0, limit),
    job: name => tables.jobs.get(name),
    jobs: prefix => [...tables.jobs.keys()].filter(name => name.startsWith(prefix)).sort(compareKeys),
  }
}

/** The replicas of this write that are meant. */
function stuckOf(row: WriteRow, { owed, provider, reason }: BlockedQuery): BlockedReplica[] {
  const waitsForOwed = (replica: ReplicaRow) => replica.state === 'waiting' && owed.includes(replica.provider)
  const isMeant = (replica: ReplicaRow) =>
    (provider === undefined || replica.provider === provider) &&
    (waitsForOwed(replica) || (replica.state === 'blocked' && (reason === undefined || replica.reason === reason)))
  const { seq, key, version, kind, origin, size, acceptedAt, replicas } = row
  return replicas.filter(isMeant).map(replica => {
    const isBlocked = replica.state === 'blocked'
    return {
      seq,
      key,
      version,
      kind,
      size,
      acceptedAt,
      provider: replica.provider,
      reason: isBlocked ? replica.reason : undefined,
      message: isBlocked ? replica.message : undefined,
      // What a provider lost was read from another one.
      isElsewhere:
        origin === 'repair' ||
        replicas.some(other => other.provider !== replica.provider && goesOn(other) && !waitsForOwed(other)),
    }
  })
}

/** It confirmed the write, or will by itself. */
function goesOn({ state }: ReplicaRow): boolean {
  return state === 'stored' || state === 'verified' || state === 'sending' || state === 'waiting'
}
