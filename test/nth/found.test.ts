import { expect, test } from 'vitest'
import { type Ending, enumerate, once } from './loop.ts'
import { scenarios } from './scenarios.ts'
import type { Port } from './trap.ts'

/** What the loops found, each as the loop that found it. */
async function all(name: string, port: Port, kind: string, ending: Ending): Promise<void> {
  const scenario = scenarios.find(each => each.name === name)
  if (scenario === undefined) throw new Error(`no scenario is called ${name}`)
  await enumerate(scenario, port, kind, { ending })
}

test(
  'a conditional write that the provider has, and whose decision the journal refuses for want of space, is not said to be rejected (I2, I15)',
  () => all('conditional puts', 'journal', 'full', 'goes on'),
  120_000,
)

test('a disk on which nothing can be read nor closed any more is CORRUPT when the directory is opened, and no error of the language (I47)', async () => {
  const scenario = scenarios.find(each => each.name === 'replicate to both')
  if (scenario === undefined) throw new Error('no such scenario')
  for (const n of [8, 9, 10]) {
    const { faults } = await once(scenario, { port: 'disk', kind: 'EIO for ever', at: [n] }, 'goes on')
    expect(faults, `N=${n}`).toEqual([])
  }
}, 120_000)

test('an evacuation under which the directory is poisoned ends with an error, and does not wait for what will not come (I33, I47)', async () => {
  const scenario = scenarios.find(each => each.name === 'evacuate to a new mirror')
  if (scenario === undefined) throw new Error('no such scenario')
  const { faults } = await once(scenario, { port: 'journal', kind: 'poisoned', at: [5] }, 'dropped')
  expect(faults).toEqual([])
}, 120_000)
