import {
  closeSync,
  existsSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  statfsSync,
  statSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { type MessagePort, parentPort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import type { Database } from 'better-sqlite3'
import { HoldfastError, invalid } from '../core/errors.ts'
import { bodyFiles } from './bodies.ts'
import { sqliteBook } from './engine.ts'
import { type FileLock, fileLock } from './locks.ts'
import { demandLog, endLog, lostLog } from './log.ts'
import type { Answer, Book, Opened, Request, WorkerOptions } from './protocol.ts'
import { poisonedError } from './poisoned.ts'
import { answerTo, failure, rebuild } from './protocol.ts'
import { asJournalError, damageIn, journalFormat, openForWriting, type Standing, standingOf } from './schema.ts'
import { forgetRetired } from './settle.ts'

/**
 * The only writer of the journal in this process. Requests that arrive while a commit is on its way to disk share the next one, so the
 * price of an fsync is split among all that wait for it, and the app's own thread never waits for a disk.
 */

const port = parentPort as MessagePort
const options = workerData as WorkerOptions
const journalPath = join(options.path, 'journal.sqlite')
const poisonedPath = join(options.path, 'poisoned')
const replicatorPath = join(options.path, 'replicator.lock')
const reservePath = join(options.path, 'reserve')

let database: Database
let book: Book
let members: FileLock
let replicator: FileLock | undefined
let poisonedHere = false

port.on('message', (first: readonly Request[]) => {
  const batch = [...first]
  for (let more = receiveMessageOnPort(port); more !== undefined; more = receiveMessageOnPort(port))
    batch.push(...(more.message as readonly Request[]))
  const answers: Answer[] = []
  let changes: Request[] = []
  const settle = () => {
    if (changes.length > 0) answers.push(...commit(changes))
    changes = []
  }
  for (const request of batch) {
    if (request.op in outside) {
      settle()
      answers.push(doOutside(request))
    } else changes.push(request)
  }
  settle()
  port.postMessage(answers)
})

/** What is no change of rows: opening, locks, closing. */
const outside = {
  open(): Opened {
    const hadOne = demandJournal()
    for (const name of ['members.lock', 'journal.sqlite']) makePrivate(join(options.path, name))
    members = fileLock(join(options.path, 'members.lock'))
    const poisoned = existsSync(poisonedPath)
    if (poisoned && !members.seize()) {
      members.release()
      throw new HoldfastError(
        'CORRUPT',
        `a write to the directory ${options.path} failed, and another process still has it open: close them all, look after the disk, then open again`,
        { field: 'directory', rule: 'poisoned', retryable: true },
      )
    }
    // Whoever is alone looks before anybody lets SQLite at it, and ends the log; others wait until that is done.
    if (poisoned || isAlone()) {
      demandLog(journalPath)
      if (!poisoned) despiteFullDisk(() => endLog(journalPath))
    }
    if (!poisoned) demandJoined()
    const standing = despiteFullDisk(() => standingOf(journalPath))
    if (hadOne && standing.format === 0) throw lostLog(journalPath)
    if (poisoned) despiteFullDisk(copyForward)
    else {
      takeOver(standing)
      demandJoined()
    }
    database = despiteFullDisk(() => openForWriting(journalPath, options.directory))
    // From now on a journal that is not there is a loss: see demandJournal.
    makePrivate(replicatorPath)
    if (poisoned || statSync(journalPath).size <= checkedWholeBytes) checkDatabase()
    book = sqliteBook(database, options.writer, bodyFiles(join(options.path, 'bodies')))
    return { poisoned }
  },

  /** Everything was verified: the mark goes, and others may come in. */
  cleared(): void {
    rmSync(poisonedPath, { force: true })
    syncDirectory(options.path)
    members.share()
  },

  /** The lock is the kernel's and dies with this process; the token fences off whoever held it before. */
  lease(): number | undefined {
    if (replicator !== undefined) return undefined
    const lock = fileLock(replicatorPath)
    if (!lock.seize()) {
      lock.release()
      return undefined
    }
    replicator = lock
    const [answer] = commit([{ id: 0, op: 'takeLease', args: [] }])
    if (answer?.ok === true) return answer.value as number
    replicator.release()
    replicator = undefined
    throw answer === undefined ? new Error('no answer') : rebuild(answer as Extract<Answer, { ok: false }>)
  },

  endLease(): void {
    replicator?.release()
    replicator = undefined
  },

  close(): void {
    outside.endLease()
    if (database?.open) database.close()
    members?.release()
  },
}

function doOutside(request: Request): Answer {
  try {
    return { id: request.id, ok: true, value: outside[request.op as keyof typeof outside]() }
  } catch (error) {
    return failure(request.id, asJournalError(error, journalPath))
  }
}

function commit(requests: readonly Request[]): Answer[] {
  if (poisonedHere || existsSync(poisonedPath))
    return requests.map(({ id }) => failure(id, poisonedError(options.path)))
  try {
    return inOneTransaction(requests)
  } catch (error) {
    rollBack()
    const known = asJournalError(error, journalPath)
    const code = known instanceof HoldfastError ? known.code : undefined
    if (code === 'NO_SPACE') return withoutSpace(requests, known)
    if (code === 'UNAVAILABLE') return requests.map(({ id }) => failure(id, known))
    if (
      /^SQLITE_(CONSTRAINT|TOOBIG|MISMATCH|RANGE)/.test((error as { code?: string }).code ?? '') ||
      error instanceof TypeError
    )
      return requests.length === 1
        ? requests.map(({ id }) => failure(id, known))
        : requests.flatMap(request => commit([request]))
    poison(known)
    return requests.map(({ id }) => failure(id, poisonedError(options.path, known)))
  }
}

function inOneTransaction(requests: readonly Request[]): Answer[] {
  database.exec('BEGIN IMMEDIATE')
  const answers = requests.map(request => answerTo(book, request))
  database.exec('COMMIT')
  return answers
}

/** On a full disk, puts are refused; what makes room goes on, on the bytes kept in reserve for it. */
function withoutSpace(requests: readonly Request[], error: Error): Answer[] {
  const isPut = ({ op, args }: Request) =>
    op === 'beginUpload' || op === 'addPart' || (op === 'accept' && (args[0] as { kind: string }).kind === 'put')
  const puts = requests.filter(isPut)
  const rest = requests.filter(request => !isPut(request))
  const answers = puts.map(({ id }) => failure(id, error))
  if (rest.length === 0) return answers
  if (!existsSync(reservePath)) return [...answers, ...rest.map(({ id }) => failure(id, error))]
  // Another process may have been faster.
  rmSync(reservePath, { force: true })
  return [...answers, ...commit(rest)]
}

/**
 * To open the journal, SQLite makes files beside it, and one of format 1 grows: where the disk has no room for that, the bytes kept in reserve are
 * given for it, so that what is here can still be brought away. SQLite calls such a disk full, or an I/O error.
 */
function despiteFullDisk<T>(open: () => T): T {
  try {
    return open()
  } catch (error) {
    const { bavail, bsize } = statfsSync(options.path)
    const { size } = statSync(reservePath, { throwIfNoEntry: false }) ?? { size: 0 }
    if (size === 0 || bavail * bsize >= size) throw error
    rmSync(reservePath, { force: true })
    return open()
  }
}

function rollBack(): void {
  try {
    if (database.inTransaction) database.exec('ROLLBACK')
  } catch {
    // The connection is of no use any more; the mark that follows says so to everybody.
  }
}

/** After a failed fsync nobody knows what is on disk: no process of this directory may promise anything until all was verified. */
function poison(error: Error): void {
  poisonedHere = true
  try {
    writeFileSync(poisonedPath, `${new Date().toISOString()} ${error.message}\n`, { mode: 0o600 })
    syncDirectory(options.path)
  } catch {
    // The disk that failed may fail this too; this process at least will not promise anything more.
  }
}

/** How long whoever opens waits for others to leave a journal of an older format. */
const leaveMs = 5_000

/**
 * What only a process does that has the directory alone. One of an older format is taken over: processes of an older version would not know what
 * bodies in parts are, and collect them. Of several that begin at once one does it, and the others find it done. Ids of retired providers are freed,
 * if nobody is there who may still mean the old ones: else the next time.
 */
function takeOver(found: Standing): void {
  const end = Date.now() + leaveMs
  const needOf = ({ format, hasRetired }: Standing) =>
    format > 0 && format < journalFormat ? 'older' : hasRetired ? 'retired' : undefined
  const inNeed = () => needOf(despiteFullDisk(() => standingOf(journalPath)))
  for (let need = needOf(found); need !== undefined; need = inNeed()) {
    if (members.seize()) {
      const alone = despiteFullDisk(() => openForWriting(journalPath, options.directory))
      try {
        forgetRetired(alone)
      } finally {
        alone.close()
      }
      return
    }
    if (need === 'retired') return
    if (Date.now() > end) {
      members.release()
      throw new HoldfastError(
        'UNAVAILABLE',
        `the directory ${options.path} is open in a process of an older version of holdfast: close that one first`,
        { field: 'journal', rule: 'version', outcome: 'rejected' },
      )
    }
    pause()
  }
}

/**
 * Has the directory alone from now on, if nobody has it open. Two that begin at the same moment hinder each other, and then nobody would look at the log:
 * whoever fails tries again a moment later, and again. Only those that have it open hinder each time.
 */
function isAlone(): boolean {
  for (let tries = 1; !members.seize(); tries++) {
    if (tries === 3) return false
    pause(1, 10)
  }
  return true
}

/** How long whoever opens waits for another that has the directory alone: longer than a log is ended, or a journal taken over, not as long as one is verified. */
const joinMs = 3_000

/** One of those that have the directory open, from now on. UNAVAILABLE, directory/verifying, where somebody has it alone, and for longer. */
function demandJoined(): void {
  const end = Date.now() + joinMs
  while (!members.share()) {
    if (Date.now() > end) {
      members.release()
      throw new HoldfastError(
        'UNAVAILABLE',
        `the directory ${options.path} is being verified by another process: try again`,
        { field: 'directory', rule: 'verifying' },
      )
    }
    pause()
  }
}

/** In this thread nothing else is to be done meanwhile. */
function pause(leastMs = 20, mostMs = 100): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, leastMs + Math.random() * (mostMs - leastMs))
}

/** What the page cache shows may not be what the disk has: the journal is read once more and written to a new file, fsynced, and swapped in. */
function copyForward(): void {
  const next = `${journalPath}.next`
  rmSync(next, { force: true })
  if (!existsSync(journalPath)) return
  makePrivate(next)
  const old = openForWriting(journalPath, options.directory)
  try {
    checkDatabase(old)
    old.prepare('VACUUM INTO ?').run(next)
    // What is only in the log goes with the log: it must be in the old file too before the log is removed, for a crash before the rename.
    const [{ busy } = { busy: 1 }] = old.pragma('wal_checkpoint(TRUNCATE)') as { busy: number }[]
    if (busy !== 0) throw poisonedError(options.path)
  } finally {
    old.close()
  }
  sync(next)
  // In SQLite's own order: see demandLog.
  for (const suffix of ['-shm', '-wal']) rmSync(journalPath + suffix, { force: true })
  renameSync(next, journalPath)
  syncDirectory(options.path)
}

function checkDatabase(db: Database = database): void {
  const found = damageIn(db, statSync(journalPath).size <= comparedBytes)
  if (found === undefined) return
  throw new HoldfastError(
    'CORRUPT',
    `the journal ${journalPath} is damaged (${found}). Keep the directory, do not delete it: the bodies in it may be the only copies`,
    { field: 'journal', rule: 'damaged' },
  )
}

/**
 * What was promised by a journal that is gone, or empty, must not be forgotten by a new one, and its bodies not be collected. The lock file of
 * the replicator is made after a journal was first committed, so it tells a new directory from one that lost its journal. Answers whether there was one.
 */
function demandJournal(): boolean {
  const hadOne = existsSync(replicatorPath) || readdirSync(join(options.path, 'bodies')).length > 0
  if (!hadOne || (existsSync(journalPath) && statSync(journalPath).size > 0)) return hadOne
  throw new HoldfastError(
    'CORRUPT',
    `the journal ${journalPath} is missing or empty, but this directory had one: put it back; delete nothing, the bodies may be the only copies`,
    { field: 'journal', rule: 'missing' },
  )
}

/** Up to this size a journal is read whole at each start. Of a larger one the rows have sums of their own, and are looked at when they are used. */
const checkedWholeBytes = 256 * 2 ** 20
/** Up to this size its indexes are compared with its tables too, which takes several times as long. */
const comparedBytes = 64 * 2 ** 20

/**
 * SQLite would let the umask decide who may read, and follow a link to wherever it leads. Before any connection of this process: closing a file drops
 * the process's locks on it.
 */
function makePrivate(path: string): void {
  for (const file of [path, `${path}-wal`, `${path}-shm`]) {
    if (lstatSync(file, { throwIfNoEntry: false })?.isSymbolicLink() === true) {
      throw invalid(
        'directory',
        'symlink',
        `${file} is a symbolic link; Holdfast makes none: put the file itself there`,
      )
    }
  }
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

function sync(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}

function syncDirectory(path: string): void {
  sync(path)
}
