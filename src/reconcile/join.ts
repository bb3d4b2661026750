import { HoldfastError } from '../core/errors.ts'
import { compareKeys } from '../core/key.ts'
import { type Entries, type ListedObject, visibleEntries } from '../core/listing.ts'
import type { Clock } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'

/** What the listings say of one key: an entry per provider, in their order, `undefined` where it lists none. At least one is there. */
export interface Row {
  readonly key: string
  readonly entries: readonly (ListedObject | undefined)[]
}

/** The listings of all providers, merged by key. `undefined`: all are at their end. */
export interface Rows extends AsyncDisposable {
  next(): Promise<Row | undefined>
}

export interface Range {
  readonly prefix: string
  /** Exclusive; '' from the beginning. */
  readonly startAfter: string
}

/** How long after a break a listing is gone on with, ms; after the last one it is given up. */
const waitsMs: readonly number[] = [200, 1_000, 5_000]

/**
 * Merges sorted listings by key in UTF-8 byte order, in constant memory; `.holdfast/` is jumped over. A listing that breaks off is gone on with after
 * its last key; one that cannot be read rejects with its provider's error, and with it everything: nothing is compared with half a listing.
 */
export function joined(providers: readonly Provider[], range: Range, clock: Clock, signal: AbortSignal): Rows {
  const sides = providers.map(provider => sideOf(provider, range, clock, signal))
  let isBegun = false

  return {
    async next() {
      const wanted = isBegun ? sides.filter(side => side.isTaken) : sides
      isBegun = true
      // Pages are waited for side by side, not one after the other.
      const [only] = wanted
      if (wanted.length === 1 && only !== undefined) await only.advance()
      else await Promise.all(wanted.map(side => side.advance()))
      let key: string | undefined
      for (const { entry } of sides) {
        if (entry !== undefined && (key === undefined || compareKeys(entry.key, key) < 0)) key = entry.key
      }
      if (key === undefined) return undefined
      const entries: (ListedObject | undefined)[] = []
      for (const side of sides) {
        side.isTaken = side.entry?.key === key
        entries.push(side.isTaken ? side.entry : undefined)
      }
      return { key, entries }
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(sides.map(side => side.leave()))
    },
  }
}

function sideOf(provider: Provider, { prefix, startAfter }: Range, clock: Clock, signal: AbortSignal) {
  let last = startAfter
  let breaks = 0
  const open = (): Entries => visibleEntries(provider, { prefix, delimiter: '', startAfter: last }, signal)
  let entries = open()

  return {
    entry: undefined as ListedObject | undefined,
    isTaken: false,
    async advance() {
      while (true) {
        try {
          const next = await entries.next()
          // Without a delimiter no service folds keys.
          this.entry = next?.type === 'object' ? next : undefined
          if (this.entry !== undefined) last = this.entry.key
          breaks = 0
          return
        } catch (error) {
          const waitMs = waitsMs[breaks++]
          if (signal.aborted || waitMs === undefined || !isBreak(error)) throw error
          await clock.sleep(waitMs, signal)
          entries = open()
        }
      }
    },
    leave: () => entries[Symbol.asyncDispose](),
  }
}

/** Whether the same question, asked again, may well be answered. */
export function isBreak(error: unknown): boolean {
  if (!(error instanceof HoldfastError)) return false
  const { reason } = error
  return reason === 'NETWORK' || reason === 'TIMEOUT' || reason === 'THROTTLED' || reason === 'SERVER'
}
