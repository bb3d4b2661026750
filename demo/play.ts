import { setTimeout as wait } from 'node:timers/promises'
import type { LocalCloud } from '../src/testing/local/cloud.ts'
import { names } from './clouds.ts'
import type { Ledger } from './ledger.ts'
import type { Birth, Life } from './life.ts'
import { keepReading, putAll } from './load.ts'
import { seconds } from './report.ts'
import type { Standing } from './scene.ts'
import { sceneText } from './screen.ts'

export interface Cast {
  readonly ledger: Ledger
  /** The cloud that is cut. */
  readonly primary: LocalCloud
  /** Starts the writer, in a process of its own. */
  readonly start: () => Birth
  readonly say: (text: string) => void
  /** What is shown of the clouds at every moment. */
  readonly standing: Standing
}

export interface Played {
  readonly detectedMs: number | undefined
  readonly storedMs: number | undefined
  readonly verifiedMs: number | undefined
  /** What did not happen that should have, one line each. */
  readonly faults: readonly string[]
}

/** Files put before the cut, and until the kill; the rest is put from the kill on. */
const share = { beforeCut: 0.3, untilKill: 0.8 }
const putMs = { beforeCut: 3_000, untilNoticed: 16_000, whileDown: 1_500, afterKill: 2_000 }
/** Acknowledged in the last burst before the kill comes, so that it comes in the middle. */
const burst = { puts: 6, mostMs: 400 }
/** Nothing of this should take so long. */
const patienceMs = 30_000

/** The scenes, one after the other; ends with every put looked at twice on both clouds, and the writer closed. */
export async function play({ ledger, primary, start, say, standing }: Cast): Promise<Played> {
  const { files } = ledger
  const faults: string[] = []
  const silent = new Set<string>()
  const show = (name: string, state: string) =>
    standing.set(name, silent.has(name) && state === 'up' ? 'silent, not noticed' : state)
  const scene = (text: string, ...why: string[]) => say(sceneText(text, ...why))

  scene(
    '2. Puts begin.',
    'A put is acknowledged once it is safe on local disk: fsynced, and entered',
    'in a journal. Both clouds get it right after, in the background.',
  )
  const first = await start().life
  const down = watchUntilDown(first, show)
  await putAll(first, files.slice(0, files.length * share.beforeCut), { ms: putMs.beforeCut, ledger })

  scene(
    '3. The primary cloud goes silent.',
    'It refuses nothing and answers nothing: the outage that hangs most apps.',
    'Puts go on, files are read back at random. No caller may get an error.',
  )
  silent.add(names.primary)
  const cutAt = performance.now()
  await primary.fault({ fault: { kind: 'stall' } })
  const reading = keepReading(first, ledger)
  const meanwhile = files.slice(files.length * share.beforeCut, files.length * share.untilKill)
  const unsent = await putAll(first, meanwhile, { ms: putMs.untilNoticed, signal: down.signal, ledger })
  const downAt = await within(patienceMs, down.at, faults, 'status() did not say that the primary is down')
  const detectedMs = downAt === undefined ? undefined : downAt - cutAt
  say(
    detectedMs === undefined
      ? '   Not noticed.'
      : `   Noticed after ${seconds(detectedMs)}: what is sent in the background is given time to answer.\n   Reads are not: after 2 s the next cloud is asked.`,
  )
  // A while longer, so that it is seen: known to be down is as good as silent.
  const [unbegun] = await Promise.all([putAll(first, unsent, { ms: putMs.whileDown, ledger }), wait(putMs.whileDown)])

  const rest = [...unbegun, ...files.slice(files.length * share.untilKill)]
  scene(
    '4. kill -9 for the writer, in the middle of its puts.',
    'No handler runs, nothing is flushed. All that was acknowledged must be there',
    'afterwards; the few puts under way were not, and are put again.',
  )
  const before = ledger.acknowledged.size
  const cutOff = putAll(first, rest, { ms: 0, ledger })
  for (let waited = 0; waited < burst.mostMs && ledger.acknowledged.size < before + burst.puts; waited += 5)
    await wait(5)
  await first.kill()
  const left = await cutOff
  await reading.stop()
  for (const name of standing.keys()) standing.set(name, 'the writer is dead')

  const startedAt = performance.now()
  const second = await start().life
  watchUntilDown(second, show)
  scene(
    `5. The writer starts again, on the same directory: ready after ${seconds(performance.now() - startedAt)}.`,
    `Opening the store was ${Math.round(second.openedInMs)} ms of it, with the primary still silent: that`,
    'waits for no cloud. The journal on disk knows what is owed to whom.',
  )
  const readingAgain = keepReading(second, ledger)
  await putAll(second, left, { ms: putMs.afterKill, ledger })

  const owed = ledger.acknowledged.size - ledger.at(names.primary).stored.objects
  scene(
    '6. The primary is back.',
    `It missed ${owed} objects, and gets them now. A second later each copy is`,
    'looked at again, on both clouds; only then the local one may go.',
  )
  await primary.heal()
  silent.clear()
  const backAt = performance.now()
  const drained = async (until: 'stored' | 'verified') => {
    const done = second.ask('drain', until).then(() => performance.now() - backAt)
    return within(patienceMs, done, faults, `not everything was ${until} in time`)
  }
  const storedMs = await drained('stored')
  const verifiedMs = storedMs === undefined ? undefined : await drained('verified')
  await readingAgain.stop()
  await second.ask('close', undefined)
  await second.kill()
  for (const name of standing.keys()) standing.set(name, '')
  return { detectedMs, storedMs, verifiedMs, faults }
}

interface Down {
  /** When status() first said that the primary is down, by `performance.now()`. */
  readonly at: Promise<number>
  /** Aborts at that moment. */
  readonly signal: AbortSignal
}

const askEveryMs = 150

/** Asks status() again and again for as long as this life lasts, and shows what it says. */
function watchUntilDown(life: Life, show: (name: string, state: string) => void): Down {
  const at = Promise.withResolvers<number>()
  const isDown = new AbortController()
  const ask = async () => {
    for (;;) {
      const { providers } = await life.ask('status', undefined)
      for (const { name, role, state } of providers) {
        show(name, state)
        if (role !== 'primary' || state !== 'down') continue
        at.resolve(performance.now())
        isDown.abort()
      }
      await wait(askEveryMs)
    }
  }
  // Ends with the life, which others hear of by their own calls.
  ask().catch(() => {})
  return { at: at.promise, signal: isDown.signal }
}

/** `undefined`, and a line among the faults, if it takes longer. */
async function within<T>(ms: number, promise: Promise<T>, faults: string[], fault: string): Promise<T | undefined> {
  const stop = new AbortController()
  const late = wait(ms, undefined, { signal: stop.signal }).then(() => {
    faults.push(`${fault} (${seconds(ms)})`)
    return undefined
  })
  late.catch(() => {})
  try {
    return await Promise.race([promise, late])
  } finally {
    stop.abort()
  }
}
