import { readFileSync, writeFileSync } from 'node:fs'
import type { Verdict } from './judge.ts'
import type { Mutant } from './mutant.ts'

const begin = '<!-- mutants: written by npm run mutants -- --write -->'
const end = '<!-- mutants: end -->'

export interface Row {
  readonly mutant: Mutant
  readonly verdict: Verdict
}

/** Puts the table of a full run between the two comments of the page. */
export function writePage(path: string, rows: readonly Row[], summary: string): void {
  const page = readFileSync(path, 'utf8')
  const [from, to] = [page.indexOf(begin), page.indexOf(end)]
  if (from < 0 || to < from) throw new Error(`${path} lacks ${begin} and ${end}`)
  const lines = rows.map(
    ({ mutant: { name, breaks, file, test }, verdict: { is, seconds } }) =>
      `| ${cell(name)} | ${breaks} | \`${file.replace('src/', '')}\` | \`${test.replace('test/', '')}\` | ${is} | ${seconds.toFixed(1)} |`,
  )
  const table = [
    '| what is wrong | breaks | in `src/` | caught by, in `test/` | | s |',
    '|---|---|---|---|---|---|',
    ...lines,
  ]
  writeFileSync(path, `${page.slice(0, from)}${begin}\n\n${summary}\n\n${table.join('\n')}\n\n${page.slice(to)}`)
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|')
}
