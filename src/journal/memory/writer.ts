import { HoldfastError } from '../../core/errors.ts'
import type { Writer } from '../connect.ts'
import type { Book } from '../protocol.ts'
import type { Member, MemoryTables } from './tables.ts'

/** The mark that a write to the directory failed: while it is set, nothing is promised. */
export interface Poison {
  isSet(): boolean
  clear(): void
}

export interface WriterOptions {
  readonly tables: MemoryTables
  readonly member: Member
  readonly book: Book
  readonly poison?: Poison
  /**
   * Called before each commit, and after it before anything of it is answered, with the names of its changes. Where it takes its time, others wait for
   * the next commit. What it throws is what all callers of this commit get: of 'before' nothing was changed then, of 'after' everything.
   */
  readonly atCommit?: (moment: 'before' | 'after', ops: readonly string[]) => Promise<void> | void
}

interface Call {
  readonly op: string
  readonly args: readonly unknown[]
  resolve(value: unknown): void
  reject(error: unknown): void
}

/** Makes changes in the calling thread: what comes in one turn, or while a commit is on its way, is committed together. */
export function memoryWriter({ tables, member, book, poison, atCommit }: WriterOptions): Writer {
  let queue: Call[] = []
  let isRunning = false
  let isClosed = false

  /** What is no change of rows: locks, closing. */
  const outside: Readonly<Record<string, () => unknown>> = {
    cleared() {
      poison?.clear()
      member.isAlone = false
    },
    lease() {
      if (tables.holder !== undefined) return undefined
      demandSound()
      tables.holder = member
      return book.takeLease()
    },
    endLease() {
      if (tables.holder === member) tables.holder = undefined
    },
    close() {
      isClosed = true
      leave(tables, member)
    },
  }

  const demandSound = () => {
    if (poison?.isSet() === true) throw poisoned()
  }

  const make = ({ op, args }: Call): unknown => {
    const own = outside[op]
    if (own !== undefined) return own()
    demandSound()
    return (book[op as keyof Book] as (...args: readonly unknown[]) => unknown)(...args)
  }

  /** Answers how to tell the caller. */
  const settle = (call: Call): (() => void) => {
    try {
      const value = make(call)
      return () => call.resolve(value)
    } catch (error) {
      return () => call.reject(asHoldfastError(error))
    }
  }

  const commit = async (calls: readonly Call[]): Promise<void> => {
    const ops = calls.map(({ op }) => op)
    try {
      if (atCommit !== undefined) await atCommit('before', ops)
      if (member.hasCrashed) return
      const answers = calls.map(settle)
      for (const other of tables.members) if (other !== member) for (const tell of other.listeners) tell()
      if (atCommit !== undefined) await atCommit('after', ops)
      if (member.hasCrashed) return
      for (const answer of answers) answer()
    } catch (error) {
      if (!member.hasCrashed) for (const { reject } of calls) reject(error)
    }
  }

  const run = async (): Promise<void> => {
    // What is called in the same turn comes along.
    await Promise.resolve()
    while (queue.length > 0 && !member.hasCrashed) {
      const calls = queue
      queue = []
      await commit(calls)
    }
    isRunning = false
  }

  const writer: Writer = {
    call(op, ...args) {
      if (isClosed) return Promise.reject(new HoldfastError('CLOSED', 'the store is closed', { outcome: 'rejected' }))
      return new Promise((resolve, reject) => {
        queue.push({ op, args, resolve, reject })
        if (isRunning) return
        isRunning = true
        void run()
      })
    },
    dead: () => undefined,
    async end() {
      if (!isClosed && !member.hasCrashed) await writer.call('close')
    },
  }
  return writer
}

/** The process has the directory open no more. */
export function leave(tables: MemoryTables, member: Member): void {
  tables.members.delete(member)
  member.listeners.clear()
  if (tables.holder === member) tables.holder = undefined
}

function asHoldfastError(error: unknown): HoldfastError {
  if (error instanceof HoldfastError) return error
  const message = `the journal failed: ${(error as Error).message}`
  return new HoldfastError('CORRUPT', message, { field: 'journal', rule: 'failed', cause: error })
}

function poisoned(): HoldfastError {
  return new HoldfastError('CORRUPT', 'a write to the disk failed: nothing is accepted until all was verified', {
    field: 'directory',
    rule: 'poisoned',
    outcome: 'rejected',
    retryable: false,
  })
}
