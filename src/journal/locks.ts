import Database from 'better-sqlite3'

/**
 * Locks that the kernel keeps and that die with their process: SQLite's own, on files that hold nothing. Such a file must never be
 * opened by other means: closing any descriptor of it would drop the locks of the whole process (POSIX).
 */
export interface FileLock {
  /** Several may share it. False: somebody has it alone. */
  share(): boolean
  /** Alone, instead of what is held now. False: others share it or have it; what was held is held no more. */
  seize(): boolean
  release(): void
}

export function fileLock(path: string): FileLock {
  const database = new Database(path, { timeout: 0 })
  const isBusy = (error: unknown) => /^SQLITE_(BUSY|LOCKED)/.test((error as { code?: string }).code ?? '')
  const letGo = () => {
    if (database.inTransaction) database.exec('ROLLBACK')
  }
  const attempt = (take: () => void): boolean => {
    letGo()
    try {
      // Nothing is ever written here: a journal beside it would need a file, which a disk without inodes has not.
      database.pragma('journal_mode = memory')
      take()
      return true
    } catch (error) {
      letGo()
      if (isBusy(error)) return false
      throw error
    }
  }
  return {
    share: () =>
      attempt(() => {
        database.exec('BEGIN')
        // A read keeps the shared lock until the transaction ends.
        database.prepare('SELECT count(*) FROM sqlite_master').get()
      }),
    seize: () => attempt(() => database.exec('BEGIN EXCLUSIVE')),
    release() {
      letGo()
      database.close()
    },
  }
}
