import type { ReadBack } from './calls.ts'
import type { DemoFile } from './files.ts'

/** What the parent knows by itself: the judge keeps no books with the accused. */
export interface Ledger {
  readonly files: readonly DemoFile[]
  readonly bytes: number
  /** Puts whose promise resolved, by key. These must never be lost. */
  readonly acknowledged: ReadonlyMap<string, DemoFile>
  readonly acknowledgedBytes: number
  /** Rejected puts and reads, with what was said. A call that the kill cut off is neither. */
  readonly failedPuts: readonly string[]
  readonly failedReads: readonly string[]
  /** Puts that the kill cut off before they were acknowledged: put again in the next life. */
  readonly cutOff: number
  /** Right answers, by who gave them. */
  readonly reads: ReadonlyMap<string, number>
  readonly slowestReadMs: number
  /** What a cloud was reported to have, once (`stored`) and after the second look (`verified`). */
  at(provider: string): { readonly stored: Amount; readonly verified: Amount }
  notePut(file: DemoFile): void
  notePutFailed(file: DemoFile, message: string): void
  noteCutOff(): void
  noteRead(file: DemoFile, found: ReadBack | undefined, ms: number): void
  noteReadFailed(file: DemoFile, message: string): void
  noteAt(provider: string, what: 'stored' | 'verified', key: string): void
}

export interface Amount {
  readonly objects: number
  readonly bytes: number
}

export function openLedger(files: readonly DemoFile[]): Ledger {
  const byKey = new Map(files.map(file => [file.key, file]))
  const acknowledged = new Map<string, DemoFile>()
  const failedPuts: string[] = []
  const failedReads: string[] = []
  const reads = new Map<string, number>()
  const seen = new Map<string, Set<string>>()
  let slowestReadMs = 0
  let cutOff = 0

  function count(keys: Iterable<string>): Amount {
    let objects = 0
    let bytes = 0
    for (const key of keys) {
      objects++
      bytes += byKey.get(key)?.size ?? 0
    }
    return { objects, bytes }
  }

  return {
    files,
    bytes: count(byKey.keys()).bytes,
    acknowledged,
    get acknowledgedBytes() {
      return count(acknowledged.keys()).bytes
    },
    failedPuts,
    failedReads,
    get cutOff() {
      return cutOff
    },
    reads,
    get slowestReadMs() {
      return slowestReadMs
    },
    at: provider => ({
      stored: count(seen.get(`stored ${provider}`) ?? []),
      verified: count(seen.get(`verified ${provider}`) ?? []),
    }),
    notePut: file => void acknowledged.set(file.key, file),
    notePutFailed: ({ key }, message) => void failedPuts.push(`put ${key}: ${message}`),
    noteCutOff: () => void cutOff++,
    noteRead(file, found, ms) {
      const difference = found === undefined ? 'reported as absent' : differenceOf(file, found)
      if (found === undefined || difference !== undefined) {
        failedReads.push(`get ${file.key}: ${difference}`)
        return
      }
      reads.set(found.from, (reads.get(found.from) ?? 0) + 1)
      slowestReadMs = Math.max(slowestReadMs, ms)
    },
    noteReadFailed: ({ key }, message) => void failedReads.push(`get ${key}: ${message}`),
    noteAt(provider, what, key) {
      // A report of the second look also tells of the first, should that one have died with the writer.
      for (const each of what === 'verified' ? ['stored', 'verified'] : ['stored']) {
        const name = `${each} ${provider}`
        seen.set(name, (seen.get(name) ?? new Set()).add(key))
      }
    },
  }
}

/** What is wrong with a copy of this file, if anything is. */
export function differenceOf(file: DemoFile, found: Omit<ReadBack, 'from'>): string | undefined {
  if (found.size !== file.size) return `has ${found.size} bytes instead of ${file.size}`
  if (found.sha256 !== file.sha256) return 'has other bytes than the file'
  if (found.contentType !== file.contentType) return `is ${found.contentType} instead of ${file.contentType}`
  const wrong = Object.entries(file.metadata).find(([name, value]) => found.metadata[name] !== value)
  return wrong === undefined ? undefined : `has other metadata: ${wrong[0]}`
}
