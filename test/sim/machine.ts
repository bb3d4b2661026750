import type { Clock, Random } from '../../src/core/ports.ts'
import { seededRandom } from '../../src/testing/clock.ts'
import type { Scheduler } from './scheduler.ts'

const startMs = Date.UTC(2026, 0, 1)

/** A simulated process: all that it does goes through here, so that it can be stopped between any two things. */
export interface Process {
  /** Machine and life, for the trace: `m1.2`. */
  readonly name: string
  readonly isAlive: boolean
  readonly clock: Clock
  readonly random: Random
  /** Goes on after this much time; never, once the process is dead; later, while it is stopped. */
  wait(ms: number): Promise<void>
  /** kill -9: whatever it was about to do next does not happen. */
  kill(): void
  /** SIGSTOP, and SIGCONT so much later. */
  stop(ms: number): void
  /** When it goes on, by the world's time. */
  readonly stoppedUntil: number
}

export interface ProcessOptions {
  readonly name: string
  readonly scheduler: Scheduler
  /** Of its machine's wall clock. */
  readonly skewMs: () => number
  readonly seed: number
}

export function startProcess({ name, scheduler, skewMs, seed }: ProcessOptions): Process {
  let isAlive = true
  let stoppedUntil = 0
  const later = (ms: number, run: () => void): (() => void) => {
    let cancel = scheduler.after(ms, function wake() {
      if (!isAlive) return
      if (scheduler.elapsed < stoppedUntil) cancel = scheduler.after(stoppedUntil - scheduler.elapsed, wake)
      else run()
    })
    return () => cancel()
  }
  const clock: Clock = {
    now: () => startMs + Math.floor(scheduler.elapsed) + skewMs(),
    monotonic: () => scheduler.elapsed,
    sleep: (ms, signal) =>
      new Promise((resolve, reject) => {
        if (!isAlive) return
        if (signal?.aborted === true) return reject(signal.reason)
        const abort = () => {
          cancel()
          reject(signal?.reason)
        }
        const cancel = later(Math.max(ms, 0.01), () => {
          signal?.removeEventListener('abort', abort)
          resolve()
        })
        signal?.addEventListener('abort', abort, { once: true })
      }),
  }
  return {
    name,
    clock,
    random: seededRandom(seed),
    get isAlive() {
      return isAlive
    },
    wait: ms =>
      new Promise(resolve => {
        later(ms, resolve)
      }),
    kill() {
      isAlive = false
    },
    get stoppedUntil() {
      return stoppedUntil
    },
    stop(ms) {
      stoppedUntil = Math.max(stoppedUntil, scheduler.elapsed + ms)
    },
  }
}
