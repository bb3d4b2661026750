import { existsSync, readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import { parseArgs } from 'node:util'
import type { Row } from './contract.ts'
import { demandMarks } from './page.ts'

export const usage = 'npm run bench -- [--rows 1,5] [--rounds N] [--json FILE] [--markdown FILE] [--page FILE]'

export interface Options {
  readonly chosen: readonly Row[]
  /** Of every row; `undefined`: as many as the row says. */
  readonly rounds: number | undefined
  /** Where the outcomes go. */
  readonly json: string | undefined
  /** Where the table goes. */
  readonly markdown: string | undefined
  /** A page in which the last run is replaced by this one. */
  readonly page: string | undefined
}

/** What was asked for. Throws, with a line for a person, whatever would be found out only after an hour otherwise. */
export function readOptions(args: readonly string[], rows: readonly Row[]): Options {
  const text = { type: 'string' } as const
  const options = { rows: text, rounds: text, json: text, markdown: text, page: text }
  const { json, markdown, page, ...given } = parseArgs({ args: [...args], options }).values
  for (const path of [json, markdown]) if (path !== undefined) demandDirectory(path)
  if (page !== undefined) demandMarks(readFileSync(page, 'utf8'), page)
  return { chosen: chosenOf(given.rows, rows), rounds: roundsOf(given.rounds), json, markdown, page }
}

function chosenOf(given: string | undefined, rows: readonly Row[]): readonly Row[] {
  if (given === undefined) return rows
  const wanted = new Set(given.split(','))
  for (const id of wanted) {
    if (!rows.some(row => String(row.id) === id))
      throw new Error(`--rows: there is no row '${id}'; there are ${rows.map(row => row.id).join(', ')}`)
  }
  return rows.filter(({ id }) => wanted.has(String(id)))
}

/** Throws where it is no number of rounds. */
export function roundsOf(given: string | undefined): number | undefined {
  if (given === undefined) return undefined
  const rounds = Number(given)
  if (!(Number.isInteger(rounds) && rounds > 0))
    throw new Error(`--rounds must be a whole number above 0, got '${given}'`)
  return rounds
}

function demandDirectory(path: string): void {
  const directory = dirname(resolve(path))
  if (!existsSync(directory)) throw new Error(`${directory} is not there, so that nothing could be written to ${path}`)
}
