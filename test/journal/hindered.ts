import { parentPort, workerData } from 'node:worker_threads'
import Database from 'better-sqlite3'

/** Given to whoever starts a writer of a journal with this file preloaded, besides the writer's own options. */
export interface Hindered {
  /** One number, 0 at first: what makes it another one lets the writer go on. */
  readonly goOn: Int32Array<SharedArrayBuffer>
}

const { goOn } = workerData as Hindered
const exec = Database.prototype.exec

// After its first try to have a directory alone, if that fails, the writer says so and stands still, as where the system gives its turn to another thread.
Database.prototype.exec = function (this: Database.Database, sql: string) {
  try {
    return exec.call(this, sql)
  } catch (error) {
    if (sql === 'BEGIN EXCLUSIVE' && Atomics.load(goOn, 0) === 0) {
      parentPort?.postMessage('hindered')
      Atomics.wait(goOn, 0, 0)
    }
    throw error
  }
}
