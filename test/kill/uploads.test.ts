import { fork } from 'node:child_process'
import { createHash, randomBytes } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { recognise } from '../../src/core/entry.ts'
import type { Provider } from '../../src/core/provider.ts'
import { providersOf, startClouds } from '../support/clouds.ts'
import { checkDirectory } from '../support/directory.ts'
import { collectAll } from './collect.ts'
import { partOf, partSizes, type Report } from './uploads-writer.ts'

const kills = Math.ceil(Number(process.env['HOLDFAST_KILLS'] ?? 20) / 4)

/** What the parent was told of one upload. */
interface Told {
  readonly key: string
  readonly parts: Map<number, string>
  /** 'ending': it was about to be completed or aborted. */
  state: 'open' | 'ending' | 'aborted' | 'completed'
  etag?: string
  version?: string
}

test(
  `after ${kills} kills at random moments, every part that was reported is there or in its object, and every object that was reported is whole at both providers (P1, I1, I10, I20)`,
  async () => {
    const seed = process.env['HOLDFAST_SEED'] ?? randomBytes(4).toString('hex')
    console.log(`seed ${seed}: HOLDFAST_SEED=${seed} repeats the moments`)
    const moments = createMoments(seed)
    const root = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-kill-'))
    const directory = join(root, 'store')
    await using started = await startClouds()
    const uploads = new Map<string, Told>()
    const wrong: string[] = []
    let reportedParts = 0
    const remember = (report: Report, found: Set<string>) => {
      switch (report.type) {
        case 'begun':
          uploads.set(report.id, { key: report.key, parts: new Map(), state: 'open' })
          return
        case 'part':
          reportedParts++
          uploads.get(report.id)?.parts.set(report.number, report.etag)
          return
        case 'ending':
        case 'aborted':
        case 'completed': {
          const told = uploads.get(report.id)
          if (told === undefined) return
          told.state = report.type
          if (report.type === 'completed') Object.assign(told, { etag: report.etag, version: report.version })
          return
        }
        case 'found':
          found.add(report.id)
          wrong.push(...misses(uploads.get(report.id), report.parts))
          return
        case 'failed':
          wrong.push(report.message)
          return
        case 'ready':
          // Created, and killed before it could be said: the next life finds what nobody knows.
          for (const [id, { state, key }] of uploads)
            if (state === 'open' && !found.has(id)) wrong.push(`the upload ${id} of ${key} is gone`)
          return
        case 'drained':
      }
    }

    for (let life = 0; life < kills; life++) {
      const child = start(directory, JSON.stringify(started.clouds), String(life), seed, remember)
      await child.ready
      // By what it did, not by time: a slow machine is to get as far as a fast one. Then anywhere within a step.
      await child.reported(1 + Math.floor(moments() * 80))
      await wait(moments() * 30)
      child.process.kill('SIGKILL')
      await child.ended
    }
    const last = start(directory, JSON.stringify(started.clouds), 'last', seed, remember)
    await last.ended
    expect(wrong).toEqual([])
    const completed = [...uploads.values()].filter(({ state }) => state === 'completed')
    expect(completed.length).toBeGreaterThan(kills / 3)
    let lost = 0
    for (const provider of providersOf(started.clouds)) lost += await countLost(provider, completed)
    console.log(`${kills} kills, ${reportedParts} parts and ${completed.length} objects reported, ${lost} lost`)
    expect(lost).toBe(0)
    await collectAll(directory)
    expect(await readdir(join(directory, 'bodies'))).toEqual([])
    await checkDirectory(directory)
    await rm(root, { recursive: true, force: true })
  },
  10 * 60_000,
)

/** Parts that were reported and are not there, or not as they were reported. All of a number have the same bytes. */
function misses(told: Told | undefined, found: Readonly<Record<number, string>>): string[] {
  if (told === undefined) return []
  if (told.state === 'aborted' || told.state === 'completed') return [`the ${told.state} upload of ${told.key} is open`]
  return [...told.parts]
    .filter(([number, etag]) => found[number] !== etag)
    .map(([number]) => `part ${number} of ${told.key} is gone`)
}

/** Every object compared at one provider: bytes, and the ETag that was told. Another upload of the same key may be newer. */
async function countLost(provider: Provider, completed: readonly Told[]): Promise<number> {
  let lost = 0
  for (const { key, etag, version = '' } of completed) {
    const answer = await provider.get({ key, range: undefined, token: undefined }, AbortSignal.timeout(30_000))
    const chunks: Uint8Array[] = []
    if (answer !== undefined) for await (const chunk of answer.body) chunks.push(Uint8Array.from(chunk))
    const whole = Buffer.concat(partSizes.map((_, index) => partOf(key, index + 1)))
    const found = answer === undefined ? undefined : recognise(answer.object)
    const isRight =
      found?.whose === 'ours' &&
      found.version >= version &&
      found.entry.etag === etag &&
      etag === etagFor(key) &&
      Buffer.concat(chunks).equals(whole)
    if (isRight) continue
    lost++
    console.log(`lost at ${provider.name}: ${key}, reported ${version}, found ${found?.version ?? 'nothing'}`)
  }
  return lost
}

function etagFor(key: string): string {
  const md5s = partSizes.map((_, index) =>
    createHash('md5')
      .update(partOf(key, index + 1))
      .digest(),
  )
  return `${createHash('md5').update(Buffer.concat(md5s)).digest('hex')}-${partSizes.length}`
}

function start(
  directory: string,
  clouds: string,
  life: string,
  seed: string,
  remember: (report: Report, found: Set<string>) => void,
) {
  const found = new Set<string>()
  const child = fork(new URL('./uploads-writer.ts', import.meta.url), [directory, clouds, life, seed], {
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
  })
  const ended = new Promise<void>(resolve => {
    child.once('exit', () => resolve())
  })
  let count = 0
  const ready = new Promise<void>(resolve => {
    child.on('message', (report: Report) => {
      count++
      remember(report, found)
      if (report.type === 'ready') resolve()
    })
    child.once('exit', () => resolve())
  })
  /** Resolves when it has told so many things, or has ended. */
  const reported = async (more: number): Promise<void> => {
    const until = count + more
    while (count < until && child.exitCode === null && child.signalCode === null) await wait(1)
  }
  return { process: child, ready, reported, ended }
}

/** Numbers from 0 to 1, the same for the same seed. */
function createMoments(seed: string): () => number {
  let n = 0
  return () => createHash('sha256').update(`${seed}-${n++}`).digest().readUInt32BE() / 2 ** 32
}
