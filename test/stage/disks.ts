import { basename, dirname } from 'node:path'
import type { Disk, DiskFile } from '../../src/core/ports.ts'

export type Operation =
  | 'create'
  | 'read'
  | 'rename'
  | 'link'
  | 'unlink'
  | 'makeDirectory'
  | 'names'
  | 'stat'
  | 'syncDirectory'
  | 'fileSystem'
  | 'file.write'
  | 'file.read'
  | 'file.sync'
  | 'file.size'
  | 'file.close'

export interface Call {
  readonly operation: Operation
  readonly path: string
}

/** A disk whose every call goes through `meet`, which may delay it, fail it, leave it out, or note it. */
export function intercepted(disk: Disk, meet: <T>(call: Call, run: () => Promise<T>) => Promise<T>): Disk {
  const meetFile = (path: string, file: DiskFile): DiskFile => ({
    write: (bytes, position) => meet({ operation: 'file.write', path }, () => file.write(bytes, position)),
    read: (into, position) => meet({ operation: 'file.read', path }, () => file.read(into, position)),
    sync: () => meet({ operation: 'file.sync', path }, () => file.sync()),
    size: () => meet({ operation: 'file.size', path }, () => file.size()),
    close: () => meet({ operation: 'file.close', path }, () => file.close()),
    [Symbol.asyncDispose]: () => meet({ operation: 'file.close', path }, () => file.close()),
  })
  return {
    create: path => meet({ operation: 'create', path }, async () => meetFile(path, await disk.create(path))),
    read: path => meet({ operation: 'read', path }, async () => meetFile(path, await disk.read(path))),
    rename: (from, to) => meet({ operation: 'rename', path: to }, () => disk.rename(from, to)),
    link: (from, to) => meet({ operation: 'link', path: to }, () => disk.link(from, to)),
    unlink: path => meet({ operation: 'unlink', path }, () => disk.unlink(path)),
    makeDirectory: path => meet({ operation: 'makeDirectory', path }, () => disk.makeDirectory(path)),
    names: path => meet({ operation: 'names', path }, () => disk.names(path)),
    stat: path => meet({ operation: 'stat', path }, () => disk.stat(path)),
    syncDirectory: path => meet({ operation: 'syncDirectory', path }, () => disk.syncDirectory(path)),
    fileSystem: path => meet({ operation: 'fileSystem', path }, () => disk.fileSystem(path)),
  }
}

export interface Faults {
  readonly disk: Disk
  /** What was called, as `operation tree`. */
  readonly calls: string[]
  /** Which call failed, if one did. */
  readonly failed: Call | undefined
}

/** Fails the call of this number, counted from 1, and with `forEver` all after it. A file that fails to close is closed. */
export function failing(disk: Disk, at: number, code: string, forEver = false): Faults {
  const calls: string[] = []
  let failed: Call | undefined
  return {
    calls,
    get failed() {
      return failed
    },
    disk: intercepted(disk, async (call, run) => {
      calls.push(told(call))
      const hit = forEver ? calls.length >= at : calls.length === at
      if (!hit) return run()
      failed ??= call
      if (call.operation === 'file.close') await run()
      throw systemError(code, call.operation)
    }),
  }
}

/** Notes every call in order: what it was, and in which tree. */
export function recorded(disk: Disk): { readonly disk: Disk; readonly calls: string[] } {
  const { calls, disk: watched } = failing(disk, Number.POSITIVE_INFINITY, 'EIO')
  return { calls, disk: watched }
}

export function told({ operation, path }: Call): string {
  const parent = basename(dirname(path))
  const isFileOfTree = ['drafts', 'bodies', 'cache'].includes(parent)
  return `${operation} ${isFileOfTree ? parent : basename(path)}`
}

export function systemError(code: string, what: string): Error {
  return Object.assign(new Error(`${code}: made up, ${what}`), { code })
}
