import { type ChildProcess, fork } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'vitest'
import { makeVersion } from '../../src/core/version.ts'
import type { Provider } from '../../src/core/provider.ts'
import { openHoldfast } from '../../src/holdfast/open.ts'
import type { FillResult } from '../../src/reconcile/fill-types.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { putAt } from '../replicate/mending.ts'
import { checkDirectory } from '../support/directory.ts'
import type { Task, Told } from './evacuation-child.ts'
import { bodyOf, bucket, objectsOf, type Places, providersAt } from './evacuation-places.ts'

export interface Evacuation {
  readonly objects: number
  /** Of the objects that are there before, on average. */
  readonly meanBytes: number
  /** Requests to the survivor in a second. */
  readonly limit: number
  readonly on: 'directories' | 'servers'
}

/**
 * A primary is banned; an app goes on with 50 puts and gets a second on the other; the evacuation to a new provider runs in a process of its own, is killed
 * at a third and at two thirds, and goes on. In the end the two are compared, object by object.
 */
export async function evacuated({ objects, meanBytes, limit, on }: Evacuation): Promise<FillResult> {
  const root = await mkdtemp(join(process.env['HOLDFAST_TEST_DIR'] ?? tmpdir(), 'holdfast-evacuation-'))
  const directory = join(root, 'store')
  await using stack = new AsyncDisposableStack()
  stack.defer(() => rm(root, { recursive: true, force: true }))
  const places = await start(on, root, stack)
  const [banned, survivor, fresh] = providersAt(places)
  const given = objectsOf(objects, meanBytes)
  await preload(survivor, given)
  // The directory has history: the new provider is one that is not filled.
  {
    await using store = await openHoldfast({ directory, primary: banned, secondary: survivor, holdMs: 0 })
    await store.put('before', bodyOf('before', 3_000))
  }

  const app = child({ is: 'app', directory, places, objects, meanBytes }, stack)
  await app.told('open')
  const windows: number[][] = []
  let stalledMs = 0
  let result: FillResult | undefined
  for (const until of [objects / 3, (objects * 2) / 3, Number.POSITIVE_INFINITY]) {
    const run = child({ is: 'evacuation', directory, places, limit }, stack)
    const asked: number[] = []
    windows.push(asked)
    await run.until(told => {
      if (told.is === 'progress') {
        asked.push(...told.asked)
        stalledMs = Math.max(stalledMs, told.stalledMs)
      }
      if (told.is === 'done') result = told.result
      return told.is === 'done' || (told.is === 'progress' && told.objects >= until)
    })
    if (until === Number.POSITIVE_INFINITY) await run.end()
    else await run.kill()
  }
  app.say('end')
  const ended = await app.told('app')
  await app.end()

  expect(ended.failures).toEqual([])
  expect(ended.puts + ended.gets).toBeGreaterThan(50)
  const [here, there] = await Promise.all([md5sOf(survivor), md5sOf(fresh)])
  expect(there.size).toBeGreaterThan(objects)
  const differing = [...here].filter(([key, digest]) => there.get(key) !== digest).map(([key]) => key)
  expect(differing, 'keys that differ').toEqual([])
  expect(there.size).toBe(here.size)
  const wanted = new Map(given.map(({ key, size }) => [key, md5(bodyOf(key, size))]))
  wanted.set('before', md5(bodyOf('before', 3_000)))
  for (const [key, digest] of Object.entries(ended.last)) wanted.set(key, digest)
  expect([...wanted].filter(([key, digest]) => there.get(key) !== digest).map(([key]) => key)).toEqual([])

  // In any second no more than the limit, and what the pacer makes up for: a tenth of a second, and as long as the process itself stood still.
  const most = limit * (1 + 0.1 + stalledMs / 1_000) + 1
  for (const asked of windows) expect(mostInASecond(asked)).toBeLessThanOrEqual(most)
  // A body that was published and not committed when the process was killed is the collector's.
  await checkDirectory(directory, { orphans: 'allowed' })
  if (result === undefined) throw new Error('the evacuation never came to its end')
  return result
}

async function start(on: Evacuation['on'], root: string, stack: AsyncDisposableStack): Promise<Places> {
  if (on === 'directories') {
    for (const name of ['banned', 'survivor', 'fresh']) await mkdir(join(root, name))
    return { are: 'directories', root }
  }
  const own = { buckets: [bucket], process: 'own' as const }
  const [banned, survivor] = [stack.use(await startLocalS3(own)), stack.use(await startLocalS3(own))]
  const fresh = stack.use(await startLocalS3(own))
  await banned.fault({ fault: { kind: 'status', status: 403, code: 'AccountProblem' } })
  return {
    are: 'servers',
    banned: { endpoint: banned.endpoint, ...banned.credentials },
    survivor: { endpoint: survivor.endpoint, ...survivor.credentials },
    fresh: { endpoint: fresh.endpoint, ...fresh.credentials },
  }
}

/** Half of them written by Holdfast, half past it. */
async function preload(survivor: Provider, given: ReturnType<typeof objectsOf>): Promise<void> {
  const rest = given.entries()
  const worker = async (): Promise<void> => {
    for (const [n, { key, size }] of rest) {
      const version = n % 2 === 0 ? {} : { version: makeVersion(1_700_000_000_000 + n, 0, '00000000000000aa') }
      await putAt(survivor, key, bodyOf(key, size), version)
    }
  }
  await Promise.all(Array.from({ length: 16 }, worker))
}

function child(task: Task, stack: AsyncDisposableStack) {
  const process = fork(join(import.meta.dirname, 'evacuation-child.ts'), [JSON.stringify(task)])
  const ended = new Promise<void>(resolve => process.once('exit', () => resolve()))
  const kill = async (): Promise<void> => {
    process.kill('SIGKILL')
    await ended
  }
  stack.defer(kill)
  const until = (isLast: (told: Told) => boolean): Promise<Told> => listening(process, ended, isLast)
  return {
    /** Lets it end by itself. */
    async end() {
      process.disconnect()
      await ended
    },
    kill,
    until,
    say: (word: string) => process.send(word),
    told: async <Is extends Told['is']>(is: Is) =>
      (await until(told => told.is === is)) as Extract<Told, { readonly is: Is }>,
  }
}

function listening(process: ChildProcess, ended: Promise<void>, isLast: (told: Told) => boolean): Promise<Told> {
  return new Promise((resolve, reject) => {
    process.on('message', (told: Told) => {
      if (isLast(told)) resolve(told)
    })
    void ended.then(() => reject(new Error('the child ended too early')))
  })
}

/** The MD5 of every object, as the service has computed it of what it holds. */
async function md5sOf(provider: Provider): Promise<Map<string, string>> {
  const digests = new Map<string, string>()
  for await (const entry of provider.list({ prefix: '', delimiter: '', startAfter: '' }, AbortSignal.timeout(60_000))) {
    if (entry.type !== 'object' || entry.key.startsWith('.holdfast/')) continue
    digests.set(entry.key, entry.attested.md5 ?? entry.etag ?? (await digestOf(provider, entry.key)))
  }
  return digests
}

async function digestOf(provider: Provider, key: string): Promise<string> {
  const answer = await provider.get({ key, range: undefined, token: undefined }, AbortSignal.timeout(10_000))
  const hash = createHash('md5')
  for await (const chunk of answer?.body ?? []) hash.update(chunk)
  return hash.digest('hex')
}

function md5(bytes: Uint8Array): string {
  return createHash('md5').update(bytes).digest('hex')
}

function mostInASecond(times: readonly number[]): number {
  const sorted = times.toSorted((a, b) => a - b)
  let most = 0
  let from = 0
  for (const [index, at] of sorted.entries()) {
    while (at - (sorted[from] ?? at) >= 1_000) from++
    most = Math.max(most, index - from + 1)
  }
  return most
}
