import type { HoldfastError, Reason } from '../core/errors.ts'
import type { Task } from '../journal/contract.ts'
import { canary } from './admit.ts'
import type { Attempts } from './attempts.ts'
import type { LaneDeps } from './deps.ts'
import { asError, reactionTo, waitBefore } from './policy.ts'

export interface ReactDeps extends LaneDeps {
  readonly attempts: Attempts
  /** Nothing more is sent until a probe gets through. */
  readonly blockProvider: (reason: Reason, message: string) => Promise<void>
}

/** What follows when something went wrong with a replica: it waits, it is blocked with its reason, or its provider is. Nothing is dropped. */
export function reactions(deps: ReactDeps): (task: Task, fault: HoldfastError) => Promise<void> {
  const { lease, provider, clock, random, emit, signal, attempts } = deps
  const { id } = deps.row
  return react

  async function react(task: Task, fault: HoldfastError): Promise<void> {
    const { write, replica } = task
    attempts.failed(task, fault)
    const reaction = reactionTo(fault)
    switch (reaction) {
      case 'stop':
        deps.lost(fault)
        return
      case 'block-provider':
        await lease.postpone(write.seq, id, {
          notBefore: replica.notBefore,
          // One that was tried can no longer be withdrawn.
          attempt: attempts.mayHaveHappened(task) ? Math.max(1, replica.attempt) : replica.attempt,
          reason: fault.reason,
          message: fault.message,
        })
        await deps.blockProvider(fault.reason ?? 'SERVER', fault.message)
        return
      case 'ask-canary':
        await askCanary(task, fault)
        return
      case 'block-replica':
        await blockReplica(task, fault.reason ?? 'REFUSED', fault)
        return
      case 'check-local':
        await checkLocal(task, fault)
        return
      case 'restart-upload':
        await lease.saveUpload(write.seq, id, undefined)
        await postpone(task, fault)
        return
      case 'retry':
        await postpone(task, fault)
        return
      default:
        reaction satisfies never
    }
  }

  async function postpone(task: Task, fault: HoldfastError): Promise<void> {
    const { write, replica } = task
    // A conditional write that surely did not happen is given back to its caller rather than kept waiting.
    if (write.state === 'tentative' && fault.outcome === 'rejected' && !attempts.mayHaveHappened(task)) {
      await lease.decide(write.seq, {
        kept: false,
        refusal: { code: 'UNAVAILABLE', message: fault.message, outcome: 'rejected' },
      })
      return
    }
    const inMs = waitBefore(replica.attempt, random, fault.retryAfterMs)
    await lease.postpone(write.seq, id, {
      notBefore: clock.now() + inMs,
      attempt: replica.attempt + 1,
      reason: fault.reason,
      message: fault.message,
    })
    emit('retry', {
      key: write.key,
      version: write.version,
      provider: provider.name,
      reason: fault.reason,
      message: fault.message,
      inMs,
    })
  }

  async function blockReplica(task: Task, reason: Reason, fault: HoldfastError): Promise<void> {
    const { seq, key, version, state } = task.write
    const { message } = fault
    if (state === 'tentative' && attempts.mayHaveHappened(task) && reason !== 'TOO_OLD') {
      await postpone(task, fault)
      return
    }
    if (state === 'tentative') {
      const outcome = attempts.mayHaveHappened(task) ? 'unknown' : 'rejected'
      await lease.decide(seq, { kept: false, refusal: { code: 'UNAVAILABLE', message, outcome } })
      return
    }
    if (reason === 'LOCAL_CORRUPT' && (await deps.restoring.take(task, { id, name: provider.name }, message))) return
    await lease.block(seq, id, reason, message)
    emit('blocked', { key, version, provider: provider.name, reason, message })
  }

  /** A 403 may be about one key or about everything: a small object of our own tells. */
  async function askCanary(task: Task, fault: HoldfastError): Promise<void> {
    try {
      await canary(provider, random, signal)
    } catch (error) {
      if (signal.aborted) return
      const why = provider.classify(error)
      await postpone(task, fault)
      if (reactionTo(why) !== 'retry') await deps.blockProvider(why.reason ?? 'FORBIDDEN', why.message)
      return
    }
    await blockReplica(task, 'FORBIDDEN', fault)
  }

  /** The service found other bytes than announced: are ours still what they were? */
  async function checkLocal(task: Task, fault: HoldfastError): Promise<void> {
    try {
      const source = deps.sourceOf(task.write)
      for await (const _ of source.open(0, source.size)) signal.throwIfAborted()
    } catch (error) {
      if (signal.aborted) return
      await blockReplica(task, 'LOCAL_CORRUPT', asError(error))
      return
    }
    if (attempts.isOnceTooOften(task.write.seq)) await blockReplica(task, 'MISMATCH', fault)
    else await postpone(task, fault)
  }
}
