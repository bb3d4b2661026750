import { after } from './after.ts'
import type { Clock } from './ports.ts'

/** Whether a promise is not settled after so many milliseconds, one way or the other. Never rejects. */
export function isLate(of: Promise<unknown>, ms: number, clock: Clock): Promise<boolean> {
  return new Promise(resolve => {
    const wake = after(clock, ms, () => resolve(true))
    const settled = (): void => {
      wake()
      resolve(false)
    }
    of.then(settled, settled)
  })
}
