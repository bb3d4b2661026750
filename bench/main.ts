import { fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { cpus, release } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Finding, Outcome, Row } from './contract.ts'
import { rows } from './rows/index.ts'
import { outcomeOf, tableOf, type Told } from './words.ts'

/**
 * `npm run bench -- [--rows 1,5] [--rounds N] [--json FILE] [--markdown FILE]`: each row in a process of its own, one after the other; in it, Holdfast and what it is
 * compared with take turns. Says what it found, as a table; a missed target is no error: exit code 1 only where a row could not be measured.
 */

const usage = 'npm run bench -- [--rows 1,5] [--rounds N] [--json FILE] [--markdown FILE]'
const say = (text: string) => process.stdout.write(`${text}\n`)

interface Options {
  readonly chosen: readonly Row[]
  readonly rounds: number | undefined
  readonly json: string | undefined
  readonly markdown: string | undefined
}

function optionsOf(): Options | undefined {
  const text = { type: 'string' } as const
  try {
    const { values } = parseArgs({ options: { rows: text, rounds: text, json: text, markdown: text } })
    const { json, markdown } = values
    const rounds = values.rounds === undefined ? undefined : Number(values.rounds)
    if (rounds !== undefined && !(Number.isInteger(rounds) && rounds > 0))
      throw new TypeError(`--rounds must be a whole number above 0, got ${values.rounds}`)
    const ids = values.rows?.split(',').map(Number) ?? rows.map(({ id }) => id)
    const chosen = ids.map(id => {
      const row = rows.find(each => each.id === id)
      if (row === undefined)
        throw new TypeError(`--rows: there is no row ${id}; there are ${rows.map(each => each.id).join(', ')}`)
      return row
    })
    return { chosen, rounds, json, markdown }
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n${usage}\n`)
    return undefined
  }
}

/** In a process of its own, with a directory of its own beside the sources: the system's own for temporary files is often in memory. */
async function measure(row: Row, rounds: number, directory: string): Promise<readonly Finding[]> {
  const child = fork(join(import.meta.dirname, 'row.ts'), [String(row.id), String(rounds), directory], {
    execArgv: ['--expose-gc', '--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const told = Promise.withResolvers<readonly Finding[]>()
  child.on('message', (message: Told) => {
    if (message.is === 'line') say(`  ${message.text}`)
    else told.resolve(message.findings)
  })
  child.on('exit', code => told.reject(new Error(`row ${row.id} ended with ${code} before it had found anything`)))
  return told.promise
}

async function main(): Promise<number> {
  const options = optionsOf()
  if (options === undefined) return 2
  const base = join(import.meta.dirname, '..', 'node_modules', '.bench')
  mkdirSync(base, { recursive: true })
  const work = mkdtempSync(join(base, 'run-'))
  const outcomes: Outcome[] = []
  let failed = 0
  try {
    for (const row of options.chosen) {
      say(`\n${row.id}. ${row.name}`)
      const directory = join(work, String(row.id))
      mkdirSync(directory)
      try {
        outcomes.push(outcomeOf(row, await measure(row, options.rounds ?? row.rounds, directory)))
        say(tableOf(outcomes.slice(-1)))
      } catch (error) {
        failed++
        process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
      }
      rmSync(directory, { recursive: true, force: true })
    }
  } finally {
    rmSync(work, { recursive: true, force: true })
  }
  const machine = { cpus: cpus().length, model: cpus()[0]?.model, node: process.version, system: release() }
  const table = tableOf(outcomes)
  say(`\n${table}`)
  say(
    `\n${outcomes.filter(({ met }) => met).length} of ${outcomes.length} rows met${failed === 0 ? '' : `, ${failed} could not be measured`}`,
  )
  if (options.json !== undefined)
    writeFileSync(
      options.json,
      `${JSON.stringify({ at: new Date().toISOString(), machine, rows: outcomes }, undefined, 2)}\n`,
    )
  if (options.markdown !== undefined) writeFileSync(options.markdown, `${table}\n`)
  return failed === 0 ? 0 : 1
}

process.exitCode = await main()
