import { existsSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'

/** The files of `bodies/`, as far as a transaction has to know of them: it looks and unlinks at once, so that nobody comes between. */
export interface BodyFiles {
  /** Where they are, for messages. */
  readonly path: string
  has(file: string): boolean
  /** Errors are Node's: ENOENT where there is none. */
  unlink(file: string): void
}

export function bodyFiles(path: string): BodyFiles {
  return { path, has: file => existsSync(join(path, file)), unlink: file => unlinkSync(join(path, file)) }
}
