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

const usual = new Map<Mutant, number>()
const isGreen = await inTurn([...Map.groupBy(chosen, ({ test }) => test)], ([test, those], copy) =>
  green(test, those, copy),
)
if (isGreen.includes(false)) {
  console.log('tests fail without any change: mend them first')
  process.exit(1)
}
const rows: Row[] = await inTurn(chosen, async (mutant, copy) => {
  const verdict = await judge(copy, mutant, usual.get(mutant) ?? 0)
  say(mutant, verdict)
  return { mutant, verdict }
})
end()

function choose(): readonly Mutant[] {
  const { only = '', sample, seed } = values
  const named = mutants.filter(({ name, file, test }) => [name, file, test].some(text => text.includes(only)))
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

/** Whether the tests of a file pass as they are. Takes down how long those of each mutant take. */
async function green(test: string, those: readonly Mutant[], copy: Copy): Promise<boolean> {
  const all = those.some(({ only }) => only === undefined)
  const only = all ? undefined : asPattern(those.map(mutant => mutant.only ?? ''))
  const { tests, seconds, isLate, said } = await run(copy, test, only, usualLimitSeconds)
  const failed = tests.filter(({ state }) => state === 'failed').map(({ name }) => name)
  const ran = tests.filter(({ state }) => state === 'passed')
  const inTests = ran.reduce((sum, { ms }) => sum + ms, 0) / 1000
  for (const mutant of those) {
    const own = ran.filter(({ name }) => name.includes(mutant.only ?? ''))
    usual.set(mutant, seconds - inTests + own.reduce((sum, { ms }) => sum + ms, 0) / 1000)
    if (own.length === 0) failed.push(`no test that passes is called ${mutant.only ?? test}`)
  }
  const isGood = failed.length === 0 && !isLate
  const what = isGood ? 'green' : `RED      ${failed.join('; ')}${failed.length === 0 ? said : ''}`
  console.log(`${seconds.toFixed(1).padStart(6)} s  ${what}  ${test}`)
  return isGood
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
  if (values.write && chosen.length === mutants.length) {
    const date = new Date().toISOString().slice(0, 10)
    writePage(join(root, 'docs', 'testing.md'), rows, `On ${date}, in ${minutes} minutes on 2 cores: **${summary}**.`)
  }
  console.log(`\nin ${minutes} minutes`)
  console.log(summary)
  process.exitCode = survived + broken === 0 ? 0 : 1
}
