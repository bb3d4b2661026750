import { closeSync, existsSync, openSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Database } from 'better-sqlite3'
import { HoldfastError } from '../../src/core/errors.ts'
import { bodyFiles } from '../../src/journal/bodies.ts'
import { connect, type Writer } from '../../src/journal/connect.ts'
import type { WriteRow } from '../../src/journal/contract.ts'
import { type Looking, sqliteBook } from '../../src/journal/engine.ts'
import type { OpenJournal } from '../../src/journal/port.ts'
import { look } from '../../src/journal/look.ts'
import { inOurWords } from '../../src/journal/looking.ts'
import { lookSettled } from '../../src/journal/look-settled.ts'
import { answerTo, rebuild } from '../../src/journal/protocol.ts'
import { asJournalError, openForReading, openForWriting } from '../../src/journal/schema.ts'
import type { Trap } from './trap.ts'

/** Looks at a change before it is made. */
export type Watch = (op: string, args: readonly unknown[], database: Database) => Promise<void>

/**
 * The journal's own tables, changes and looks, without the thread that they are made in, nor the syncs: so that an opening takes a few milliseconds, a copy of
 * the directory is one of a moment, and each change and look can be failed as a disk would fail it.
 */
export function trappedJournal(trap: Trap, watch: Watch): OpenJournal {
  return async options => {
    const { path, directory, clock } = options
    const file = join(path, 'journal.sqlite')
    const mark = join(path, 'poisoned')
    for (const name of ['journal.sqlite', 'replicator.lock', 'members.lock']) makePrivate(join(path, name))
    const isPoisoned = existsSync(mark)
    const database = openForWriting(file, directory)
    database.pragma('synchronous = off')
    const book = sqliteBook(database, options.writer, bodyFiles(join(path, 'bodies')))
    const { kind, port } = trap.fault
    let poisonedHere = false
    let dead: HoldfastError | undefined
    let hasLease = false

    function change(op: string, args: readonly unknown[]): unknown {
      if (op === 'cleared') return rmSync(mark, { force: true })
      if (op === 'endLease') return (hasLease = false)
      if (op === 'lease') {
        if (hasLease) return undefined
        const token = inOneTransaction('takeLease', [])
        hasLease = true
        return token
      }
      if (poisonedHere || existsSync(mark)) throw poisoned('rejected')
      return inOneTransaction(op, args)
    }

    function inOneTransaction(op: string, args: readonly unknown[]): unknown {
      database.exec('BEGIN IMMEDIATE')
      try {
        const answer = answerTo(book, { id: 0, op, args })
        database.exec('COMMIT')
        if (!answer.ok) throw rebuild(answer)
        return answer.value
      } catch (error) {
        if (database.inTransaction) database.exec('ROLLBACK')
        throw asJournalError(error, file)
      }
    }

    function poison(): HoldfastError {
      poisonedHere = true
      writeFileSync(mark, 'made up\n', { mode: 0o600 })
      return poisoned('unknown')
    }

    /** The change, or what this fault makes of it. */
    function failed(op: string, args: readonly unknown[]): unknown {
      switch (kind) {
        case 'busy':
          throw new HoldfastError('UNAVAILABLE', 'the journal is locked, on purpose', { outcome: 'rejected' })
        case 'full':
          throw new HoldfastError('NO_SPACE', 'no space, on purpose', { outcome: 'rejected' })
        case 'poisoned':
          throw poison()
        case 'poisoned, kept':
          change(op, args)
          throw poison()
        case 'ended':
          change(op, args)
          dead = new HoldfastError('CORRUPT', 'the thread that writes the journal ended, on purpose', {
            field: 'journal',
            rule: 'thread',
            outcome: 'unknown',
          })
          throw dead
        default:
          throw new TypeError(`no fault of a journal: ${kind}`)
      }
    }

    const writer: Writer = {
      async call(op, ...args) {
        if (dead !== undefined) throw dead
        // As between threads: what is given is a copy.
        const given = structuredClone(args)
        await watch(op, given, database)
        // Giving a lease back cannot fail: the lock is the kernel's.
        const isChange = op !== 'endLease'
        const fails = trap.meets('journal', op, isChange && (port === 'signal' || kind !== 'unreadable'))
        return structuredClone(fails ? failed(op, given) : change(op, given))
      },
      dead: () => dead,
      async end() {
        if (database.open) database.close()
      },
    }

    const reading = openForReading(file)
    const looks = look(reading)
    const looking: Looking = { ...looks, ...lookSettled(reading), close: () => reading.close() }
    const journal = connect({
      directory,
      clock,
      writer,
      looking: inOurWords(trapped(looking, trap), path),
      others: () => () => {},
    })
    return {
      journal,
      verification: isPoisoned
        ? { bodies: () => allBodies(looks), done: () => writer.call('cleared') as Promise<void> }
        : undefined,
    }
  }
}

function* allBodies(looks: ReturnType<typeof look>): Iterable<WriteRow> {
  let after = 0
  for (let page = looks.withBodies(after); page.length > 0; page = looks.withBodies(after)) {
    yield* page
    after = page.at(-1)?.seq ?? after
  }
}

/** The same looks, of which one fails as SQLite's do where the disk cannot be read. */
function trapped(looking: Looking, trap: Trap): Looking {
  return new Proxy(looking, {
    get(target, name: keyof Looking) {
      const inner = target[name] as (...args: readonly unknown[]) => unknown
      if (name === 'close') return inner
      return (...args: readonly unknown[]) => {
        if (trap.meets('journal', name, trap.fault.kind === 'unreadable')) throw unreadable()
        return inner(...args)
      }
    },
  })
}

function unreadable(): Error {
  return Object.assign(new Error('disk I/O error, on purpose'), { name: 'SqliteError', code: 'SQLITE_IOERR_READ' })
}

function poisoned(outcome: 'rejected' | 'unknown'): HoldfastError {
  const message = 'a write to the disk failed, on purpose: nothing is accepted until the directory was opened again'
  return new HoldfastError('CORRUPT', message, { field: 'directory', rule: 'poisoned', outcome, retryable: false })
}

function makePrivate(path: string): void {
  if (!existsSync(path)) closeSync(openSync(path, 'wx', 0o600))
}
