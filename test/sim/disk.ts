import { basename, dirname } from 'node:path'
import type { Disk, DiskFile, FileInfo } from '../../src/core/ports.ts'
import { torn } from '../support/torn.ts'
import type { Process } from './machine.ts'
import type { Scheduler } from './scheduler.ts'

interface File {
  readonly kind: 'file'
  /** What a reader sees, and what was synced. */
  cached: Uint8Array
  durable: Uint8Array
  changedMs: number
  /** Names that it has. */
  links: number
  /** When the sync began that made it durable: one that began earlier takes nothing back. */
  syncedAt: number
}

interface Folder {
  readonly kind: 'directory'
  readonly cached: Map<string, Node>
  /** The names that were synced. */
  durable: Map<string, Node>
  syncedAt: number
}

type Node = File | Folder

/** What goes wrong at a disk now: shares of the calls it is about. */
export interface DiskFaults {
  /** EIO of writes and syncs, and of the names. What a failed sync leaves on disk is left to chance. */
  readonly failing: number
  /** EIO of reads. */
  readonly unreadable: number
  /** EMFILE. */
  readonly busy: number
  /** Bytes that there is room for. */
  readonly capacity: number
}

export const soundDisk: DiskFaults = { failing: 0, unreadable: 0, busy: 0, capacity: 1e12 }

/**
 * The disk of a simulated machine: a page cache that all its processes share, and under it what would be left if the power went now. Every file and every name that
 * was not synced is lost or kept for itself, torn in sectors.
 */
export interface MachineDisk {
  faults: DiskFaults
  /** Syncs that say that they did what they did not. */
  lies: 'names are not synced' | 'files are not synced' | undefined
  /** The disk as this process has it, under a name of its own: `/<process>/stage` is the same directory for all. */
  of(process: Process): Disk
  /** The power goes: what was not synced may be gone. */
  cut(): void
  /** Whether this body would be there after a power cut, with exactly the bytes that a reader sees now. */
  isDurable(file: string): boolean
  /** Looks and unlinks at once, for the journal. */
  readonly bodies: { has(file: string): boolean; unlink(file: string): void }
  /** Is told of every body that goes, before it goes. */
  onUnlink: (file: string) => void
  has(name: string): boolean
  put(name: string): void
  remove(name: string): void
  /** Flips a bit of some body; answers its name, if there is one. */
  rot(): string | undefined
  /** A disk with the same on it; what was not synced is not. */
  clone(scheduler: Scheduler, name: string): MachineDisk
}

const emptyFile = new Uint8Array()

export function machineDisk(scheduler: Scheduler, name: string, root: Folder = folder()): MachineDisk {
  const random = scheduler.randomOf(name)
  const chance = () => random.number()
  let tree = root
  let syncs = 0

  /** `/m1.2/stage/bodies/x` is `stage/bodies/x` of this machine. */
  function find(path: string): Node | undefined {
    let node: Node | undefined = tree
    for (const name of path.split('/').slice(2)) {
      if (node?.kind !== 'directory') return undefined
      node = node.cached.get(name)
    }
    return node
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
  function usedBytes(node: Node = tree): number {
    if (node.kind === 'file') return node.cached.length / Math.max(1, node.links)
    let sum = 0
    for (const child of node.cached.values()) sum += usedBytes(child)
    return sum
  }
  function room(bytes: number, path: string): void {
    const { capacity } = disk.faults
    if (capacity < 1e12 && usedBytes() + bytes > capacity) throw systemError('ENOSPC', path)
  }
  const inBodies = (file: string) => `/x/stage/bodies/${file}`
  const atTop = (name: string) => `/x/stage/${name}`
  function removeName(path: string): void {
    const parent = folderAt(dirname(path))
    const found = parent.cached.get(basename(path))
    if (found?.kind === 'file') found.links--
    parent.cached.delete(basename(path))
  }

  function forProcess(process: Process): Disk {
    const time = scheduler.randomOf(`${name} ${process.name}`)
    const delay = () => time.number()
    /** A call, on its way and back; between, at one moment, it happens. */
    async function call<T>(
      operation: string,
      path: string,
      kind: 'write' | 'read' | 'names',
      run: () => T,
      broken?: () => void,
    ): Promise<T> {
      if (!process.isAlive) return new Promise<never>(() => {})
      const isSync = operation.startsWith('sync')
      await process.wait(isSync ? 0.2 + delay() * 8 : delay() * 0.3)
      scheduler.note(`${process.name} ${operation} ${path.slice(path.indexOf('/', 1) + 1)}`)
      const { failing, unreadable, busy } = disk.faults
      if (busy > 0 && (operation === 'create' || operation === 'read') && chance() < busy)
        throw systemError('EMFILE', path)
      const share = kind === 'write' ? failing : kind === 'read' ? unreadable : failing / 4
      if (share > 0 && chance() < share) {
        broken?.()
        throw systemError('EIO', path)
      }
      const result = run()
      if (delay() < 0.5) await process.wait(delay() * 0.2)
      return result
    }

    function opened(path: string, file: File): DiskFile {
      return {
        write: (bytes, position) =>
          call('write', path, 'write', () => {
            const size = Math.max(file.cached.length, position + bytes.byteLength)
            room(size - file.cached.length, path)
            const grown = new Uint8Array(size)
            grown.set(file.cached)
            grown.set(bytes, position)
            file.cached = grown
            file.changedMs = process.clock.now()
          }),
        read: (into, position) =>
          call('readAt', path, 'read', () => {
            const part = file.cached.subarray(position, position + into.byteLength)
            into.set(part)
            return part.byteLength
          }),
        async sync() {
          const now = file.cached
          const began = ++syncs
          await call(
            'sync',
            path,
            'write',
            () => {
              if (disk.lies === 'files are not synced' || began < file.syncedAt) return
              file.durable = now
              file.syncedAt = began
            },
            () => {
              // Some of it may have come through; and the system may forget that the rest is missing.
              file.durable = torn(file.durable, now, chance)
              if (chance() < 0.3) file.cached = file.durable
            },
          )
        },
        size: async () => file.cached.length,
        close: () => call('close', path, 'names', () => {}),
        [Symbol.asyncDispose]: () => call('close', path, 'names', () => {}),
      }
    }

    return {
      create: path =>
        call('create', path, 'names', () => {
          const parent = folderAt(dirname(path))
          if (parent.cached.has(basename(path))) throw systemError('EEXIST', path)
          room(1, path)
          const file: File = {
            kind: 'file',
            cached: emptyFile,
            durable: emptyFile,
            changedMs: 0,
            links: 1,
            syncedAt: 0,
          }
          file.changedMs = process.clock.now()
          parent.cached.set(basename(path), file)
          return opened(path, file)
        }),
      read: path => call('read', path, 'read', () => opened(path, fileAt(path))),
      rename: (from, to) =>
        call('rename', to, 'write', () => {
          const file = fileAt(from)
          const old = folderAt(dirname(to)).cached.get(basename(to))
          if (old?.kind === 'file') old.links--
          if (from.includes('/bodies/')) disk.onUnlink(basename(from))
          folderAt(dirname(to)).cached.set(basename(to), file)
          folderAt(dirname(from)).cached.delete(basename(from))
          file.changedMs = process.clock.now()
        }),
      link: (from, to) =>
        call('link', to, 'write', () => {
          const parent = folderAt(dirname(to))
          const file = fileAt(from)
          if (parent.cached.has(basename(to))) throw systemError('EEXIST', to)
          parent.cached.set(basename(to), file)
          file.links++
          file.changedMs = process.clock.now()
        }),
      unlink: path =>
        call('unlink', path, 'write', () => {
          if (path.includes('/bodies/') && find(path) !== undefined) disk.onUnlink(basename(path))
          removeName(path)
        }),
      makeDirectory: path =>
        call('makeDirectory', path, 'write', () => {
          let at = tree
          for (const name of path.split('/').slice(2)) {
            const next = at.cached.get(name) ?? folder()
            if (next.kind === 'file') throw systemError('ENOTDIR', path)
            at.cached.set(name, next)
            at = next
          }
        }),
      names: path => call('names', path, 'read', () => [...folderAt(path).cached.keys()]),
      stat: path =>
        call('stat', path, 'names', (): FileInfo | undefined => {
          const found = find(path)
          if (found === undefined) return undefined
          const isFile = found.kind === 'file'
          const changedMs = isFile ? found.changedMs : 0
          const size = isFile ? found.cached.length : 0
          return { kind: found.kind, size, modifiedMs: changedMs, changedMs, mode: 0o700, device: 1, ours: true }
        }),
      async syncDirectory(path) {
        const found = folderAt(path)
        const now = new Map(found.cached)
        const began = ++syncs
        await call(
          'syncDirectory',
          path,
          'write',
          () => {
            if (disk.lies === 'names are not synced' || began < found.syncedAt) return
            found.durable = now
            found.syncedAt = began
          },
          () => {
            for (const [name, node] of now) if (chance() < 0.5) found.durable.set(name, node)
          },
        )
      },
      fileSystem: async () => ({ type: 0xef53, freeBytes: Math.max(0, disk.faults.capacity - usedBytes()) }),
    }
  }

  const disk: MachineDisk = {
    faults: soundDisk,
    lies: undefined,
    onUnlink: () => {},
    of: forProcess,
    cut() {
      tree = survivors(tree, chance, new Map()) as Folder
    },
    isDurable(file) {
      const stage = tree.durable.get('stage')
      const bodies = stage?.kind === 'directory' ? stage.durable.get('bodies') : undefined
      const found = bodies?.kind === 'directory' ? bodies.durable.get(file) : undefined
      return found?.kind === 'file' && Buffer.compare(found.durable, found.cached) === 0
    },
    bodies: {
      has: file => find(inBodies(file)) !== undefined,
      unlink(file) {
        fileAt(inBodies(file))
        disk.onUnlink(file)
        removeName(inBodies(file))
      },
    },
    has: name => find(atTop(name)) !== undefined,
    put(name) {
      const file: File = { kind: 'file', cached: emptyFile, durable: emptyFile, changedMs: 0, links: 1, syncedAt: 0 }
      const stage = folderAt('/x/stage')
      stage.cached.set(name, file)
      stage.durable.set(name, file)
    },
    remove(name) {
      const stage = folderAt('/x/stage')
      stage.cached.delete(name)
      stage.durable.delete(name)
    },
    rot() {
      const bodies = find('/x/stage/bodies')
      const files = bodies?.kind === 'directory' ? [...bodies.cached] : []
      const [name, file] = files[Math.floor(chance() * files.length)] ?? []
      if (file?.kind !== 'file' || file.cached.length === 0) return undefined
      const flipped = Uint8Array.from(file.cached)
      const at = Math.floor(chance() * flipped.length)
      flipped[at] = (flipped[at] ?? 0) ^ (1 << Math.floor(chance() * 8))
      file.cached = flipped
      file.durable = flipped
      return name
    },
    clone: (other, called) => machineDisk(other, called, survivors(tree, () => 0.6, new Map()) as Folder),
  }
  return disk
}

function folder(): Folder {
  return { kind: 'directory', cached: new Map(), durable: new Map(), syncedAt: 0 }
}

/** What a machine finds that starts again. */
function survivors(node: Node, chance: () => number, seen: Map<Node, Node>): Node {
  const known = seen.get(node)
  if (known !== undefined) {
    if (known.kind === 'file') known.links++
    return known
  }
  if (node.kind === 'file') {
    const found = torn(node.durable, node.cached, chance)
    const file: File = { kind: 'file', cached: found, durable: found, changedMs: node.changedMs, links: 1, syncedAt: 0 }
    seen.set(node, file)
    return file
  }
  const left = folder()
  seen.set(node, left)
  for (const name of new Set([...node.durable.keys(), ...node.cached.keys()])) {
    const before = node.durable.get(name)
    const after = node.cached.get(name)
    const survivor = before === after || chance() < 0.5 ? before : after
    if (survivor === undefined) continue
    const copy = survivors(survivor, chance, seen)
    left.cached.set(name, copy)
    left.durable.set(name, copy)
  }
  return left
}

export function systemError(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: made up, ${path}`), { code })
}
