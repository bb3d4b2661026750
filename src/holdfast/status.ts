import type { Reason } from '../core/errors.ts'
import type { Clock } from '../core/ports.ts'
import { bit } from '../journal/masks.ts'
import type { CountGroup, Journal } from '../journal/contract.ts'
import { type ScrubStatus, scrubStatus } from './scrubbing.ts'
import { type Block, blockOf, type Configured, providersOf } from './standing.ts'

/** Each accepted write is in exactly one of pending, held, blocked, done, superseded; accepted is their sum. */
export interface Status {
  /** Writes (puts and deletes) since the directory was made. */
  readonly accepted: number
  /** Writes that every provider has, looked at twice; their local copies are released. */
  readonly done: number
  /** Writes that a newer one of the same key made superfluous. */
  readonly superseded: number
  /** Acknowledged, not yet on every provider. `oldestMs`: how long the oldest waits. */
  readonly pending: { readonly writes: number; readonly bytes: number; readonly oldestMs: number }
  /** On every provider, second look to come. */
  readonly held: { readonly writes: number; readonly bytes: number }
  /** Waiting for a person: nothing goes on by itself. */
  readonly blocked: {
    readonly writes: number
    readonly bytes: number
    readonly reasons: readonly { readonly provider: string; readonly reason: Reason; readonly writes: number }[]
  }
  /** Times that a person gave up bringing a write to a provider, since the directory was made; see `blocked.abandoned`. */
  readonly abandoned: number
  /** Copies that a provider lost and that are on their way to it again; not among the accepted. */
  readonly repairs: { readonly writes: number; readonly bytes: number }
  /** The local disk. */
  readonly stage: {
    /** Bytes of bodies on local disk that are not released. */
    readonly bytes: number
    /** `maxStageBytes`. */
    readonly limit: number
    /** 'poisoned': a write to this disk failed, nothing more is accepted until the directory was closed by all and opened again. */
    readonly journal: 'open' | 'poisoned'
    /** Sentences for a person about the directory: an overlay that dies with its container, and the like. */
    readonly warnings: readonly string[]
  }
  /** In the order of the options. */
  readonly providers: readonly {
    readonly name: string
    readonly role: 'primary' | 'secondary' | 'mirror'
    readonly state: 'up' | 'probing' | 'down' | 'blocked'
    readonly reason?: string
    /** What to do about it, for a person. */
    readonly message?: string
    /** Writes that wait to go to it. */
    readonly pendingWrites: number
    /** False: it was added to a directory with history, and no backfill has brought it what was there before. */
    readonly filled: boolean
    /** True: it was away for longer than delete markers can be trusted to live; nothing is repaired from it until a complete repair. */
    readonly stale: boolean
    /** The provider's clock minus ours, milliseconds. */
    readonly clockOffsetMs?: number
  }[]
  /** Providers that left the options and are still owed something, second looks included; `retire` settles that. */
  readonly left: readonly { readonly name: string; readonly writes: number }[]
  /** The slow look at everything, where the option `scrub` asks for it. */
  readonly scrub?: ScrubStatus
}

export interface StatusDeps {
  readonly journal: Journal
  /** In the order of the options: primary, secondary, mirrors. */
  readonly configured: readonly { readonly id: number; readonly name: string }[]
  readonly maxStageBytes: number
  readonly warnings: () => readonly string[]
  readonly isPoisoned: () => Promise<boolean>
  readonly isScrubbed: boolean
  readonly clock: Clock
}

/** Derived from the journal's counters at this moment; nothing here is counted anywhere else. */
export async function statusOf(deps: StatusDeps): Promise<Status> {
  const poisoned = await deps.isPoisoned()
  const status = summary(deps)
  return { ...status, stage: { ...status.stage, journal: poisoned ? 'poisoned' : 'open' } }
}

/** The same without asking the disk. */
function summary(deps: Omit<StatusDeps, 'isPoisoned'>): Status {
  const { journal, configured, clock } = deps
  const counts = journal.counts()
  const providers = providersOf(journal, new Set(configured.map(({ id }) => id)))
  const stuck = stuckMask(providers)
  const pending = { writes: 0, bytes: 0 }
  const held = { writes: 0, bytes: 0 }
  const blocked = { writes: 0, bytes: 0 }
  const repairs = { writes: 0, bytes: 0 }
  const waitingAt = new Map<number, number>()
  const owedTo = new Map<number, number>()
  let stageBytes = 0
  for (const group of counts.groups) {
    stageBytes += group.bytes
    if (group.state !== 'open') continue
    for (const id of providers.keys()) {
      if ((group.waiting & bit(id)) !== 0) add(waitingAt, id, group.writes)
      if (((group.waiting | group.blocked | group.stored) & bit(id)) !== 0) add(owedTo, id, group.writes)
    }
    const kind = group.origin === 'repair' ? repairs : { moving: pending, blocked, held }[courseOf(group, stuck)]
    kind.writes += group.writes
    kind.bytes += group.bytes
  }
  const oldestMs =
    pending.writes === 0 || counts.oldestWaitingAt === undefined ? 0 : Math.max(0, clock.now() - counts.oldestWaitingAt)
  return {
    accepted: counts.accepted,
    done: counts.done,
    superseded: counts.superseded,
    abandoned: counts.abandoned,
    pending: { ...pending, oldestMs },
    held,
    blocked: { ...blocked, reasons: reasonsOf(journal, providers, waitingAt) },
    repairs,
    stage: {
      bytes: stageBytes,
      limit: deps.maxStageBytes,
      journal: 'open',
      warnings: deps.warnings(),
    },
    providers: configured.map(({ id, name }, index) => {
      const row = providers.get(id)?.row
      const health = row?.health
      return {
        name,
        role: index === 0 ? ('primary' as const) : index === 1 ? ('secondary' as const) : ('mirror' as const),
        state: health?.state ?? 'probing',
        ...(health?.reason === undefined ? {} : { reason: health.reason }),
        ...(health?.message === undefined ? {} : { message: health.message }),
        pendingWrites: waitingAt.get(id) ?? 0,
        filled: row?.isFilled ?? true,
        stale: row?.isStale ?? false,
        ...(health?.clockOffsetMs === undefined ? {} : { clockOffsetMs: health.clockOffsetMs }),
      }
    }),
    left: [...providers.values()].flatMap(({ row, isConfigured }) => {
      const writes = owedTo.get(row.id) ?? 0
      return isConfigured || writes === 0 ? [] : [{ name: row.name, writes }]
    }),
    ...(deps.isScrubbed ? { scrub: scrubStatus(journal, clock) } : {}),
  }
}

function add(counts: Map<number, number>, id: number, writes: number): void {
  counts.set(id, (counts.get(id) ?? 0) + writes)
}

/** Whether open writes go on by themselves, towards some provider; wait for a person; or have only the second look before them. */
function courseOf({ waiting, blocked }: CountGroup, stuck: number): 'moving' | 'blocked' | 'held' {
  if ((waiting & ~stuck) !== 0) return 'moving'
  return ((waiting & stuck) | blocked) !== 0 ? 'blocked' : 'held'
}

/** What is still to be done, in writes, repairs among them; in microseconds: for whoever waits until nothing is. */
export function remaining({ journal, configured }: Pick<StatusDeps, 'journal' | 'configured'>): {
  readonly moving: number
  readonly held: number
  readonly blocked: number
  readonly reasons: Status['blocked']['reasons']
} {
  const providers = providersOf(journal, new Set(configured.map(({ id }) => id)))
  const stuck = stuckMask(providers)
  const writes = { moving: 0, held: 0, blocked: 0 }
  const waitingAt = new Map<number, number>()
  for (const group of journal.counts().groups) {
    if (group.state !== 'open') continue
    writes[courseOf(group, stuck)] += group.writes
    for (const id of providers.keys()) if ((group.waiting & bit(id)) !== 0) add(waitingAt, id, group.writes)
  }
  return { ...writes, reasons: writes.blocked === 0 ? [] : reasonsOf(journal, providers, waitingAt) }
}

/** Where held writes are of which no second look can come: each still has to be looked at by blocked providers alone. */
export function blockedLook(
  deps: Pick<StatusDeps, 'journal' | 'configured'>,
): (Block & { readonly writes: number }) | undefined {
  const providers = providersOf(deps.journal, new Set(deps.configured.map(({ id }) => id)))
  const stuck = stuckMask(providers)
  let writes = 0
  let masks = 0
  for (const { state, waiting, stored, writes: count } of deps.journal.counts().groups) {
    if (state !== 'open' || stored === 0) continue
    // Some look, or some transfer, goes on.
    if (((stored | waiting) & ~stuck) !== 0) return undefined
    writes += count
    masks |= stored
  }
  for (const [id, provider] of providers) {
    const block = blockOf(provider)
    if ((masks & bit(id)) !== 0 && block !== undefined) return { ...block, provider: provider.row.name, writes }
  }
  return undefined
}

/** Providers to which nothing goes until somebody does something. */
function stuckMask(providers: ReadonlyMap<number, Configured>): number {
  let mask = 0
  for (const [id, provider] of providers) if (blockOf(provider) !== undefined) mask |= bit(id)
  return mask
}

function reasonsOf(
  journal: Journal,
  providers: ReadonlyMap<number, Configured>,
  waitingAt: ReadonlyMap<number, number>,
) {
  const reasons = journal
    .blocked()
    .map(({ provider, reason, writes }) => ({ provider: nameOf(providers, provider), reason, writes }))
  for (const [id, provider] of providers) {
    const writes = waitingAt.get(id) ?? 0
    const block = blockOf(provider)
    if (block !== undefined && writes > 0) reasons.push({ provider: provider.row.name, reason: block.reason, writes })
  }
  return reasons
}

function nameOf(providers: ReadonlyMap<number, Configured>, id: number): string {
  return providers.get(id)?.row.name ?? `provider ${id}`
}
