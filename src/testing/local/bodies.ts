import {
  close,
  mkdirSync,
  open,
  openSync,
  read,
  readdirSync,
  readSync,
  closeSync,
  rmSync,
  unlink,
  writeFileSync,
  writev,
} from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'

/** Bytes that objects are made of. Bodies share blobs: a copy, or an object put together from parts, moves no bytes. */
export interface Blob {
  /** Name of its file; '' where only the size is kept. */
  readonly id: string
  readonly size: number
  /** Where blobs are kept in memory. */
  readonly chunks: readonly Uint8Array[] | undefined
  /** How many bodies of entries, and readers, need it. */
  uses: number
}

export interface Piece {
  readonly blob: Blob
  readonly start: number
  readonly length: number
}

/** Immutable. What no entry refers to lives until `drop`, or until the next start. */
export interface Body {
  readonly size: number
  readonly pieces: readonly Piece[]
}

export const emptyBody: Body = { size: 0, pieces: [] }

/** A body that is sent piece by piece. Whoever has one calls `close`, read or not. */
export interface BodyReader {
  readonly length: number
  chunks(): AsyncIterable<Uint8Array>
  close(): void
}

export interface BodyWriter {
  readonly size: number
  /** Takes the chunk over. Wait for it before the next. */
  write(chunk: Uint8Array): Promise<void> | undefined
  /** All that was written so far; the writer is then done with. */
  finish(): Promise<Body>
  /** Forgets what was written. */
  abort(): Promise<void>
}

/** Where blobs are: files of a directory, memory, or nowhere. */
export interface Bodies {
  /** For bodies that are small and whole. The bytes are copied. */
  of(bytes: Uint8Array): Body
  writer(): BodyWriter
  /** Bytes `start <= byte < end`; small ones at once, larger ones through a reader. */
  open(body: Body, start: number, end: number): Uint8Array | BodyReader
  use(body: Body): void
  /** What nobody uses any more is gone. */
  drop(body: Body): void
  /** The blob of this name, as a log remembers it. The same one for the same name. */
  remembered(id: string, size: number): Blob
  /** Removes the files that nobody uses. Once, at the start: until then nothing is removed. */
  sweep(): void
}

/** A read up to this size is answered with bytes. */
const atOnceBytes = 65_536
const fileReadBytes = 262_144
/** Chunks are collected to this before a file is written to. */
const fileWriteBytes = 1_048_576

const openFile = promisify(open)
const closeFile = promisify(close)
const readFile = promisify(read)
const writeFile = promisify(writev)
const zeros = Buffer.alloc(fileReadBytes)

export function bodies(directory: string | undefined, discard: boolean): Bodies {
  const known = new Map<string, Blob>()
  const run = `${Date.now().toString(36)}-${process.pid.toString(36)}`
  let made = 0
  let swept = false
  if (directory !== undefined) mkdirSync(directory, { recursive: true })
  const pathOf = (blob: Blob): string => join(directory ?? '', blob.id)
  const newId = (): string => `${run}-${(made++).toString(36)}`

  const whole = (blob: Blob): Body =>
    blob.size === 0 ? emptyBody : { size: blob.size, pieces: [{ blob, start: 0, length: blob.size }] }

  function release(blob: Blob): void {
    if (--blob.uses > 0 || !swept || directory === undefined || blob.id === '') return
    known.delete(blob.id)
    unlink(pathOf(blob), () => {})
  }

  /** A short reading, in this turn. */
  function bytesOf(body: Body, start: number, end: number): Uint8Array {
    const parts: Uint8Array[] = []
    for (const { blob, from, to } of overlaps(body, start, end)) {
      if (blob.id === '') parts.push(zeros.subarray(0, to - from))
      else if (blob.chunks !== undefined) parts.push(...cut(blob.chunks, from, to))
      else parts.push(readAtOnce(pathOf(blob), from, to))
    }
    return parts.length === 1 ? (parts[0] as Uint8Array) : Buffer.concat(parts)
  }

  return {
    of(bytes) {
      const size = bytes.byteLength
      if (discard || size === 0) return whole({ id: '', size, chunks: undefined, uses: 0 })
      if (directory === undefined) return whole({ id: 'memory', size, chunks: [Buffer.from(bytes)], uses: 0 })
      const blob: Blob = { id: newId(), size, chunks: undefined, uses: 0 }
      writeFileSync(pathOf(blob), bytes, { flag: 'wx', mode: 0o600 })
      known.set(blob.id, blob)
      return whole(blob)
    },
    writer() {
      if (discard) return countingWriter(size => whole({ id: '', size, chunks: undefined, uses: 0 }))
      if (directory === undefined) return memoryWriter((chunks, size) => whole({ id: 'memory', size, chunks, uses: 0 }))
      const id = newId()
      return fileWriter(join(directory, id), size => {
        if (size === 0) return emptyBody
        const blob: Blob = { id, size, chunks: undefined, uses: 0 }
        known.set(id, blob)
        return whole(blob)
      })
    },
    open(body, start, end) {
      if (end - start <= atOnceBytes) return bytesOf(body, start, end)
      for (const { blob } of body.pieces) blob.uses++
      let closed = false
      return {
        length: end - start,
        async *chunks() {
          for (const { blob, from, to } of overlaps(body, start, end)) {
            if (blob.id === '') yield* zeroes(to - from)
            else if (blob.chunks !== undefined) yield* cut(blob.chunks, from, to)
            else yield* readStream(pathOf(blob), from, to)
          }
        },
        close() {
          if (closed) return
          closed = true
          for (const { blob } of body.pieces) release(blob)
        },
      }
    },
    use(body) {
      for (const { blob } of body.pieces) blob.uses++
    },
    drop(body) {
      for (const { blob } of body.pieces) release(blob)
    },
    remembered(id, size) {
      const blob = known.get(id) ?? { id, size, chunks: undefined, uses: 0 }
      if (id !== '') known.set(id, blob)
      return blob
    },
    sweep() {
      swept = true
      if (directory === undefined) return
      for (const [id, blob] of known) if (blob.uses === 0) known.delete(id)
      for (const name of readdirSync(directory)) if (!known.has(name)) rmSync(join(directory, name), { force: true })
    },
  }
}

/** One body after the other. */
export function joined(parts: readonly Body[]): Body {
  return { size: parts.reduce((sum, part) => sum + part.size, 0), pieces: parts.flatMap(part => part.pieces) }
}

/** Bytes `start <= byte < end` of a body, as a body. */
export function sliced(body: Body, start: number, end: number): Body {
  const pieces = [...overlaps(body, start, end)].map(({ blob, from, to }) => ({ blob, start: from, length: to - from }))
  return { size: end - start, pieces }
}

/** The parts of blobs, half-open, that make up this range of a body. */
function* overlaps(body: Body, start: number, end: number): Iterable<{ blob: Blob; from: number; to: number }> {
  let at = 0
  for (const piece of body.pieces) {
    const from = Math.max(start, at)
    const to = Math.min(end, at + piece.length)
    if (from < to) yield { blob: piece.blob, from: piece.start + from - at, to: piece.start + to - at }
    at += piece.length
    if (at >= end) return
  }
}

function* cut(chunks: readonly Uint8Array[], start: number, end: number): Iterable<Uint8Array> {
  let at = 0
  for (const chunk of chunks) {
    const from = Math.max(start, at)
    const to = Math.min(end, at + chunk.byteLength)
    if (from < to) yield chunk.subarray(from - at, to - at)
    at += chunk.byteLength
    if (at >= end) return
  }
}

function* zeroes(count: number): Iterable<Uint8Array> {
  for (let left = count; left > 0; left -= zeros.byteLength) yield zeros.subarray(0, Math.min(left, zeros.byteLength))
}

function readAtOnce(path: string, start: number, end: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(end - start)
  const file = openSync(path, 'r')
  try {
    let at = 0
    while (at < bytes.byteLength) {
      const count = readSync(file, bytes, at, bytes.byteLength - at, start + at)
      if (count === 0) throw new Error(`${path} is shorter than ${end} bytes`)
      at += count
    }
  } finally {
    closeSync(file)
  }
  return bytes
}

async function* readStream(path: string, start: number, end: number): AsyncIterable<Uint8Array> {
  const file = await openFile(path, 'r')
  try {
    for (let at = start; at < end; ) {
      const bytes = Buffer.allocUnsafe(Math.min(fileReadBytes, end - at))
      const { bytesRead } = await readFile(file, bytes, 0, bytes.byteLength, at)
      if (bytesRead === 0) throw new Error(`${path} is shorter than ${end} bytes`)
      yield bytes.subarray(0, bytesRead)
      at += bytesRead
    }
  } finally {
    await closeFile(file)
  }
}

function countingWriter(done: (size: number) => Body): BodyWriter {
  let size = 0
  return {
    get size() {
      return size
    },
    write(chunk) {
      size += chunk.byteLength
      return undefined
    },
    finish: async () => done(size),
    abort: async () => {},
  }
}

function memoryWriter(done: (chunks: Uint8Array[], size: number) => Body): BodyWriter {
  let chunks: Uint8Array[] = []
  let size = 0
  return {
    get size() {
      return size
    },
    write(chunk) {
      size += chunk.byteLength
      chunks.push(chunk)
      return undefined
    },
    finish: async () => done(chunks, size),
    async abort() {
      chunks = []
    },
  }
}

function fileWriter(path: string, done: (size: number) => Body): BodyWriter {
  let file: number | undefined
  let size = 0
  let held: Uint8Array[] = []
  let heldBytes = 0

  async function flush(): Promise<void> {
    while (heldBytes > 0) {
      file ??= await openFile(path, 'wx', 0o600)
      const { bytesWritten } = await writeFile(file, held)
      held = [...cut(held, bytesWritten, heldBytes)]
      heldBytes -= bytesWritten
    }
  }

  return {
    get size() {
      return size
    },
    write(chunk) {
      size += chunk.byteLength
      held.push(chunk)
      heldBytes += chunk.byteLength
      return heldBytes < fileWriteBytes ? undefined : flush()
    },
    async finish() {
      await flush()
      if (file !== undefined) await closeFile(file)
      return done(size)
    },
    async abort() {
      held = []
      heldBytes = 0
      if (file !== undefined) await closeFile(file)
      await new Promise<void>(resolve => unlink(path, () => resolve()))
    },
  }
}
