import type { Clock, Random } from './ports.ts'

/**
 * Orders all writes to a key: 48-bit milliseconds, 16-bit counter, 64-bit random id of the writer, as 32 hex digits whose
 * text order is their order. A hybrid logical clock; the format is fixed in FORMAT.md.
 */
export type Version = string

const VERSION = /^[0-9a-f]{32}$/
const lastCounter = 0xffff

export function isVersion(text: string): text is Version {
  return VERSION.test(text)
}

/** Milliseconds since 1970 of the version's stamp. */
export function versionTime(version: Version): number {
  return Number.parseInt(version.slice(0, 12), 16)
}

export function makeVersion(timeMs: number, counter: number, writer: string): Version {
  return timeMs.toString(16).padStart(12, '0') + counter.toString(16).padStart(4, '0') + writer
}

/** The version that an object gets which Holdfast did not write: older than any Holdfast write of the same millisecond. */
export function foreignVersion(modifiedAt: Date): Version {
  return makeVersion(Math.max(0, modifiedAt.getTime()), 0, '0000000000000000')
}

/** The least version after `floor` that this writer can give at this time. */
export function nextVersion(floor: Version | undefined, nowMs: number, writer: string): Version {
  const now = Math.max(0, Math.floor(nowMs))
  if (floor === undefined || versionTime(floor) < now) return makeVersion(now, 0, writer)
  const time = versionTime(floor)
  const counter = Number.parseInt(floor.slice(12, 16), 16)
  return counter < lastCounter ? makeVersion(time, counter + 1, writer) : makeVersion(time + 1, 0, writer)
}

/** Sixteen hex digits, new at each open, so that two writers never make the same version. */
export function newWriter(random: Random): string {
  return random.hex(8)
}

/** How far ahead of a provider's own clock a stamp may be before it is neither issued nor followed. */
export const maxClockLeadMs: number = 5 * 60_000

/** The time to stamp a write with: the wall clock, held back to what the providers' clocks allow. */
export function stampTime(clock: Clock, providerOffsetsMs: Iterable<number>): number {
  let time = clock.now()
  for (const offset of providerOffsetsMs) time = Math.min(time, clock.now() + offset + maxClockLeadMs)
  return time
}
