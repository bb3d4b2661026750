import { afterAll, test } from 'vitest'
import { type Ending, enumerate } from './loop.ts'
import { scenarios } from './scenarios.ts'
import { kinds, type Port } from './trap.ts'

export const ports = Object.keys(kinds) as readonly Port[]

export const says: Readonly<Record<Port, string>> = {
  disk: 'every call to the disk fails once, or from there on',
  journal: 'every change and look of the journal fails',
  provider: 'every call to a provider fails, hangs, breaks, or loses its answer',
  clock: 'every sleep fails, and the wall clock jumps at every look at it',
  signal: 'the caller leaves at every call of a port',
}

/** The invariants that every run is held to, and those that this port is about. */
export const about: Readonly<Record<Port, string>> = {
  disk: 'I1, I2, I3, I20, D2, D6, D11',
  journal: 'I1, I2, I3, I9, D4, P10',
  provider: 'I10, I13, I15, I18, I33',
  clock: 'I18, I33, I41, P12',
  signal: 'I3, I47, P16',
}

/** After a first call that fails, so many next ones, one at a time. Default 0: one call fails in a run. */
const pairs = Number(process.env['HOLDFAST_NTH_PAIRS'] ?? 0)

/** One test a scenario and port: N = 1, 2, 3 … of every kind, until nothing is left to fail. */
export function everyNth(ending: Ending): void {
  const table: string[] = []
  for (const scenario of scenarios)
    for (const port of ports)
      test(`${scenario.name}: ${says[port]}; the process ${ending}, and nothing that was promised is lost (${about[port]})`, async () => {
        const begun = performance.now()
        let runs = 0
        const calls: string[] = []
        for (const kind of kinds[port]) {
          const found = await enumerate(scenario, port, kind, { ending, pairs })
          runs += found.runs
          calls.push(`${kind} ${found.calls}`)
        }
        const seconds = ((performance.now() - begun) / 1000).toFixed(1)
        table.push(`${scenario.name} × ${port}: ${runs} runs in ${seconds} s; calls: ${calls.join(', ')}`)
      })
  afterAll(() => console.log(table.join('\n')))
}
