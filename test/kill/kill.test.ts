import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { checkDirectory } from '../support/directory.ts'
import { providersOf, startClouds } from '../support/clouds.ts'
import { collectAll } from './collect.ts'
import { countLost, type Reported, remember } from './lost.ts'
import type { Report } from './writer.ts'

/** By hand more, in `.ci/run` 60 (`kill.long.test.ts`). */
const kills = Number(process.env['HOLDFAST_KILLS'] ?? 20)

test(
  `after ${kills} kills at random moments, one provider down half the time, every put that was reported is on both providers, byte for byte (P1, I1, I10, I12, I13, I20)`,
  async () => {
    const seed = process.env['HOLDFAST_SEED'] ?? randomBytes(4).toString('hex')
    console.log(`seed ${seed}: HOLDFAST_SEED=${seed} repeats the moments`)
    const random = generator(seed)
    const root = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-kill-'))
    const directory = join(root, 'store')
    await using started = await startClouds()
    const reported = new Map<string, Reported>()
    const failures: string[] = []
    const listen = (report: Report) => {
      if (report.type === 'failed') failures.push(report.message)
      remember(reported, report)
    }

    for (let life = 0; life < kills; life++) {
      const isOneDown = random() < 0.5
      const down = random() < 0.5 ? started.s3 : started.gcs
      if (isOneDown) await down.fault({ fault: random() < 0.5 ? { kind: 'stall' } : { kind: 'reset' } })
      const child = start(directory, JSON.stringify(started.clouds), String(life), seed, listen)
      await child.ready
      await wait(50 + random() * 700)
      child.process.kill('SIGKILL')
      await child.ended
      if (isOneDown) await down.heal()
    }

    const last = start(directory, JSON.stringify(started.clouds), 'last', seed, listen)
    await last.ended
    expect(failures).toEqual([])
    expect(reported.size).toBeGreaterThan(kills)
    let lost = 0
    for (const provider of providersOf(started.clouds)) lost += await countLost(provider, reported)
    console.log(`${kills} kills, ${reported.size} keys reported, ${lost} lost`)
    expect(lost).toBe(0)
    await collectAll(directory)
    expect(await readdir(join(directory, 'bodies')), 'what nobody refers to is collected (I20)').toEqual([])
    await checkDirectory(directory)
    await rm(root, { recursive: true, force: true })
  },
  20 * 60_000,
)

function start(directory: string, clouds: string, life: string, seed: string, remember: (report: Report) => void) {
  const child: ChildProcess = fork(new URL('./writer.ts', import.meta.url), [directory, clouds, life, seed], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const ended = new Promise<void>(resolve => {
    child.once('exit', () => resolve())
  })
  const ready = new Promise<void>(resolve => {
    child.on('message', (report: Report) => {
      remember(report)
      if (report.type === 'ready') resolve()
    })
    child.once('exit', () => resolve())
  })
  return { process: child, ready, ended }
}

/** Mulberry32 from the seed's text: the same moments for the same seed. */
function generator(seed: string): () => number {
  let state = Number.parseInt(seed.slice(0, 8), 16) >>> 0
  return () => {
    state = (state + 0x6d2b79f5) >>> 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
