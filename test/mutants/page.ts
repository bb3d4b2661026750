import { readFileSync, writeFileSync } from 'node:fs'
import type { Verdict } from './judge.ts'
import type { Mutant } from './mutant.ts'

const begin = '<!-- mutants: written by npm run mutants -- --write -->'
const end = '<!-- mutants: end -->'
const head = [
  '| what is wrong | breaks | in `src/` | to be caught by, in `test/` | it was | s |',
  '|---|---|---|---|---|---|',
]

export interface Row {
  readonly mutant: Mutant
  readonly verdict: Verdict
}

/** Puts what a run found between the two comments of the page. A mutant that was not run keeps its line, one that is not in the list any more loses it. */
export function writePage(path: string, list: readonly Mutant[], rows: readonly Row[]): void {
  const page = readFileSync(path, 'utf8')
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${path} lacks ${begin} and ${end}`)
  const lines = new Map(rows.map(({ mutant, verdict }) => [mutant.name, lineOf(mutant, verdict)]))
  const before = page.slice(from, to).split('\n')
  const kept = list.flatMap(mutant => {
    const line = lines.get(mutant.name) ?? before.find(each => each.startsWith(startOf(mutant)))
    return line === undefined ? [] : [line]
  })
  const caught = kept.filter(line => /\| caught(?: in time)? \|/.test(line)).length
  const today = new Date().toISOString().slice(0, 10)
  const summary = `Last written on ${today}: ${kept.length} of ${list.length} were run, ${caught} caught, ${kept.length - caught} not.`
  writeFileSync(
    path,
    `${page.slice(0, from)}${[begin, '', summary, '', ...head, ...kept, ''].join('\n')}\n${page.slice(to)}`,
  )
}

function lineOf(mutant: Mutant, { is, seconds }: Verdict): string {
  const { breaks, file, test } = mutant
  return `${startOf(mutant)} ${breaks} | \`${file.replace('src/', '')}\` | \`${test.replace('test/', '')}\` | ${is} | ${seconds.toFixed(1)} |`
}

function startOf({ name }: Mutant): string {
  return `| ${name.replaceAll('|', '\\|')} |`
}
