import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Clock, Random } from './ports.ts'

/** The machine's own clock. Its sleeps do not keep the process alive. */
export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  sleep: (ms, signal) =>
    wait(ms, undefined, { ref: false, ...(signal === undefined ? {} : { signal }) }).catch(error => {
      signal?.throwIfAborted()
      throw error
    }),
}

export const systemRandom: Random = {
  number: () => Math.random(),
  hex: bytes => randomBytes(bytes).toString('hex'),
}
