import { visit } from './attended.ts'
import type { LaneDeps } from './deps.ts'
import { expire, isExpiryDue } from './expiry.ts'
import { asError } from './policy.ts'
import { paced, type Target } from './target.ts'

const dayMs = 86_400_000
/** Not when everything begins: what waited goes first. */
const firstAfterMs = 15 * 60_000
const againAfterMs = 60 * 60_000

export interface UpkeepDeps extends LaneDeps {
  readonly target: Target
}

/** What a bucket needs beside its objects: the mark that says that somebody replicates to it, and an end for old delete markers. */
export interface Upkeep {
  /** Before the first write, and after each time that the provider was blocked. Rejects where the mark cannot be read. */
  enter(): Promise<void>
  /** Begins what is due, in the background, as backlog. Only while the provider is up. */
  begin(): void
  /** Resolves when nothing is under way. */
  idle(): Promise<void>
}

export function upkeep(deps: UpkeepDeps): Upkeep {
  const { journal, provider, target, breaker, limiter, clock, options, emit, signal } = deps
  const { id } = target
  const tombstoneMs = options.tooOldMs * 2
  let dueAt = Number.POSITIVE_INFINITY
  let visitedAt = 0
  let working: Promise<void> | undefined

  async function look(at: Target['provider']): Promise<void> {
    const visitDeps = { journal, provider: at, id, maxAgeMs: options.tooOldMs, now: clock.now }
    const { awaySince, renew } = await visit(visitDeps, signal)
    if (awaySince !== undefined) emit('stale-provider', { provider: provider.name, awaySince: new Date(awaySince) })
    visitedAt = clock.now()
    try {
      await renew()
    } catch (error) {
      signal.throwIfAborted()
      // Nothing else is kept from going on: the next visit tries again, long before the old mark is too old.
      if (asError(error).code === 'CLOSED') throw error
    }
  }

  async function work(): Promise<void> {
    if (Math.abs(clock.now() - visitedAt) >= dayMs) await inTurn(at => look(at.provider))
    let isMore = true
    while (isMore) {
      isMore = await inTurn(async at => {
        const isStale = journal.providers().find(row => row.id === id)?.isStale === true
        const expiry = { journal, tombstoneMs, now: clock.now }
        return !isStale && isExpiryDue(expiry, id) && (await expire(expiry, at, signal))
      })
    }
  }

  /** As any other backlog: in a slot, through the breaker, every request paced. */
  async function inTurn<T>(step: (at: Target) => Promise<T>): Promise<T> {
    let slot = limiter.take('backlog')
    while (slot === undefined) {
      await limiter.whenFree('backlog', signal)
      slot = limiter.take('backlog')
    }
    const ticket = breaker.tryEnter()
    if (ticket === undefined) {
      slot.released()
      throw new Error('the provider is not up')
    }
    try {
      const answer = await step({ ...target, capabilities: provider.capabilities, provider: paced(provider, slot) })
      ticket.succeeded(0)
      slot.succeeded()
      return answer
    } catch (error) {
      if (signal.aborted) {
        ticket.abandoned()
        slot.released()
      } else {
        ticket.failed(provider.classify(error))
        slot.failed(error)
      }
      throw error
    }
  }

  return {
    async enter() {
      await look(provider)
      dueAt = clock.monotonic() + firstAfterMs
    },
    begin() {
      const isDue = clock.monotonic() >= dueAt || Math.abs(clock.now() - visitedAt) >= dayMs
      if (!isDue || working !== undefined) return
      dueAt = Number.POSITIVE_INFINITY
      const end = (afterMs: number) => () => {
        dueAt = clock.monotonic() + afterMs
        working = undefined
      }
      working = work().then(end(dayMs), end(againAfterMs))
    },
    idle: async () => working,
  }
}
