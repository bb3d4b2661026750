import { type ChildProcess, fork } from 'node:child_process'
import { randomInt } from 'node:crypto'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { fs } from '../../src/providers/fs.ts'
import { s3 as amazon } from '../../src/providers/s3.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { seededRandom } from '../../src/testing/clock.ts'
import { place, type Running } from '../cli/run.ts'
import { bucket } from '../support/clouds.ts'
import { checkDirectory } from '../support/directory.ts'
import { eventually } from '../support/store.ts'
import { collectAll } from './collect.ts'
import { countLost, type Reported, remember } from './lost.ts'
import type { Report } from './writer.ts'

/** By hand 300. */
const kills = Number(process.env['HOLDFAST_KILLS'] ?? 60)
const writers = 3

test(
  `${writers} processes write to one directory, \`holdfast worker\` replicates, and ${kills} times one of the four is killed: every write that was reported is at both providers (P1, I1, I10, I12, I13, I20)`,
  async () => {
    const seed = Number(process.env['HOLDFAST_SEED'] ?? randomInt(2 ** 24))
    console.log(`seed ${seed}: HOLDFAST_SEED=${seed} repeats the moments`)
    const random = seededRandom(seed).number
    const s3 = await startLocalS3({ buckets: [bucket], process: 'own' })
    await using _ = { [Symbol.asyncDispose]: () => s3.stop() }
    const env = { AWS_ACCESS_KEY_ID: s3.credentials.id, AWS_SECRET_ACCESS_KEY: s3.credentials.secret }
    const primary = `s3:${bucket}?name=s3&region=us-east-1&forcePathStyle=true&endpoint=${s3.endpoint}`
    await using here = await place({ primary, holdMs: 300 })
    const secondary = `fs:${here.path}/b?name=b`
    const directory = join(here.path, 'store')
    const reported = new Map<string, Reported>()
    const failures: string[] = []
    const count = { writers: 0, workers: 0, reports: 0 }
    let lives = 0

    const startWriter = () => {
      const args = [directory, primary, secondary, String(lives++), String(seed)]
      const child = fork(new URL('./shared-child.ts', import.meta.url), args, {
        stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
        env: { ...process.env, ...env },
      })
      const writer = { child, reports: 0 }
      child.on('message', (report: Report) => {
        if (report.type === 'failed') failures.push(report.message)
        if (report.type === 'put' || report.type === 'delete') writer.reports++
        remember(reported, report)
      })
      child.on('exit', code => {
        if (code !== null) failures.push(`a writer ended by itself, with ${code}`)
      })
      return writer
    }
    const alive = Array.from({ length: writers }, startWriter)
    let worker: Running = here.start('worker', { env })
    for (let kill = 0; kill < kills; kill++) {
      // By what it did, not by time: a slow machine is to get as far as a fast one. But for some: at any moment, while they open, too.
      const isEarly = random() < 0.25
      const who = Math.floor(random() * (writers + 1))
      const writer = alive[who]
      if (isEarly) await wait(random() * 400)
      if (writer === undefined) {
        if (!isEarly) await worker.said('replicating')
        await wait(random() * 200)
        await killed(worker.child)
        worker = here.start('worker', { env })
        count.workers++
      } else {
        const least = isEarly ? 0 : 1 + Math.floor(random() * 30)
        await eventually(() => writer.reports >= least || failures.length > 0, 60_000)
        await killed(writer.child)
        count.reports += writer.reports
        count.writers++
        alive[who] = startWriter()
      }
    }
    await Promise.all(alive.map(({ child }) => killed(child)))
    await killed(worker.child)

    const drained = await here.run('drain --until verified', { env })
    expect(drained.code, drained.stderr).toBe(0)
    expect(failures).toEqual([])
    expect(reported.size).toBeGreaterThan(kills)
    const { endpoint, credentials } = s3
    const accessKey = { accessKeyId: credentials.id, secretAccessKey: credentials.secret }
    const options = { bucket, name: 's3', endpoint, region: 'us-east-1', forcePathStyle: true }
    let lost = 0
    for (const provider of [
      amazon({ ...options, credentials: accessKey }),
      fs({ root: join(here.path, 'b'), name: 'b' }),
    ])
      lost += await countLost(provider, reported)
    console.log(`${JSON.stringify(count)} kills and reports, ${reported.size} keys, ${lost} lost`)
    expect(lost).toBe(0)
    await collectAll(directory)
    expect(await readdir(join(directory, 'bodies'))).toEqual([])
    await checkDirectory(directory)
  },
  30 * 60_000,
)

async function killed(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise(resolve => child.once('exit', resolve))
  child.kill('SIGKILL')
  await ended
}
