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

export function waitingFor(journal: Pick<Journal, 'onChange'>, clock: Clock): Waiting {
  const waiters = new Set<() => void>()
  let stopListening: (() => void) | undefined
  let alive: NodeJS.Timeout | undefined
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
  const add = (ask: () => void) => {
    waiters.add(ask)
    stopListening ??= journal.onChange(changed)
    alive ??= setInterval(askAll, atLeastEveryMs)
  }
  const remove = (ask: () => void) => {
    waiters.delete(ask)
    if (waiters.size > 0) return
    stopListening?.()
    stopListening = undefined
    clearInterval(alive)
    alive = undefined
  }

  return {
    until: (look, signal) =>
      new Promise((resolve, reject) => {
        const end = (settle: () => void) => {
          remove(ask)
          signal?.removeEventListener('abort', abort)
          settle()
        }
        const abort = () => end(() => reject(signal?.reason))
        const ask = () => {
          try {
            const answer = look()
            if (answer !== undefined) end(() => resolve(answer))
          } catch (error) {
            end(() => reject(error))
          }
        }
        if (signal?.aborted === true) return abort()
        signal?.addEventListener('abort', abort, { once: true })
        add(ask)
        ask()
      }),
  }
}
