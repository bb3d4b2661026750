import type { Clock } from '../core/ports.ts'
import type { Journal, WriteRow } from './contract.ts'

/** What a journal needs to be opened, whatever keeps its rows: no type of SQLite's is in here, for users have none. */
export interface JournalOptions {
  /** Absolute path of the directory, laid out by the stage, and the uuid in its holdfast.json. */
  readonly path: string
  readonly directory: string
  /** Sixteen hex digits, new at each open. */
  readonly writer: string
  readonly clock: Clock
}

export interface OpenedJournal {
  readonly journal: Journal
  /**
   * Set when a write to this directory failed in an earlier life. This process then has it alone; every body named by `bodies` is to be
   * checked before `done` lets anything be accepted again.
   */
  readonly verification: { bodies(): Iterable<WriteRow>; done(): Promise<void> } | undefined
}

/** How `openHoldfast` comes by a journal. */
export type OpenJournal = (options: JournalOptions) => Promise<OpenedJournal>
