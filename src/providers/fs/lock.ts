import { randomBytes } from 'node:crypto'
import { unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { unlessAborted } from '../../core/abort.ts'
import type { LockAnswer, LockRequest } from './lock-worker.ts'

/** Takes turns with everybody who writes below the same root: in this process, and in others. */
export interface Turns {
  /** Runs when nobody else does, and lets nobody else until it has settled. Rejects as it does, or when no turn can be had. */
  alone<T>(run: () => Promise<T>): Promise<T>
  /** From now on only in this process, since the file system has no locks. */
  withoutLocks(): void
}

/** How long somebody may keep the lock before those who wait give up: a stopped process, in a turn that takes milliseconds. */
const patienceMs = 15_000
const trialMs = 2_000
/** How long we keep on before others may go between, and how long we let them. */
const longTurnMs = 20
const pauseMs = 4

const known = new Map<string, Turns>()

/** The turns of this lock file, the same for everybody in this process. */
export function turnsAt(path: string): Turns {
  const turns = known.get(path) ?? newTurns(path)
  known.set(path, turns)
  return turns
}

function newTurns(path: string): Turns {
  const waiting: { run(): Promise<void>; refuse(error: unknown): void }[] = []
  let isRunning = false
  let hasLocks = true

  async function keepOn(): Promise<void> {
    while (waiting.length > 0) {
      const began = performance.now()
      const mine = hasLocks
      try {
        if (mine) await ask('take', path, patienceMs)
      } catch (error) {
        for (const one of waiting.splice(0)) one.refuse(error)
        break
      }
      // Those who come meanwhile wait for the next time, so that no process keeps the lock for ever.
      for (const one of waiting.splice(0)) await one.run()
      if (mine) await ask('give', path).catch(() => {})
      if (performance.now() - began > longTurnMs) await new Promise(resolve => setTimeout(resolve, pauseMs))
    }
    isRunning = false
  }

  return {
    alone: run =>
      new Promise((resolve, reject) => {
        waiting.push({ run: () => run().then(resolve, reject), refuse: reject })
        if (isRunning) return
        isRunning = true
        keepOn().catch(reject)
      }),
    withoutLocks() {
      hasLocks = false
    },
  }
}

/** Whether files in this directory can be locked, tried out with one that nobody else has. */
export async function hasLocks(directory: string, signal: AbortSignal): Promise<boolean> {
  const path = join(directory, randomBytes(16).toString('hex'))
  try {
    await unlessAborted(ask('take', path, trialMs), signal)
    return true
  } catch (error) {
    // What is refused, though nobody else can have it, is not to be had at all.
    if ((error as { code?: string }).code?.startsWith('SQLITE_') !== true) throw error
    return false
  } finally {
    const cleaned = ask('give', path)
      .then(() => unlink(path))
      .catch(() => {})
    if (!signal.aborted) await unlessAborted(cleaned, signal)
  }
}

type Ask = (op: LockRequest['op'], path: string, patienceMs?: number) => Promise<void>

let asking: Ask | undefined

/** The thread that holds locks is started with the first, serves all roots, and keeps the process alive only while it is waited for. */
const ask: Ask = (op, path, patience) => {
  asking ??= startWorker(() => {
    asking = undefined
  })
  return asking(op, path, patience)
}

function startWorker(onEnd: () => void): Ask {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const worker = new Worker(new URL(`./lock-worker.${extension}`, import.meta.url), { name: 'holdfast-fs-locks' })
  const callers = new Map<number, { resolve(): void; reject(error: Error): void }>()
  let lastId = 0
  worker.unref()
  worker.on('message', ({ id, error }: LockAnswer) => {
    const caller = callers.get(id)
    callers.delete(id)
    if (callers.size === 0) worker.unref()
    if (error === undefined) caller?.resolve()
    else caller?.reject(Object.assign(new Error(error.message), { code: error.code, syscall: 'lock' }))
  })
  const end = (cause: unknown): void => {
    onEnd()
    for (const caller of callers.values()) caller.reject(new Error('the thread that holds locks ended', { cause }))
    callers.clear()
  }
  worker.on('error', end)
  worker.on('exit', end)
  return (op, path, patience = 0) =>
    new Promise((resolve, reject) => {
      const request: LockRequest = { id: ++lastId, op, path, patienceMs: patience }
      callers.set(request.id, { resolve, reject })
      worker.ref()
      worker.postMessage(request)
    })
}
