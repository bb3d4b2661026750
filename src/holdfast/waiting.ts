import type { Clock } from '../core/ports.ts'
import type { Journal } from '../journal/contract.ts'

/** Waits for what the journal will say. */
export interface Waiting {
  /**
   * Resolves with the first answer of `look` that is not undefined: asked now, and after changes. What `look` throws ends the waiting; so does
   * the signal, with its reason. Keeps the process alive meanwhile: somebody awaits this.
   */
  until<T>(look: () => T | undefined, signal?: AbortSignal): Promise<T>
}

/** Changes closer together than this are looked at once where many wait. */
const pauseMs = 20
const manyWaiters = 32
/** Another process may change something without this one being told in time. */
const atLeastEveryMs = 1_000

export interface WaitingDeps {
  readonly journal: Pick<Journal, 'onChange'>
  readonly clock: Clock
  /** The store closes: its reason ends all waiting. */
  readonly closing: AbortSignal
  /** Set when this directory takes nothing more: what is waited for will not come. */
  readonly failure: () => Error | undefined
}

export function waitingFor({ journal, clock, closing, failure }: WaitingDeps): Waiting {
  const waiters = new Set<() => void>()
  let stopListening: (() => void) | undefined
  let leave: (() => void) | undefined
  let isPausing = false

  const askAll = () => {
    for (const ask of waiters) ask()
  }
  const changed = () => {
    if (waiters.size <= manyWaiters) return askAll()
    if (isPausing) return
    isPausing = true
    const resume = () => {
      isPausing = false
      askAll()
    }
    clock.sleep(pauseMs).then(resume, resume)
  }
  /** Asks again and again while somebody waits, and keeps the process alive for so long. */
  const stay = () => {
    const stop = new AbortController()
    const asking = async () => {
      for (;;) {
        await clock.sleep(atLeastEveryMs, stop.signal)
        askAll()
      }
    }
    asking().catch(() => {})
    const go = clock.stayAlive?.()
    return () => {
      stop.abort('over')
      go?.()
    }
  }
  const add = (ask: () => void) => {
    waiters.add(ask)
    stopListening ??= journal.onChange(changed)
    leave ??= stay()
  }
  const remove = (ask: () => void) => {
    waiters.delete(ask)
    if (waiters.size > 0) return
    stopListening?.()
    stopListening = undefined
    leave?.()
    leave = undefined
  }

  return {
    until: (look, signal) =>
      new Promise((resolve, reject) => {
        const ending = signal === undefined ? closing : AbortSignal.any([closing, signal])
        const end = (settle: () => void) => {
          remove(ask)
          ending.removeEventListener('abort', abort)
          settle()
        }
        const abort = () => end(() => reject(ending.reason))
        const ask = () => {
          try {
            const failed = failure()
            if (failed !== undefined) throw failed
            const answer = look()
            if (answer !== undefined) end(() => resolve(answer))
          } catch (error) {
            end(() => reject(error))
          }
        }
        if (ending.aborted) return abort()
        ending.addEventListener('abort', abort, { once: true })
        add(ask)
        ask()
      }),
  }
}
