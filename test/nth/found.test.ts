import { test } from 'vitest'
import { type Ending, enumerate } from './loop.ts'
import { scenarios } from './scenarios.ts'
import type { Port } from './trap.ts'

/** What the loops found, each as the loop that found it. */
async function all(name: string, port: Port, kind: string, ending: Ending, to?: number): Promise<void> {
  const scenario = scenarios.find(each => each.name === name)
  if (scenario === undefined) throw new Error(`no scenario is called ${name}`)
  await enumerate(scenario, port, kind, { ending, ...(to === undefined ? {} : { to }) })
}

test('a conditional write that the provider has, and whose decision the journal refuses for want of space, is not said to be rejected (I2, I15)', () =>
  all('conditional puts', 'journal', 'full', 'goes on'))

test('a disk that fails for ever while the directory is opened is CORRUPT, and no error of the language (I47)', () =>
  all('replicate to both', 'disk', 'EIO for ever', 'goes on', 12))
