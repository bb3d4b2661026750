import { readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** One look at the app from outside. */
export interface Sample {
  /** Seconds since it was started. */
  readonly at: number
  /** Bytes. */
  readonly rss: number
  /** Open file descriptors. */
  readonly files: number
  /** Bytes of its directory on local disk. */
  readonly disk: number
  /** Writes that not every cloud has. */
  readonly backlog: number
  /** What was wrong with which cloud. */
  readonly fault: string
}

/** Resident memory and open files of a process, from /proc. */
export function lookAt(pid: number): Pick<Sample, 'rss' | 'files'> {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kib = Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1] ?? 0)
  return { rss: kib * 1024, files: readdirSync(`/proc/${pid}/fd`).length }
}

/** Files come and go meanwhile. */
export function bytesIn(directory: string): number {
  let bytes = 0
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) bytes += statSync(join(entry.parentPath, entry.name), { throwIfNoEntry: false })?.size ?? 0
  }
  return bytes
}

export function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? 0
}
