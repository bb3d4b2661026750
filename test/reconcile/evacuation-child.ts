import { createHash } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { openHoldfast } from '../../src/holdfast/open.ts'
import type { FillResult } from '../../src/reconcile/fill-types.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { bodyOf, objectsOf, type Places, providersAt } from './evacuation-places.ts'

/** What a child is told, as JSON in its first argument. */
export type Task = { readonly directory: string; readonly places: Places } & (
  | { readonly is: 'app'; readonly objects: number; readonly meanBytes: number }
  | { readonly is: 'evacuation'; readonly limit: number }
)

/** What it tells. */
export type Told =
  | { readonly is: 'open' }
  /** Of the app, at its end: what failed, and the MD5 of what it put last under each key. */
  | {
      readonly is: 'app'
      readonly puts: number
      readonly gets: number
      readonly failures: readonly string[]
      readonly last: Readonly<Record<string, string>>
    }
  /** Of the evacuation: how far it is, and when it asked the survivor since it told last. */
  | {
      readonly is: 'progress'
      readonly objects: number
      readonly asked: readonly number[]
      readonly stalledMs: number
    }
  | { readonly is: 'done'; readonly result: FillResult }

const everyMs = 20

async function app({ directory, places, objects, meanBytes }: Task & { readonly is: 'app' }): Promise<void> {
  const [primary, secondary, fresh] = providersAt(places)
  const store = await openHoldfast({ directory, primary, secondary, mirrors: [fresh], holdMs: 1_000 })
  tell({ is: 'open' })
  const there = objectsOf(objects, meanBytes)
  const failures: string[] = []
  const last = new Map<string, string>()
  const putting = new Set<string>()
  const running = new Set<Promise<void>>()
  let calls = 0
  let [puts, gets] = [0, 0]

  const put = async (n: number): Promise<void> => {
    puts++
    // Every third overwrites what was there before Holdfast was asked to leave.
    const key = n % 3 === 0 ? (there[(n * 7) % there.length]?.key ?? '') : `app/${n % 400}`
    if (putting.has(key)) return
    putting.add(key)
    const body = bodyOf(`${key} ${n}`, 2_000 + (n % 7) * 3_000)
    await store.put(key, body)
    last.set(key, md5(body))
    putting.delete(key)
  }
  const get = async (n: number): Promise<void> => {
    gets++
    const { key, size } = there[(n * 131) % there.length] ?? { key: '', size: 0 }
    const before = last.get(key) ?? md5(bodyOf(key, size))
    if (putting.has(key)) return
    const body = await (await store.get(key))?.bytes()
    const found = body === undefined ? undefined : md5(body)
    // It may have been put meanwhile.
    if (found !== before && found !== last.get(key) && !putting.has(key)) throw new Error(`${key}: other bytes`)
  }
  const call = (): void => {
    const n = calls++
    const running1 = (n % 2 === 0 ? put(n) : get(n)).catch((error: unknown) => {
      failures.push(String(error))
    })
    running.add(running1)
    void running1.finally(() => running.delete(running1))
  }
  // As a clock that does not slow down when the machine does.
  const began = performance.now()
  const ticking = setInterval(() => {
    while (calls < (performance.now() - began) / everyMs) call()
  }, everyMs)

  process.once('message', () => {
    clearInterval(ticking)
    void (async () => {
      await Promise.all(running)
      let status = await store.status()
      while (status.pending.writes + status.repairs.writes > 0) {
        await new Promise(resolve => setTimeout(resolve, 100))
        status = await store.status()
      }
      await store.close()
      tell({ is: 'app', puts, gets, failures: failures.slice(0, 20), last: Object.fromEntries(last) })
    })()
  })
}

async function evacuation({ directory, places, limit }: Task & { readonly is: 'evacuation' }): Promise<void> {
  const [primary, secondary, fresh] = providersAt(places)
  const faults: Faults = {}
  await using store = await openHoldfast({
    directory,
    primary,
    secondary: faulty(secondary, faults),
    mirrors: [fresh],
    holdMs: 1_000,
    // So that the survivor is asked by nobody here but the evacuation.
    replication: { run: 'external' },
  })
  const delay = monitorEventLoopDelay({ resolution: 5 })
  delay.enable()
  const run = store.evacuate({ from: primary.name, to: fresh.name, maxRequestsPerSecond: limit })
  let objects = 0
  const report = setInterval(() => {
    const asked = (faults.calls ?? []).filter(({ operation }) => operation !== 'list').map(({ at }) => at)
    faults.calls = []
    tell({ is: 'progress', objects, asked, stalledMs: delay.max / 1e6 })
  }, 100)
  for await (const progress of run) objects = progress.objects
  clearInterval(report)
  tell({ is: 'done', result: await run })
}

function tell(told: Told): void {
  if (process.connected) process.send?.(told)
}

function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex')
}

const [given] = process.argv.slice(2)
if (process.send !== undefined && given !== undefined) {
  const task = JSON.parse(given) as Task
  // Its parent is gone, or has heard all.
  process.once('disconnect', () => process.exit())
  await (task.is === 'app' ? app(task) : evacuation(task))
}
