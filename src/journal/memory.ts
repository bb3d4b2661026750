import { HoldfastError } from '../core/errors.ts'
import type { BodyFiles } from './bodies.ts'
import { connect } from './connect.ts'
import type { WriteRow } from './contract.ts'
import type { Looking } from './engine.ts'
import type { JournalOptions, OpenedJournal } from './port.ts'
import { freeRetired, memoryBuckets } from './memory/buckets.ts'
import { memoryLedger } from './memory/ledger.ts'
import { memoryLooking } from './memory/looking.ts'
import { memorySettling } from './memory/settle.ts'
import type { Member, MemoryTables } from './memory/tables.ts'
import { memoryUploads } from './memory/uploads.ts'
import { leave, memoryWriter, type WriterOptions } from './memory/writer.ts'
import type { Book } from './protocol.ts'

/** The journal as a model in memory: what the contract says, in the plainest code that does it. SQLite's is held against it, and simulations run on it. */

export type MemoryJournalOptions = JournalOptions &
  Pick<WriterOptions, 'tables' | 'poison' | 'atCommit'> & { readonly bodies: BodyFiles }

/** The changes, made in these tables at once. `writer`: sixteen hex digits, new at each open. */
export function memoryBook(tables: MemoryTables, writer: string, bodies: BodyFiles): Book {
  const changes = memoryLedger(tables, writer, bodies)
  return {
    ...changes,
    ...memoryBuckets(tables),
    ...memoryUploads(tables, bodies, changes.accept),
    ...memorySettling(tables),
  }
}

/**
 * Opens the journal as a process does that shares these tables with others. Rejects with CORRUPT directory/identity (tables of another directory),
 * directory/poisoned (another process has it open after a failed write), UNAVAILABLE directory/verifying.
 */
export async function openMemoryJournal(options: MemoryJournalOptions): Promise<OpenedJournal> {
  const { directory, clock, tables, bodies, writer: name, poison } = options
  if (directory !== tables.directory)
    throw new HoldfastError('CORRUPT', `the journal belongs to directory ${tables.directory}, not to ${directory}`, {
      field: 'directory',
      rule: 'identity',
    })
  const isPoisoned = poison?.isSet() ?? false
  if (isPoisoned && tables.members.size > 0)
    throw new HoldfastError('CORRUPT', 'a write to the directory failed, and another process still has it open', {
      field: 'directory',
      rule: 'poisoned',
      retryable: true,
    })
  if ([...tables.members].some(({ isAlone }) => isAlone))
    throw new HoldfastError('UNAVAILABLE', 'the directory is being verified by another process', {
      field: 'directory',
      rule: 'verifying',
    })
  if (!isPoisoned && tables.members.size === 0) freeRetired(tables)
  const member: Member = { writer: name, hasCrashed: false, isAlone: isPoisoned, listeners: new Set() }
  tables.members.add(member)

  const writer = memoryWriter({ ...options, member, book: memoryBook(tables, name, bodies) })
  const looking = memoryLooking(tables)
  const others = (tell: () => void) => {
    member.listeners.add(tell)
    return () => {
      member.listeners.delete(tell)
    }
  }
  const verification = { bodies: () => allBodies(looking), done: () => writer.call('cleared') as Promise<void> }
  return {
    journal: connect({ directory, clock, writer, looking, others }),
    verification: isPoisoned ? verification : undefined,
  }
}

/**
 * The process that opened with this writer ends, as in a power cut: of what it asked for nothing more is committed, nothing is answered any more, and
 * what it had is free. What is committed stays.
 */
export function crash(tables: MemoryTables, writer: string): void {
  for (const member of tables.members) {
    if (member.writer !== writer) continue
    member.hasCrashed = true
    leave(tables, member)
  }
}

function* allBodies(looking: Looking): Iterable<WriteRow> {
  let after = 0
  for (let page = looking.withBodies(after); page.length > 0; page = looking.withBodies(after)) {
    yield* page
    after = page.at(-1)?.seq ?? after
  }
}

export { memoryLooking } from './memory/looking.ts'
export { memoryTables, type MemoryTables } from './memory/tables.ts'
