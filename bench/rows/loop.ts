import { type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Holdfast } from '../../src/index.ts'
import type { Contender, Median, Row } from '../contract.ts'
import { during } from '../during.ts'
import { inTurn, median, medianOf } from '../measure.ts'
import { bodiesOf } from '../paused.ts'
import { forked, startAnswers } from '../servers/start.ts'
import { openOver, warmedUp } from '../servers/stores.ts'
import type { WorkerUsage } from '../servers/worker.ts'

const roundMs = 3_000
const atATime = 64

/** What the app's own thread is held up by, and what a process of its own for replication is worth. */
export const loop: Row = {
  id: 10,
  name: 'event-loop delay p99 while 64 puts of 4 KiB are in flight and two clouds are fed',
  rounds: 5,
  async run({ directory, say }, rounds) {
    const servers = [await startAnswers(), await startAnswers()] as const
    const at = join(directory, 'store')
    const body = bodiesOf(4_096)
    let store: Holdfast | undefined
    let worker: ChildProcess | undefined
    const usages: (WorkerUsage & { readonly puts: number })[] = []
    let copies = 0

    const round = async () => {
      const open = store as Holdfast
      const latenciesMs = await during(roundMs, atATime, i => open.put(`photos/${i}.jpg`, body(i)))
      return { ops: latenciesMs.length, latenciesMs }
    }
    const end = async () => {
      await store?.close()
      await rm(at, { recursive: true })
      await Promise.all(servers.map(server => server.forget()))
    }
    let puts = 0
    const contenders: readonly Contender[] = [
      {
        name: 'in process',
        async before() {
          store = await warmedUp(await openOver(at, servers, { holdMs: 0 }))
          copies = 0
          store.on('stored', () => copies++)
        },
        round,
        async after() {
          say(`${Math.round((copies / roundMs) * 1_000)} copies a second were stored meanwhile`)
          await end()
        },
      },
      {
        name: 'external',
        async before() {
          store = await openOver(at, servers, { holdMs: 0, replication: { run: 'external' } })
          worker = forked('worker.ts', [at, ...servers.map(({ endpoint }) => endpoint)])
          await once(worker, 'message')
          await warmedUp(store)
          worker.send('begin')
          await once(worker, 'message')
        },
        async round() {
          const work = await round()
          puts = work.ops
          return work
        },
        async after() {
          const child = worker as ChildProcess
          child.send('end')
          const [usage] = (await once(child, 'message')) as [WorkerUsage]
          usages.push({ ...usage, puts })
          say(`${Math.round((usage.copies / roundMs) * 1_000)} copies a second were stored meanwhile`)
          const ended = once(child, 'exit')
          child.send('close')
          await ended
          await end()
        },
      },
    ]
    const samples = await inTurn(contenders, rounds, say)
    await Promise.all(servers.map(server => server.stop()))
    // The first did not count.
    const counted = usages.slice(1)
    const ofWorker: Median = {
      opsPerSecond: median(counted.map(usage => (usage.copies / roundMs) * 1_000)),
      cpuUsPerOp: median(counted.map(({ cpuUs, copies: stored }) => cpuUs / Math.max(1, stored))),
      loopP99Ms: median(counted.map(({ loopP99Ms }) => loopP99Ms)),
    }
    const [inside, outside] = ['in process', 'external'].map(name => medianOf(samples.get(name) ?? []))
    return [
      {
        name: 'in process',
        value: (inside as Median).loopP99Ms,
        unit: 'ms',
        target: { atMost: 25 },
        from: { 'puts, in process': inside as Median },
      },
      {
        name: 'with an external worker',
        value: (outside as Median).loopP99Ms,
        unit: 'ms',
        target: { atMost: 10 },
        from: { 'puts, external': outside as Median, 'copies, the worker': ofWorker },
      },
    ]
  },
}
