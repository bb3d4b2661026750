import { spawn } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'

/**
 * `npm run prove`: everything that `.ci/run` takes a sample of, in full, one after the other. Takes about an hour on two cores. Writes what came out into the table of docs/testing.md.
 * Exit code 1 if anything failed. `npm run prove -- NAME …`: only the proofs of these names; the other rows stay.
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
    command: ['npx', 'vitest', 'run', '-c', 'vitest.long.config.ts', '--testTimeout', '1800000', 'test/kill'],
    env: { HOLDFAST_KILLS: '300' },
    result: /^\d+ passed, \d+ failed$/gm,
  },
  {
    name: 'power cuts',
    command: ['npx', 'vitest', 'run', '-c', 'vitest.long.config.ts', '--testTimeout', '1800000', 'test/power'],
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

/** One row of the table; the others stay as they are. */
function write({ name, seconds, isGood, result }: Outcome): void {
  const text = readFileSync(page, 'utf8')
  const [before = '', rest = ''] = text.split(start)
  const [old = '', after = ''] = rest.split(end)
  const on = `${new Date().toISOString().slice(0, 10)}, Node ${process.versions.node}, ${availableParallelism()} cores`
  const row = `| ${name} | ${isGood ? 'good' : '**failed**'} | ${Math.round(seconds)} s | ${result} | ${on} |`
  const rows = proofs.flatMap(proof =>
    proof.name === name ? [row] : old.split('\n').filter(line => line.startsWith(`| ${proof.name} |`)),
  )
  const table = ['| proof | | took | said | on |', '|---|---|---|---|---|', ...rows].join('\n')
  writeFileSync(page, `${before}${start}\n${table}\n${end}${after}`)
}

const names = process.argv.slice(2)
const unknown = names.find(name => !proofs.some(proof => proof.name === name))
if (unknown !== undefined) {
  process.stderr.write(`there is no proof ${unknown}: ${proofs.map(({ name }) => name).join(', ')}\n`)
  process.exitCode = 2
} else {
  for (const proof of proofs) {
    if (names.length > 0 && !names.includes(proof.name)) continue
    const outcome = await prove(proof)
    process.stdout.write(`\n${outcome.name}: ${outcome.isGood ? 'good' : 'FAILED'}, ${outcome.result}\n`)
    write(outcome)
    if (!outcome.isGood) process.exitCode = 1
  }
}
