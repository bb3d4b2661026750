import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'

/** Between these two lines of `docs/guarantees.md` stands what `tableOf` makes. */
export const tableStart =
  '<!-- what follows is written by HOLDFAST_WRITE_GUARANTEES=1 npx vitest run test/guarantees.test.ts -->'
export const tableEnd = '<!-- the end of what is written so -->'

/** What one invariant says, in a line, and where its row in the page says why there is no test, if there is none. */
export interface Invariant {
  readonly id: string
  readonly says: string
}

/** Test files by the invariant that names of their tests end with: `… (I1, I13–I15, N2)`. */
export function testsByInvariant(root: string = 'test'): ReadonlyMap<string, readonly string[]> {
  const found = new Map<string, Set<string>>()
  for (const path of testFiles(root)) {
    for (const id of invariantsIn(readFileSync(path, 'utf8'))) found.set(id, (found.get(id) ?? new Set()).add(path))
  }
  return new Map([...found].map(([id, paths]) => [id, [...paths].toSorted()]))
}

function testFiles(root: string): string[] {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter(entry => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map(entry => join(entry.parentPath, entry.name))
    .toSorted()
}

/** In parentheses at the end of a text: comments that speak of an invariant are no tests. */
const namedAtEnd = /\(((?:[A-Z]\d+)(?:(?:, |–)[A-Z]\d+)*)\)['"`]/g

function invariantsIn(text: string): Set<string> {
  const ids = new Set<string>()
  for (const [, list = ''] of text.matchAll(namedAtEnd)) {
    for (const part of list.split(', ')) {
      const [first = '', last = first] = part.split('–')
      if (!first.startsWith('I')) continue
      for (let number = Number(first.slice(1)); number <= Number(last.slice(1)); number++) ids.add(`I${number}`)
    }
  }
  return ids
}

/** The rows of the page's table of invariants: `| I1 | what it says | … |`. */
export function invariantsOf(page: string): Invariant[] {
  return [...page.matchAll(/^\| (I\d+) \| ([^|]+) \|/gm)].map(([, id = '', says = '']) => ({ id, says: says.trim() }))
}

/** The table, with the test files of today. `without`: why no test holds an invariant. */
export function tableOf(
  invariants: readonly Invariant[],
  tests: ReadonlyMap<string, readonly string[]>,
  without: Readonly<Record<string, string>>,
): string {
  const rows = invariants.map(({ id, says }) => {
    const files = tests.get(id) ?? []
    const shown = files.map(file => `\`${file.replace(/^test\//, '').replace(/\.test\.ts$/, '')}\``).join(' ')
    return `| ${id} | ${says} | ${shown === '' ? (without[id] ?? '**none**') : shown} |`
  })
  return ['| | what holds | tests, in `test/` |', '|---|---|---|', ...rows].join('\n')
}
