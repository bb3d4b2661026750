import { copyFileSync, existsSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** The files of a journal, by what comes after its name. */
export const journalFiles = ['', '-wal', '-shm'] as const

/** Puts the journal of one directory in the place of another's, all of its files. */
export function copyJournal(from: string, to: string): void {
  for (const suffix of journalFiles) {
    const name = `journal.sqlite${suffix}`
    rmSync(join(to, name), { force: true })
    if (existsSync(join(from, name))) copyFileSync(join(from, name), join(to, name))
  }
}
