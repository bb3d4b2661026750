import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Provider } from '../../src/core/provider.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openWith } from '../../src/holdfast/open.ts'
import type { HoldfastOptions } from '../../src/holdfast/options.ts'
import { memory } from '../../src/providers/memory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { checkDirectory } from '../support/directory.ts'
import { eventually } from '../support/store.ts'
import type { Cloud, ProviderOptions } from './clouds.ts'
import { type HurriedClock, hurriedClock } from './clock.ts'
import { type Proxy, startProxy } from './proxy.ts'

/** A store whose primary is a cloud behind a network that can break, and whose secondary is well and near. */
export interface Scene extends AsyncDisposable {
  readonly proxy: Proxy
  readonly store: Holdfast
  /** Of the store. Goes as the real one does until a test hurries it. */
  readonly clock: HurriedClock
  /** The same bucket, past the proxy. */
  readonly cloud: Provider
  readonly near: Provider
  /** Events that were emitted, oldest first; a test may empty it. */
  readonly told: { readonly event: string; readonly payload: Readonly<Record<string, unknown>> }[]
  /** What `status()` says of the primary. */
  standing(): Promise<{ readonly state: string; readonly reason?: string; readonly message?: string }>
  /** Heals the network, waits until nothing is owed to anybody, and lets time go as it does. */
  drained(): Promise<void>
}

export interface SceneOptions extends ProviderOptions {
  /** The port of something that speaks TLS before the cloud. Default: the cloud itself, in the clear. */
  readonly over?: number
  /** The name by which the primary knows the proxy. Default: its address. */
  readonly host?: string
  readonly store?: Partial<HoldfastOptions>
}

/** Counts buckets: every scene has one that is empty. */
let scenes = 0
/** How many scenes a cloud can give a bucket of its own. */
export const sceneBuckets: readonly string[] = Array.from({ length: 24 }, (_, at) => `scene-${at}`)

export async function scene(from: Cloud, options: SceneOptions = {}): Promise<Scene> {
  const { over, host = '127.0.0.1', store: more = {}, ...forProvider } = options
  const bucket = sceneBuckets[scenes++]
  if (bucket === undefined) throw new Error('no bucket is left for this scene')
  const proxy = await startProxy(over ?? from.port, { isRaw: over !== undefined })
  const near = memory({ name: 'near' })
  const cloud = from.provider(`http://127.0.0.1:${from.port}`, { ...forProvider, bucket })
  const origin = `${over === undefined ? 'http' : 'https'}://${host}:${proxy.port}`
  const primary = from.provider(origin, { ...forProvider, bucket })
  const clock = hurriedClock()
  const root = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-network-'))
  const directory = join(root, 'store')
  const ports = { disk: nodeDisk, clock, random: systemRandom }
  const store = await openWith({ directory, primary, secondary: near, holdMs: 0, ...more }, ports)
  const told: { event: string; payload: Readonly<Record<string, unknown>> }[] = []
  for (const event of ['failover', 'retry', 'provider', 'stored', 'superseded', 'blocked', 'lost'] as const)
    store.on(event, payload => void told.push({ event, payload: { ...payload } }))

  const standing: Scene['standing'] = async () => {
    const [first] = (await store.status()).providers
    if (first === undefined) throw new Error('the store has no providers')
    return first
  }
  // So that a test breaks what it means to, and not the first hello.
  const isUp = async (): Promise<boolean> => {
    expect(await standing()).toMatchObject({ state: 'up' })
    return true
  }
  await eventually(isUp, 30_000)
  return {
    proxy,
    store,
    clock,
    cloud,
    near,
    told,
    standing,
    async drained() {
      proxy.rules = []
      // Waits between tries go by the store's clock, and so do its limits: those of 15 s are still long enough for a busy machine.
      clock.times = 5
      await eventually(async () => {
        const { accepted, done, superseded } = await store.status()
        expect({ accepted, done, superseded }).toEqual({ accepted, done: accepted - superseded, superseded })
        return true
      }, 60_000)
      // It has to pass some more probes, perhaps, for which there is nothing left to send.
      expect(['up', 'probing']).toContain((await standing()).state)
      clock.times = 1
    },
    async [Symbol.asyncDispose]() {
      proxy.rules = []
      await store.close()
      await proxy[Symbol.asyncDispose]()
      await checkDirectory(directory)
      await rm(root, { recursive: true, force: true })
    },
  }
}

/** The error that a promise rejects with, which has to be one of ours. */
export async function failure(promise: Promise<unknown>): Promise<HoldfastError> {
  const error: unknown = await promise.then(
    value => new Error(`resolved, where a rejection was due: ${JSON.stringify(value)}`),
    (caught: unknown) => caught,
  )
  if (error instanceof HoldfastError) return error
  throw error
}

/** Milliseconds of real time. */
export async function timed(work: () => Promise<unknown>): Promise<number> {
  const started = systemClock.monotonic()
  await work()
  return systemClock.monotonic() - started
}
