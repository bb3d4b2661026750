import { type ChildProcess, fork } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { type RunningClouds, startClouds } from '../demo/clouds.ts'
import { seededRandom } from '../src/testing/clock.ts'
import type { Fault, LocalCloud } from '../src/testing/local/cloud.ts'
import { plot } from './plot.ts'
import { bytesIn, lookAt, median, type Sample } from './sample.ts'
import type { Asked, Told, Wanted } from './words.ts'

/**
 * `npm run soak -- --minutes N`: one app puts, reads and deletes for so long, while now this cloud fails and now that one. Memory, open files, local disk and backlog are
 * looked at from outside, and drawn. Ends with 1 if something was wrong in the end: an answer, what the clouds have, or what grows.
 */

const usage =
  'npm run soak -- [--minutes N, default 3] [--rate CALLS_PER_SECOND, default 120] [--seed N] [--out FILE.svg, default soak.svg]'

/** Until as much was loaded, compiled and cached as will be. */
const warmUpShare = 0.3
/** V8 takes its time to fill the heap that it allows itself: within three minutes RSS still grows by 60 MiB, and what leaks at a steady rate is seen in ten. */
const mostGrowthBytes = 128 * 2 ** 20
const mostMoreFiles = 24
/** Of the journal's own pages, and of what is still held. */
const mostDiskLeft = 64 * 2 ** 20

const say = (text: string) => process.stdout.write(`${text}\n`)

interface Options {
  readonly minutes: number
  readonly rate: number
  readonly seed: number
  readonly out: string
}

function optionsOf(): Options | undefined {
  const text = { type: 'string' } as const
  try {
    const { values } = parseArgs({ options: { minutes: text, rate: text, seed: text, out: text } })
    const number = (name: string, given: string | undefined, otherwise: number) => {
      const value = given === undefined ? otherwise : Number(given)
      if (!(value > 0)) throw new TypeError(`--${name} must be a number above 0, got ${given}`)
      return value
    }
    return {
      minutes: number('minutes', values.minutes, 3),
      rate: number('rate', values.rate, 120),
      seed: number('seed', values.seed, Math.floor(Math.random() * 1e9)),
      out: values.out ?? 'soak.svg',
    }
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${usage}\n`)
    return undefined
  }
}

async function main(): Promise<number> {
  const options = optionsOf()
  if (options === undefined) return 2
  const root = mkdtempSync(join(tmpdir(), 'holdfast-soak-'))
  const clouds = await startClouds(root)
  try {
    return await soak(options, root, clouds)
  } finally {
    await clouds.stop()
    rmSync(root, { recursive: true, force: true })
  }
}

async function soak({ minutes, rate, seed, out }: Options, root: string, clouds: RunningClouds): Promise<number> {
  const directory = join(root, 'stage')
  const child = fork(new URL('./app.ts', import.meta.url).pathname, [], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const app = talkTo(child)
  const wanted: Wanted = { seed, perSecond: rate, directory, clouds: clouds.clouds }
  child.send(wanted)
  await app.hear('ready')
  say(`${minutes} minutes, ${rate} calls a second, seed ${seed}`)
  const began = performance.now()
  const seconds = () => (performance.now() - began) / 1000
  const samples: Sample[] = []
  const trouble = startTrouble(clouds, seed)
  let told = 0
  const sample = (): Sample => ({
    at: seconds(),
    ...lookAt(child.pid ?? 0),
    disk: bytesIn(directory),
    backlog: app.now().backlog,
    fault: trouble.now(),
  })
  while (seconds() < minutes * 60 && child.exitCode === null) {
    await sleep(500)
    samples.push(sample())
    if (seconds() - told < 15) continue
    told = seconds()
    say(lineOf(samples, app.now()))
  }
  await trouble.stop()
  say('everything is well again: it drains, and all is compared')
  child.send('rest' satisfies Asked)
  const drained: Sample[] = []
  const looking = setInterval(() => drained.push(sample()), 500)
  const rested = await app.hear('rested').finally(() => clearInterval(looking))
  await sleep(3_000)
  const after = sample()
  child.send('end' satisfies Asked)
  await new Promise(resolve => child.once('exit', resolve))
  const { puts, gets, deletes, lists, refused } = app.now().done
  writeFileSync(
    out,
    plot(
      [...samples, ...drained, after],
      `${minutes} minutes, ${puts} puts, ${gets} gets, ${deletes} deletes, seed ${seed}`,
    ),
  )
  say(
    `${puts} puts, ${gets} gets, ${deletes} deletes, ${lists} lists; ${refused} that nobody could answer; drawn in ${out}`,
  )
  const wrong = [...rested.faults, ...growthIn(samples, after)]
  for (const fault of wrong) say(`WRONG: ${fault}`)
  say(
    wrong.length === 0
      ? `${rested.keys} keys are right on both clouds, and nothing grows`
      : `${wrong.length} things are wrong`,
  )
  return wrong.length === 0 ? 0 : 1
}

function lineOf(samples: readonly Sample[], { done, faults }: Extract<Told, { kind: 'now' }>): string {
  const { at, rss, files, disk, backlog, fault } = samples.at(-1) as Sample
  const calls = done.puts + done.gets + done.deletes + done.lists
  const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`
  return `${Math.round(at)} s: ${calls} calls, memory ${mebibytes(rss)}, ${files} files, disk ${mebibytes(disk)}, ${backlog} behind${fault === '' ? '' : `, ${fault}`}${faults.length === 0 ? '' : `, ${faults.length} WRONG`}`
}

/** What is larger in the end than it was when the app was warm. */
function growthIn(samples: readonly Sample[], after: Sample): string[] {
  const warm = samples.slice(Math.floor(samples.length * warmUpShare))
  const third = Math.floor(warm.length / 3)
  const [early, late] = [warm.slice(0, third), warm.slice(-third)]
  const of = (some: readonly Sample[], name: 'rss' | 'files') => median(some.map(sample => sample[name]))
  const grown = of(late, 'rss') - of(early, 'rss')
  const found: string[] = []
  if (grown > mostGrowthBytes) found.push(`memory grew by ${Math.round(grown / 2 ** 20)} MiB`)
  const more = of(late, 'files') - of(early, 'files')
  if (more > mostMoreFiles) found.push(`${more} more files are open`)
  if (after.disk > mostDiskLeft) found.push(`${Math.round(after.disk / 2 ** 20)} MiB are left on local disk`)
  if (after.backlog > 0) found.push(`${after.backlog} writes are still behind`)
  return found
}

interface App {
  hear<Kind extends Told['kind']>(kind: Kind): Promise<Extract<Told, { kind: Kind }>>
  now(): Extract<Told, { kind: 'now' }>
}

function talkTo(child: ChildProcess): App {
  let now: Extract<Told, { kind: 'now' }> = {
    kind: 'now',
    done: { puts: 0, gets: 0, deletes: 0, lists: 0, refused: 0 },
    backlog: 0,
    held: 0,
    repairs: 0,
    faults: [],
  }
  const heard = new Map<string, (told: Told) => void>()
  child.on('message', (told: Told) => {
    if (told.kind === 'now') now = told
    else if (told.kind === 'failed') {
      say(`the app failed: ${told.message}`)
      child.kill('SIGKILL')
    } else heard.get(told.kind)?.(told)
  })
  return {
    now: () => now,
    hear: <Kind extends Told['kind']>(kind: Kind) =>
      new Promise<Extract<Told, { kind: Kind }>>((resolve, reject) => {
        heard.set(kind, told => resolve(told as Extract<Told, { kind: Kind }>))
        child.once('exit', code => reject(new Error(`the app ended with ${code} before it said ${kind}`)))
      }),
  }
}

const troubles: readonly { readonly name: string; readonly fault: Fault; readonly isForAll: boolean }[] = [
  { name: 'down', fault: { kind: 'reset' }, isForAll: true },
  { name: '503', fault: { kind: 'status', status: 503, retryAfterSeconds: 1 }, isForAll: false },
  { name: 'silent', fault: { kind: 'stall' }, isForAll: false },
  { name: 'slow', fault: { kind: 'slow', ms: 700 }, isForAll: true },
  { name: 'lost answers', fault: { kind: 'lose-answer' }, isForAll: false },
  { name: 'cut bodies', fault: { kind: 'cut', afterBytes: 500 }, isForAll: false },
]

/** Something is wrong with one cloud for some seconds, then with none, and so on. */
function startTrouble({ primary, secondary }: RunningClouds, seed: number): { now(): string; stop(): Promise<void> } {
  const random = seededRandom(seed + 1)
  const stop = new AbortController()
  let now = ''
  const pause = (ms: number) => sleep(ms, undefined, { signal: stop.signal }).catch(() => {})
  const pick = <T>(all: readonly T[]) => all[Math.floor(random.number() * all.length)] as T
  const work = async () => {
    while (!stop.signal.aborted) {
      await pause(3_000 + random.number() * 6_000)
      if (stop.signal.aborted) return
      const { name, fault, isForAll } = pick(troubles)
      const [cloud, which] = pick<readonly [LocalCloud, string]>([
        [primary, 's3'],
        [secondary, 'gcs'],
      ])
      now = `${which} is ${name}`
      const until = performance.now() + 1_500 + random.number() * 5_000
      if (isForAll) await cloud.fault({ fault })
      while (performance.now() < until && !stop.signal.aborted) {
        // One request in some, where others are to get through.
        if (!isForAll) await cloud.fault({ fault, times: 1 })
        await pause(60)
      }
      await cloud.heal()
      now = ''
    }
  }
  const working = work()
  return {
    now: () => now,
    async stop() {
      stop.abort('the end')
      await working
      await primary.heal()
      await secondary.heal()
    },
  }
}

process.exitCode = await main()
