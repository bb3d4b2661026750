import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { HoldfastError } from '../../src/core/errors.ts'
import { connect, type Writer } from '../../src/journal/connect.ts'
import type { WriteRow } from '../../src/journal/contract.ts'
import { type Looking, sqliteBook } from '../../src/journal/engine.ts'
import type { OpenJournal } from '../../src/journal/port.ts'
import { look } from '../../src/journal/look.ts'
import { lookSettled } from '../../src/journal/look-settled.ts'
import { memoryBook, memoryLooking, memoryTables } from '../../src/journal/memory.ts'
import { poisonedError } from '../../src/journal/poisoned.ts'
import { type Answer, answerTo, type Book, failure, rebuild, type Request } from '../../src/journal/protocol.ts'
import { openForReading, openForWriting } from '../../src/journal/schema.ts'
import type { MachineDisk } from './disk.ts'
import type { Process } from './machine.ts'
import type { Scheduler } from './scheduler.ts'

/** The rows of one directory: what was committed is there, whatever becomes of processes and power. */
interface Tables {
  book(writer: string): Book
  looking(): Looking
  /** Runs `changes` whole, or not at all. */
  transaction<T>(changes: () => T): T
  close(): void
}

export type Engine = 'memory' | 'sqlite'

/** The journal of a simulated machine, behind the port that the library reaches it by. */
export interface MachineJournal {
  openFor(process: Process): OpenJournal
  /** Its locks are free. */
  died(process: Process): void
  /** Is told of every change before it is committed. */
  onChange: (process: Process, op: string, args: readonly unknown[], looking: Looking) => void
  /** What is committed now. */
  readonly looking: Looking
  close(): void
}

export interface MachineJournalOptions {
  readonly engine: Engine
  readonly scheduler: Scheduler
  readonly disk: MachineDisk
  /** The uuid in holdfast.json. */
  readonly directory: string
  /** Something else than an answer was thrown. */
  broken(error: unknown): void
}

export function machineJournal({ engine, scheduler, disk, directory, broken }: MachineJournalOptions): MachineJournal {
  const bodies = { path: 'bodies', ...disk.bodies }
  const tables = engine === 'memory' ? inMemory(directory, bodies) : inSqlite(directory, bodies)
  const random = scheduler.randomOf(`journal ${directory}`)
  const chance = () => random.number()
  const members = new Set<Process>()
  const listeners = new Map<Process, () => void>()
  let alone: Process | undefined
  let holder: Process | undefined
  const looking = tables.looking()

  const leave = (process: Process) => {
    members.delete(process)
    listeners.delete(process)
    if (alone === process) alone = undefined
    if (holder === process) holder = undefined
  }

  function enter(process: Process, path: string): boolean {
    const poisoned = disk.has('poisoned')
    if (poisoned && members.size > 0)
      throw new HoldfastError('CORRUPT', `a write to the directory ${path} failed, and another process has it open`, {
        field: 'directory',
        rule: 'poisoned',
        retryable: true,
      })
    if (alone !== undefined)
      throw new HoldfastError('UNAVAILABLE', `the directory ${path} is being verified`, {
        field: 'directory',
        rule: 'verifying',
      })
    members.add(process)
    if (poisoned) alone = process
    return poisoned
  }

  function writerOf(process: Process, path: string, book: Book): Writer {
    const time = scheduler.randomOf(`journal ${process.name}`)
    const delay = () => time.number()
    let waiting: { readonly request: Request; answer(answer: Answer): void }[] = []
    let isRunning = false
    let isPoisoned = false

    async function run(): Promise<void> {
      isRunning = true
      while (waiting.length > 0) {
        await process.wait(0.05 + delay() * 0.3)
        const batch = waiting
        waiting = []
        // The fsync of the log.
        await process.wait(0.2 + delay() * 4)
        const answers = commit(batch.map(({ request }) => request))
        await process.wait(0.02 + delay() * 0.2)
        batch.forEach(({ answer }, index) => answer(answers[index] as Answer))
      }
      isRunning = false
    }

    function commit(requests: readonly Request[]): Answer[] {
      scheduler.note(`${process.name} commit ${requests.map(({ op }) => op).join(' ')}`)
      if (isPoisoned || disk.has('poisoned')) return requests.map(({ id }) => failure(id, poisonedError(path)))
      const { failing, capacity } = disk.faults
      if (capacity === 0) {
        const isPut = ({ op, args }: Request) =>
          op === 'beginUpload' || op === 'addPart' || (op === 'accept' && (args[0] as { kind: string }).kind === 'put')
        const full = new HoldfastError('NO_SPACE', 'no space on the disk', {
          field: 'disk',
          rule: 'full',
          outcome: 'rejected',
        })
        const rest = apply(requests.filter(request => !isPut(request)))
        return requests.map(request => rest.find(({ id }) => id === request.id) ?? failure(request.id, full))
      }
      if (failing > 0 && chance() < failing) {
        // A commit that failed may be durable all the same.
        if (chance() < 0.5) apply(requests)
        isPoisoned = true
        disk.put('poisoned')
        return requests.map(({ id }) => failure(id, poisonedError(path, new Error('EIO'))))
      }
      return apply(requests)
    }

    function apply(requests: readonly Request[]): Answer[] {
      if (requests.length === 0) return []
      const answers = tables.transaction(() =>
        requests.map(request => {
          journal.onChange(process, request.op, request.args, looking)
          return answerTo(book, request)
        }),
      )
      for (const [other, tell] of listeners)
        if (other !== process)
          other.wait(chance() * 100).then(
            () => listeners.get(other) === tell && tell(),
            () => {},
          )
      return answers
    }

    const outside: Readonly<Record<string, () => unknown>> = {
      cleared() {
        disk.remove('poisoned')
        alone = undefined
      },
      lease() {
        if (holder !== undefined) return undefined
        const [answer] = commit([{ id: 0, op: 'takeLease', args: [] }])
        if (answer?.ok === true) {
          holder = process
          return answer.value
        }
        throw rebuild(answer as Extract<Answer, { ok: false }>)
      },
      endLease() {
        if (holder === process) holder = undefined
      },
      close: () => leave(process),
    }

    let lastId = 0
    return {
      async call(op, ...args) {
        if (!process.isAlive) return new Promise<never>(() => {})
        const special = outside[op]
        if (special !== undefined) {
          await process.wait(0.1 + delay())
          return special()
        }
        const request: Request = { id: ++lastId, op, args: structuredClone(args) }
        const answer = await new Promise<Answer>(resolve => {
          waiting.push({ request, answer: resolve })
          if (!isRunning) run().catch(broken)
        })
        if (answer.ok) return answer.value
        throw rebuild(answer)
      },
      dead: () => undefined,
      async end() {
        if (process.isAlive) leave(process)
      },
    }
  }

  const journal: MachineJournal = {
    onChange: () => {},
    looking,
    openFor: process => async options => {
      await process.wait(1 + chance() * 5)
      const poisoned = enter(process, options.path)
      const writer = writerOf(process, options.path, tables.book(options.writer))
      const opened = connect({
        directory,
        clock: process.clock,
        writer,
        looking: { ...looking, close: () => {} },
        others(tell) {
          listeners.set(process, tell)
          return () => listeners.delete(process)
        },
      })
      return {
        journal: opened,
        verification: poisoned
          ? { bodies: () => allBodies(looking), done: () => writer.call('cleared') as Promise<void> }
          : undefined,
      }
    },
    died: leave,
    close: tables.close,
  }
  return journal
}

function* allBodies(looking: Looking): Iterable<WriteRow> {
  for (let after = 0, page = looking.withBodies(0); page.length > 0; page = looking.withBodies(after)) {
    yield* page
    after = page.at(-1)?.seq ?? after
  }
}

function inMemory(directory: string, bodies: Parameters<typeof sqliteBook>[2]): Tables {
  const tables = memoryTables(directory)
  return {
    book: writer => memoryBook(tables, writer, bodies),
    looking: () => memoryLooking(tables),
    transaction: changes => changes(),
    close: () => {},
  }
}

function inSqlite(directory: string, bodies: Parameters<typeof sqliteBook>[2]): Tables {
  const root = mkdtempSync(join(tmpdir(), 'holdfast-sim-'))
  const path = join(root, 'journal.sqlite')
  const database = openForWriting(path, directory)
  database.pragma('synchronous = OFF')
  const reading = openForReading(path)
  return {
    book: writer => sqliteBook(database, writer, bodies),
    looking: () => ({ ...look(reading), ...lookSettled(reading), close: () => {} }),
    transaction: changes => database.transaction(changes).immediate(),
    close() {
      reading.close()
      database.close()
      rmSync(root, { recursive: true, force: true })
    },
  }
}
