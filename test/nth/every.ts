import { randomInt } from 'node:crypto'
import { afterAll, test } from 'vitest'
import { type Ending, enumerate } from './loop.ts'
import { scenarios } from './scenarios.ts'
import { kinds, type Port } from './trap.ts'

const ports = Object.keys(kinds) as readonly Port[]

const says: Readonly<Record<Port, string>> = {
  disk: 'the Nth call to the disk fails once, or all from there on',
  journal: 'the Nth change or look of the journal fails',
  provider: 'the Nth call to a provider fails, hangs, breaks, or loses its answer',
  clock: 'the Nth sleep fails, or the wall clock jumps by a day at the Nth look at it',
  signal: 'the caller leaves at the Nth call of any port',
}

/** What every run is held to, and rows of the fault matrix that this port is about. */
const about: Readonly<Record<Port, string>> = {
  disk: 'I1, I2, I3, I20, D2, D6, D11',
  journal: 'I1, I2, I3, I9, D4, P10',
  provider: 'I10, I12, I13, I15, I18, I33',
  clock: 'I18, I33, I41, P12',
  signal: 'I3, I47, P16',
}

/** The same in every run, so that a change is judged by what it changes; `HOLDFAST_SEED=random` hunts, a number repeats. */
const given = process.env['HOLDFAST_SEED'] ?? '806491'
export const seed: number = given === 'random' ? randomInt(1_000_000) : Number(given)
/** Ns of one kind at most. `HOLDFAST_NTH_MOST=Infinity`: all of them, for half an hour. */
const most = Number(process.env['HOLDFAST_NTH_MOST'] ?? 1)
/** After a call that fails, so many next ones, one at a time. Default 0: one call fails in a run. */
const pairs = Number(process.env['HOLDFAST_NTH_PAIRS'] ?? 0)

/** One test a scenario and port: of every kind, N = 1, 2, 3 … until nothing is left to fail, or as many of them as there is time for. */
export function everyNth(ending: Ending): void {
  const table: string[] = []
  for (const scenario of scenarios)
    for (const port of ports)
      test(`${scenario.name}: ${says[port]}; the process ${ending}, and nothing that was promised is lost (${about[port]})`, async () => {
        const begun = performance.now()
        let runs = 0
        const calls: string[] = []
        for (const kind of kinds[port]) {
          const found = await enumerate(scenario, port, kind, { ending, most, seed, pairs })
          runs += found.runs
          calls.push(`${kind} ${found.calls}`)
        }
        const seconds = ((performance.now() - begun) / 1000).toFixed(1)
        table.push(`${scenario.name} × ${port}: ${runs} runs in ${seconds} s; calls: ${calls.join(', ')}`)
      })
  afterAll(() => console.log(`seed ${seed}: HOLDFAST_SEED=${seed} repeats it\n${table.join('\n')}`))
}
