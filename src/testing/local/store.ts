import { join } from 'node:path'
import { bodies, emptyBody, type Body, type BodyReader, type BodyWriter } from './bodies.ts'
import { openLog, type LogLine, type StoredEntry } from './log.ts'
import { sortedKeys, type SortedKeys, type Start } from './sorted.ts'

/**
 * What a local cloud keeps: named spaces of entries sorted by key, each with facts (anything that JSON holds) and a body. A bucket is a
 * space, and so is a table of uploads. Looking up and committing happen at once, so whoever looks and commits in the same turn is atomic.
 */
export interface Store {
  space<Facts>(name: string): Space<Facts>
  /** All of the changes or, after a kill, none. Given a directory, they survive a kill when this returns (a power cut they need not). */
  commit(changes: readonly Change[]): void
  /** For bodies that are small and whole. */
  bodyOf(bytes: Uint8Array): Body
  /** For bodies that arrive piece by piece. */
  writer(): BodyWriter
  /** Bytes `start <= byte < end`: small ones as bytes, others through a reader that stays valid when the object is replaced. */
  open(body: Body, start: number, end: number): Uint8Array | BodyReader
  /** Frees a body that did not get into an entry. */
  forget(body: Body): void
  /** Keeps a body whose entry may go in the meantime, until what this answers is called. */
  pin(body: Body): () => void
  close(): void
}

export interface Space<Facts> {
  readonly size: number
  get(key: string): Entry<Facts> | undefined
  /** In UTF-8 byte order; to be walked in one turn. */
  keys(start: Start): Iterable<string>
  /** The change that puts this entry there, in place of what is there. */
  put(key: string, entry: Entry<Facts>): Change
  remove(key: string): Change
}

export interface Entry<Facts> {
  readonly facts: Facts
  readonly body: Body
}

/** Made by a space, given to `commit`. */
export interface Change {
  readonly space: string
  readonly key: string
  readonly entry: Entry<unknown> | undefined
}

export interface StoreOptions {
  /** Which service's data this is: a directory of another one is refused. */
  readonly kind: string
  readonly directory: string | undefined
  readonly discard: boolean
}

interface SpaceData {
  readonly entries: Map<string, Entry<unknown>>
  readonly sorted: SortedKeys
}

/** Synchronous: reads what the directory holds, drops what a kill left half-done. One process at a time. */
export function openStore({ kind, directory, discard }: StoreOptions): Store {
  const blobs = bodies(directory === undefined ? undefined : join(directory, 'bodies'), discard)
  const spaces = new Map<string, SpaceData>()

  /** New bodies are in use before old ones are dropped: an upload that becomes an object passes its blobs on. */
  function apply(changes: readonly Change[]): void {
    for (const { entry } of changes) if (entry !== undefined) blobs.use(entry.body)
    for (const change of changes) applyOne(change)
  }

  function applyOne({ space, key, entry }: Change): void {
    const data = spaces.get(space) ?? { entries: new Map(), sorted: sortedKeys() }
    const old = data.entries.get(key)
    if (entry === undefined) {
      if (old === undefined) return
      data.entries.delete(key)
      data.sorted.delete(key)
      if (data.entries.size === 0) spaces.delete(space)
    } else {
      data.entries.set(key, entry)
      if (old === undefined) data.sorted.add(key)
      spaces.set(space, data)
    }
    if (old !== undefined) blobs.drop(old.body)
  }

  const log =
    directory === undefined
      ? undefined
      : openLog(join(directory, 'index.jsonl'), kind, {
          replay(line) {
            apply(line.map(fromStored))
          },
          *live() {
            for (const [space, { entries }] of spaces)
              for (const [key, entry] of entries) yield [toStored({ space, key, entry })]
          },
          count() {
            let sum = 0
            for (const { entries } of spaces.values()) sum += entries.size
            return sum
          },
        })
  blobs.sweep()

  function fromStored([space, key, facts, pieces]: StoredEntry): Change {
    if (pieces === undefined) return { space, key, entry: undefined }
    const body: Body = {
      size: pieces.reduce((sum, [, , , length]) => sum + length, 0),
      pieces: pieces.map(([id, size, start, length]) => ({ blob: blobs.remembered(id, size), start, length })),
    }
    return { space, key, entry: { facts, body } }
  }

  return {
    space<Facts>(name: string): Space<Facts> {
      return {
        get size() {
          return spaces.get(name)?.entries.size ?? 0
        },
        get: key => spaces.get(name)?.entries.get(key) as Entry<Facts> | undefined,
        keys: start => spaces.get(name)?.sorted.walk(start) ?? [],
        put: (key, entry) => ({ space: name, key, entry }),
        remove: key => ({ space: name, key, entry: undefined }),
      }
    },
    commit(changes) {
      log?.append(changes.map(toStored))
      apply(changes)
    },
    bodyOf: bytes => (bytes.byteLength === 0 ? emptyBody : blobs.of(bytes)),
    writer: () => blobs.writer(),
    open: (body, start, end) => blobs.open(body, start, end),
    forget(body) {
      blobs.use(body)
      blobs.drop(body)
    },
    pin(body) {
      blobs.use(body)
      return () => blobs.drop(body)
    },
    close: () => log?.close(),
  }
}

function toStored({ space, key, entry }: Change): LogLine[number] {
  if (entry === undefined) return [space, key]
  const pieces = entry.body.pieces.map(({ blob, start, length }) => [blob.id, blob.size, start, length] as const)
  return [space, key, entry.facts, pieces]
}
