import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { seededRandom } from '../../src/testing/clock.ts'
import { type Copy, copyOf } from './copy.ts'
import { asPattern, judge, limitSeconds, run, type Verdict } from './judge.ts'
import { mutants } from './list.ts'
import type { Mutant } from './mutant.ts'
import { type Row, writePage } from './page.ts'

/**
 * Breaks the source in one way after the other, each in a copy, and runs the test that must fail for it: `npm run mutants`. Prints a line for each, ends
 * with `N caught, 0 survived`, and with 1 where one survived, or is broken. See docs/testing.md.
 */
const { values } = parseArgs({
  options: {
    sample: { type: 'string' },
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    only: { type: 'string' },
    jobs: { type: 'string', default: '1' },
    json: { type: 'string' },
    write: { type: 'boolean', default: false },
  },
})

const root = join(import.meta.dirname, '..', '..')
/** A file without a change: what is slow on a busy machine is not wrong. */
const usualLimitSeconds = 10 * limitSeconds

const chosen = choose()
const jobs = Math.max(1, Math.min(Number(values.jobs), chosen.length))
const began = performance.now()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => process.exit(130))
const copies = Array.from({ length: jobs }, () => copyOf(root))
process.once('exit', () => copies.forEach(copy => copy[Symbol.dispose]()))

/** Seconds that the tests of each mutant take without it; `undefined` where they fail all the same. Each file is run once. */
const usual = new Map<Mutant, number | undefined>()
const looked = new Map<string, Promise<void>>()
const rows: Row[] = await inTurn(chosen, async (mutant, copy) => {
  const { test } = mutant
  const look = looked.get(test) ?? lookAt(test, copy)
  looked.set(test, look)
  await look
  const seconds = usual.get(mutant)
  const isRed = { is: 'broken', by: 'its tests fail without any change', seconds: 0 } as const
  const verdict = seconds === undefined ? isRed : await judge(copy, mutant, seconds)
  say(mutant, verdict)
  return { mutant, verdict }
})
end()

function choose(): readonly Mutant[] {
  const { only = '', sample, seed } = values
  const pattern = new RegExp(only)
  const named = mutants.filter(({ name, file, test }) => [name, file, test].some(text => pattern.test(text)))
  if (named.length === 0) throw new Error(`no mutant is called, or is about, ${only}`)
  if (sample === undefined) return named
  const random = seededRandom(Number(seed))
  console.log(`a sample of ${sample} of ${named.length}: --seed ${seed}`)
  const ranked = named.map(mutant => ({ mutant, rank: random.number() })).toSorted((a, b) => a.rank - b.rank)
  return ranked.slice(0, Number(sample)).map(({ mutant }) => mutant)
}

/** As many at a time as there are copies; the answers come in the order of the items. */
async function inTurn<Item, Answer>(
  items: readonly Item[],
  work: (item: Item, copy: Copy) => Promise<Answer>,
): Promise<Answer[]> {
  const answers: Answer[] = []
  let next = 0
  const one = async (copy: Copy): Promise<void> => {
    while (next < items.length) {
      const index = next++
      answers[index] = await work(items[index] as Item, copy)
    }
  }
  await Promise.all(copies.map(one))
  return answers
}

/** Runs the tests of a file as they are, and takes down how long those of each mutant take. */
async function lookAt(test: string, copy: Copy): Promise<void> {
  const those = chosen.filter(mutant => mutant.test === test)
  const all = those.some(({ only }) => only === undefined)
  const only = all ? undefined : asPattern(those.map(mutant => mutant.only ?? ''))
  const { tests, seconds, isLate, said } = await run(copy, test, only, usualLimitSeconds)
  const failed = tests.filter(({ state }) => state === 'failed').map(({ name }) => name)
  const passed = tests.filter(({ state }) => state === 'passed')
  const around = Math.max(0, seconds - secondsOf(passed))
  for (const mutant of those) {
    const own = passed.filter(({ name }) => name.includes(mutant.only ?? ''))
    if (own.length === 0) failed.push(`no test that passes is called ${mutant.only ?? test}`)
    else if (!isLate && tests.every(({ name, state }) => state !== 'failed' || !name.includes(mutant.only ?? '')))
      usual.set(mutant, around + secondsOf(own))
  }
  const what = failed.length === 0 && !isLate ? 'green' : `RED: ${failed.join('; ') || said}`
  console.log(`${seconds.toFixed(1).padStart(6)} s  ${what.padEnd(14)}  ${test}`)
}

function secondsOf(tests: readonly { readonly ms: number }[]): number {
  return tests.reduce((sum, { ms }) => sum + ms, 0) / 1000
}

function say({ name, test }: Mutant, { is, by, seconds }: Verdict): void {
  const isCaught = is === 'caught' || is === 'caught in time'
  const what = isCaught ? is : is.toUpperCase()
  console.log(`${seconds.toFixed(1).padStart(6)} s  ${what.padEnd(14)}  ${name}  (${test}${isCaught ? '' : `: ${by}`})`)
}

function end(): void {
  const count = (...kinds: readonly Verdict['is'][]) => rows.filter(({ verdict }) => kinds.includes(verdict.is)).length
  const caught = count('caught', 'caught in time')
  const [survived, broken] = [count('survived'), count('broken')]
  const minutes = ((performance.now() - began) / 60_000).toFixed(1)
  const summary = `${caught} caught, ${survived} survived${broken === 0 ? '' : `, ${broken} broken`}`
  if (values.json !== undefined) writeFileSync(values.json, `${JSON.stringify(rows, undefined, 2)}\n`)
  if (values.write) writePage(join(root, 'docs', 'testing.md'), mutants, rows)
  console.log(`\nin ${minutes} minutes`)
  console.log(summary)
  process.exitCode = survived + broken === 0 ? 0 : 1
}
