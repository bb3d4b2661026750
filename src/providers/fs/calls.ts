import { type FileHandle, open } from 'node:fs/promises'
import { unlessAborted } from '../../core/abort.ts'

/**
 * Calls to one file system, few at a time. Node makes all such calls of a process in a handful of threads, the stage's own among them: a
 * mount that hangs must not take them all. So one root has at most half of them, all roots together leave one free.
 */
export interface Calls {
  /** Rejects at once when the signal aborts, with its reason; what the system is at goes on, and what it answers is dropped. */
  run<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T>
  /** A file; closed again if it opens after the signal aborted. */
  open(path: string, flags: number, signal?: AbortSignal): Promise<FileHandle>
}

const threads = Math.max(1, Math.min(1024, Number(process.env['UV_THREADPOOL_SIZE']) || 4))
const mostOfOne = Math.max(1, threads >>> 1)
const mostOfAll = Math.max(1, threads - 1)

interface Root {
  running: number
  readonly waiting: (() => void)[]
}

const roots = new Map<string, Root>()
let running = 0

export function callsTo(path: string): Calls {
  function run<T>(call: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const answer = turn(path, async () => {
      signal?.throwIfAborted()
      return await call()
    })
    return signal === undefined ? answer : unlessAborted(answer, signal)
  }

  return {
    run,
    open(file, flags, signal) {
      const opening = turn(path, () => open(file, flags, 0o600))
      if (signal === undefined) return opening
      const close = (): void => {
        opening.then(handle => handle.close()).catch(() => {})
      }
      return unlessAborted(opening, signal, close)
    },
  }
}

async function turn<T>(path: string, call: () => Promise<T>): Promise<T> {
  const root = roots.get(path) ?? { running: 0, waiting: [] }
  roots.set(path, root)
  if (running >= mostOfAll || root.running >= mostOfOne) await new Promise<void>(resolve => root.waiting.push(resolve))
  else take(root)
  try {
    return await call()
  } finally {
    running--
    root.running--
    next()
    if (root.running === 0 && root.waiting.length === 0) roots.delete(path)
  }
}

function take(root: Root): void {
  running++
  root.running++
}

function next(): void {
  for (const root of roots.values()) {
    while (running < mostOfAll && root.running < mostOfOne) {
      const resume = root.waiting.shift()
      if (resume === undefined) break
      take(root)
      resume()
    }
  }
}
