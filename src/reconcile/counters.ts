import type { GuardFinding, ReconcileCounters } from './types.ts'

/** The counters, as they are written. */
export type Counting = { -readonly [Name in keyof Omit<ReconcileCounters, 'listed'>]: ReconcileCounters[Name] } & {
  readonly listed: Record<string, number>
}

export function newCounting(names: readonly string[], cursor: string): Counting {
  const listed: Record<string, number> = Object.create(null)
  for (const name of names) listed[name] = 0
  return {
    surveyed: 0,
    compared: 0,
    skipped: 0,
    unknown: 0,
    listed,
    missing: 0,
    different: 0,
    foreign: 0,
    deleted: 0,
    queued: 0,
    impossible: 0,
    asked: 0,
    bytesRead: 0,
    cursor,
    guard: undefined as GuardFinding | undefined,
  }
}
