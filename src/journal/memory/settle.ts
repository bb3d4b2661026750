import { compareKeys } from '../../core/key.ts'
import type { ReplicaRow } from '../contract.ts'
import { bit } from '../masks.ts'
import type { Place, SettleChanges, SettledSome } from '../settle.ts'
import type { AbandonedReplica, Selection } from '../settle-contract.ts'
import { forgetJobs, forgetKnownAt, forgetPositions, forgetVisits, unlearnt } from './buckets.ts'
import { type Entry, frozen, type MemoryTables } from './tables.ts'
import { addReplica, change, changeReplica, isGoing, isOver, move, refuse, replicaAt, supersede } from './writes.ts'

/** Abandoned replicas that are remembered. */
const abandonedKept = 10_000

interface Found {
  readonly entry: Entry
  readonly replica: ReplicaRow
}

/** What a person settles, as `settle-contract.ts` tells of it, a page at a time. */
export function memorySettling(tables: MemoryTables): SettleChanges {
  /** In order of write and then of provider. */
  const replicasAfter = (after: Place, limit: number, is: (found: Found) => boolean): Found[] => {
    const found: Found[] = []
    for (const entry of tables.writes.values()) {
      const { seq, replicas } = entry.row
      for (const replica of replicas) {
        const isAfter = seq > after.seq || (seq === after.seq && replica.provider > after.provider)
        if (isAfter && found.length < limit && is({ entry, replica })) found.push({ entry, replica })
      }
    }
    return found
  }

  const blocked = ({ key, provider, reason }: Selection, after: Place, limit: number): Found[] =>
    replicasAfter(
      after,
      limit,
      ({ entry, replica }) =>
        replica.state === 'blocked' &&
        (key === undefined || entry.row.key === key) &&
        (provider === undefined || replica.provider === provider) &&
        (reason === undefined || replica.reason === reason),
    )

  /** Answers undefined where that would lose the write. */
  const giveUpOne = (
    { entry, replica }: Found,
    why: string,
    mayLose: boolean,
    now: number,
  ): AbandonedReplica | undefined => {
    const { provider } = replica
    const { key, version, kind, state, origin } = entry.row
    const isLast = isLastOf(entry, provider)
    // What a provider lost was read from another one. Of a tentative write nothing was promised.
    if (isLast && !mayLose && state === 'open' && origin === 'app') return undefined
    changeReplica(entry, provider, { state: 'abandoned', notBefore: 0 })
    if (state === 'tentative') {
      const outcome = replica.attempt > 0 || replica.state === 'sending' ? 'unknown' : 'rejected'
      refuse(tables, entry, { code: 'UNAVAILABLE', message: `it was given up: ${why}`, outcome }, now)
    } else if (isLast) {
      supersede(tables, entry)
      // A delete that nobody got is one no more.
      if (origin === 'app' && tables.deleted.get(key)?.version === version) tables.deleted.delete(key)
    }
    const name = tables.providers.get(provider)?.row.name ?? `provider ${provider}`
    const reason = replica.reason ?? 'NOT_CONFIGURED'
    const given = frozen({ key, version, kind, provider: name, reason, why, at: now })
    tables.abandoned = [...tables.abandoned, given].slice(-abandonedKept)
    tables.abandonedEver++
    return given
  }

  const giveUpAll = (found: readonly Found[], limit: number, why: string, mayLose: boolean, now: number) => {
    const abandoned: AbandonedReplica[] = []
    let kept = 0
    for (const each of found) {
      const given = giveUpOne(each, why, mayLose, now)
      if (given === undefined) kept++
      else abandoned.push(given)
    }
    return { abandoned, kept, next: found.length < limit ? undefined : placeOf(found.at(-1)) }
  }

  return {
    retry(which: Selection, limit: number): number {
      const found = blocked(which, { seq: 0, provider: 0 }, limit)
      for (const { entry, replica } of found) {
        move(entry, replica.provider, { state: 'waiting' })
        if (replica.reason === 'TOO_OLD') changeReplica(entry, replica.provider, { isConfirmed: true })
      }
      return found.length
    },

    giveUp: (which, why, lastCopy, after, limit, now): SettledSome =>
      giveUpAll(blocked(which, after, limit), limit, why, lastCopy, now),

    retireReplicas(provider: number, why: string, after: Place, limit: number, now: number): SettledSome {
      // One write has one replica there: what comes after it is of later writes.
      const from = { seq: after.seq, provider: Number.POSITIVE_INFINITY }
      const found = replicasAfter(from, limit, ({ replica }) => replica.provider === provider)
      const owed = found.filter(({ replica }) => !isOver(replica) && replica.state !== 'verified')
      const { abandoned, kept } = giveUpAll(owed, limit, why, false, now)
      // That it verified something is no reason any more to give up another's copy; and none to forget what nobody else has.
      const verified = found.filter(({ replica }) => replica.state === 'verified')
      const lost = verified.filter(({ entry }) => entry.row.origin === 'app' && isLastOf(entry, provider))
      for (const { entry } of verified.filter(each => !lost.includes(each))) {
        if (isLastOf(entry, provider)) supersede(tables, entry)
        drop(entry, provider)
      }
      const next = found.length < limit ? undefined : placeOf(found.at(-1))
      return { abandoned, kept: kept + lost.length, next }
    },

    retireKnown(provider: number, after: string, limit: number): string | undefined {
      const page = [...tables.known]
        .filter(([key]) => compareKeys(key, after) > 0)
        .sort(([a], [b]) => compareKeys(a, b))
        .flatMap(([key, ofKey]) => [...ofKey.keys()].map(() => key))
        .slice(0, limit)
      for (const key of page) {
        const ofKey = tables.known.get(key)
        ofKey?.delete(provider)
        if (ofKey?.size === 0) tables.known.delete(key)
      }
      return page.at(-1)
    },

    retire(provider: number): void {
      const bucket = tables.providers.get(provider)
      const isOwed = [...tables.writes.values()].some(entry => {
        const replica = replicaAt(entry, provider)
        return !isOver(replica) && replica?.state !== 'verified'
      })
      if (bucket === undefined || isOwed) return
      bucket.isRetired = true
      for (const entry of tables.writes.values()) if (entry.row.state === 'tentative') entry.targets &= ~bit(provider)
      forgetJobs(tables, `backfill/${provider}/`)
    },

    acceptBucket(provider: number, before: string): boolean {
      const bucket = tables.providers.get(provider)
      if (bucket?.row.identity !== before) return false
      bucket.row = frozen({ ...bucket.row, ...unlearnt, isStale: false })
      for (const entry of tables.writes.values()) if (isGoing(entry.row)) startOver(entry, provider)
      forgetKnownAt(tables, provider)
      forgetVisits(tables, provider)
      forgetPositions(tables)
      return true
    },

    include(provider: number, after: number, limit: number): ReturnType<SettleChanges['include']> {
      const lacking = [...tables.writes.values()].filter(
        ({ row, targets }) =>
          row.seq > after && isGoing(row) && row.origin === 'app' && (targets & bit(provider)) === 0,
      )
      const page = lacking.slice(0, limit)
      for (const entry of page) {
        entry.targets |= bit(provider)
        // A tentative one gets its replicas when it is decided.
        if (entry.row.state === 'open') addReplica(tables, entry, provider)
      }
      const puts = page.filter(({ row }) => row.kind === 'put')
      const included = { objects: puts.length, bytes: puts.reduce((sum, { row }) => sum + row.size, 0) }
      const last = page.at(-1)
      return last === undefined || page.length < limit ? included : { ...included, next: last.row.seq }
    },

    saveJob(name: string, state: string | undefined): void {
      if (state === undefined) tables.jobs.delete(name)
      else tables.jobs.set(name, state)
    },
  }
}

function placeOf(found: Found | undefined): Place | undefined {
  return found === undefined ? undefined : { seq: found.entry.row.seq, provider: found.replica.provider }
}

/** Whether no other provider has the write, or could get it. */
function isLastOf({ row }: Entry, provider: number): boolean {
  return row.replicas.every(other => other.provider === provider || isOver(other))
}

function drop(entry: Entry, provider: number): void {
  change(entry, { replicas: entry.row.replicas.filter(replica => replica.provider !== provider) })
}

/** As if it had never been there; what is being sent at this moment is still being sent. */
function startOver(entry: Entry, provider: number): void {
  const replica = replicaAt(entry, provider)
  if (replica === undefined || isOver(replica)) return
  changeReplica(entry, provider, {
    state: replica.state === 'sending' ? 'sending' : 'waiting',
    notBefore: 0,
    reason: undefined,
    message: undefined,
    token: undefined,
    proof: undefined,
    etag: undefined,
    partSize: undefined,
    storedAt: undefined,
    upload: undefined,
  })
}
