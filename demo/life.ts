import { fork } from 'node:child_process'
import { HoldfastError } from '../src/index.ts'
import type { CallName, Calls, Order, Report } from './calls.ts'
import type { Clouds } from './clouds.ts'

/** One life of the writer, from its start to its end. */
export interface Life {
  readonly pid: number
  /** How long the store took to open, by its own process. */
  readonly openedInMs: number
  /** Rejects with what the store rejected with, or with CLOSED when the process has ended first. */
  ask<C extends CallName>(call: C, argument: Calls[C]['argument']): Promise<Calls[C]['answer']>
  /** SIGKILL: no handler runs, nothing is written any more. Resolves when the process is gone. */
  kill(): Promise<void>
  /** Whether it ended, or is ending, because it was told to. */
  readonly isKilled: boolean
}

/** What a cloud was seen to have. */
export type Told = (report: Extract<Report, { readonly type: 'stored' | 'verified' }>) => void

export interface Birth {
  /** Resolves when its store is open. */
  readonly life: Promise<Life>
  /** SIGKILL, also while it starts; resolves when the process is gone. */
  end(): Promise<void>
}

/** Starts the writer on this directory. */
export function startWriter(directory: string, clouds: Clouds, told: Told): Birth {
  const child = fork(new URL('./writer.ts', import.meta.url), [directory, JSON.stringify(clouds)], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const waiting = new Map<number, PromiseWithResolvers<unknown>>()
  const ready = Promise.withResolvers<number>()
  let asked = 0
  let isKilled = false
  let isOver = false
  const over = () => new HoldfastError('CLOSED', isKilled ? 'the writer was killed' : 'the writer ended by itself')
  const gone = new Promise<void>(resolve => {
    const settle = () => {
      isOver = true
      ready.reject(over())
      for (const call of waiting.values()) call.reject(over())
      waiting.clear()
      resolve()
    }
    child.once('exit', settle)
    child.once('error', settle)
  })
  // What cannot be sent any more is told by the end of the process.
  child.on('error', () => {})
  child.on('message', (report: Report) => {
    switch (report.type) {
      case 'ready':
        ready.resolve(report.openedInMs)
        return
      case 'stored':
      case 'verified':
        told(report)
        return
      case 'answer':
        waiting.get(report.id)?.resolve(report.value)
        waiting.delete(report.id)
        return
      case 'failed':
        waiting.get(report.id)?.reject(new Error(report.message))
        waiting.delete(report.id)
        return
      default:
        report satisfies never
    }
  })

  async function end(): Promise<void> {
    isKilled = true
    child.kill('SIGKILL')
    await gone
  }

  const life = (openedInMs: number): Life => ({
    pid: child.pid ?? 0,
    openedInMs,
    get isKilled() {
      return isKilled
    },
    ask<C extends CallName>(call: C, argument: Calls[C]['argument']) {
      if (isOver) return Promise.reject(over())
      const id = ++asked
      const answer = Promise.withResolvers<unknown>()
      waiting.set(id, answer)
      child.send({ id, call, argument } satisfies Order, () => {})
      return answer.promise as Promise<Calls[C]['answer']>
    },
    kill: end,
  })
  const born = ready.promise.then(life)
  // Told to whoever waits for it, if anybody does.
  born.catch(() => {})
  return { life: born, end }
}
