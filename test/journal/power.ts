import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { expect } from 'vitest'
import type { Clock } from '../../src/core/ports.ts'
import { systemClock } from '../../src/core/system.ts'
import type { BodyFiles } from '../../src/journal/bodies.ts'
import { connect, type Writer } from '../../src/journal/connect.ts'
import type { Journal } from '../../src/journal/contract.ts'
import { sqliteBook } from '../../src/journal/engine.ts'
import type { JournalOptions } from '../../src/journal/port.ts'
import { look } from '../../src/journal/look.ts'
import { lookSettled } from '../../src/journal/look-settled.ts'
import { crash, memoryTables, openMemoryJournal } from '../../src/journal/memory.ts'
import { answerTo, type Book, rebuild } from '../../src/journal/protocol.ts'
import { openForReading, openForWriting } from '../../src/journal/schema.ts'
import type { Engine } from './scene.ts'
import { checkRows } from './tables.ts'

/** Called before and after each commit of a process, before anything of it is answered. */
export type AtCommit = (moment: 'before' | 'after', ops: readonly string[]) => Promise<void> | void

/** The disk under one journal, whose power can be cut. */
export interface Disk extends Disposable {
  /** A process opens it. `writer`: sixteen hex digits. */
  open(writer: string, atCommit?: AtCommit): Promise<Journal>
  /** What is there after the power was cut now: to be opened by a new process. The old ones are answered nothing any more. */
  cut(): Disk
  /** Whether all that is there hangs together. */
  check(): void
}

/** Stands still, so that what two runs of the same changes leave behind is the same. */
export const clock: Clock = { ...systemClock, now: () => 1_700_000_000_000 }

const directory = '00000000-0000-4000-8000-000000000000'
const bodies: BodyFiles = { path: 'bodies', has: () => true, unlink: () => {} }
const optionsOf = (writer: string): JournalOptions => ({ path: '/nowhere', directory, writer, clock })

export function diskFor(engine: Engine): Disk {
  return engine === 'memory'
    ? inMemory()
    : onDisk(mkdtempSync(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-cut-')))
}

function inMemory(): Disk {
  const tables = memoryTables(directory)
  const writers: string[] = []
  const disk: Disk = {
    async open(writer, atCommit) {
      writers.push(writer)
      const hook = atCommit === undefined ? {} : { atCommit }
      return (await openMemoryJournal({ ...optionsOf(writer), tables, bodies, ...hook })).journal
    },
    cut() {
      for (const writer of writers) crash(tables, writer)
      return disk
    },
    check: () => checkRows(tables),
    [Symbol.dispose]: () => {},
  }
  return disk
}

function onDisk(root: string): Disk {
  const path = join(root, 'journal.sqlite')
  let isCut = false
  const ends: (() => void)[] = [() => rmSync(root, { recursive: true, force: true })]
  return {
    open(writer, atCommit) {
      const database = openForWriting(path, directory)
      // Power is cut by copying files, so nothing has to reach a disk. With next to no cache, pages are in the log before they are committed.
      database.pragma('synchronous = OFF')
      database.pragma('cache_size = 1')
      const reading = openForReading(path)
      const close = () => {
        reading.close()
        database.close()
      }
      ends.unshift(close)
      const book = sqliteBook(database, writer, bodies)
      return Promise.resolve(
        connect({
          directory,
          clock,
          writer: inThisThread(database, book, () => isCut, atCommit),
          looking: { ...look(reading), ...lookSettled(reading), close },
          others: () => () => {},
        }),
      )
    },
    cut() {
      isCut = true
      const copy = mkdtempSync(`${root}-`)
      for (const suffix of ['', '-wal'])
        if (existsSync(path + suffix)) copyFileSync(path + suffix, join(copy, `journal.sqlite${suffix}`))
      return onDisk(copy)
    },
    check() {
      const database = new Database(path, { readonly: true })
      expect(database.pragma('integrity_check', { simple: true })).toBe('ok')
      database.close()
    },
    [Symbol.dispose]() {
      for (const end of ends) end()
    },
  }
}

/** As the thread that writes, one change a commit. */
function inThisThread(
  database: Database.Database,
  book: Book,
  isCut: () => boolean,
  atCommit: AtCommit = () => {},
): Writer {
  const never = new Promise<never>(() => {})
  return {
    async call(op, ...args) {
      if (op === 'close' || op === 'endLease') return undefined
      const name = op === 'lease' ? 'takeLease' : op
      database.exec('BEGIN IMMEDIATE')
      const answer = answerTo(book, { id: 0, op: name, args: structuredClone(args) })
      await atCommit('before', [name])
      if (isCut()) return never
      database.exec('COMMIT')
      await atCommit('after', [name])
      if (isCut()) return never
      if (answer.ok) return answer.value
      throw rebuild(answer)
    },
    dead: () => undefined,
    end: () => Promise.resolve(),
  }
}
