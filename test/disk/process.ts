import { type ChildProcess, fork } from 'node:child_process'
import { onTestFinished } from 'vitest'
import type { Answer, ChildOptions, Order } from './child.ts'

export type Failed = NonNullable<Answer['error']>

/** A process with a store in it, not open yet. Killed when the test ends. */
export interface StoreProcess {
  readonly process: ChildProcess
  /** What it answers; rejects with what was thrown there, as a plain value, or when it ends before. */
  order<T = unknown>(order: Order): Promise<T>
  /** What was thrown there; rejects where nothing was. */
  failed(order: Order): Promise<Failed>
  /** What a library must not do: rejections left to nobody, warnings. */
  readonly said: readonly string[]
  /** Its exit code and signal. */
  readonly ended: Promise<readonly [number | null, NodeJS.Signals | null]>
}

export async function storeProcess(
  directory: string,
  options: ChildOptions = {},
  env: Readonly<Record<string, string>> = {},
): Promise<StoreProcess> {
  const child = fork(new URL('./child.ts', import.meta.url), [directory, JSON.stringify(options)], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  onTestFinished(() => void child.kill('SIGKILL'))
  const waiting = new Map<number, { resolve(value: unknown): void; reject(error: unknown): void }>()
  const said: string[] = []
  let lastId = 0
  const ended = new Promise<readonly [number | null, NodeJS.Signals | null]>(resolve => {
    child.once('exit', (code, signal) => {
      for (const { reject } of waiting.values()) reject({ name: 'Ended', message: `it ended (${code ?? signal})` })
      waiting.clear()
      resolve([code, signal])
    })
  })
  const ready = new Promise<unknown>((resolve, reject) => {
    waiting.set(0, { resolve, reject })
  })
  child.on('message', ({ id, value, error }: Answer) => {
    if (id < 0) said.push(String(value))
    const caller = waiting.get(id)
    waiting.delete(id)
    if (error === undefined) caller?.resolve(value)
    else caller?.reject(error)
  })
  await ready
  const order = <T>(what: Order) =>
    new Promise<T>((resolve, reject) => {
      waiting.set(++lastId, { resolve: value => resolve(value as T), reject })
      child.send({ id: lastId, ...what })
    })
  return {
    process: child,
    order,
    failed: what =>
      order(what).then(
        value => Promise.reject(new Error(`${what.do} gave ${JSON.stringify(value)}`)),
        (error: Failed) => error,
      ),
    said,
    ended,
  }
}
