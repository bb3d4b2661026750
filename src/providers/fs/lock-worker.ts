import { closeSync, openSync } from 'node:fs'
import { type MessagePort, parentPort } from 'node:worker_threads'
import Database from 'better-sqlite3'

/**
 * Holds locks that the kernel keeps and that die with the process: SQLite's, on a file that holds nothing. In a thread of its own,
 * because a mount that hangs must hang nothing else.
 */

export interface LockRequest {
  readonly id: number
  readonly op: 'take' | 'give'
  readonly path: string
  /** Of 'take': how long to wait for it. */
  readonly patienceMs: number
}

export interface LockAnswer {
  readonly id: number
  readonly error?: { readonly message: string; readonly code: string | undefined }
}

const shortestWaitMs = 1
const longestWaitMs = 8

const port = parentPort as MessagePort
/** Open only while it is locked or waited for: an idle process keeps no mount busy, and what is at the path is what gets locked. */
const files = new Map<string, Database.Database>()

port.on('message', ({ id, op, path, patienceMs }: LockRequest) => {
  if (op === 'take') take(id, path, performance.now() + patienceMs)
  else answer(id, () => close(path))
})

function take(id: number, path: string, until: number): void {
  answer(id, () => {
    try {
      const file = open(path)
      // Nothing is ever written: a journal beside the file would only be one more thing that a crash leaves.
      file.pragma('journal_mode = memory')
      file.exec('BEGIN EXCLUSIVE')
      return 'done'
    } catch (error) {
      const isBusy = codeOf(error)?.startsWith('SQLITE_BUSY') === true
      if (!isBusy || performance.now() > until) {
        close(path)
        throw error
      }
      // At other times than others who wait, so that nobody meets them again and again.
      setTimeout(() => take(id, path, until), shortestWaitMs + Math.random() * (longestWaitMs - shortestWaitMs))
      return 'later'
    }
  })
}

function open(path: string): Database.Database {
  const there = files.get(path)
  if (there !== undefined) return there
  create(path)
  const file = new Database(path, { timeout: 0 })
  files.set(path, file)
  return file
}

/** Gives the lock back with it. */
function close(path: string): void {
  const file = files.get(path)
  files.delete(path)
  file?.close()
}

/** For our eyes only. A file that is there is not touched: closing it would give away every lock that this process has on it. */
function create(path: string): void {
  try {
    closeSync(openSync(path, 'wx', 0o600))
  } catch (error) {
    if (codeOf(error) !== 'EEXIST') throw error
  }
}

/** Says how it went, now or, where that is what comes out, later. */
function answer(id: number, run: () => unknown): void {
  let answered: LockAnswer = { id }
  try {
    if (run() === 'later') return
  } catch (error) {
    answered = { id, error: { message: (error as Error).message, code: codeOf(error) } }
  }
  port.postMessage(answered)
}

function codeOf(error: unknown): string | undefined {
  return (error as { code?: string }).code
}
