import { constants, promises as fs, type Stats } from 'node:fs'
import { dirname } from 'node:path'
import type { Disk, DiskFile, FileInfo } from '../core/ports.ts'

// Windows has neither.
const noFollow = constants.O_NOFOLLOW ?? 0
const onlyDirectory = constants.O_DIRECTORY ?? 0
const isWindows = process.platform === 'win32'

/**
 * The machine's own file system. On Linux and macOS a sync reaches the drive (libuv asks macOS for F_FULLFSYNC); Windows cannot
 * sync a directory, so that there a name may be lost with the power.
 */
export const nodeDisk: Disk = {
  async create(path) {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL | noFollow
    const handle = await fs.open(path, flags, 0o600)
    try {
      // The umask may have taken bits away.
      await handle.chmod(0o600)
    } catch (error) {
      await handle.close()
      await fs.rm(path, { force: true })
      throw error
    }
    return diskFile(handle)
  },

  read: async path => diskFile(await fs.open(path, constants.O_RDONLY | noFollow)),
  rename: (from, to) => fs.rename(from, to),
  link: (from, to) => fs.link(from, to),

  async unlink(path) {
    try {
      await fs.unlink(path)
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error
    }
  },

  async makeDirectory(path) {
    const missing: string[] = []
    for (let at = path; (await stat(at)) === undefined; at = dirname(at)) missing.push(at)
    for (const directory of missing.reverse()) await makeOne(directory)
    await restrict(path)
  },

  names: directory => fs.readdir(directory),

  stat,

  async syncDirectory(path) {
    if (isWindows) return
    const handle = await fs.open(path, constants.O_RDONLY | onlyDirectory)
    try {
      await handle.sync()
    } finally {
      await handle.close()
    }
  },

  async fileSystem(path) {
    const { type, bavail, bsize } = await fs.statfs(path)
    return { type: process.platform === 'linux' ? type >>> 0 : 0, freeBytes: bavail * bsize }
  },
}

/** The same disk, for one on which the names of files are not worth a sync or cannot have one. */
export function withoutNameSyncs(disk: Disk): Disk {
  return {
    create: path => disk.create(path),
    read: path => disk.read(path),
    rename: (from, to) => disk.rename(from, to),
    link: (from, to) => disk.link(from, to),
    unlink: path => disk.unlink(path),
    makeDirectory: path => disk.makeDirectory(path),
    names: directory => disk.names(directory),
    stat: path => disk.stat(path),
    syncDirectory: async () => {},
    fileSystem: path => disk.fileSystem(path),
  }
}

function diskFile(handle: fs.FileHandle): DiskFile {
  return {
    write: (bytes, position) =>
      writeAll(bytes, position, async (rest, at) => (await handle.write(rest, 0, rest.byteLength, at)).bytesWritten),
    read: async (into, position) => (await handle.read(into, 0, into.byteLength, position)).bytesRead,
    // All of the file that is needed to read it again, its size among it.
    sync: () => handle.datasync(),
    size: async () => (await handle.stat()).size,
    close: () => handle.close(),
    [Symbol.asyncDispose]: () => handle.close(),
  }
}

/**
 * Writes all bytes through a `write` that answers how many it took. Taking fewer is no error to the system, only its way of saying
 * that the next call will fail (measured on Linux: a full disk takes what fits and reports success).
 */
export async function writeAll(
  bytes: Uint8Array,
  position: number,
  write: (rest: Uint8Array, position: number) => Promise<number>,
): Promise<void> {
  let done = 0
  while (done < bytes.byteLength) {
    const written = await write(bytes.subarray(done), position + done)
    if (written <= 0) throw Object.assign(new Error('EIO: the disk took no byte of a write'), { code: 'EIO' })
    done += written
  }
}

async function makeOne(path: string): Promise<void> {
  try {
    await fs.mkdir(path, 0o700)
  } catch (error) {
    // Another process was faster.
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return
    throw error
  }
  await restrict(path)
}

async function restrict(path: string): Promise<void> {
  const stats = await fs.lstat(path)
  if (stats.isDirectory() && (stats.mode & 0o7777) !== 0o700) await fs.chmod(path, 0o700)
}

async function stat(path: string): Promise<FileInfo | undefined> {
  try {
    return fileInfo(await fs.lstat(path))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
}

function fileInfo(stats: Stats): FileInfo {
  return {
    kind: stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : stats.isSymbolicLink() ? 'link' : 'other',
    size: stats.size,
    modifiedMs: stats.mtimeMs,
    changedMs: stats.ctimeMs,
    mode: stats.mode & 0o7777,
    device: stats.dev,
    ours: process.geteuid === undefined || stats.uid === process.geteuid(),
  }
}
