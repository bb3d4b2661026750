import { randomInt } from 'node:crypto'
import { afterAll, expect, test } from 'vitest'
import { about, ports, says } from './every.ts'
import { type Ending, enumerate, once } from './loop.ts'
import { scenarios } from './scenarios.ts'
import { kinds, type Port } from './trap.ts'

/** A few Ns of each scenario and port; `*.long.test.ts` goes through them all. */
const every = Number(process.env['HOLDFAST_NTH_EVERY'] ?? 31)
const seed = Number(process.env['HOLDFAST_SEED'] ?? randomInt(1_000_000))
/** `scenario|port|kind|N[,N…]|ending`: this one run, with its story. Of several numbers all calls fail. */
const one = process.env['HOLDFAST_NTH']

const table: string[] = []
afterAll(() => console.log(`seed ${seed}: HOLDFAST_SEED=${seed} repeats it\n${table.join('\n')}`))

if (one === undefined)
  for (const [index, scenario] of scenarios.entries())
    for (const [place, port] of ports.entries())
      test(`${scenario.name}: ${says[port]}, here every ${every}th, and nothing that was promised is lost (${about[port]})`, async () => {
        const turn = seed + 7 * index + 3 * place
        const kind = kinds[port][turn % kinds[port].length] as string
        const ending: Ending = turn % 2 === 0 ? 'goes on' : 'dropped'
        const { runs } = await enumerate(scenario, port, kind, { ending, from: 1 + (turn % every), every })
        table.push(`${scenario.name} × ${port}: ${kind}, ${ending}, ${runs} runs`)
      })
else
  test(one, async () => {
    const [name, port, kind, numbers, ending] = one.split('|')
    const scenario = scenarios.find(each => each.name === name)
    if (scenario === undefined)
      throw new Error(`no scenario is called ${name}: ${scenarios.map(each => each.name).join(', ')}`)
    const at = (numbers ?? '').split(',').map(Number)
    const { faults, story } = await once(scenario, { port: port as Port, kind: kind ?? '', at }, ending as Ending)
    console.log(story.join('\n'))
    expect(faults).toEqual([])
  })
