import { cpus, release } from 'node:os'
import type { Outcome } from './contract.ts'
import { findingsTable, mediansTable } from './words.ts'

/** What writes a part of a page stands above that part. */
const startOf = (command: string): string => `<!-- what follows is written by ${command} -->`
const end = '<!-- the end of what is written so -->'
const bench = 'npm run bench -- --page FILE'

export interface Machine {
  readonly cpus: number
  readonly model: string | undefined
  readonly node: string
  readonly system: string
}

export function thisMachine(): Machine {
  return { cpus: cpus().length, model: cpus()[0]?.model, node: process.version, system: release() }
}

/** Where in the page the last run stands, from and to. Throws where there is no place for one. */
function placeOf(page: string, path: string, command: string): { readonly from: number; readonly to: number } {
  const start = startOf(command)
  const at = page.indexOf(start)
  const to = at < 0 ? -1 : page.indexOf(end, at)
  if (to < 0) throw new Error(`${path} has no place for a run: the lines '${start}' and '${end}'`)
  return { from: at + start.length, to }
}

/** Throws where the page has no place for a run. */
export function demandMarks(page: string, path: string, command = bench): void {
  placeOf(page, path, command)
}

/** The page with this run in place of the last one. */
export function withRun(page: string, path: string, run: string, command = bench): string {
  const { from, to } = placeOf(page, path, command)
  return `${page.slice(0, from)}\n${run}\n${page.slice(to)}`
}

/** A run as a page shows it: when and where, what was found, and the medians that it was found from. */
export function runText(outcomes: readonly Outcome[], at: Date, { cpus: count, model, node, system }: Machine): string {
  const met = outcomes.filter(outcome => outcome.met).length
  return [
    `Measured on ${at.toISOString().slice(0, 10)} on ${count} cores (${model ?? 'unknown'}), Node ${node.slice(1)}, Linux ${system}: ${met} of ${outcomes.length} rows met.`,
    findingsTable(outcomes),
    'The medians over the rounds that these come from:',
    mediansTable(outcomes),
  ].join('\n\n')
}
