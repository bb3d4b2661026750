import type { Ticket } from '../core/breaker.ts'
import type { Slot } from '../core/limiter.ts'
import type { ProviderHealth, ProviderRow, Task } from '../journal/contract.ts'
import type { Reason } from '../core/errors.ts'
import { admit, newIdentity } from './admit.ts'
import { attempts } from './attempts.ts'
import type { LaneDeps } from './deps.ts'
import { asError, reactionTo, waitBeforeProbe } from './policy.ts'
import { reactions } from './react.ts'
import { paced, type Target } from './target.ts'
import { upkeep } from './upkeep.ts'
import { bell } from './wake.ts'
import { type Recorded, work } from './work.ts'

/** Up to here the time that a call takes says something of the provider's health: 1 MiB. */
const smallBytes = 1024 * 1024
/** For each so many fresh writes one of the backlog is sent, and one is looked at, however many fresh ones come. */
const mostFreshInRow = 7
/** So many may wait for the journal's disk at once, beside those that the provider has in hand. */
const mostUnrecorded = 128
/** While all slots are taken, nobody asks the journal what is due. */
const longestFullMs = 1_000
/** What becomes due within so long is looked for together: each look costs more than what it finds. */
const restMs = 5
/** The same while nothing is sent. */
const downRestMs = 50

/** What was found longer ago is looked for anew: something else may go first by now. */
const longestHeldMs = 50

type Launch = (task: Task, at: Target) => Promise<Recorded>

/** Found, and in the hand: begun as soon as there is a slot. Nothing else of its key is begun meanwhile. */
interface Held {
  readonly task: Task
  readonly lane: 'fresh' | 'backlog'
  readonly begin: Launch
}

/** Everything that goes to one provider. Lanes know nothing of each other: what happens to one provider delays no other. */
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
  const { journal, lease, row, provider, breaker, limiter, clock, random, options, emit, signal } = deps
  const id = row.id
  const changed = bell(clock)
  const inFlight = new Map<number, Promise<void>>()
  /** Of what is in flight, and in the hand. */
  const keys = new Set<string>()
  let hand: Held[] = []
  let foundAt = 0
  const seen = attempts(clock, options.holdMs)
  const target: Target = {
    id,
    provider,
    get capabilities() {
      return provider.capabilities
    },
    skew: { offsetMs: row.health?.clockOffsetMs },
  }
  let identity = row.identity
  let proposal: string | undefined
  let isAdmitted = false
  let probes = 0
  /** How often in a row the provider was let in, and refused the first that it was given. */
  let refusals = 0
  let freshInRow = 0
  let isLooksTurn = false
  let health: ProviderHealth | undefined

  const { send, lookAt } = work({ ...deps, attempts: seen, identity: () => identity })
  const bucket = upkeep({ ...deps, target })
  const react = reactions({ ...deps, attempts: seen, blockProvider })

  const done = run()
  return {
    wake: changed.ring,
    isBusy: seq => inFlight.has(seq) || hand.some(({ task }) => task.write.seq === seq),
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
    await Promise.allSettled([...inFlight.values(), bucket.idle()])
  }

  /** Before the first write: which bucket is it, and what can it do? Also the probe of a provider that was blocked. */
  async function tryAdmission(): Promise<void> {
    // Closed to writes, it may answer all that admission asks.
    if (refusals > 1) await clock.sleep(waitBeforeProbe(refusals - 2, random), signal).catch(() => {})
    if (signal.aborted) return
    try {
      const { capabilities } = noteRemembered()
      const admission = await admit(
        provider,
        { identity, capabilities },
        { clock, proposal: (proposal ??= newIdentity(random)) },
        signal,
      )
      identity = admission.identity
      proposal = undefined
      if (admission.serverTime !== undefined) target.skew.offsetMs = admission.serverTime - clock.now()
      await lease.learnt(id, { identity: admission.identity, capabilities: admission.capabilities })
      await bucket.enter()
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
      await pause(waitBeforeProbe(probes++, random, fault.retryAfterMs))
    }
  }

  /** Any process of the directory may have accepted another bucket since. What was told of the old one's health is to be told anew. */
  function noteRemembered(): Pick<ProviderRow, 'identity' | 'capabilities'> {
    const remembered = journal.providers().find(each => each.id === id) ?? row
    if (remembered.identity !== identity) health = undefined
    identity = remembered.identity
    return remembered
  }

  /** Until the next probe; at once when another bucket is accepted meanwhile. */
  async function pause(ms: number): Promise<void> {
    const end = clock.monotonic() + ms
    for (let left = ms; left > 0 && !signal.aborted && !isReplaced(); left = end - clock.monotonic())
      await changed.wait(left, signal)
  }

  function isReplaced(): boolean {
    const remembered = journal.providers().find(each => each.id === id)
    return remembered !== undefined && remembered.identity !== identity
  }

  async function pump(): Promise<void> {
    if (beginHeld() && limiter.inUse >= limiter.limit) return changed.wait(longestFullMs, signal)
    if (isReplaced()) {
      isAdmitted = false
      putBack()
      return
    }
    // First: a provider that just came back is to be given little, not what it bore before.
    await syncHealth()
    start()
    if (breaker.state === 'up') bucket.begin()
    // Whatever is due waits for a slot, and whoever gives one back rings.
    if (limiter.inUse >= limiter.limit || unrecorded() >= mostUnrecorded)
      return changed.wait(longestFullMs, signal, restMs)
    const now = clock.now()
    const next = lease.nextAt(id)
    const until = next === undefined ? Number.POSITIVE_INFINITY : Math.max(next - now, 0)
    // What is due already and was not started waits for a slot, for the breaker, or for its hold: one of those rings or is asked again.
    const patience =
      until === 0
        ? Math.max(50, Math.min(Math.max(breaker.retryInMs, limiter.pausedMs), 1000))
        : Math.min(until, 60_000)
    await changed.wait(patience, signal, breaker.retryInMs > 0 ? downRestMs : restMs)
  }

  /** The provider is done with them, the journal is not. */
  function unrecorded(): number {
    return Math.max(0, inFlight.size - limiter.inUse)
  }

  function start(): void {
    const now = clock.now()
    const query = (limit: number, order: 'oldest' | 'fresh') => ({ provider: id, now, limit, order, except: keys })
    if (breaker.retryInMs > 0 || limiter.free('backlog') <= 0 || unrecorded() >= mostUnrecorded) return
    // As many more as are in flight: the journal is asked once for all of them. A provider that bears one at a time is given what is due then.
    const ahead = limiter.limit - 1
    const room = (lane: 'fresh' | 'backlog') => {
      const free = limiter.free(lane)
      return free === 0 ? 0 : Math.max(0, free + ahead - hand.length)
    }
    const launch = (
      lane: 'fresh' | 'backlog',
      most: number,
      find: (limit: number) => readonly Task[],
      begin: Launch,
    ) => {
      const limit = Math.min(room(lane), most)
      if (limit <= 0) return
      for (const task of find(limit)) {
        keys.add(task.write.key)
        hand.push({ task, lane, begin })
      }
    }
    const looks = (limit: number) =>
      lease.looks(query(limit, 'oldest')).filter(({ write }) => seen.isHeldLongEnough(write.seq))
    const oldest = (limit: number) => lease.due(query(limit, 'oldest'))
    const lookAtSome = (most: number) => launch('backlog', most, looks, lookAt)
    const sendOldest = (most: number) => launch('backlog', most, oldest, send)
    foundAt = clock.monotonic()
    const owed = Math.floor(freshInRow / mostFreshInRow)
    if (owed > 0) {
      freshInRow -= owed * mostFreshInRow
      isLooksTurn = !isLooksTurn
      if (isLooksTurn) lookAtSome(owed)
      sendOldest(owed)
      if (!isLooksTurn) lookAtSome(owed)
    }
    launch('fresh', Number.POSITIVE_INFINITY, limit => lease.due(query(limit, 'fresh')), send)
    const left = room('backlog')
    if (left > 0) {
      // Where slots come one at a time, whoever is asked first would get all of them.
      isLooksTurn = !isLooksTurn
      if (left > 1 || isLooksTurn) lookAtSome(Math.ceil(left / 4))
      sendOldest(Number.POSITIVE_INFINITY)
      lookAtSome(Number.POSITIVE_INFINITY)
    }
    beginHeld()
  }

  /** Begins what was found, in its order, as far as there are slots. Answers whether something is left that waits for one. */
  function beginHeld(): boolean {
    if (clock.monotonic() - foundAt > longestHeldMs) putBack()
    let begun = 0
    for (const { task, lane, begin } of hand) {
      if (!enter(task, lane, begin)) break
      if (lane === 'fresh') freshInRow++
      begun++
    }
    hand = hand.slice(begun)
    if (breaker.retryInMs > 0) putBack()
    return hand.length > 0
  }

  function putBack(): void {
    for (const { task } of hand) keys.delete(task.write.key)
    hand = []
  }

  function enter(task: Task, lane: 'fresh' | 'backlog', begin: Launch): boolean {
    const slot = limiter.take(lane)
    if (slot === undefined) return false
    const ticket = breaker.tryEnter()
    if (ticket === undefined) {
      slot.released()
      return false
    }
    inFlight.set(task.write.seq, through(task, begin, slot, ticket))
    return true
  }

  async function through(task: Task, begin: Launch, slot: Slot, ticket: Ticket): Promise<void> {
    const { seq, key, size } = task.write
    const started = clock.monotonic()
    try {
      const recorded = await begin(task, {
        ...target,
        capabilities: provider.capabilities,
        provider: paced(provider, slot),
      })
      // A large body takes its time: that it moves is the guard's business. What its requests waited for their turns is our own doing.
      ticket.succeeded(size > smallBytes ? 0 : clock.monotonic() - started - slot.waitedMs)
      // While the journal commits what came of it, the provider has somebody else's turn.
      slot.succeeded()
      refusals = 0
      changed.ring()
      await recorded.is
    } catch (error) {
      if (signal.aborted) {
        ticket.abandoned()
        slot.released()
      } else {
        const fault = provider.classify(error)
        ticket.failed(fault)
        slot.failed(fault)
        await react(task, fault).catch((failure: unknown) => {
          if (!signal.aborted) deps.lost(asError(failure))
        })
      }
    } finally {
      seen.ended(seq)
      inFlight.delete(seq)
      keys.delete(key)
      changed.ring()
      deps.freed()
    }
  }

  async function blockProvider(reason: Reason, message: string): Promise<void> {
    if (isAdmitted) refusals++
    isAdmitted = false
    putBack()
    await tellHealth({ state: 'blocked', reason, message })
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
