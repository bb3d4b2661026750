import type { Clock } from './ports.ts'

/** Made once: it is the reason of many sleeps that nobody waits for any more. */
const over = new DOMException('what was waited for is over', 'AbortError')

/** Whether a promise is not settled after so many milliseconds, one way or the other. Never rejects. */
export async function isLate(of: Promise<unknown>, ms: number, clock: Clock): Promise<boolean> {
  const stop = new AbortController()
  const late = clock.sleep(ms, stop.signal).then(
    () => true,
    () => false,
  )
  const settled = of.then(
    () => false,
    () => false,
  )
  try {
    return await Promise.race([settled, late])
  } finally {
    stop.abort(over)
  }
}
