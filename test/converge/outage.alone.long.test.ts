import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openWith } from '../../src/holdfast/open.ts'
import { memory } from '../../src/providers/memory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { seededRandom } from '../../src/testing/clock.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { type Faults, outage, type FaultyRule } from '../../src/testing/faulty/rules.ts'
import { checkDirectory } from '../support/directory.ts'
import { keysOf } from '../support/store.ts'
import { type WorldClock, worldClock } from './clock.ts'

const backlog = Number(process.env['HOLDFAST_BACKLOG'] ?? 100_000)
/** Of a day. */
const minutes = 1_440
const maxRequestsPerSecond = 500
/** What the limiter lets through at once when nothing was sent for a moment. */
const burst = maxRequestsPerSecond / 10
const latencyMs = 100

test(`after a day without one provider and ${backlog} writes that it lacks, it is given little at first and never more than the limit, while new writes go as before (N15, I11, I28)`, async () => {
  const root = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-outage-'))
  const directory = join(root, 'store')
  const clock = worldClock()
  const faults: Faults = {}
  const there = memory({ name: 'away', clock })
  const steady: Faults = {}
  const store = await openWith(
    {
      directory,
      primary: faulty(memory({ name: 'steady', clock }), steady, { clock }),
      secondary: faulty(there, faults, { clock }),
      replication: { maxRequestsPerSecond, concurrency: 128 },
    },
    { clock, random: seededRandom(1), disk: nodeDisk },
  )
  await clock.advance(5_000)
  const latencies: { before: number[]; during: number[] } = { before: [], during: [] }
  for (let n = 0; n < 100; n++) latencies.before.push(await timed(() => store.put(`before/${n}`, 'x')))
  await clock.advance(5_000)

  const started = performance.now()
  // A day in steps of minutes.
  faults.rules = [{ fault: outage }]
  clock.tickMs = 60_000
  for (let minute = 0; minute < minutes; minute++) {
    const [from, to] = [minute, minute + 1].map(at => Math.floor((at * backlog) / minutes)) as [number, number]
    await Promise.all(Array.from({ length: to - from }, (_, n) => store.put(`${from + n}`, `body ${from + n}`)))
    await clock.advance(60_000)
    faults.calls = []
    steady.calls = []
  }
  expect(clock.monotonic()).toBeGreaterThan(minutes * 60_000)
  // A minute that passes at once, while a call is under way on a busy machine, looks like silence to whoever waits for it: the steady one was given
  // up now and then, and has a backlog of its own. Only the other one is to have one.
  clock.tickMs = 1_000
  const isSteady = async () => {
    const [first] = (await store.status()).providers
    return first?.state === 'up' && first.pendingWrites === 0
  }
  for (let n = 0; n < 1_000 && !(await isSteady()); n++) await clock.advance(1_000)
  const owed = await store.status()
  expect(owed.pending.writes).toBe(backlog)
  expect(owed.providers.map(({ state }) => state === 'up')).toEqual([true, false])

  console.log('a day took', Math.round(performance.now() - started), 'ms')
  // It is back. Every call takes as long as calls do.
  clock.tickMs = 50
  const slow: FaultyRule = { fault: { kind: 'slow', ms: latencyMs } }
  faults.rules = [slow]
  faults.calls = []
  const back = clock.monotonic()
  const fresh = await drainWhileWriting(store, clock, latencies.during)
  const seconds = Math.ceil((clock.monotonic() - back) / 1000)
  const counts = perSecond(faults.calls ?? [], clock.now() - clock.monotonic() + back)
  // A single probe may come before, and fail its second.
  const began = counts.findIndex((count, at) => count > 0 && (counts[at + 1] ?? 0) > count)
  const ramp = counts.slice(began, began + 12)
  console.log(
    JSON.stringify({
      backlog,
      seconds,
      ramp,
      most: Math.max(...counts),
      calls: faults.calls?.length,
      fresh: fresh.waits.length,
      slowestFresh: Math.max(...fresh.waits),
      medians: [median(latencies.before), median(latencies.during)],
    }),
  )
  expect(Math.max(...counts), 'requests in a second').toBeLessThanOrEqual(maxRequestsPerSecond + burst)
  expect(ramp[0], 'in the first second').toBeLessThan(maxRequestsPerSecond / 5)
  expect(Math.max(...ramp.slice(0, 2))).toBeLessThan(maxRequestsPerSecond)
  expect(Math.max(...counts), 'the limit is used').toBeGreaterThan(maxRequestsPerSecond * 0.8)
  expect(fresh.waits.length).toBeGreaterThan(10)
  expect(Math.max(...fresh.waits), 'ms until a new write was there, before the backlog').toBeLessThan(5_000)
  expect(median(latencies.during)).toBeLessThan(5 * median(latencies.before) + 5)
  expect((await keysOf(there)).length).toBe(backlog + 100 + fresh.writes)

  clock.tickMs = 1_000
  const closed = store.close()
  await clock.advance(5_000)
  await closed
  await checkDirectory(directory)
  await rm(root, { recursive: true, force: true })
}, 900_000)

/** One new write each second until nothing is owed any more; of each, how long it took to get there while the provider was back and had a
 * backlog. What was written before it was back is backlog. */
async function drainWhileWriting(store: Holdfast, clock: WorldClock, latencies: number[]) {
  const waits: number[] = []
  let writes = 0
  for (;;) {
    const { pending, providers } = await store.status()
    const isBack = providers.every(({ state }) => state === 'up')
    if (pending.writes === 0) break
    const begun = clock.monotonic()
    let receipt: Awaited<ReturnType<Holdfast['put']>> | undefined
    latencies.push(
      await timed(async () => {
        receipt = await store.put(`fresh/${writes++}`, 'x')
      }),
    )
    if (isBack && pending.writes > 1_000)
      receipt?.replicated().then(
        () => waits.push(clock.monotonic() - begun),
        () => {},
      )
    await clock.advance(1_000)
  }
  return { waits, writes }
}

async function timed(call: () => Promise<unknown>): Promise<number> {
  const begun = performance.now()
  await call()
  return performance.now() - begun
}

function perSecond(calls: readonly { readonly at: number }[], from: number): number[] {
  const counts: number[] = []
  for (const { at } of calls) {
    const second = Math.floor((at - from) / 1000)
    counts[second] = (counts[second] ?? 0) + 1
  }
  return Array.from(counts, count => count ?? 0)
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}
