import { closeSync, openSync } from 'node:fs'
import { type MessagePort, parentPort } from 'node:worker_threads'
import Database from 'better-sqlite3'

/**
 * Holds locks that the kernel keeps and that die with the process: SQLite's, on a file that holds nothing. In a thread of its own,
 * because a mount that hangs must hang nothing else.
 */

export interface LockRequest {
  readonly id: number
  /** 'drop': give it back, and forget the file. */
  readonly op: 'take' | 'give' | 'drop'
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
const mostOpen = 64

const port = parentPort as MessagePort
const files = new Map<string, Database.Database>()

port.on('message', ({ id, op, path, patienceMs }: LockRequest) => {
  const file = files.get(path)
  if (op === 'take') take(id, path, performance.now() + patienceMs)
  if (op === 'give') answer(id, () => file?.exec('ROLLBACK'))
  if (op === 'drop') {
    files.delete(path)
    answer(id, () => file?.close())
  }
})

function take(id: number, path: string, until: number): void {
  answer(id, () => {
    try {
      open(path).exec('BEGIN EXCLUSIVE')
      return 'done'
    } catch (error) {
      const isBusy = codeOf(error)?.startsWith('SQLITE_BUSY') === true
      if (!isBusy || performance.now() > until) throw error
      // At other times than others who wait, so that nobody meets them again and again.
      setTimeout(() => take(id, path, until), shortestWaitMs + Math.random() * (longestWaitMs - shortestWaitMs))
      return 'later'
    }
  })
}

function open(path: string): Database.Database {
  const there = files.get(path)
  if (there !== undefined) return there
  for (const [other, file] of files) {
    if (files.size < mostOpen) break
    if (file.inTransaction) continue
    file.close()
    files.delete(other)
  }
  create(path)
  const file = new Database(path, { timeout: 0 })
  files.set(path, file)
  return file
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
