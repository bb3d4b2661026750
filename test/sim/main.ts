import { fork } from 'node:child_process'
import { parseArgs } from 'node:util'
import { planOf } from './plan.ts'
import { type Outcome, run } from './run.ts'
import { shrink } from './shrink.ts'

/**
 * `npm run sim`: worlds by their seeds, each the whole library in one process under a clock, a disk, a journal and services that the seed decides. Ends with exit code
 * 1 at the first seed of which something is wrong, with what it was and the smallest part of it that is still wrong.
 */

const usage = `npm run sim -- [--seeds N] [--from N] [--minutes N] [--jobs N]   many seeds: N of them (default 1000), or for so long; the first with a fault ends it
npm run sim -- … --all                                          … and none does: every seed with a fault is told
npm run sim -- --seed N [--trace]                              one seed, twice: the trace is the same`

interface Wish {
  readonly goesOn: boolean
  readonly from: number
  readonly count: number
}

interface Batch {
  readonly outcomes: readonly Pick<Outcome, 'seed' | 'faults' | 'hash' | 'events' | 'elapsedMs' | 'asked' | 'acked'>[]
}

/** Seeds that a process takes at once. */
const batchSize = 25
/** Then another process goes on: Node never lets go of the signals that were made of several (`AbortSignal.any`) and listened to by a simulated process that was killed. */
const batchesOfProcess = 40

if (process.send !== undefined) answerWishes()
else process.exitCode = await main()

function answerWishes(): void {
  process.on('message', (wish: Wish) => {
    runSeeds(wish).then(
      batch => process.send?.(batch),
      (error: unknown) => {
        console.error(error)
        process.exit(2)
      },
    )
  })
}

async function runSeeds({ from, count, goesOn }: Wish): Promise<Batch> {
  const outcomes: Outcome[] = []
  for (let seed = from; seed < from + count; seed++) {
    const outcome = await run(planOf(seed))
    outcomes.push(outcome)
    if (outcome.faults.length > 0 && !goesOn) break
  }
  return { outcomes }
}

async function main(): Promise<number> {
  const whole = (name: string, text: string | undefined): number | undefined => {
    if (text === undefined) return undefined
    const value = Number(text)
    if (!Number.isSafeInteger(value) || value < 0) throw new TypeError(`--${name} must be a whole number, got ${text}`)
    return value
  }
  let asked: {
    seeds?: number
    from?: number
    seed?: number
    minutes?: number
    jobs?: number
    trace: boolean
    all: boolean
  }
  try {
    const text = { type: 'string' } as const
    const { values } = parseArgs({
      options: {
        seeds: text,
        from: text,
        seed: text,
        minutes: text,
        jobs: text,
        trace: { type: 'boolean' },
        all: { type: 'boolean' },
      },
    })
    const { trace = false, all = false, ...rest } = values
    asked = { trace, all }
    for (const [name, value] of Object.entries(rest)) {
      const number = whole(name, value)
      if (number !== undefined) asked[name as 'seeds'] = number
    }
  } catch (error) {
    console.error(`${error instanceof Error ? error.message : String(error)}\n${usage}`)
    return 2
  }
  if (asked.seed !== undefined) return one(asked.seed, asked.trace)
  const { from = 1, minutes, seeds = minutes === undefined ? 1_000 : Infinity, jobs = 2, all } = asked
  return many({ from, seeds, minutes, jobs, goesOn: all })
}

/** One seed, twice. */
async function one(seed: number, isTraced: boolean): Promise<number> {
  const plan = planOf(seed)
  const first = await run(plan, isTraced)
  const second = await run(plan)
  if (isTraced) for (const line of first.trace) console.log(line)
  console.log(`seed ${seed}: ${described(first)}`)
  console.log(`trace ${first.hash} ${second.hash}, ${first.hash === second.hash ? 'the same' : 'NOT the same'}`)
  if (first.faults.length > 0) return explain(seed)
  return first.hash === second.hash ? 0 : 1
}

function described({ asked, acked, events, elapsedMs, faults }: Omit<Outcome, 'trace' | 'hash' | 'seed'>): string {
  const what = `${asked} writes asked for, ${acked} acknowledged, ${events} events in ${Math.round(elapsedMs / 1000)} simulated s`
  return faults.length === 0 ? `${what}, all is well` : `${what}\n  ${faults.join('\n  ')}`
}

/** What a seed does wrong, and the least that does it. */
async function explain(seed: number): Promise<number> {
  const plan = planOf(seed)
  const { steps: _steps, ...options } = plan
  console.log(`seed ${seed} with ${JSON.stringify(options)}`)
  const smallest = await shrink(plan)
  console.log(`the least that does it, of ${plan.steps.length} steps:`)
  for (const step of smallest.plan.steps) console.log(`  ${JSON.stringify(step)}`)
  const { steps: _fewer, ...left } = smallest.plan
  console.log(`  with ${JSON.stringify(left)}`)
  for (const fault of smallest.faults) console.log(`  ${fault}`)
  console.log(`again: npm run sim -- --seed ${seed} --trace`)
  return 1
}

interface Many {
  readonly from: number
  readonly seeds: number
  readonly minutes: number | undefined
  readonly jobs: number
  readonly goesOn: boolean
}

async function many({ from, seeds, minutes, jobs, goesOn }: Many): Promise<number> {
  const began = performance.now()
  const seconds = () => (performance.now() - began) / 1000
  const isOver = () => minutes !== undefined && seconds() > minutes * 60
  const total = { seeds: 0, events: 0, elapsedMs: 0, acked: 0 }
  const wrong: number[] = []
  let next = from
  let told = 0
  const end = from + seeds

  const goesFurther = () => next < end && (wrong.length === 0 || goesOn) && !isOver()

  async function work(): Promise<void> {
    while (goesFurther()) await workOfOneProcess()
  }

  async function workOfOneProcess(): Promise<void> {
    const child = fork(process.argv[1] ?? '', [], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      // Most of what a world makes is over with it.
      execArgv: ['--max-semi-space-size=64'],
    })
    try {
      for (let batch = 0; batch < batchesOfProcess && goesFurther(); batch++) {
        const wish: Wish = { from: next, count: Math.min(batchSize, end - next), goesOn }
        next += wish.count
        const { outcomes } = await new Promise<Batch>((resolve, reject) => {
          child.once('message', resolve)
          child.once('exit', code => reject(new Error(`the process of seeds from ${wish.from} on ended with ${code}`)))
          child.send(wish)
        })
        child.removeAllListeners()
        for (const { seed, faults, events, elapsedMs, acked } of outcomes) {
          total.seeds++
          total.events += events
          total.elapsedMs += elapsedMs
          total.acked += acked
          if (faults.length === 0) continue
          wrong.push(seed)
          console.log(`seed ${seed}: ${faults.join('\n  ')}`)
        }
        if (seconds() - told > 20) {
          told = seconds()
          console.log(`${total.seeds} seeds, ${(total.seeds / seconds()).toFixed(1)} a second`)
        }
      }
    } finally {
      child.disconnect()
    }
  }

  await Promise.all(Array.from({ length: Math.max(1, jobs) }, work))
  const rate = (total.seeds / seconds()).toFixed(1)
  console.log(
    `${total.seeds} seeds from ${from} on in ${seconds().toFixed(0)} s, ${rate} seeds/s: ${total.events} events, ${Math.round(total.elapsedMs / 3_600_000)} simulated hours, ${total.acked} acknowledged writes`,
  )
  const [first] = wrong.toSorted((a, b) => a - b)
  if (first === undefined) {
    console.log('0 seeds with faults')
    return 0
  }
  if (goesOn) console.log(`${wrong.length} seeds with faults: ${wrong.toSorted((a, b) => a - b).join(' ')}`)
  return goesOn ? 1 : explain(first)
}
