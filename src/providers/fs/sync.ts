import { constants } from 'node:fs'
import { join } from 'node:path'
import { errno } from './errors.ts'
import type { Tree } from './tree.ts'

/** When it resolves, the names in this directory are on disk, and so are its own name and those of the directories above it. */
export type Syncer = (directories: readonly string[]) => Promise<void>

/** What mounts say that cannot sync a directory: there, names are as safe as the mount makes them. */
const cannotSync: ReadonlySet<string | undefined> = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EBADF'])
const mostRemembered = 10_000

interface Run {
  readonly running: Promise<void>
  next: Promise<void> | undefined
}

/**
 * One sync of a directory for all who ask before it begins. Those above are synced when a directory is first seen, since whoever made it
 * may have died before doing so; that they are is remembered of the directory itself, not of its name.
 */
export function syncerOf(tree: Tree): Syncer {
  const runs = new Map<string, Run>()
  const attached = new Map<string, string>()

  function sync(directories: readonly string[]): Promise<void> {
    // Windows has no such thing.
    if (process.platform === 'win32') return Promise.resolve()
    const run = runs.get(directories.join('/'))
    if (run === undefined) return begin(directories)
    const again = (): Promise<void> => begin(directories)
    run.next ??= run.running.then(again, again)
    return run.next
  }

  function begin(directories: readonly string[]): Promise<void> {
    const path = directories.join('/')
    const running = syncWithParents(directories).finally(() => {
      if (run.next === undefined) runs.delete(path)
    })
    const run: Run = { running, next: undefined }
    runs.set(path, run)
    return running
  }

  async function syncWithParents(directories: readonly string[]): Promise<void> {
    const path = directories.join('/')
    const identity = await syncOne(directories)
    const isGone = identity === undefined
    if (directories.length > 0 && (isGone || attached.get(path) !== identity)) await sync(directories.slice(0, -1))
    if (isGone) return
    if (attached.size >= mostRemembered) attached.clear()
    attached.set(path, identity)
  }

  /** Says which directory it was; `undefined`: there is none any more, somebody has deleted all that was in it. */
  async function syncOne(directories: readonly string[]): Promise<string | undefined> {
    const { calls, root } = tree
    const flags = constants.O_RDONLY | (constants.O_DIRECTORY ?? 0)
    const handle = await calls.open(join(root, ...directories), flags).catch((error: unknown) => {
      if (errno(error) === 'ENOENT' && directories.length > 0) return undefined
      throw error
    })
    if (handle === undefined) return undefined
    try {
      await calls
        .run(() => handle.sync())
        .catch((error: unknown) => {
          if (!cannotSync.has(errno(error))) throw error
        })
      const { dev, ino, birthtimeMs } = await calls.run(() => handle.stat())
      return `${dev}:${ino}:${birthtimeMs}`
    } finally {
      await calls.run(() => handle.close())
    }
  }

  return sync
}
