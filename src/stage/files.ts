import { join } from 'node:path'
import type { Disk, Random } from '../core/ports.ts'

/**
 * Where everything in a directory is; FORMAT.md section 2. The locks and the journal are only for SQLite to open: closing any other
 * descriptor of such a file would drop the locks that this process holds on it (POSIX). Looking at them with `stat` is no harm.
 */
export interface Paths {
  readonly root: string
  readonly identity: string
  readonly journal: string
  readonly poisoned: string
  readonly reserve: string
  readonly drafts: string
  readonly bodies: string
  readonly cache: string
}

export function pathsOf(root: string): Paths {
  return {
    root,
    identity: join(root, 'holdfast.json'),
    journal: join(root, 'journal.sqlite'),
    poisoned: join(root, 'poisoned'),
    reserve: join(root, 'reserve'),
    drafts: join(root, 'drafts'),
    bodies: join(root, 'bodies'),
    cache: join(root, 'cache'),
  }
}

const fileId = /^[0-9a-f]{32}$/

/** Whether a name in `drafts`, `bodies` or `cache` is one of ours. Others are left alone. */
export function isFileId(name: string): boolean {
  return fileId.test(name)
}

/** Writes a new file, so that its bytes are on disk when this resolves; its name is not yet. On failure it is removed again. */
export async function writeDraft(disk: Disk, path: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.create(path)
  try {
    try {
      await file.write(bytes, 0)
      await file.sync()
    } finally {
      await file.close()
    }
  } catch (error) {
    await disk.unlink(path).catch(() => {})
    throw error
  }
}

/** Bytes kept so that deletes, state changes and draining still work on a full disk. */
export const reserveBytes = 4_194_304

/** Puts the reserve in its place, whole or not at all. */
export async function writeReserve(disk: Disk, random: Random, paths: Paths): Promise<void> {
  const draft = join(paths.drafts, random.hex(16))
  await writeDraft(disk, draft, noise(random))
  try {
    await disk.rename(draft, paths.reserve)
  } catch (error) {
    await disk.unlink(draft).catch(() => {})
    throw error
  }
}

/** Bytes that no file system can store as a hole or compress. */
function noise(random: Random): Uint8Array {
  const words = new Uint32Array(reserveBytes / 4)
  let state = Math.floor(random.number() * 0xffffffff) + 1
  for (let i = 0; i < words.length; i++) {
    // Marsaglia's xorshift (Journal of Statistical Software 8/14, 2003).
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    words[i] = state
  }
  return new Uint8Array(words.buffer)
}
