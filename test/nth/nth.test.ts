import { afterAll, expect, test } from 'vitest'
import { seed } from './every.ts'
import { type Ending, enumerate, once } from './loop.ts'
import { scenarios } from './scenarios.ts'
import { kinds, type Port } from './trap.ts'

/** A few Ns of each scenario; `*.long.test.ts` has more, of each port and kind. */
const kindsOfRun = 2
/** `scenario|port|kind|N[,N…]|ending`: this one run, with its story. Of several numbers all calls fail. */
const one = process.env['HOLDFAST_NTH']

const all = Object.entries(kinds).flatMap(([port, of]) => of.map(kind => ({ port: port as Port, kind })))
const table: string[] = []
afterAll(() => console.log(`seed ${seed}: HOLDFAST_SEED=${seed} repeats it\n${table.join('\n')}`))

if (one === undefined)
  for (const [index, scenario] of scenarios.entries())
    test(`${scenario.name}: whatever call to disk, journal, provider or clock fails, nothing that was promised is lost (I1, I2, I3, I9, I10, I12, I13, I18, I20, I33, I41, I47)`, async () => {
      for (let i = 0; i < kindsOfRun; i++) {
        const turn = seed + 5 * index + 7 * i
        const { port, kind } = all[turn % all.length] as (typeof all)[number]
        const ending: Ending = turn % 2 === 0 ? 'goes on' : 'dropped'
        const { runs } = await enumerate(scenario, port, kind, { ending, most: 1, seed: turn })
        table.push(`${scenario.name}: ${port}, ${kind}, ${ending}, ${runs} runs`)
      }
    }, 120_000)
else
  test(one, async () => {
    const [name, port, kind = '', numbers = '', ending] = one.split('|')
    const scenario = scenarios.find(each => each.name === name)
    if (scenario === undefined)
      throw new Error(`no scenario is called ${name}: ${scenarios.map(each => each.name).join(', ')}`)
    const at = numbers.split(',').map(Number)
    const { faults, story } = await once(scenario, { port: port as Port, kind, at }, ending as Ending)
    console.log(story.join('\n'))
    expect(faults).toEqual([])
  })
