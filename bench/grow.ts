import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type AppendLog, openAppendLog } from './append-log.ts'
import { bareFiles } from './bare-files.ts'
import type { Contender } from './contract.ts'
import { plotGrowth } from './growth-plot.ts'
import { inTurn, manyAtATime, medianOf } from './measure.ts'
import { bodiesOf, type Puts, puts } from './paused.ts'

/**
 * `node --expose-gc bench/grow.ts`: what a durable put costs over the size of its body, drawn into docs/performance.svg beside the two things that it is made of, the append and the file.
 * Takes three minutes.
 */

const sizes = [10, 12, 14, 16, 18, 20, 22, 24].map(power => 2 ** power)
const rounds = 5
const names = { put: 'put', log: 'bare append log', file: 'hash + write + fdatasync' } as const
const out = join(import.meta.dirname, '..', 'docs', 'performance.svg')

const base = join(import.meta.dirname, '..', 'node_modules', '.bench')
mkdirSync(base, { recursive: true })
const work = mkdtempSync(join(base, 'grow-'))
process.on('exit', () => rmSync(work, { recursive: true, force: true, maxRetries: 5 }))
process.on('SIGINT', () => process.exit(130))

const found = { put: new Map<number, number>(), log: new Map<number, number>(), file: new Map<number, number>() }
for (const bytes of sizes) {
  const same = {
    // As many at a time as an app would have of such a size; as many in all as are 128 MiB, and no more than a second or so of small ones.
    atATime: Math.min(64, Math.max(4, 2 ** 24 / bytes)),
    count: Math.min(5_000, Math.max(16, 2 ** 27 / bytes)),
    body: bodiesOf(bytes),
  }
  const samples = await inTurn(
    [
      puts({ name: names.put, directory: join(work, 'store'), ...same }),
      appending({ name: names.log, directory: join(work, 'log'), ...same }),
      bareFiles({ name: names.file, directory: join(work, 'files'), ...same }),
    ],
    rounds,
    () => {},
  )
  for (const kind of ['put', 'log', 'file'] as const)
    found[kind].set(bytes, medianOf(samples.get(names[kind]) ?? []).opsPerSecond)
  const each = (['put', 'log', 'file'] as const).map(
    kind => `${names[kind]} ${Math.round(found[kind].get(bytes) ?? Number.NaN)}/s`,
  )
  process.stdout.write(`${bytes} bytes, ${same.atATime} in flight: ${each.join(', ')}\n`)
}
const growths = (['put', 'log', 'file'] as const).map(kind => ({
  name: names[kind],
  points: [...found[kind]].map(([bytes, perSecond]) => ({ bytes, perSecond })),
}))
writeFileSync(
  out,
  plotGrowth(growths, 'A durable put over the size of its body: 64 in flight, 16 of 1 MiB, 4 from 4 MiB on'),
)
process.stdout.write(`drawn in ${out}\n`)

function appending({ name, directory, count, atATime, body }: Puts): Contender {
  let log: AppendLog | undefined
  return {
    name,
    async before() {
      log = await openAppendLog(directory)
    },
    async round() {
      const open = log as AppendLog
      return { ops: count, latenciesMs: await manyAtATime(count, atATime, i => open.append(body(i))) }
    },
    async after() {
      await log?.close()
      await rm(directory)
    },
  }
}
