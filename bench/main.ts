import { fork } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Finding, Outcome, Row } from './contract.ts'
import { type Options, readOptions, usage } from './options.ts'
import { runText, thisMachine, withRun } from './page.ts'
import { rows } from './rows/index.ts'
import { outcomeOf, tableOf, type Told } from './words.ts'

/**
 * `npm run bench`, with what `usage` says: each row in a process of its own, one after the other; in it, Holdfast and what it is compared with take turns. Says what it
 * found, as a table; a missed target is no error: exit code 1 only where a row could not be measured, 2 where it was not understood.
 */

const say = (text: string) => process.stdout.write(`${text}\n`)

function optionsOf(): Options | undefined {
  try {
    return readOptions(process.argv.slice(2), rows)
  } catch (error) {
    process.stderr.write(`${error instanceof Error ? error.message : String(error)}; usage: ${usage}\n`)
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
  // Also where somebody is tired of it: there may be gigabytes.
  process.on('exit', () => rmSync(work, { recursive: true, force: true, maxRetries: 5 }))
  process.on('SIGINT', () => process.exit(130))
  const outcomes: Outcome[] = []
  let failed = 0
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
  keep(options, outcomes)
  say(`\n${tableOf(outcomes)}`)
  const met = outcomes.filter(outcome => outcome.met).length
  say(`\n${met} of ${outcomes.length} rows met${failed === 0 ? '' : `, ${failed} could not be measured`}`)
  return failed === 0 ? 0 : 1
}

function keep({ json, markdown, page }: Options, outcomes: readonly Outcome[]): void {
  const [at, machine] = [new Date(), thisMachine()]
  if (json !== undefined)
    writeFileSync(json, `${JSON.stringify({ at: at.toISOString(), machine, rows: outcomes }, undefined, 2)}\n`)
  if (markdown !== undefined) writeFileSync(markdown, `${tableOf(outcomes)}\n`)
  if (page !== undefined) writeFileSync(page, withRun(readFileSync(page, 'utf8'), page, runText(outcomes, at, machine)))
}

process.exitCode = await main()
