import { dirname, isAbsolute, join, resolve } from 'node:path'
import { HoldfastError, invalid, shown } from '../core/errors.ts'
import type { Clock, Disk, FileInfo, Random } from '../core/ports.ts'
import { withoutNameSyncs } from './disk.ts'
import { diskFailure, diskFull, errno, tooManyFiles } from './failures.ts'
import { type Paths, pathsOf, reserveBytes, writeDraft, writeReserve } from './files.ts'
import { checkFileSystem } from './filesystems.ts'
import { readIdentity, writeIdentity } from './identity.ts'
import { openPoison, type Steps, stepsOf } from './poison.ts'

export interface DirectoryOptions {
  /** Absolute. Made with mode 0700 if missing, parents too. */
  readonly path: string
  /** 'durable' refuses memory, network and user-space file systems. 'ephemeral' takes any. */
  readonly kind: 'durable' | 'ephemeral'
  readonly disk: Disk
  readonly random: Random
  readonly clock: Clock
}

export interface Directory {
  /** Without trailing slashes and dots. */
  readonly path: string
  readonly paths: Paths
  /** The uuid in holdfast.json; the journal must hold the same. */
  readonly identity: string
  /** Whether this call gave the directory its identity. */
  readonly created: boolean
  readonly ephemeral: boolean
  /** For `status()`. */
  readonly warnings: readonly string[]
  /** The disk to use from here on: the one given, but for what an ephemeral directory cannot do. */
  readonly disk: Disk
}

/**
 * Makes sure that what is written into the directory can be kept, and lays it out (FORMAT.md section 2). Several processes may do so
 * at the same time. Nothing is made before the path, its owner, rights and file system were found good.
 *
 * INVALID, field `directory`: `path`, `kind`, `symlink`, `owner`, `permissions`, `filesystem`, `sync` (directories cannot be synced),
 * `format` (made by a later version). CORRUPT, field `directory`: `identity` (there are bodies or a journal, but not whose),
 * `layout` (bodies/ is missing), `poisoned`, `disk`. NO_SPACE only for a new directory: a full disk can still be drained.
 *
 * Never opens the journal or the locks, see `Paths`.
 */
export async function openDirectory(options: DirectoryOptions): Promise<Directory> {
  const path = checkPath(options.path)
  try {
    return await open(path, options)
  } catch (error) {
    throw openingFailure(path, error)
  }
}

async function open(path: string, { kind, disk: given, random, clock }: DirectoryOptions): Promise<Directory> {
  const found = await given.stat(path)
  if (found !== undefined) checkRoot(path, found)
  const missing = await missingFrom(path, given)
  const { type } = await given.fileSystem(missing[0] === undefined ? path : dirname(missing[0]))
  const warnings = [...checkFileSystem(path, type, kind)]

  await given.makeDirectory(path)
  const steps = stepsOf(path, openPoison(path, given, clock))
  const disk = (await canSyncNames(path, kind, given, steps)) ? given : withoutNameSyncs(given)
  for (const made of missing) await steps.syncNames(() => disk.syncDirectory(dirname(made)))

  const paths = pathsOf(path)
  const known = await readIdentity(disk, paths)
  if (known === undefined) await refuseStrangers(paths, disk)
  else if ((await disk.stat(paths.bodies)) === undefined) throw lost(paths.bodies)
  await layOut(paths, disk, steps)
  const { identity, created } =
    known === undefined ? await writeIdentity(disk, paths, random, steps) : { identity: known, created: false }
  if (!(await hasRoom(paths, disk, random))) {
    warnings.push(`the disk of ${path} is full: puts are refused until there is room`)
  }
  return { path, paths, identity, created, ephemeral: kind === 'ephemeral', warnings, disk }
}

function checkPath(path: string): string {
  if (typeof path !== 'string') throw new TypeError(`directory must be a string, got ${shown(path)}`)
  if (path.includes('\0') || !path.isWellFormed()) {
    throw invalid('directory', 'path', `directory ${shown(path)} has a character that no path can have`)
  }
  if (!isAbsolute(path)) {
    throw invalid('directory', 'path', `directory must be an absolute path, got ${shown(path)}`)
  }
  // A slash at the end would make the system follow a link.
  const clean = resolve(path)
  if (dirname(clean) === clean) throw invalid('directory', 'path', `directory must not be the root of a file system`)
  return clean
}

function checkRoot(path: string, found: FileInfo): void {
  if (found.kind === 'link') {
    throw invalid('directory', 'symlink', `directory ${path} is a symbolic link; give the path that it leads to`)
  }
  if (found.kind !== 'directory') throw invalid('directory', 'kind', `directory ${path} is not a directory`)
  if (!found.ours) {
    throw invalid('directory', 'owner', `directory ${path} belongs to another user; chown it to the one who runs this`)
  }
  if ((found.mode & 0o022) !== 0) {
    const mode = found.mode.toString(8)
    throw invalid(
      'directory',
      'permissions',
      `others may write to directory ${path} (mode ${mode}): chmod 700 it, or name a directory in it that does not exist yet`,
    )
  }
}

/** The directories that have to be made, from the top down. */
async function missingFrom(path: string, disk: Disk): Promise<readonly string[]> {
  const missing: string[] = []
  for (let at = path; (await disk.stat(at)) === undefined; at = dirname(at)) missing.unshift(at)
  return missing
}

/** Whether names can be made durable here at all; what is needed for a promise, and given up for an ephemeral directory. */
async function canSyncNames(path: string, kind: DirectoryOptions['kind'], disk: Disk, steps: Steps): Promise<boolean> {
  let refusal: unknown
  await steps.syncNames(async () => {
    try {
      await disk.syncDirectory(path)
    } catch (error) {
      if (!unsupported.has(errno(error))) throw error
      refusal = error
    }
  })
  if (refusal === undefined || kind === 'ephemeral') return refusal === undefined
  throw invalid(
    'directory',
    'sync',
    `directory ${path} is on a file system that cannot sync directories (${errno(refusal)}), so that a power cut could take the names of files; use a local disk, or disk: 'ephemeral'`,
    { cause: refusal },
  )
}

const unsupported: ReadonlySet<string | undefined> = new Set(['EINVAL', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS'])

/** A directory without an identity may be new. One that has bodies or a journal is not: its disk is not mounted, or was mixed up. */
async function refuseStrangers(paths: Paths, disk: Disk): Promise<void> {
  const bodies = (await disk.stat(paths.bodies)) === undefined ? [] : await disk.names(paths.bodies)
  const isOld = bodies.length > 0 || (await disk.stat(paths.journal)) !== undefined
  // Another process may just have made all of it.
  if (!isOld || (await disk.stat(paths.identity)) !== undefined) return
  throw new HoldfastError(
    'CORRUPT',
    `directory ${paths.root} has ${bodies.length > 0 ? 'bodies' : 'a journal'} but no holdfast.json: is its disk mounted, and whole? Restore that file; delete nothing, the bodies may be the only copies`,
    { field: 'directory', rule: 'identity', outcome: 'rejected', retryable: false },
  )
}

function lost(bodies: string): HoldfastError {
  return new HoldfastError(
    'CORRUPT',
    `${bodies} is missing: is its disk mounted, and whole? What was accepted and not replicated yet was there`,
    { field: 'directory', rule: 'layout', outcome: 'rejected', retryable: false },
  )
}

/** Makes what is missing of the three trees. Durable before the identity is, so that later a missing one is a loss. */
async function layOut(paths: Paths, disk: Disk, steps: Steps): Promise<void> {
  const root = await disk.stat(paths.root)
  let made = false
  for (const path of [paths.bodies, paths.drafts, paths.cache]) {
    if ((await disk.stat(path)) === undefined) {
      await disk.makeDirectory(path)
      made = true
    }
    const found = await disk.stat(path)
    if (found?.kind !== 'directory') throw invalid('directory', 'kind', `${path} is not a directory`)
    if (found.device !== root?.device) {
      throw invalid('directory', 'filesystem', `${path} is on another file system than the directory that it is in`)
    }
  }
  if (made) await steps.syncNames(() => disk.syncDirectory(paths.root))
}

/**
 * Writes for a try, and puts the reserve in place if it is not there. False where the disk is full: that keeps nobody from draining.
 */
async function hasRoom(paths: Paths, disk: Disk, random: Random): Promise<boolean> {
  try {
    if ((await disk.stat(paths.reserve))?.size === reserveBytes) {
      const draft = join(paths.drafts, random.hex(16))
      await writeDraft(disk, draft, Buffer.from('may this be written?'))
      await disk.unlink(draft)
    } else await writeReserve(disk, random, paths)
    return true
  } catch (error) {
    if (diskFailure(error) === 'full') return false
    // Removed by another process that swept the drafts: it has the reserve in place.
    if (errno(error) === 'ENOENT' && (await disk.stat(paths.reserve)) !== undefined) return true
    throw error
  }
}

function openingFailure(path: string, error: unknown): unknown {
  const code = errno(error)
  if (error instanceof HoldfastError || error instanceof TypeError || code === undefined) return error
  switch (diskFailure(error)) {
    case 'full':
      return diskFull(path, error)
    case 'busy':
      return tooManyFiles(error)
    case 'broken':
  }
  const [rule, what] = refusals[code] ?? []
  if (rule !== undefined) return invalid('directory', rule, `directory ${path}: ${what} (${code})`, { cause: error })
  return new HoldfastError(
    'CORRUPT',
    `the disk of directory ${path} failed (${code}): look after it, then open again`,
    {
      field: 'directory',
      rule: 'disk',
      outcome: 'rejected',
      retryable: false,
      cause: error,
    },
  )
}

const noRight = ['permissions', 'this user may not read and write there; chown it, or name another'] as const
const refusals: Readonly<Record<string, readonly [string, string]>> = {
  EACCES: noRight,
  EPERM: noRight,
  EROFS: ['permissions', 'its file system is mounted read-only'],
  ENOTDIR: ['kind', 'a part of the path is a file'],
  EEXIST: ['kind', 'a part of the path is not a directory'],
  ELOOP: ['symlink', 'symbolic links lead in a circle'],
  ENAMETOOLONG: ['path', 'the path is too long'],
  ENOENT: ['path', 'it vanished while it was opened, or a part of the path leads nowhere'],
}
