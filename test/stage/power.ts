import { basename, dirname } from 'node:path'
import type { Disk, DiskFile, FileInfo } from '../../src/core/ports.ts'
import { torn } from '../support/torn.ts'
import { systemError } from './disks.ts'

interface File {
  readonly kind: 'file'
  readonly id: number
  /** What a reader sees, and what was synced. */
  cached: Buffer
  durable: Buffer
}

interface Folder {
  readonly kind: 'directory'
  readonly id: number
  readonly cached: Map<string, Node>
  /** The names that were synced. */
  durable: Map<string, Node>
}

type Node = File | Folder

/** A disk in memory that forgets, when the power goes, what POSIX lets it forget: each thing that was not synced, independently. */
export interface PowerDisk extends Disk {
  /**
   * What a machine finds that starts again: synced bytes and names are there; every name that was added or removed since its directory
   * was synced may or may not be, each for itself; files hold what was synced, with any sectors and any length of what came after.
   */
  afterCut(random: () => number): PowerDisk
}

export function powerDisk(random: () => number, root: Folder = folder(0)): PowerDisk {
  let nextId = 1

  /** Other work goes on while a call runs, for as long as it happens to take. */
  async function later(): Promise<void> {
    for (let turns = Math.floor(random() * 6); turns >= 0; turns--) await Promise.resolve()
  }

  function find(path: string): Node | undefined {
    if (path === '/') return root
    const parent = find(dirname(path))
    if (parent?.kind === 'file') throw systemError('ENOTDIR', path)
    return parent?.cached.get(basename(path))
  }

  function folderAt(path: string): Folder {
    const found = find(path)
    if (found === undefined) throw systemError('ENOENT', path)
    if (found.kind === 'file') throw systemError('ENOTDIR', path)
    return found
  }

  function fileAt(path: string): File {
    const found = find(path)
    if (found === undefined) throw systemError('ENOENT', path)
    if (found.kind === 'directory') throw systemError('EISDIR', path)
    return found
  }

  function opened(file: File): DiskFile {
    return {
      async write(bytes, position) {
        await later()
        const size = Math.max(file.cached.length, position + bytes.byteLength)
        const grown = Buffer.alloc(size)
        file.cached.copy(grown)
        grown.set(bytes, position)
        file.cached = grown
      },
      async read(into, position) {
        await later()
        const part = file.cached.subarray(position, position + into.byteLength)
        into.set(part)
        return part.byteLength
      },
      async sync() {
        const now = file.cached
        await later()
        file.durable = now
      },
      size: async () => file.cached.length,
      close: later,
      [Symbol.asyncDispose]: later,
    }
  }

  return {
    async create(path) {
      await later()
      const parent = folderAt(dirname(path))
      if (parent.cached.has(basename(path))) throw systemError('EEXIST', path)
      const file: File = { kind: 'file', id: nextId++, cached: Buffer.alloc(0), durable: Buffer.alloc(0) }
      parent.cached.set(basename(path), file)
      return opened(file)
    },
    async read(path) {
      await later()
      return opened(fileAt(path))
    },
    async rename(from, to) {
      await later()
      const file = fileAt(from)
      folderAt(dirname(to)).cached.set(basename(to), file)
      folderAt(dirname(from)).cached.delete(basename(from))
    },
    async link(from, to) {
      await later()
      const parent = folderAt(dirname(to))
      const file = fileAt(from)
      if (parent.cached.has(basename(to))) throw systemError('EEXIST', to)
      parent.cached.set(basename(to), file)
    },
    async unlink(path) {
      await later()
      folderAt(dirname(path)).cached.delete(basename(path))
    },
    async makeDirectory(path) {
      await later()
      const missing: string[] = []
      for (let at = path; find(at) === undefined; at = dirname(at)) missing.unshift(at)
      for (const each of missing) folderAt(dirname(each)).cached.set(basename(each), folder(nextId++))
    },
    async names(path) {
      await later()
      return [...folderAt(path).cached.keys()]
    },
    async stat(path): Promise<FileInfo | undefined> {
      await later()
      const found = find(path)
      if (found === undefined) return undefined
      const size = found.kind === 'file' ? found.cached.length : 0
      return { kind: found.kind, size, modifiedMs: 0, changedMs: 0, mode: 0o700, device: 1, ours: true }
    },
    async syncDirectory(path) {
      const found = folderAt(path)
      const now = new Map(found.cached)
      await later()
      found.durable = now
    },
    fileSystem: async () => ({ type: 0xef53, freeBytes: 1e12 }),
    afterCut: chance => powerDisk(chance, survivors(root, chance) as Folder),
  }
}

function folder(id: number): Folder {
  return { kind: 'directory', id, cached: new Map(), durable: new Map() }
}

function survivors(node: Node, random: () => number, seen: Map<Node, Node> = new Map()): Node {
  const known = seen.get(node)
  if (known !== undefined) return known
  if (node.kind === 'file') {
    const found = Buffer.from(torn(node.durable, node.cached, random))
    const file: File = { kind: 'file', id: node.id, cached: found, durable: found }
    seen.set(node, file)
    return file
  }
  const left = folder(node.id)
  seen.set(node, left)
  for (const name of new Set([...node.durable.keys(), ...node.cached.keys()])) {
    const before = node.durable.get(name)
    const after = node.cached.get(name)
    const survivor = before === after || random() < 0.5 ? before : after
    if (survivor === undefined) continue
    const copy = survivors(survivor, random, seen)
    left.cached.set(name, copy)
    left.durable.set(name, copy)
  }
  return left
}
