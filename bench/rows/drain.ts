import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Row, Sample } from '../contract.ts'
import { manyAtATime, median, medianOf } from '../measure.ts'
import { bodiesOf } from '../paused.ts'
import { type Answers, startAnswers } from '../servers/start.ts'
import { openOver } from '../servers/stores.ts'

const few = 1_000
const many = 100_000
/** Small drains before the large one, and again after it. */
const smallDrains = 2
/** What waited for longer than a minute asks for a delete's marker before it is sent: an outage is longer than that, and so it is here, for all alike. */
const outageMs = 61_000

type Servers = readonly [Answers, Answers]

/**
 * A drain is timed from the call that opens the directory to the moment when everything was looked at twice. What opening costs, with all that is asked of
 * two new buckets, is the time of a drain of a single object: it is taken off both.
 */
export const drain: Row = {
  id: 12,
  name: 'drain of 100,000 objects of 4 KiB after an outage, time per object, against a drain of 1,000',
  rounds: 1,
  async run({ directory, say }, rounds) {
    const servers = [await startAnswers(), await startAnswers()] as const
    const samples = new Map<number, Sample[]>([
      [1, []],
      [few, []],
      [many, []],
    ])
    const ratios: number[] = []
    for (let round = 0; round < rounds; round++) {
      const small = Array.from({ length: smallDrains }, () => [1, few]).flat()
      const order = [...small, many, ...small.toReversed()]
      for (const [i, writes] of order.entries()) await accept(join(directory, String(i)), servers, writes)
      say(`accepted; the outage goes on for ${outageMs / 1_000} s`)
      await sleep(outageMs)
      const found = new Map<number, number[]>([
        [1, []],
        [few, []],
        [many, []],
      ])
      for (const [i, writes] of order.entries()) {
        const sample = await drained(join(directory, String(i)), servers, writes)
        samples.get(writes)?.push(sample)
        found.get(writes)?.push(sample.seconds)
        say(`round ${round + 1}: drain of ${writes} ${sample.seconds.toFixed(2)} s`)
      }
      const opening = median(found.get(1) ?? [])
      const perObject = (writes: number) => (median(found.get(writes) ?? []) - opening) / (writes - 1)
      ratios.push(perObject(many) / perObject(few))
    }
    await Promise.all(servers.map(server => server.stop()))
    return [
      {
        name: `${many} / ${few}`,
        value: median(ratios),
        unit: '',
        target: { atMost: 1.1 },
        from: Object.fromEntries([...samples].map(([writes, each]) => [`drain of ${writes}`, medianOf(each)])),
      },
    ]
  },
}

/** While nothing goes to any cloud. */
async function accept(directory: string, servers: Servers, writes: number): Promise<void> {
  const store = await openOver(directory, servers, { holdMs: 0, replication: { run: 'external' } })
  const body = bodiesOf(4_096)
  await manyAtATime(writes, 64, i => store.put(`photos/${i}.jpg`, body(i)))
  await store.close()
}

async function drained(directory: string, servers: Servers, writes: number): Promise<Sample> {
  await Promise.all(servers.map(server => server.forget()))
  globalThis.gc?.()
  const loop = monitorEventLoopDelay({ resolution: 1 })
  loop.enable()
  const cpu = process.cpuUsage()
  const started = performance.now()
  const store = await openOver(directory, servers, { holdMs: 0 })
  await store.drain({ until: 'verified' })
  const seconds = (performance.now() - started) / 1_000
  const { user, system } = process.cpuUsage(cpu)
  loop.disable()
  const { done } = await store.status()
  await store.close()
  if (done !== writes) throw new Error(`${done} of ${writes} writes are done after the drain`)
  await rm(directory, { recursive: true })
  return {
    seconds,
    opsPerSecond: writes / seconds,
    cpuUsPerOp: (user + system) / writes,
    loopP99Ms: Math.max(0, loop.percentile(99) / 1e6 - 1),
  }
}
