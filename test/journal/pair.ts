import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import { HoldfastError } from '../../src/core/errors.ts'
import type { BodyFiles } from '../../src/journal/bodies.ts'
import { type Looking, sqliteBook } from '../../src/journal/engine.ts'
import { look } from '../../src/journal/look.ts'
import { lookSettled } from '../../src/journal/look-settled.ts'
import { memoryBook, memoryLooking, type MemoryTables, memoryTables } from '../../src/journal/memory.ts'
import { freeRetired } from '../../src/journal/memory/buckets.ts'
import type { Book } from '../../src/journal/protocol.ts'
import { asJournalError, openForReading, openForWriting } from '../../src/journal/schema.ts'
import { forgetRetired } from '../../src/journal/settle.ts'

/** One of the two engines, as a differential test drives it: one change, one commit. */
export interface Side {
  readonly name: 'sqlite' | 'memory'
  readonly looking: Looking
  /** What became of the change: its answer, or why it was refused. */
  change(op: keyof Book, args: readonly unknown[]): Outcome
  /** What is done when nobody else has the directory open. */
  freeRetired(): void
  /** Names in `bodies/`. */
  readonly files: Set<string>
}

export type Outcome = { readonly value: unknown } | { readonly refused: Refused }

/** What the contract promises of an error. */
type Promised = 'code' | 'field' | 'rule' | 'reason' | 'outcome' | 'retryable' | 'key'
export type Refused = { readonly [K in Promised]: HoldfastError[K] | undefined }

export interface Pair extends Disposable {
  readonly sqlite: Side
  readonly memory: Side & { readonly tables: MemoryTables }
}

const directory = '00000000-0000-4000-8000-000000000000'
const writer = 'abcdef0123456789'

export function pair(): Pair {
  const root = mkdtempSync(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-pair-'))
  const path = join(root, 'journal.sqlite')
  const database = openForWriting(path, directory)
  // Nothing here is about power cuts.
  database.pragma('synchronous = OFF')
  const reading = openForReading(path)
  const onDisk = files()
  const book = sqliteBook(database, writer, onDisk.bodies)
  const { dataVersion: _, ...looking } = look(reading)
  const tables = memoryTables(directory)
  const inMemory = files()
  const model = memoryBook(tables, writer, inMemory.bodies)
  return {
    sqlite: {
      name: 'sqlite',
      files: onDisk.names,
      looking: { ...looking, ...lookSettled(reading), close: () => reading.close() },
      change: (op, args) => {
        database.exec('BEGIN IMMEDIATE')
        try {
          const value = call(book, op, args)
          database.exec('COMMIT')
          return { value }
        } catch (error) {
          // A refused change is committed with the others of its transaction: it may have changed nothing.
          database.exec(error instanceof HoldfastError ? 'COMMIT' : 'ROLLBACK')
          return refused(asJournalError(error, path))
        }
      },
      freeRetired: () => forgetRetired(database),
    },
    memory: {
      name: 'memory',
      files: inMemory.names,
      looking: memoryLooking(tables),
      tables,
      change: (op, args) => {
        try {
          return { value: call(model, op, args) }
        } catch (error) {
          return refused(error as Error)
        }
      },
      freeRetired: () => freeRetired(tables),
    },
    [Symbol.dispose]() {
      reading.close()
      database.close()
      rmSync(root, { recursive: true, force: true })
    },
  }
}

/** Arguments are the engine's own copy, as between threads; and are overwritten afterwards, so that nothing of them may be kept. */
function call(book: Book, op: keyof Book, args: readonly unknown[]): unknown {
  const own = structuredClone(args)
  const value = (book[op] as (...given: readonly unknown[]) => unknown)(...own)
  overwriteBytes(own)
  return value
}

function refused(error: Error): Outcome {
  if (!(error instanceof HoldfastError)) throw error
  const { code, field, rule, reason, outcome, retryable, key } = error
  return { refused: { code, field, rule, reason, outcome, retryable, key } }
}

function files(): { readonly names: Set<string>; readonly bodies: BodyFiles } {
  const names = new Set<string>()
  return {
    names,
    bodies: {
      path: 'bodies',
      has: file => names.has(file),
      unlink(file) {
        if (!names.delete(file)) throw Object.assign(new Error(`there is no ${file}`), { code: 'ENOENT' })
      },
    },
  }
}

/** Whoever is answered may do with bytes what he likes: what is committed stays as it is. */
export function overwriteBytes(value: unknown): void {
  if (ArrayBuffer.isView(value)) new Uint8Array(value.buffer, value.byteOffset, value.byteLength).fill(0)
  else if (typeof value === 'object' && value !== null) for (const inner of Object.values(value)) overwriteBytes(inner)
}

/** Whether the two are the same to whoever reads them: a field that is undefined is as good as none. */
export function isSame(a: unknown, b: unknown): boolean {
  return isDeepStrictEqual(plain(a), plain(b))
}

export function plain(value: unknown): unknown {
  if (ArrayBuffer.isView(value)) return Buffer.from(value.buffer, value.byteOffset, value.byteLength).toString('hex')
  if (Array.isArray(value)) return value.map(plain)
  if (typeof value !== 'object' || value === null) return value
  const fields = Object.entries(value).filter(([, inner]) => inner !== undefined)
  return Object.fromEntries(fields.map(([name, inner]) => [name, plain(inner)]))
}
