import { randomBytes } from 'node:crypto'
import { expect } from 'vitest'
import { type Batch, converge, type Outcome } from './runs.ts'

/**
 * Runs so many worlds one after the other, each from the seed after the last, and fails at the first in which something happened that must not,
 * with its story. The seeds are the same in every run, so that a change is judged by what it changes; `HOLDFAST_SEED` names another first one, `random` any,
 * `HOLDFAST_WORLDS` how many: for hunting.
 */
export async function prove(
  from: number,
  worlds: number,
  runs: number,
  more: Omit<Batch, 'seed' | 'runs'> = {},
): Promise<void> {
  const given = process.env['HOLDFAST_SEED']
  const first =
    given === 'random' ? randomBytes(3).readUIntBE(0, 3) : given === undefined ? from : Number.parseInt(given, 10)
  const count = Number(process.env['HOLDFAST_WORLDS'] ?? worlds)
  const begun = performance.now()
  const sum = { runs: 0, writes: 0, acked: 0, unknown: 0, refused: 0, reads: 0, requests: 0, drift: 0 }
  console.log(`seed ${first}: HOLDFAST_SEED=${first} repeats it`)
  for (let seed = first; seed < first + count; seed++) {
    const outcome = await converge({ seed, runs, ...more })
    if (outcome.faults.length > 0) console.log(told(seed, outcome))
    expect(outcome.faults, `HOLDFAST_SEED=${seed} HOLDFAST_WORLDS=1 repeats it`).toEqual([])
    sum.runs += runs
    for (const name of ['writes', 'acked', 'unknown', 'refused', 'reads', 'requests', 'drift'] as const)
      sum[name] += outcome[name]
  }
  const seconds = Math.round((performance.now() - begun) / 1000)
  console.log(
    `${sum.runs} runs in ${count} worlds, ${seconds} s: ${sum.writes} writes (${sum.acked} acknowledged, ${sum.refused} refused, ${sum.unknown} unknown), ${sum.reads} reads, ${sum.requests} requests, ${sum.drift} differences left to reconcile`,
  )
}

function told(seed: number, { description, faults, story }: Outcome): string {
  return [`seed ${seed}: ${description}`, ...faults.slice(0, 20), ...story].join('\n  ')
}
