import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/**
 * `npm run prove`: everything that `.ci/run` takes a sample of, in full, one after the other. Takes about an hour on two cores. Writes what came out into docs/testing.md.
 * Exit code 1 if anything failed. `npm run prove -- NAME …`: only the proofs of these names, and nothing is written.
 */

interface Proof {
  readonly name: string
  readonly command: readonly string[]
  readonly env?: Readonly<Record<string, string>>
  /** What of its output says how it went. */
  readonly result: RegExp
}

const proofs: readonly Proof[] = [
  {
    name: 'simulation',
    command: ['npm', 'run', '--silent', 'sim', '--', '--seeds', '20000'],
    result: /^\d+ seeds from .*seeds\/s.*$/gm,
  },
  {
    name: 'mutants',
    command: ['npm', 'run', '--silent', 'mutants', '--', '--write'],
    result: /^\d+ caught, \d+ survived.*$/gm,
  },
  {
    name: 'kills',
    command: ['npx', 'vitest', 'run', 'test/kill/kill.test.ts', 'test/kill/uploads.test.ts'],
    env: { HOLDFAST_KILLS: '300' },
    result: /^\d+ passed, \d+ failed$/gm,
  },
  {
    name: 'power cuts',
    command: ['npx', 'vitest', 'run', '-c', 'vitest.long.config.ts', 'test/power'],
    env: { HOLDFAST_POWER: 'all' },
    result: /^\d+ passed, \d+ failed$/gm,
  },
  {
    name: 'nodes and kills',
    command: ['npx', 'vitest', 'run', '-c', 'vitest.long.config.ts', 'test/converge/kill'],
    env: { HOLDFAST_CONVERGE_SECONDS: '300' },
    result: /^\d+ passed, \d+ failed$/gm,
  },
  {
    name: 'long tests',
    command: ['npm', 'run', '--silent', 'test:long'],
    result: /^\d+ passed, \d+ failed$/gm,
  },
  {
    name: 'soak',
    command: ['npm', 'run', '--silent', 'soak', '--', '--minutes', '10', '--out', 'docs/soak.svg'],
    result: /^\d+ (?:keys are right|things are wrong).*$/gm,
  },
]

const page = 'docs/testing.md'
const start = '<!-- proofs: written by npm run prove -->'
const end = '<!-- proofs: end -->'

interface Outcome {
  readonly name: string
  readonly seconds: number
  readonly isGood: boolean
  readonly result: string
}

async function prove({ name, command, env, result }: Proof): Promise<Outcome> {
  process.stdout.write(`\n=== ${name}: ${command.join(' ')}\n`)
  const began = performance.now()
  const [program = '', ...args] = command
  const child = spawn(program, args, {
    env: { ...process.env, ...env, NO_COLOR: '1' },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
    process.stdout.write(chunk)
    text += chunk
  })
  const code = await new Promise<number | null>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', resolve)
  })
  const found = [...text.matchAll(result)].at(-1)?.[0] ?? `exit code ${code}`
  return { name, seconds: (performance.now() - began) / 1000, isGood: code === 0, result: found }
}

function tableOf(outcomes: readonly Outcome[]): string {
  const commit = new Date().toISOString().slice(0, 10)
  const rows = outcomes.map(
    ({ name, seconds, isGood, result }) =>
      `| ${name} | ${isGood ? 'good' : '**failed**'} | ${Math.round(seconds)} s | ${result} |`,
  )
  return [
    `Run on ${commit}, Node ${process.versions.node}, ${availableParallelism()} cores:`,
    '',
    '| proof | | took | said |',
    '|---|---|---|---|',
    ...rows,
  ].join('\n')
}

const names = process.argv.slice(2)
const unknown = names.find(name => !proofs.some(proof => proof.name === name))
if (unknown !== undefined) {
  process.stderr.write(`there is no proof ${unknown}: ${proofs.map(({ name }) => name).join(', ')}\n`)
  process.exitCode = 2
} else {
  const outcomes: Outcome[] = []
  for (const proof of proofs) if (names.length === 0 || names.includes(proof.name)) outcomes.push(await prove(proof))
  const table = tableOf(outcomes)
  process.stdout.write(`\n${table}\n`)
  if (names.length === 0) {
    const text = readFileSync(page, 'utf8')
    const [before = '', rest = ''] = text.split(start)
    const [, after = ''] = rest.split(end)
    writeFileSync(page, `${before}${start}\n${table}\n${end}${after}`)
  }
  process.exitCode = outcomes.every(({ isGood }) => isGood) ? 0 : 1
}
