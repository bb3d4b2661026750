import type { Clock } from './ports.ts'

/**
 * The wall clock as far as it did not jump ahead since this was called, ms since 1970: for what only time that passes may make old. A wall clock that is set
 * back is followed at the next look.
 */
export function steadyWall(clock: Clock): () => number {
  let wallAtZero = clock.now() - clock.monotonic()
  return () => {
    wallAtZero = Math.min(wallAtZero, clock.now() - clock.monotonic())
    return wallAtZero + clock.monotonic()
  }
}
