import { randomBytes } from 'node:crypto'
import type { Clock, Random } from './ports.ts'

/** Node's timers take no more, and fire at once where they are given more. */
const longestTimerMs = 2 ** 31 - 1

/** The machine's own clock. Its sleeps do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  // By hand: the sleep of node:timers makes an error of its own for each abort, which was a tenth of the price of a small read.
  sleep: (ms, signal) =>
    new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason)
        return
      }
      const abort = () => {
        clearTimeout(timer)
        reject(signal?.reason)
      }
      const timer = setTimeout(
        () => {
          signal?.removeEventListener('abort', abort)
          resolve()
        },
        Math.min(ms, longestTimerMs),
      ).unref()
      signal?.addEventListener('abort', abort, { once: true })
    }),
  after(ms, call) {
    const timer = setTimeout(call, Math.min(ms, longestTimerMs)).unref()
    return () => clearTimeout(timer)
  },
  stayAlive() {
    const timer = setInterval(() => {}, longestTimerMs)
    return () => clearInterval(timer)
  },
  turn: () => new Promise(resolve => setImmediate(resolve)),
}

export const systemRandom: Random = {
  number: () => Math.random(),
  hex: bytes => randomBytes(bytes).toString('hex'),
}
