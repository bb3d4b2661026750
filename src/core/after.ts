import type { Clock } from './ports.ts'

/** Given as the reason where nobody looks at it: an exception of the platform's own costs more than all the rest of a sleep. */
const over = Symbol('over')

/** Calls back after so many milliseconds by this clock, unless the answer is called before. Does not keep the process alive. */
export function after(clock: Clock, ms: number, call: () => void): () => void {
  if (clock.after !== undefined) return clock.after(ms, call)
  const stop = new AbortController()
  clock.sleep(ms, stop.signal).then(call, () => {})
  return () => stop.abort(over)
}
