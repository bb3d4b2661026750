import type { Clock } from '../core/ports.ts'
import type { Journal } from '../journal/contract.ts'

/** How often a position is saved at most, ms. */
const everyMs = 1_000

/** Where long work over sorted keys is, kept in the journal. */
export interface Position {
  /** The key after which to go on; '' where there is no position of work of the same kind. */
  readonly saved: string
  /** Everything up to this key is settled. A promise where it is saved now, which is once a second at most. */
  reached(key: string): Promise<void> | undefined
  /** Saves what was reached last. */
  keep(): Promise<void>
  /** The work is done, or begins anew: there is nothing to go on with. */
  forget(): Promise<void>
}

/**
 * The position of the job of this name. `kind` says what the work does: a position of work of another kind is not gone on from, since
 * what that settled is not settled for this.
 */
export function positionOf(
  journal: Pick<Journal, 'job' | 'saveJob'>,
  name: string,
  kind: string,
  clock: Clock,
): Position {
  const saved = read(journal.job(name), kind)
  let reached = saved
  let written = saved
  let savedAt = clock.monotonic()

  async function save(): Promise<void> {
    savedAt = clock.monotonic()
    if (reached === written) return
    const cursor = reached
    await journal.saveJob(name, JSON.stringify({ format: 1, kind, cursor }))
    written = cursor
  }

  return {
    saved,
    reached(key) {
      reached = key
      return clock.monotonic() - savedAt < everyMs ? undefined : save()
    },
    keep: save,
    forget() {
      reached = ''
      written = ''
      return journal.saveJob(name, undefined)
    },
  }
}

function read(text: string | undefined, kind: string): string {
  if (text === undefined) return ''
  try {
    const state = JSON.parse(text) as { format?: unknown; kind?: unknown; cursor?: unknown }
    if (state.format === 1 && state.kind === kind && typeof state.cursor === 'string') return state.cursor
  } catch {
    // Not of this version: the work begins anew.
  }
  return ''
}
