import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Holdfast } from '../../src/index.ts'
import type { Contender, Row, Sample } from '../contract.ts'
import { comparison, inTurn, manyAtATime } from '../measure.ts'
import { bodiesOf, openPaused } from '../paused.ts'
import { type Answers, startAnswers } from '../servers/start.ts'
import { openOver, warmedUp } from '../servers/stores.ts'

const puts = 4_000
const gets = 4_000
const atATime = 16
/** So many objects are there to be read. */
const kept = 64

/** What the app notices of an outage. All stores are open at the same time; the ones whose turn it is not have nothing to do. */
export const outage: Row = {
  id: 9,
  name: 'put of 4 KiB, 16 in flight, with both clouds blackholed, against healthy and against paused, p50; get with the primary dead against healthy, p99',
  rounds: 5,
  async run({ directory, say }, rounds) {
    const started: Answers[] = []
    const two = async (bodies: 'none' | 'all') => {
      const servers = [await startAnswers(bodies), await startAnswers(bodies)] as const
      started.push(...servers)
      return servers
    }
    const body = bodiesOf(4_096)
    let turns = 0
    /** Keys that no turn before had. */
    const putting = async (open: Holdfast) => {
      const turn = turns++
      return {
        ops: puts,
        latenciesMs: await manyAtATime(puts, atATime, i => open.put(`photos/${turn}/${i}.jpg`, body(i))),
      }
    }

    const paused = await openPaused(join(directory, 'paused'))
    const healthy = await warmedUp(await openOver(join(directory, 'healthy'), await two('none'), { holdMs: 0 }))
    const silent = await two('none')
    const silence = (is: boolean) => Promise.all(silent.map(server => server.silence(is)))
    const long = await downFor(join(directory, 'long'), await two('none'))
    let fresh: Holdfast | undefined

    const readable = await readableStore(join(directory, 'readable'), await two('all'))
    const half = await two('all')
    const halfDead = await readableStore(join(directory, 'half-dead'), half)
    await half[0].stop()

    const getting = async (open: Holdfast, from: string) => {
      const latenciesMs = await manyAtATime(gets, atATime, async i => {
        const found = await open.get(`photos/${i % kept}.jpg`)
        if (found?.from !== from) throw new Error(`it came from ${found?.from}`)
        await found.bytes()
      })
      return { ops: gets, latenciesMs }
    }
    const contenders: readonly Contender[] = [
      { name: 'paused', round: () => putting(paused) },
      { name: 'healthy', round: () => putting(healthy), after: () => healthy.drain({ until: 'verified' }) },
      {
        name: 'blackholed just now',
        async before() {
          await silence(false)
          fresh = await warmedUp(await openOver(join(directory, 'fresh'), silent, { holdMs: 0 }))
          await silence(true)
        },
        round: () => putting(fresh as Holdfast),
        async after() {
          await fresh?.close()
          await rm(join(directory, 'fresh'), { recursive: true })
        },
      },
      { name: 'blackholed for long', round: () => putting(long) },
      { name: 'get, healthy', round: () => getting(readable, 'primary') },
      {
        name: 'get, primary dead',
        // Until the breaker knows.
        before: () => getting(halfDead, 'secondary').then(() => {}),
        round: () => getting(halfDead, 'secondary'),
      },
    ]
    const samples = await inTurn(contenders, rounds, say)
    await Promise.all([paused, healthy, long, readable, halfDead].map(store => store.close()))
    await Promise.all(started.map(server => server.stop()))
    const atMost = { atMost: 1.2 }
    const p50 = { pick: ({ p50Ms }: Sample) => p50Ms as number }
    const p99 = { pick: ({ p99Ms }: Sample) => p99Ms as number }
    return [
      comparison(samples, ['blackholed just now', 'healthy'], atMost, p50),
      comparison(samples, ['blackholed just now', 'paused'], atMost, p50),
      comparison(samples, ['blackholed for long', 'healthy'], atMost, p50),
      comparison(samples, ['blackholed for long', 'paused'], atMost, p50),
      comparison(samples, ['get, primary dead', 'get, healthy'], atMost, p99),
    ]
  },
}

/** Its clouds were up, and do not answer any more: resolves when it knows. */
async function downFor(directory: string, servers: readonly [Answers, Answers]): Promise<Holdfast> {
  const store = await warmedUp(await openOver(directory, servers, { holdMs: 0 }))
  await Promise.all(servers.map(server => server.silence(true)))
  await manyAtATime(kept, atATime, i => store.put(`first/${i}`, 'nobody will answer'))
  for (let seconds = 0; ; seconds++) {
    const { providers } = await store.status()
    if (providers.every(({ state }) => state !== 'up')) return store
    if (seconds === 60) throw new Error('after a minute without an answer a provider is still up')
    await sleep(1_000)
  }
}

/** Everything is on both clouds, nothing is on local disk. */
async function readableStore(directory: string, servers: readonly [Answers, Answers]): Promise<Holdfast> {
  const store = await warmedUp(await openOver(directory, servers, { holdMs: 0 }))
  const body = bodiesOf(4_096)
  await manyAtATime(kept, atATime, i => store.put(`photos/${i}.jpg`, body(i)))
  await store.drain({ until: 'verified' })
  return store
}
