import pRetry from 'p-retry'
import type { Breaker, Ticket } from '../core/breaker.ts'
import { HoldfastError, type Reason } from '../core/errors.ts'
import type { Limiter, Slot } from '../core/limiter.ts'
import type { Clock, Random } from '../core/ports.ts'
import type { Provider, UploadMemo } from '../core/provider.ts'
import type { Source } from '../core/source.ts'
import type { Version } from '../core/version.ts'
import type { Lease, ProviderHealth, ProviderRow, Task, WriteRow } from '../journal/contract.ts'
import { admit, canary, confirmIdentity } from './admit.ts'
import { apply } from './apply.ts'
import type { Emit } from './events.ts'
import { lookAgain } from './look.ts'
import { reactionTo, waitBefore, waitBeforeProbe, worthAnotherTry } from './policy.ts'
import { paced, type Settled, type Target } from './target.ts'
import { bell } from './wake.ts'

/** At least this long between the two looks by the clock of this process that never jumps, or the whole hold where that is shorter. */
const leastHoldMs = 60_000
/** Up to here the time that a call takes says something of the provider's health: 1 MiB. */
const smallBytes = 1024 * 1024
/** Tries within one attempt, after the first. */
const quickRetries = 2
/** How often a copy that comes out wrong is sent again before somebody has to look at it. */
const mostMismatches = 3
/** After so many fresh writes one of the backlog is sent, and one is looked at, however many fresh ones come. */
const mostFreshInRow = 7
/** Writes whose mismatches are remembered: an older one may be sent again a few times more. */
const mostRemembered = 10_000

export interface LaneOptions {
  readonly holdMs: number
  /** A put or delete that waited longer than this is blocked as TOO_OLD: the markers that could contradict it may be gone. */
  readonly tooOldMs: number
  readonly foreign: 'adopt' | 'report'
}

export interface LaneDeps {
  readonly lease: Lease
  readonly row: ProviderRow
  /** Guarded: no call of it hangs. */
  readonly provider: Provider
  readonly breaker: Breaker
  readonly limiter: Limiter
  readonly clock: Clock
  readonly random: Random
  readonly options: LaneOptions
  readonly sourceOf: (write: WriteRow) => Source
  /** Takes in what was written past Holdfast, as a new write; resolves with the version that the key has then. */
  readonly adopt: (key: string, provider: string, signal: AbortSignal) => Promise<Version>
  readonly emit: Emit
  /** The journal takes no changes from this process any more. */
  readonly lost: (error: HoldfastError) => void
  /** Something is in flight no more: its body may be released. */
  readonly freed: () => void
  readonly signal: AbortSignal
}

/** Everything that goes to one provider. Lanes know nothing of each other: what happens to one provider delays no other. */
type Work = (task: Task, at: Target) => Promise<void>

export interface Lane {
  /** Something may have become due. */
  wake(): void
  isBusy(seq: number): boolean
  /** Drops what an upload that nobody needs any more left at the provider. */
  abandon(key: string, upload: string): Promise<void>
  /** Resolves when nothing is in flight any more, after the signal was aborted. */
  done: Promise<void>
}

export function openLane(deps: LaneDeps): Lane {
  const { lease, row, provider, breaker, limiter, clock, random, options, emit, signal } = deps
  const id = row.id
  const changed = bell(clock)
  const inFlight = new Map<number, Promise<void>>()
  const keys = new Set<string>()
  /** When this process saw a replica stored, by the clock that never jumps: kept until the least hold is over. */
  const storedHere = new Map<number, number>()
  /** How often a copy of a write came out wrong, as this process saw it: attempts also count what the network did. */
  const mismatches = new Map<number, number>()
  /** Conditional writes of which a try of this attempt may have been applied: that they did not happen can no longer be said. */
  const unsettled = new Set<number>()
  const begun = clock.monotonic()
  const target: Target = {
    id,
    provider,
    get capabilities() {
      return provider.capabilities
    },
    skew: { offsetMs: row.health?.clockOffsetMs },
  }
  let identity = row.identity
  let isAdmitted = false
  let probes = 0
  let freshInRow = 0
  let isLooksTurn = false
  let health: ProviderHealth | undefined

  const done = run()
  return {
    wake: changed.ring,
    isBusy: seq => inFlight.has(seq),
    abandon: (key, upload) => provider.abandon(key, upload, signal),
    done,
  }

  async function run(): Promise<void> {
    try {
      while (!signal.aborted) {
        if (!isAdmitted) await tryAdmission()
        else await pump()
      }
    } catch (error) {
      if (!signal.aborted) deps.lost(asError(error))
    }
    await Promise.allSettled(inFlight.values())
  }

  /** Before the first write: which bucket is it, and what can it do? Also the probe of a provider that was blocked. */
  async function tryAdmission(): Promise<void> {
    try {
      const admission = await admit(provider, { identity, capabilities: row.capabilities }, random, signal)
      identity = admission.identity
      if (admission.serverTime !== undefined) target.skew.offsetMs = admission.serverTime - clock.now()
      await lease.learnt(id, { identity: admission.identity, capabilities: admission.capabilities })
      isAdmitted = true
      if (probes > 0) limiter.restart()
      probes = 0
      await lease.hurry(id)
      await tellHealth({ state: 'up' })
    } catch (error) {
      if (signal.aborted) return
      const fault = provider.classify(error)
      const reaction = reactionTo(fault)
      if (reaction === 'stop') throw fault
      const isBlocked = reaction !== 'retry'
      await tellHealth({
        state: isBlocked ? 'blocked' : 'down',
        reason: fault.reason ?? 'SERVER',
        message: fault.message,
      })
      await clock.sleep(Math.max(waitBeforeProbe(probes++, random), fault.retryAfterMs ?? 0), signal).catch(() => {})
    }
  }

  async function pump(): Promise<void> {
    // First: a provider that just came back is to be given little, not what it bore before.
    await syncHealth()
    start()
    const now = clock.now()
    const next = lease.nextAt(id)
    const until = next === undefined ? Number.POSITIVE_INFINITY : Math.max(next - now, 0)
    // What is due already and was not started waits for a slot, for the breaker, or for its hold: one of those rings or is asked again.
    const patience =
      until === 0
        ? Math.max(50, Math.min(Math.max(breaker.retryInMs, limiter.pausedMs), 1000))
        : Math.min(until, 60_000)
    await changed.wait(patience, signal)
  }

  function start(): void {
    const now = clock.now()
    const except = new Set(inFlight.keys())
    const query = (limit: number, order: 'oldest' | 'fresh') => ({ provider: id, now, limit, order, except })
    if (breaker.retryInMs > 0 || limiter.free('backlog') <= 0) return
    const launch = (lane: 'fresh' | 'backlog', most: number, find: (limit: number) => readonly Task[], work: Work) => {
      const free = Math.min(limiter.free(lane), most)
      if (free <= 0) return 0
      let begun = 0
      for (const task of find(free)) {
        if (keys.has(task.write.key)) continue
        if (!enter(task, lane, work)) break
        except.add(task.write.seq)
        begun++
      }
      return begun
    }
    const looks = (limit: number) => lease.looks(query(limit, 'oldest')).filter(isHeldLongEnough)
    const oldest = (limit: number) => lease.due(query(limit, 'oldest'))
    const lookAtSome = (most: number) => launch('backlog', most, looks, lookAt)
    const sendOldest = (most: number) => launch('backlog', most, oldest, send)
    if (freshInRow >= mostFreshInRow) {
      freshInRow = 0
      isLooksTurn = !isLooksTurn
      if (isLooksTurn) lookAtSome(1)
      sendOldest(1)
      if (!isLooksTurn) lookAtSome(1)
    }
    freshInRow += launch('fresh', Number.POSITIVE_INFINITY, limit => lease.due(query(limit, 'fresh')), send)
    const free = limiter.free('backlog')
    if (free <= 0) return
    // Where slots come one at a time, whoever is asked first would get all of them.
    isLooksTurn = !isLooksTurn
    if (free > 1 || isLooksTurn) lookAtSome(Math.ceil(free / 4))
    sendOldest(Number.POSITIVE_INFINITY)
    lookAtSome(Number.POSITIVE_INFINITY)
  }

  /** A jump of the wall clock ends no hold. */
  function isHeldLongEnough(task: Task): boolean {
    const since = storedHere.get(task.write.seq) ?? begun
    return clock.monotonic() - since >= Math.min(leastHoldMs, options.holdMs)
  }

  function enter(task: Task, lane: 'fresh' | 'backlog', work: Work): boolean {
    const slot = limiter.take(lane)
    if (slot === undefined) return false
    const ticket = breaker.tryEnter()
    if (ticket === undefined) {
      slot.released()
      return false
    }
    keys.add(task.write.key)
    inFlight.set(task.write.seq, through(task, work, slot, ticket))
    return true
  }

  async function through(task: Task, work: Work, slot: Slot, ticket: Ticket): Promise<void> {
    const { seq, key, size } = task.write
    const started = clock.monotonic()
    try {
      await work(task, { ...target, capabilities: provider.capabilities, provider: paced(provider, slot) })
      // A large body takes its time: that it moves is the guard's business.
      ticket.succeeded(size > smallBytes ? 0 : clock.monotonic() - started)
      slot.succeeded()
    } catch (error) {
      if (signal.aborted) {
        ticket.abandoned()
        slot.released()
      } else {
        const fault = provider.classify(error)
        ticket.failed(fault)
        slot.failed(fault)
        await react(task, fault).catch(failure => {
          if (!signal.aborted) deps.lost(asError(failure))
        })
      }
    } finally {
      unsettled.delete(seq)
      inFlight.delete(seq)
      keys.delete(key)
      changed.ring()
      deps.freed()
    }
  }

  async function send(task: Task, at: Target): Promise<void> {
    const { write, replica } = task
    demandWhole(write)
    if (clock.now() - write.acceptedAt > options.tooOldMs)
      throw new HoldfastError('BLOCKED', `the write waited longer than delete markers can be trusted to live`, {
        key: write.key,
        reason: 'TOO_OLD',
        retryable: false,
      })
    // Withdrawn at the last moment: whoever asked for it was told that it did not happen.
    if (write.state === 'tentative' && !(await lease.sending(write.seq, id))) return
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
        }),
      {
        retries: quickRetries,
        minTimeout: 0,
        maxTimeout: 0,
        unref: true,
        shouldRetry: ({ error }) => worthAnotherTry(provider.classify(error)) && !signal.aborted,
        onFailedAttempt: async ({ error, attemptNumber, retriesLeft }) => {
          const fault = provider.classify(error)
          noteUnsettled(task, fault)
          if (retriesLeft === 0 || !worthAnotherTry(fault)) return
          if (fault.reason === 'UPLOAD_GONE') saved = undefined
          await clock.sleep(Math.min(waitBefore(attemptNumber, random, fault.retryAfterMs), 5_000), signal)
        },
      },
    )
    await settle(task, settled)
  }

  async function settle(task: Task, settled: Settled): Promise<void> {
    const { write } = task
    const about = { key: write.key, version: write.version, provider: provider.name }
    switch (settled.is) {
      case 'stored': {
        const storedAt = clock.now()
        const evidence = {
          token: settled.token,
          proof: settled.proof,
          etag: settled.etag,
          partSize: undefined,
          storedAt,
          lookAt: storedAt + options.holdMs,
        }
        rememberStored(write.seq)
        if (write.state === 'tentative') await lease.decide(write.seq, { kept: true, provider: id, evidence })
        else await lease.stored(write.seq, id, evidence)
        emit('stored', about)
        return
      }
      case 'refused':
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
      if (options.foreign === 'adopt') newest = await takeIn(write.key)
    }
    // It may have changed again before it was taken in: then nothing newer is safe yet, and the provider is asked anew.
    if (newest <= write.version) throw gone(write.key)
    await lease.overtaken(write.seq, newest)
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

  async function lookAt(task: Task, at: Target): Promise<void> {
    const { write } = task
    const about = { key: write.key, version: write.version, provider: provider.name }
    demandWhole(write)
    const looked = await lookAgain({ task, target: at, now: clock.now, signal })
    switch (looked.is) {
      case 'verified':
        storedHere.delete(write.seq)
        mismatches.delete(write.seq)
        await lease.verified(write.seq, id)
        emit('verified', about)
        return
      case 'lost':
        // A bucket that was emptied or replaced is not to be filled again by thousands of small repairs.
        if (identity !== undefined) await confirmIdentity(provider, identity, signal)
        if (isOnceTooOften(write.seq))
          throw new HoldfastError('BLOCKED', `${looked.message}, ${mostMismatches} times`, {
            key: write.key,
            reason: 'MISMATCH',
            retryable: false,
          })
        await lease.again(write.seq, id, looked.message)
        emit('lost', { ...about, message: looked.message })
        return
      case 'overtaken':
        await overtaken(task, looked.by, looked.foreign?.modifiedAt)
        return
      default:
        looked satisfies never
    }
  }

  /** Counts one more. */
  function isOnceTooOften(seq: number): boolean {
    const count = (mismatches.get(seq) ?? 0) + 1
    mismatches.set(seq, count)
    const [oldest] = mismatches.keys()
    if (mismatches.size > mostRemembered && oldest !== undefined) mismatches.delete(oldest)
    return count > mostMismatches
  }

  function rememberStored(seq: number): void {
    const now = clock.monotonic()
    storedHere.set(seq, now)
    // In order of time: what is older than the least hold needs no remembering.
    for (const [old, at] of storedHere) {
      if (now - at < leastHoldMs) break
      storedHere.delete(old)
    }
  }

  function noteUnsettled({ write }: Task, fault: HoldfastError): void {
    if (write.state === 'tentative' && fault.outcome === 'unknown') unsettled.add(write.seq)
  }

  function mayHaveHappened({ write, replica }: Task): boolean {
    return replica.attempt > 0 || unsettled.has(write.seq)
  }

  async function react(task: Task, fault: HoldfastError): Promise<void> {
    const { write, replica } = task
    noteUnsettled(task, fault)
    const reaction = reactionTo(fault)
    switch (reaction) {
      case 'stop':
        deps.lost(fault)
        return
      case 'block-provider':
        await lease.postpone(write.seq, id, {
          notBefore: replica.notBefore,
          // One that was tried can no longer be withdrawn.
          attempt: mayHaveHappened(task) ? Math.max(1, replica.attempt) : replica.attempt,
          reason: fault.reason,
          message: fault.message,
        })
        await blockProvider(fault.reason ?? 'SERVER', fault.message)
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
    if (write.state === 'tentative' && fault.outcome === 'rejected' && !mayHaveHappened(task)) {
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
    if (state === 'tentative' && mayHaveHappened(task) && reason !== 'TOO_OLD') {
      await postpone(task, fault)
      return
    }
    if (state === 'tentative') {
      const outcome = mayHaveHappened(task) ? 'unknown' : 'rejected'
      await lease.decide(seq, { kept: false, refusal: { code: 'UNAVAILABLE', message, outcome } })
      return
    }
    await lease.block(seq, id, reason, message)
    emit('blocked', { key, version, provider: provider.name, reason, message })
  }

  async function blockProvider(reason: Reason, message: string): Promise<void> {
    isAdmitted = false
    await tellHealth({ state: 'blocked', reason, message })
  }

  /** A 403 may be about one key or about everything: a small object of our own tells. */
  async function askCanary(task: Task, fault: HoldfastError): Promise<void> {
    try {
      await canary(provider, random, signal)
    } catch (error) {
      if (signal.aborted) return
      const why = provider.classify(error)
      await postpone(task, fault)
      if (reactionTo(why) !== 'retry') await blockProvider(why.reason ?? 'FORBIDDEN', why.message)
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
    if (isOnceTooOften(task.write.seq)) await blockReplica(task, 'MISMATCH', fault)
    else await postpone(task, fault)
  }

  async function tellHealth(next: Omit<ProviderHealth, 'since'>): Promise<void> {
    const isNew = health?.state !== next.state || health.reason !== next.reason
    if (!isNew) return
    const { offsetMs } = target.skew
    const offset = offsetMs === undefined ? {} : { clockOffsetMs: Math.round(offsetMs) }
    health = { ...next, since: clock.now(), ...offset }
    await lease.health(id, health)
    const { state, reason, message } = next
    emit('provider', {
      provider: provider.name,
      state,
      ...(reason === undefined ? {} : { reason }),
      ...(message === undefined ? {} : { message }),
    })
  }

  /** The breaker opens and closes by itself; status says so, and what waited out the outage is due at once when it is over. */
  async function syncHealth(): Promise<void> {
    if (!isAdmitted) return
    const { state, lastError: why } = breaker
    const wasDown = health !== undefined && health.state !== 'up'
    await tellHealth(
      state === 'up' || why === undefined
        ? { state }
        : { state, message: why.message, ...(why.reason === undefined ? {} : { reason: why.reason }) },
    )
    if (!wasDown || state !== 'up') return
    limiter.restart()
    await lease.hurry(id)
  }
}

/** Nothing that a damaged row says may be sent, or compared with. */
function demandWhole({ damaged, key }: WriteRow): void {
  if (damaged)
    throw new HoldfastError('CORRUPT', 'the journal row of this write is damaged', { key, reason: 'LOCAL_CORRUPT' })
}

function asError(error: unknown): HoldfastError {
  return error instanceof HoldfastError
    ? error
    : new HoldfastError('CORRUPT', (error as Error).message, { cause: error })
}
