import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { root, sourcesIn } from '../house/sources.ts'
import { errorSites } from './errors.ts'
import { judgeSites, missed, percent, shares, short, wanted } from './judge.ts'
import { never } from './never.ts'
import { pointsOf } from './points.ts'
import { counted } from './run.ts'
import { Tally } from './tally.ts'

/**
 * `npm run coverage`: runs tests and the simulation, counts what they reach of src in every thread and every process, and prints it. Ends with exit code 1 if a test
 * failed, if a part that `wanted` names falls short, or if an error of ours is made in no test although `never.ts` does not say why.
 */

const usage = `npm run coverage -- [--missed] [--json FILE]   the tests of npm test, and worlds of the simulation
npm run coverage -- --all …                       and the long ones
npm run coverage -- test/stage test/read …        only these: what falls short is printed, and does not count as wrong`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    all: { type: 'boolean' },
    missed: { type: 'boolean' },
    json: { type: 'string' },
    help: { type: 'boolean' },
  },
})
if (values.help === true) process.stdout.write(`${usage}\n`)
else process.exitCode = await main()

async function main(): Promise<number> {
  const sources = sourcesIn('src')
  const sites = errorSites(sources.filter(({ path }) => !path.startsWith('src/testing/')))
  const tally = new Tally(
    sources.map(source => {
      const made = sites.filter(({ path }) => path === source.path).map(({ at }) => ({ kind: 'error', at }) as const)
      return { source, points: [...pointsOf(source), ...made] }
    }),
  )
  const wrong: string[] = []
  for (const [name, command, env] of commands()) {
    const { code, reports, torn } = await counted(tally, command, env)
    process.stdout.write(`${name}: ${reports} reports${torn === 0 ? '' : `, ${torn} of killed processes`}\n`)
    if (code !== 0) wrong.push(`${name}: exit code ${code}`)
  }
  const parts = shares(tally)
  const judged = judgeSites(tally, sites, never)
  process.stdout.write(`\n${tableOf(parts)}\n\n`)
  if (values.missed === true)
    for (const part of Object.keys(wanted)) process.stdout.write(`${missed(tally, part).join('\n')}\n\n`)
  const words = Object.entries(judged.words).map(([word, { all, thrown }]) => `${thrown} of ${all} ${word}s`)
  process.stdout.write(
    `errors: made at ${judged.thrown} of ${judged.all} places, ${never.length} listed as never; ${words.join(', ')}\n`,
  )
  if (values.json !== undefined)
    writeFileSync(
      values.json,
      JSON.stringify(
        { parts, sites: judged, missed: Object.fromEntries(parts.map(({ part }) => [part, missed(tally, part)])) },
        null,
        1,
      ),
    )
  const fallsShort = [...short(parts), ...judged.wrong]
  for (const line of [...wrong, ...fallsShort]) process.stdout.write(`${line}\n`)
  const isWrong = wrong.length > 0 || (positionals.length === 0 && fallsShort.length > 0)
  process.stdout.write(isWrong ? 'coverage: not as wanted\n' : 'coverage: as wanted\n')
  return isWrong ? 1 : 0
}

/** What measures time or memory is not run: it is slower where every branch is counted. What runs the build counts nothing of the sources. */
function commands(): readonly (readonly [
  name: string,
  command: readonly string[],
  env?: Readonly<Record<string, string>>,
])[] {
  const vitest = [
    process.execPath,
    join(root, 'node_modules', 'vitest', 'vitest.mjs'),
    'run',
    '--config',
    join(import.meta.dirname, 'vitest.config.ts'),
    ...positionals,
  ]
  const without = [
    'test/**/*.alone*.test.ts',
    'test/{package,mutants,house}/**',
    'test/{architecture,docstrings,guarantees,demo}.test.ts',
    'test/examples*.test.ts',
    ...(values.all === true ? [] : ['test/**/*.long.test.ts']),
  ]
  const tests = ['tests', vitest, { HOLDFAST_COVERAGE_WITHOUT: without.join(';') }] as const
  if (positionals.length > 0) return [tests]
  const sim = [process.execPath, 'test/sim/main.ts', '--seeds', '150', '--jobs', '1']
  return [['simulation', sim], tests]
}

function tableOf(parts: ReturnType<typeof shares>): string {
  const rows = parts.map(({ part, line, branch }) => {
    const cells = [line, branch].map(
      share => `${percent(share).padStart(7)} ${`${share.hit}/${share.all}`.padStart(11)}`,
    )
    return `${part.padEnd(12)} ${cells.join('  ')}`
  })
  return [`${'part'.padEnd(12)} ${'lines'.padStart(19)}  ${'branches'.padStart(19)}`, ...rows].join('\n')
}
