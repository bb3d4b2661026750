import { cpus, release } from 'node:os'
import type { Outcome } from './contract.ts'
import { findingsTable, mediansTable } from './words.ts'

/** Between these lines of a page stands the last run. */
const start = '<!-- what follows is written by npm run bench -- --page FILE -->'
const end = '<!-- the end of what is written so -->'

export interface Machine {
  readonly cpus: number
  readonly model: string | undefined
  readonly node: string
  readonly system: string
}

export function thisMachine(): Machine {
  return { cpus: cpus().length, model: cpus()[0]?.model, node: process.version, system: release() }
}

/** Throws where the page has no place for a run. */
export function demandMarks(page: string, path: string): void {
  const [from, to] = [page.indexOf(start), page.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${path} has no place for a run: the lines '${start}' and '${end}'`)
}

/** The page with this run in place of the last one. */
export function withRun(page: string, path: string, run: string): string {
  demandMarks(page, path)
  return `${page.slice(0, page.indexOf(start) + start.length)}\n${run}\n${page.slice(page.indexOf(end))}`
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
