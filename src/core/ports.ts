/** Time, from outside: what waits takes a signal and stops at once with the signal's own reason. */
export interface Clock {
  /** Wall clock, milliseconds since 1970. May jump. */
  now(): number
  /** Milliseconds since some moment of this process; never jumps. */
  monotonic(): number
  /** Does not keep the process alive. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>
  /** Calls back after so long, unless the answer is called before: a sleep without its promise and its signal. See `after`, which does without. */
  after?(ms: number, call: () => void): () => void
  /** Keeps the process alive until the answer is called: somebody waits. Only the machine's own clock can. */
  stayAlive?(): () => void
  /** Resolves when what is happening at this moment, such as all answers that came together, has been dealt with. Only the machine's own clock has such moments. */
  turn?(): Promise<void>
}

/** Chance, from outside. */
export interface Random {
  /** 0 <= n < 1. */
  number(): number
  /** `bytes` random bytes as hex: ids. */
  hex(bytes: number): string
}

/** The file system, as far as the stage needs it. Errors are Node's, with their `code`. */
export interface Disk {
  /** A new file, mode 0600; fails if there is one, or a link. */
  create(path: string): Promise<DiskFile>
  read(path: string): Promise<DiskFile>
  rename(from: string, to: string): Promise<void>
  /** A second name for the same file. */
  link(from: string, to: string): Promise<void>
  /** No error where there is none. */
  unlink(path: string): Promise<void>
  /** Mode 0700, parents that are missing too. One that is there becomes 0700. */
  makeDirectory(path: string): Promise<void>
  /** File names and nothing else, in no order. */
  names(directory: string): Promise<string[]>
  /** Of the path itself: a link is not followed. `undefined` where there is none. */
  stat(path: string): Promise<FileInfo | undefined>
  /** The names in the directory are on disk when this resolves. */
  syncDirectory(path: string): Promise<void>
  /** The type number of Linux's statfs (0 on other systems), and the bytes free to us. */
  fileSystem(path: string): Promise<{ type: number; freeBytes: number }>
}

export interface FileInfo {
  readonly kind: 'file' | 'directory' | 'link' | 'other'
  /** Bytes. */
  readonly size: number
  /** When its bytes changed last, ms since 1970. */
  readonly modifiedMs: number
  /** When its bytes, names or rights changed last: a link and a rename count. */
  readonly changedMs: number
  /** The twelve bits of rights: 0o700. */
  readonly mode: number
  /** Files of one device can be renamed and linked among each other. */
  readonly device: number
  /** It belongs to the user whom this process runs as. */
  readonly ours: boolean
}

export interface DiskFile extends AsyncDisposable {
  /** All of it, however many calls that takes. */
  write(bytes: Uint8Array, position: number): Promise<void>
  /** Bytes read, 0 at the end. */
  read(into: Uint8Array, position: number): Promise<number>
  /** The bytes are on disk when this resolves. After a failure: never again on this file. */
  sync(): Promise<void>
  size(): Promise<number>
  close(): Promise<void>
}
