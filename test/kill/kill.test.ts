import { type ChildProcess, fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { recognise } from '../../src/core/entry.ts'
import { unpackMetadata } from '../../src/core/attributes.ts'
import { markerAt } from '../../src/core/marker.ts'
import type { Provider } from '../../src/core/provider.ts'
import { checkDirectory } from '../support/directory.ts'
import { bodyFor } from './body.ts'
import { providersOf, startClouds } from '../support/clouds.ts'
import type { Report } from './writer.ts'

/** By hand more, in `.ci/run` 60 (`kill.long.test.ts`). */
const kills = Number(process.env['HOLDFAST_KILLS'] ?? 20)

/** What the parent was told: per key the newest write that was reported. */
interface Reported {
  readonly version: string
  readonly seed: string | undefined
  readonly size: number
}

test(
  `after ${kills} kills at random moments, one provider down half the time, every put that was reported is on both providers, byte for byte (I1, I10, I12, I13)`,
  async () => {
    const seed = process.env['HOLDFAST_SEED'] ?? randomBytes(4).toString('hex')
    console.log(`seed ${seed}: HOLDFAST_SEED=${seed} repeats the moments`)
    const random = generator(seed)
    const root = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-kill-'))
    const directory = join(root, 'store')
    await using started = await startClouds()
    const reported = new Map<string, Reported>()
    const failures: string[] = []
    const remember = (report: Report) => {
      if (report.type === 'failed') failures.push(report.message)
      if (report.type !== 'put' && report.type !== 'delete') return
      const known = reported.get(report.key)
      if (known !== undefined && known.version > report.version) return
      reported.set(report.key, {
        version: report.version,
        seed: report.type === 'put' ? report.seed : undefined,
        size: report.type === 'put' ? report.size : 0,
      })
    }

    for (let life = 0; life < kills; life++) {
      const isOneDown = random() < 0.5
      const down = random() < 0.5 ? started.s3 : started.gcs
      if (isOneDown) await down.fault({ fault: random() < 0.5 ? { kind: 'stall' } : { kind: 'reset' } })
      const child = start(directory, JSON.stringify(started.clouds), String(life), seed, remember)
      await child.ready
      await wait(50 + random() * 700)
      child.process.kill('SIGKILL')
      await child.ended
      if (isOneDown) await down.heal()
    }

    const last = start(directory, JSON.stringify(started.clouds), 'last', seed, remember)
    await last.ended
    expect(failures).toEqual([])
    expect(reported.size).toBeGreaterThan(kills)
    let lost = 0
    for (const provider of providersOf(started.clouds)) lost += await countLost(provider, reported)
    console.log(`${kills} kills, ${reported.size} keys reported, ${lost} lost`)
    expect(lost).toBe(0)
    await checkDirectory(directory, { orphans: 'allowed' })
    await rm(root, { recursive: true, force: true })
  },
  20 * 60_000,
)

/** Everything reported, compared at one provider: bytes, attributes, version. A newer write than the last that was reported may be there. */
async function countLost(provider: Provider, reported: ReadonlyMap<string, Reported>): Promise<number> {
  let lost = 0
  const check = async ([key, { version, seed, size }]: [string, Reported]) => {
    const answer = await provider.get({ key, range: undefined, token: undefined }, AbortSignal.timeout(30_000))
    const found = answer === undefined ? undefined : recognise(answer.object)
    const metadata = answer === undefined ? {} : unpackMetadata(answer.object.metadata)
    const chunks: Uint8Array[] = []
    if (answer !== undefined) for await (const chunk of answer.body) chunks.push(Uint8Array.from(chunk))
    const body = Buffer.concat(chunks)
    // A newer write may have been accepted by a process that was killed before it could say so: a put, or a delete and its marker.
    const marker = answer === undefined ? await markerAt(provider, key, AbortSignal.timeout(30_000)) : undefined
    const isNewer = (found?.version ?? marker?.version ?? '') > version
    const isWhole = () => found === undefined || body.equals(bodyFor(metadata['seed'] ?? '', body.byteLength))
    const isReported = () =>
      found?.version === version &&
      metadata['seed'] === seed &&
      answer?.object.headers.contentType === 'application/x-kill' &&
      body.equals(bodyFor(seed ?? '', size))
    const isRight = isNewer ? isWhole() : seed === undefined ? found === undefined : isReported()
    if (isRight) return
    lost++
    console.log(`lost at ${provider.name}: ${key}, reported ${version}, found ${found?.version ?? 'nothing'}`)
  }
  const entries = [...reported]
  while (entries.length > 0) await Promise.all(entries.splice(0, 16).map(check))
  return lost
}

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
