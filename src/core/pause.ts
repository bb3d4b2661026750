import type { Clock } from './ports.ts'

/** A sleep in the middle of what somebody awaits: the process stays alive for it. Rejects with the signal's own reason. */
export async function pause(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
  const leave = clock.stayAlive?.()
  try {
    await clock.sleep(ms, signal)
  } finally {
    leave?.()
  }
}
