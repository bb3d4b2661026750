import { HoldfastError } from '../core/errors.ts'
import type { Clock } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import type { Source } from '../core/source.ts'
import type { Version } from '../core/version.ts'
import type { Journal, Lease, ReplicaRow, Task, WriteRow } from '../journal/contract.ts'
import { commitDraft } from '../stage/drafts.ts'
import type { Stage } from '../stage/stage.ts'
import type { Emit } from './events.ts'
import { fetchInto } from './fetch.ts'
import { asError } from './policy.ts'

/** Bodies that wait to be fetched at most: what more is found damaged is blocked, and found again when that is tried anew. */
const mostQueued = 10_000
/** A replica that waits for its body is not tried before this, unless its provider comes back or the body is there. */
const patienceMs = 600_000

/**
 * Bodies that were damaged on local disk are fetched anew from a provider that has stored them, one at a time, and put in the place of the damaged ones
 * (docs/decisions/heal-local.md). For as long as one process has the lease.
 */
export interface Restoring {
  /**
   * The body of this write cannot be sent to the provider with this id, for the reason that the message says. True: another provider has it; the replica
   * waits, and it goes on by itself or is blocked as LOCAL_CORRUPT then. False: nobody has it.
   */
  take(task: Task, provider: { readonly id: number; readonly name: string }, message: string): Promise<boolean>
  /** Resolves when nothing is under way any more, after the signal was aborted. */
  idle(): Promise<void>
}

export interface RestoringDeps {
  readonly journal: Pick<Journal, 'write'>
  readonly lease: Pick<Lease, 'postpone' | 'block' | 'restore'>
  readonly stage: Stage
  /** By their id in the journal. Guarded: no call of them hangs. */
  readonly providers: ReadonlyMap<number, Provider>
  readonly sourceOf: (write: WriteRow) => Source
  /** Drops what unfinished uploads of a write left at the providers, in the background. */
  readonly abandonUploads: (write: WriteRow) => void
  readonly clock: Clock
  readonly emit: Emit
  /** The journal takes no changes from this process any more. */
  readonly lost: (error: HoldfastError) => void
  readonly signal: AbortSignal
}

/** A replica that waits for its body. */
interface Waiting {
  readonly id: number
  readonly name: string
  readonly key: string
  readonly version: Version
  readonly attempt: number
  readonly message: string
}

export function restoring(deps: RestoringDeps): Restoring {
  const { journal, lease, stage, providers, clock, emit, signal } = deps
  const queued = new Map<number, Map<number, Waiting>>()
  /** What was sent while its body was being replaced fails once more, of the old one. */
  const restored = new Set<number>()
  let working: Promise<void> | undefined

  async function take(...[{ write, replica }, { id, name }, message]: Parameters<Restoring['take']>): Promise<boolean> {
    const { seq } = write
    const row = journal.write(seq)
    if (signal.aborted || row === undefined || (!queued.has(seq) && queued.size >= mostQueued)) return false
    if (row.state !== 'open' || row.damaged || row.kind !== 'put' || copiesOf(row).length === 0) return false
    const attempt = replica.attempt + 1
    await lease.postpone(seq, id, { notBefore: clock.now() + patienceMs, attempt, reason: 'LOCAL_CORRUPT', message })
    const waiting = queued.get(seq) ?? new Map<number, Waiting>()
    const { key, version } = write
    queued.set(seq, waiting.set(id, { id, name, key, version, attempt, message }))
    working ??= work()
    return true
  }

  /** Where it is already, as far as the journal knows. */
  function copiesOf({ replicas }: WriteRow): { readonly token: string; readonly provider: Provider }[] {
    return replicas.flatMap(({ state, token, provider: id }: ReplicaRow) => {
      const provider = providers.get(id)
      const isThere = state === 'stored' || state === 'verified'
      return isThere && token !== undefined && provider !== undefined ? [{ token, provider }] : []
    })
  }

  async function work(): Promise<void> {
    // It may have nothing to wait for, and end before whoever began it has noted that it began.
    await Promise.resolve()
    try {
      for (const [seq] of queued) {
        const row = journal.write(seq)
        const isRestored = row?.state === 'open' && (await restore(row))
        if (signal.aborted) return
        // Whoever came meanwhile is among them.
        const waiting = queued.get(seq) ?? new Map<number, Waiting>()
        queued.delete(seq)
        for (const each of waiting.values())
          if (isStillWaiting(seq, each)) await (isRestored ? goOn(seq, each) : block(seq, each))
      }
    } catch (error) {
      if (!signal.aborted) deps.lost(asError(error))
    } finally {
      // In one step with the end of the loop: whoever comes next begins anew.
      working = undefined
    }
  }

  /** Its body is there, or it was given up, and it may be somewhere else by now. */
  function isStillWaiting(seq: number, { id }: Waiting): boolean {
    const row = journal.write(seq)
    const replica = row?.replicas.find(({ provider }) => provider === id)
    return row?.state === 'open' && replica?.state === 'waiting' && replica.reason === 'LOCAL_CORRUPT'
  }

  async function goOn(seq: number, { id, attempt, message }: Waiting): Promise<void> {
    await lease.postpone(seq, id, { notBefore: clock.now(), attempt, reason: undefined, message })
  }

  async function block(seq: number, { id, name, key, version, message }: Waiting): Promise<void> {
    await lease.block(seq, id, 'LOCAL_CORRUPT', message)
    emit('blocked', { key, version, provider: name, reason: 'LOCAL_CORRUPT', message })
  }

  /** Whether its body is right now. Throws only what ends the reign. */
  async function restore(write: WriteRow): Promise<boolean> {
    if (restored.has(write.seq) && (await isWhole(write))) return true
    for (const { provider, token } of copiesOf(write)) {
      if (await fetchFrom(provider, token, write)) {
        if (restored.size >= mostQueued) restored.clear()
        restored.add(write.seq)
        const { key, version } = write
        emit('restored', { key, version, from: provider.name })
        return true
      }
      if (signal.aborted) return false
    }
    return false
  }

  async function isWhole(write: WriteRow): Promise<boolean> {
    const source = deps.sourceOf(write)
    try {
      for await (const _ of source.open(0, source.size)) signal.throwIfAborted()
      return true
    } catch {
      return false
    }
  }

  /** The damaged body may be all that is left: it goes with the commit that names the new one, and only then. */
  async function fetchFrom(provider: Provider, token: string, write: WriteRow): Promise<boolean> {
    const { seq, key, size, crc32c, md5 } = write
    try {
      const fetched = await fetchInto(stage, provider, key, { token, size, crc32c }, signal)
      if (fetched === undefined) return false
      await using draft = fetched.draft
      if (draft.size !== size || draft.digests.crc32c !== crc32c || draft.digests.md5 !== md5) return false
      await commitDraft(draft, async body => {
        const before = journal.write(seq)
        if (await lease.restore(seq, body)) {
          // Their parts may be of the damaged body: they start over, and nobody knows of them any more.
          if (before !== undefined) deps.abandonUploads(before)
          return
        }
        throw new HoldfastError('PRECONDITION', 'the write ended meanwhile', { key, outcome: 'rejected' })
      })
      return true
    } catch (error) {
      const fault = provider.classify(error)
      if (fault.code === 'CLOSED' || (fault.code === 'CORRUPT' && fault.reason === undefined)) throw fault
      return false
    }
  }

  return { take, idle: async () => working }
}
