import { HoldfastError } from '../core/errors.ts'
import { compareKeys } from '../core/key.ts'
import { type Entries, type ListedObject, visibleEntries } from '../core/listing.ts'
import type { Clock } from '../core/ports.ts'
import type { Provider, RemoteEntry } from '../core/provider.ts'

/** What the listings say of one key: an entry per provider, in their order, `undefined` where it lists none. At least one is there. */
export interface Row {
  readonly key: string
  readonly entries: readonly (ListedObject | undefined)[]
}

/** The listings of all providers, merged by key: some rows at a time, in order. `undefined`: all are at their end. */
export interface Rows extends AsyncDisposable {
  next(): Promise<readonly Row[] | undefined>
}

export interface Range {
  readonly prefix: string
  /** Exclusive; '' from the beginning. */
  readonly startAfter: string
}

/** How long after a break a listing is gone on with, ms; after the last one it is given up. */
const waitsMs: readonly number[] = [200, 1_000, 5_000]

/** Entries of each listing that are compared while as many are read. */
const partEntries = 1000

/**
 * Merges sorted listings by key in UTF-8 byte order, in constant memory; `.holdfast/` is jumped over. A listing that breaks off is gone on with after
 * its last key; one that cannot be read rejects with its provider's error, and with it everything: nothing is compared with half a listing.
 * `most`: entries of each that are read at a time.
 */
export function joined(
  providers: readonly Provider[],
  range: Range,
  clock: Clock,
  signal: AbortSignal,
  most: number = partEntries,
): Rows {
  const sides = providers.map(provider => sideOf(provider, range, clock, most, signal))

  /** As far as every listing is known. */
  function merge(): Row[] {
    const rows: Row[] = []
    while (true) {
      let key: string | undefined
      for (const side of sides) {
        const entry = side.part[side.at]
        if (entry === undefined) {
          if (side.isOver) continue
          return rows
        }
        if (key === undefined || (entry.key !== key && compareKeys(entry.key, key) < 0)) key = entry.key
      }
      if (key === undefined) return rows
      const entries: (ListedObject | undefined)[] = []
      for (const side of sides) {
        const entry = side.part[side.at]
        const isThis = entry?.key === key
        if (isThis) side.at++
        entries.push(isThis ? entry : undefined)
      }
      rows.push({ key, entries })
    }
  }

  return {
    async next() {
      while (true) {
        const empty = sides.filter(side => side.at >= side.part.length && !side.isOver)
        // Waited for side by side, not one after the other.
        await Promise.all(empty.map(side => side.turn()))
        const rows = merge()
        if (rows.length > 0) return rows
        if (sides.every(side => side.isOver)) return undefined
      }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(sides.map(side => side.leave()))
    },
  }
}

interface ListingSide {
  /** What is compared now, and how far that is. */
  part: readonly ListedObject[]
  at: number
  /** There is no other part. */
  isOver: boolean
  /** On to the next part. */
  turn(): Promise<void>
  leave(): Promise<void>
}

function sideOf(
  provider: Provider,
  { prefix, startAfter }: Range,
  clock: Clock,
  most: number,
  signal: AbortSignal,
): ListingSide {
  let last = startAfter
  let breaks = 0
  const open = (): Entries => visibleEntries(provider, { prefix, delimiter: '', startAfter: last }, signal)
  let entries = open()
  let ahead: Promise<readonly ListedObject[]> | undefined
  let isBegun = false

  async function read(): Promise<readonly ListedObject[]> {
    const found: RemoteEntry[] = []
    while (true) {
      try {
        await entries.read(found, most - found.length)
        break
      } catch (error) {
        const waitMs = waitsMs[breaks++]
        if (signal.aborted || waitMs === undefined || !isBreak(error)) throw error
        await clock.sleep(waitMs, signal)
        last = lastOf(found) ?? last
        entries = open()
      }
    }
    breaks = 0
    last = lastOf(found) ?? last
    // Without a delimiter no service folds keys.
    return found as readonly ListedObject[]
  }

  return {
    part: [],
    at: 0,
    isOver: false,
    async turn() {
      const part = await (ahead ?? read())
      this.part = part
      this.at = 0
      this.isOver = part.length === 0
      ahead = part.length < most ? Promise.resolve([]) : isBegun ? read() : undefined
      // Told to whoever turns to it.
      ahead?.catch(() => {})
      // Who wants only a little is done with the first part.
      isBegun = true
    },
    async leave() {
      await entries[Symbol.asyncDispose]()
    },
  }
}

function lastOf(entries: readonly RemoteEntry[]): string | undefined {
  const entry = entries.at(-1)
  return entry?.type === 'object' ? entry.key : undefined
}

/** Whether the same question, asked again, may well be answered. */
export function isBreak(error: unknown): boolean {
  if (!(error instanceof HoldfastError)) return false
  const { reason } = error
  return reason === 'NETWORK' || reason === 'TIMEOUT' || reason === 'THROTTLED' || reason === 'SERVER'
}
