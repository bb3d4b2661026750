import { invalid, shown, type Reason } from '../core/errors.ts'
import { suggestion } from '../core/suggest.ts'
import type { Version } from '../core/version.ts'
import type { Journal } from '../journal/contract.ts'
import { bit } from '../journal/masks.ts'
import type { AbandonedReplica, BlockedReplica, Selection } from '../journal/settle-contract.ts'
import type { Events } from './events.ts'
import {
  type AbandonOptions,
  type BlockedListOptions,
  type BlockedSelection,
  checkAbandon,
  checkBlockedList,
  type CheckedSelection,
  checkRetire,
  checkRetry,
  type RetireOptions,
} from './input/settle.ts'
import { blockOf, type Configured, providersOf } from './standing.ts'

/** Writes that wait for a person, and what a person does about them. Every call is about this directory alone, and asks no provider. */
export interface Blocked {
  /**
   * Oldest first, one for each provider that lacks the write; also what waits for a provider that is blocked, or left the options. INVALID
   * for an option, with its name as `field`.
   */
  list(options?: BlockedListOptions): AsyncIterable<BlockedWrite>
  /**
   * Sends blocked ones again: for when the cause was removed. One that was TOO_OLD is sent although it is: this says that nothing newer was deleted
   * meanwhile. What waits for a blocked provider goes on by itself when the provider is back. Answers how many.
   */
  retry(which?: BlockedSelection): Promise<number>
  /**
   * Gives blocked ones up for good: that provider does not get that write. `kept` counts those whose provider is the last that could have got it:
   * they stay as they are, unless `lastCopy` says that they may be lost. What waits for a provider that left is for `retire` instead.
   */
  abandon(which: BlockedSelection, options: AbandonOptions): Promise<Settled>
  /** The last 10,000 that were given up, newest first. */
  abandoned(): Promise<readonly AbandonedWrite[]>
}

/** What became of those that were to be given up. One write may count several times: once for each provider. */
export interface Settled {
  /** How many were given up. */
  readonly abandoned: number
  /** How many were not, since the write would be lost. */
  readonly kept: number
}

/** A write that waits for a person, at one provider. */
export interface BlockedWrite {
  readonly key: string
  readonly version: Version
  readonly kind: 'put' | 'delete'
  /** Bytes; 0 of a delete. */
  readonly size: number
  readonly acceptedAt: Date
  /** The provider that lacks it. */
  readonly provider: string
  readonly reason: Reason
  /** For a person. */
  readonly message: string
  /** Whether another provider has it, or gets it without anybody doing anything. */
  readonly isElsewhere: boolean
  /** Whether the provider is among the options of this store. */
  readonly configured: boolean
}

/** A write that a person gave up, at one provider. */
export interface AbandonedWrite {
  readonly key: string
  readonly version: Version
  readonly kind: 'put' | 'delete'
  /** What the provider was called then. */
  readonly provider: string
  /** Why it was blocked. */
  readonly reason: string
  /** Why a person gave it up. */
  readonly why: string
  readonly at: Date
}

export interface SettleDeps {
  readonly journal: Journal
  /** Ids of the providers in the options. */
  readonly configured: ReadonlySet<number>
  readonly events: Events
}

/** Writes that are looked up at once. */
const pageSize = 256
const mostAbandoned = 10_000

/** As `Blocked.list`; the signal is that of the options, or the store's own end. */
async function* listBlocked(
  deps: SettleDeps,
  options: unknown,
  closing: AbortSignal,
): AsyncGenerator<BlockedWrite, void, undefined> {
  const { signal, ...which } = checkBlockedList(options, namesOf(deps.journal))
  let after = 0
  for (;;) {
    closing.throwIfAborted()
    signal?.throwIfAborted()
    const providers = providersOf(deps.journal, deps.configured)
    const page = pageOf(deps.journal, providers, which, after)
    const last = page.at(-1)
    if (last === undefined) return
    for (const replica of page) yield blockedWrite(replica, providers.get(replica.provider))
    after = last.seq
  }
}

async function retry({ journal }: SettleDeps, which: unknown): Promise<number> {
  const checked = checkRetry(which, namesOf(journal))
  let all = 0
  for (const selection of selections(journal, checked)) all += await journal.retry(selection)
  return all
}

async function abandon(deps: SettleDeps, which: unknown, options: unknown): Promise<Settled> {
  const { why, lastCopy, ...checked } = checkAbandon(which, options, namesOf(deps.journal))
  let [abandoned, kept] = [0, 0]
  for (const selection of selections(deps.journal, checked)) {
    const settled = await deps.journal.giveUp(selection, why, lastCopy, tellOf(deps))
    abandoned += settled.abandoned
    kept += settled.kept
  }
  return { abandoned, kept }
}

async function abandoned({ journal }: SettleDeps): Promise<readonly AbandonedWrite[]> {
  return journal.abandoned(mostAbandoned).map(({ at, ...given }) => ({ ...given, at: new Date(at) }))
}

/** As `Holdfast.retire`. */
async function retire(deps: SettleDeps, name: unknown, options: unknown): Promise<Settled> {
  const { provider, why } = checkRetire(name, options)
  const providers = [...providersOf(deps.journal, deps.configured).values()]
  const left = providers.filter(({ isConfigured }) => !isConfigured).map(({ row }) => row)
  const meant = left.filter(row => row.name === provider)
  if (meant.length === 0) throw cannotRetire(provider, providers)
  let [given, kept] = [0, 0]
  for (const { id } of meant) {
    const settled = await deps.journal.retire(id, why, tellOf(deps))
    given += settled.abandoned
    kept += settled.kept
  }
  return { abandoned: given, kept }
}

function tellOf({ events }: SettleDeps): (given: AbandonedReplica) => void {
  return ({ key, version, provider, reason, why }) => events.emit('abandoned', { key, version, provider, reason, why })
}

function cannotRetire(name: string, providers: readonly Configured[]): Error {
  if (providers.some(({ row }) => row.name === name))
    return invalid(
      'provider',
      'configured',
      `${shown(name)} is among the options: open the store without it, then retire it`,
    )
  const left = providers.filter(({ isConfigured }) => !isConfigured).map(({ row }) => row.name)
  const there = left.length === 0 ? '; no provider left the options' : suggestion(name, left)
  return invalid('provider', 'unknown', `no provider that left the options is called ${shown(name)}${there}`)
}

function namesOf(journal: Journal): readonly string[] {
  return [...new Set(journal.providers().map(({ name }) => name))]
}

/** One name may stand for several buckets: one that left, and one that came for it. */
function selections(journal: Journal, { key, provider, reason }: CheckedSelection): readonly Selection[] {
  const rest = { ...(key === undefined ? {} : { key }), ...(reason === undefined ? {} : { reason }) }
  if (provider === undefined) return [rest]
  return idsOf(journal, provider).map(id => ({ ...rest, provider: id }))
}

function idsOf(journal: Journal, name: string): readonly number[] {
  return journal.providers().flatMap(row => (row.name === name ? [row.id] : []))
}

function pageOf(
  journal: Journal,
  providers: ReadonlyMap<number, Configured>,
  { key, provider, reason }: CheckedSelection,
  after: number,
): readonly BlockedReplica[] {
  const waiting = journal.counts().groups.reduce((mask, group) => mask | group.waiting, 0)
  const owed = [...providers].flatMap(([id, each]) => {
    const block = blockOf(each)
    const isMeant = block !== undefined && (reason === undefined || block.reason === reason)
    return isMeant && (waiting & bit(id)) !== 0 ? [id] : []
  })
  const query = { after, limit: pageSize, owed, ...(key === undefined ? {} : { key }) }
  const found = (provider === undefined ? [undefined] : idsOf(journal, provider)).map(id =>
    journal.blockedReplicas({
      ...query,
      ...(reason === undefined ? {} : { reason }),
      ...(id === undefined ? {} : { provider: id }),
    }),
  )
  // Of several buckets of one name each page ends elsewhere: what is after the first end comes with the next page.
  const ends = found.flatMap(page => page.at(-1)?.seq ?? [])
  const end = Math.min(...ends)
  return found
    .flat()
    .filter(({ seq }) => seq <= end)
    .sort((a, b) => a.seq - b.seq)
}

function blockedWrite(replica: BlockedReplica, provider: Configured | undefined): BlockedWrite {
  const block = blockOf(provider)
  return {
    key: replica.key,
    version: replica.version,
    kind: replica.kind,
    size: replica.size,
    acceptedAt: new Date(replica.acceptedAt),
    provider: provider?.row.name ?? `provider ${replica.provider}`,
    reason: replica.reason ?? block?.reason ?? 'REFUSED',
    message: replica.message ?? block?.message ?? '',
    isElsewhere: replica.isElsewhere,
    configured: provider?.isConfigured ?? false,
  }
}

/** What the store gives of this, each call made as all others are. */
export function blockedCalls(
  deps: SettleDeps,
  begin: <T>(call: () => Promise<T>) => Promise<T>,
  closing: AbortSignal,
  demandOpen: () => void,
): Blocked & { readonly retire: (provider: string, options: RetireOptions) => Promise<Settled> } {
  return {
    async *list(options) {
      demandOpen()
      yield* listBlocked(deps, options, closing)
    },
    retry: which => begin(() => retry(deps, which)),
    abandon: (which, options) => begin(() => abandon(deps, which, options)),
    abandoned: () => begin(() => abandoned(deps)),
    retire: (provider, options) => begin(() => retire(deps, provider, options)),
  }
}
