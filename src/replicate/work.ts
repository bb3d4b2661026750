import pRetry from 'p-retry'
import { HoldfastError } from '../core/errors.ts'
import type { UploadMemo } from '../core/provider.ts'
import { type Version, versionTime } from '../core/version.ts'
import type { Task, WriteRow } from '../journal/contract.ts'
import { confirmIdentity } from './admit.ts'
import { apply } from './apply.ts'
import { type Attempts, mostMismatches } from './attempts.ts'
import type { LaneDeps } from './deps.ts'
import { lookAgain } from './look.ts'
import { waitBefore, worthAnotherTry } from './policy.ts'
import type { Settled, Target } from './target.ts'

/** Tries within one attempt, after the first. */
const quickRetries = 2

/** What is done with a replica when it has its turn, and how what came of it is recorded. What goes wrong is thrown. */
export interface Work {
  /** Brings the write to the provider. */
  send(task: Task, at: Target): Promise<Recorded>
  /** The second look. */
  lookAt(task: Task, at: Target): Promise<Recorded>
}

/** What the provider is needed for is over. `is` settles when the journal has what came of it. In an object: a promise of a promise would be waited for. */
export interface Recorded {
  readonly is: Promise<void>
}

export interface WorkDeps extends LaneDeps {
  readonly attempts: Attempts
  /** Which bucket the provider is, as it said before the first write. */
  readonly identity: () => string | undefined
}

export function work(deps: WorkDeps): Work {
  const { lease, provider, clock, random, options, emit, signal, attempts } = deps
  const { id } = deps.row
  return { send, lookAt }

  async function send(task: Task, at: Target): Promise<Recorded> {
    const { write, replica } = task
    demandWhole(write)
    if (!replica.isConfirmed && clock.now() - write.acceptedAt > options.tooOldMs)
      throw new HoldfastError('BLOCKED', `the write waited longer than delete markers can be trusted to live`, {
        key: write.key,
        reason: 'TOO_OLD',
        retryable: false,
      })
    // Withdrawn at the last moment: whoever asked for it was told that it did not happen.
    if (write.state === 'tentative' && !(await lease.sending(write.seq, id))) return done
    let saved = replica.upload
    const upload: UploadMemo = {
      get saved() {
        return saved
      },
      save: async state => {
        await lease.saveUpload(write.seq, id, state)
        saved = state
      },
    }
    const source = deps.sourceOf(write)
    const settled = await pRetry(
      tries =>
        apply({
          task,
          target: at,
          source,
          upload,
          now: clock.now,
          signal,
          mayBeThere: replica.attempt > 0 || tries > 1 || saved !== undefined,
          mayArrive: attempts.mayHaveHappened(task),
        }),
      {
        retries: quickRetries,
        minTimeout: 0,
        maxTimeout: 0,
        unref: true,
        shouldRetry: ({ error }) => worthAnotherTry(provider.classify(error)) && !signal.aborted,
        onFailedAttempt: async ({ error, attemptNumber, retriesLeft }) => {
          const fault = provider.classify(error)
          attempts.failed(task, fault)
          if (retriesLeft === 0 || !worthAnotherTry(fault)) return
          if (fault.reason === 'UPLOAD_GONE') saved = undefined
          await clock.sleep(Math.min(waitBefore(attemptNumber, random, fault.retryAfterMs), 5_000), signal)
        },
      },
    )
    if (settled.is !== 'refused' || settled.outcome === 'unknown') attempts.arrived(task)
    if (settled.is === 'stored') return { is: stored(task, settled, at) }
    await settle(task, settled)
    return done
  }

  async function stored({ write }: Task, settled: Extract<Settled, { is: 'stored' }>, at: Target): Promise<void> {
    const storedAt = clock.now()
    const evidence = {
      token: settled.token,
      proof: settled.proof,
      etag: settled.etag,
      partSize: undefined,
      storedAt,
      // Whoever wants no hold is not to wait for clocks either.
      lookAt: storedAt + options.holdMs + (options.holdMs === 0 ? 0 : leadOf(write, at, storedAt)),
    }
    attempts.stored(write.seq)
    // Somebody waits for what came of a condition; all else is recorded with others.
    if (write.state !== 'tentative') await deps.together()
    if (write.state === 'tentative') await lease.decide(write.seq, { kept: true, provider: id, evidence })
    else await lease.stored(write.seq, id, evidence)
    emit('stored', { key: write.key, version: write.version, provider: provider.name })
  }

  async function verified(seq: number): Promise<void> {
    await deps.together()
    await lease.verified(seq, id)
  }

  async function settle(task: Task, settled: Exclude<Settled, { is: 'stored' }>): Promise<void> {
    const { write } = task
    switch (settled.is) {
      case 'refused':
        if (settled.seen !== undefined) await lease.overtaken(write.seq, settled.seen, id)
        await lease.decide(write.seq, {
          kept: false,
          refusal: { code: settled.code, message: settled.message, outcome: settled.outcome },
        })
        return
      case 'overtaken':
        await overtaken(task, settled.by, settled.foreign?.modifiedAt)
        return
      default:
        settled satisfies never
    }
  }

  /** Something newer is there. Foreign: it is taken in first, so that nothing is forgotten in between. */
  async function overtaken(task: Task, by: string, foreignAt: Date | undefined): Promise<void> {
    const { write } = task
    let newest = by
    if (foreignAt !== undefined) {
      emit('foreign', { key: write.key, provider: provider.name, modifiedAt: foreignAt })
      // What overtakes a repair is found by the next comparison, which leaves it as it is.
      if (options.foreign === 'adopt' && write.origin === 'app') newest = await takeIn(write.key)
    }
    // It may have changed again before it was taken in: then nothing newer is safe yet, and the provider is asked anew.
    if (newest <= write.version) throw gone(write.key)
    await lease.overtaken(write.seq, newest, id)
    emit('superseded', { key: write.key, version: write.version, provider: provider.name, by })
  }

  async function takeIn(key: string): Promise<Version> {
    try {
      return await deps.adopt(key, provider.name, signal)
    } catch (error) {
      if (error instanceof HoldfastError && error.rule === 'absent') throw gone(key)
      throw error
    }
  }

  function gone(key: string): HoldfastError {
    return new HoldfastError('UNAVAILABLE', `what was written past Holdfast at ${provider.name} is there no more`, {
      key,
      provider: provider.name,
      reason: 'CONDITION',
    })
  }

  async function lookAt(task: Task, at: Target): Promise<Recorded> {
    const { write } = task
    const about = { key: write.key, version: write.version, provider: provider.name }
    demandWhole(write)
    const looked = await lookAgain({ task, target: at, now: clock.now, signal })
    switch (looked.is) {
      case 'verified':
        attempts.verified(write.seq)
        return { is: verified(write.seq).then(() => emit('verified', about)) }
      case 'lost':
        // A bucket that was emptied or replaced is not to be filled again by thousands of small repairs.
        await confirmIdentity(provider, deps.identity(), signal)
        if (attempts.isOnceTooOften(write.seq))
          throw new HoldfastError('BLOCKED', `${looked.message}, ${mostMismatches} times`, {
            key: write.key,
            reason: 'MISMATCH',
            retryable: false,
          })
        await lease.again(write.seq, id, looked.message)
        emit('lost', { ...about, message: looked.message })
        return done
      case 'overtaken':
        await overtaken(task, looked.by, looked.foreign?.modifiedAt)
        return done
      default:
        return looked satisfies never
    }
  }
}

const done: Recorded = { is: Promise.resolve() }

/** How far a delete is ahead of its provider's clock, ms: so much longer writes may come that are older than it. */
function leadOf({ kind, version }: WriteRow, { skew }: Target, now: number): number {
  return kind === 'delete' ? Math.max(0, versionTime(version) - now - (skew.offsetMs ?? 0)) : 0
}

/** Nothing that a damaged row says may be sent, or compared with. */
function demandWhole({ damaged, key }: WriteRow): void {
  if (damaged)
    throw new HoldfastError('CORRUPT', 'the journal row of this write is damaged', { key, reason: 'LOCAL_CORRUPT' })
}
