import { monitorEventLoopDelay } from 'node:perf_hooks'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import type { HoldfastOptions } from '../../src/holdfast/options.ts'
import { fs } from '../../src/providers/fs.ts'
import { memory } from '../../src/providers/memory.ts'
import { bodyFor } from '../kill/body.ts'

/**
 * A process with a store, whose disk, limits, signals and end are its parent's to choose: does what it is told, and says what became of it. A library
 * must not end it, print, or leave a rejection to nobody (I47): those it says too.
 */
export type Order =
  | { readonly do: 'put'; readonly key: string; readonly seed: string; readonly size: number }
  | { readonly do: 'delete'; readonly key: string }
  /** Answers how many bytes are those of the seed, or 'nothing'. */
  | { readonly do: 'get'; readonly key: string; readonly seed: string }
  /** The directory: default the one it was started with. */
  | { readonly do: 'open'; readonly directory?: string }
  | { readonly do: 'status' | 'drain' | 'close' | 'exit' | 'throw' }
  /** The longest time, ms, that this process's own thread was held up since it was last asked. */
  | { readonly do: 'lag' }
  /** Nothing else happens in this process for so long. */
  | { readonly do: 'block'; readonly ms: number }
  /** Many puts at a time. Answers how many were taken, and the codes of the others. */
  | { readonly do: 'puts'; readonly prefix: string; readonly count: number; readonly size: number }

export interface Answer {
  readonly id: number
  readonly value?: unknown
  readonly error?: Readonly<Record<'name' | 'message', string>> & Readonly<Record<string, unknown>>
}

export interface ChildOptions {
  /** Where two providers on disk are; without it they are in memory. */
  readonly places?: string
  readonly store?: Partial<Pick<HoldfastOptions, 'replication' | 'disk' | 'holdMs' | 'ack' | 'ackTimeoutMs'>>
}

const [directory = '', options = '{}'] = process.argv.slice(2)
const { places, store: more } = JSON.parse(options) as ChildOptions
const say = (answer: Answer) => process.send?.(answer)
for (const event of ['unhandledRejection', 'uncaughtExceptionMonitor', 'warning'] as const)
  process.on(event, (error: unknown) => say({ id: -1, value: `${event}: ${String(error)}` }))

const primary = places === undefined ? memory({ name: 'a' }) : fs({ root: `${places}/a`, name: 'a' })
const secondary = places === undefined ? memory({ name: 'b' }) : fs({ root: `${places}/b`, name: 'b' })
const open = (at: string) => openHoldfast({ directory: at, primary, secondary, holdMs: 0, ...more })

const lag = monitorEventLoopDelay({ resolution: 10 })
lag.enable()

let store: Holdfast | undefined

async function obey(order: Order): Promise<unknown> {
  if (order.do === 'open') store = await open(order.directory ?? directory)
  if (store === undefined) throw new Error('not open')
  switch (order.do) {
    case 'open':
      return 'open'
    case 'put':
      return (await store.put(order.key, bodyFor(order.seed, order.size))).version
    case 'delete':
      return (await store.delete(order.key)).version
    case 'get': {
      const found = await store.get(order.key)
      const bytes = await found?.bytes()
      if (bytes === undefined) return 'nothing'
      return Buffer.from(bytes).equals(bodyFor(order.seed, bytes.byteLength)) ? bytes.byteLength : 'other bytes'
    }
    case 'puts': {
      const failed: string[] = []
      const taken: string[] = []
      const one = async (key: string, target: Holdfast) => {
        try {
          await target.put(key, bodyFor(key, order.size))
          taken.push(key)
        } catch (error) {
          failed.push(error instanceof HoldfastError ? error.code : String(error))
        }
      }
      const target = store
      await Promise.all(Array.from({ length: order.count }, (_, n) => one(`${order.prefix}${n}`, target)))
      return { taken, failed }
    }
    case 'status':
      return store.status()
    case 'drain':
      return store.drain({ until: 'verified' })
    case 'close':
      return store.close()
    case 'block':
      for (const end = Date.now() + order.ms; Date.now() < end; );
      return undefined
    case 'exit':
      return process.exit(3)
    case 'throw':
      setImmediate(() => {
        throw new Error('the app fails')
      })
      return undefined
    case 'lag': {
      const ms = lag.max / 1e6
      lag.reset()
      return ms
    }
    default:
      return order satisfies never
  }
}

process.on('message', ({ id, ...order }: Order & { readonly id: number }) => {
  obey(order as Order).then(
    value => say({ id, value: value ?? null }),
    (error: unknown) => {
      const { name, message } = error as Error
      const { code, field, rule, outcome, retryable, reason } = error as HoldfastError
      say({ id, error: { name, message, code, field, rule, outcome, retryable, reason } })
    },
  )
})
process.on('disconnect', () => process.exit(1))
say({ id: 0, value: 'ready' })
