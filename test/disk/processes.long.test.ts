import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { openHoldfast } from '../../src/holdfast/open.ts'
import type { Status } from '../../src/holdfast/status.ts'
import { bodyFor } from '../kill/body.ts'
import { checkDirectory } from '../support/directory.ts'
import { bodyAt, eventually } from '../support/store.ts'
import { twoPlaces } from '../converge/shared-child.ts'
import { expectServed, type Promised, twoClouds } from './acked.ts'
import { run, scratch } from './place.ts'
import { type Failed, type StoreProcess, storeProcess } from './process.ts'

// What happens to a process: signals, an end in the middle, limits, a pause.

const large = 60_000
/** What it accepts stays in its directory: its clouds end with it. */
const keeping = { store: { replication: { run: 'external' } } } as const

/** Puts that nobody waits for; what was acknowledged of them when the process is over. */
function traffic(app: StoreProcess, count: number): { readonly promised: Promised; readonly failed: Failed[] } {
  const promised: Promised = new Map()
  const failed: Failed[] = []
  for (let n = 0; n < count; n++) {
    const key = `k/${n}`
    const size = n % 3 === 0 ? large : 100
    app.order({ do: 'put', key, seed: key, size }).then(
      () => promised.set(key, size),
      (error: Failed) => failed.push(error),
    )
  }
  return { promised, failed }
}

async function expectAllThere(directory: string, promised: Promised): Promise<void> {
  const [primary, secondary] = twoClouds().providers
  const store = await openHoldfast({ directory, primary, secondary, holdMs: 0, replication: { run: 'external' } })
  onTestFinished(() => store.close())
  await expectServed(store, promised)
  await store.close()
  await checkDirectory(directory, { orphans: 'allowed' })
}

describe('a process that ends in the middle of its puts', () => {
  const ends: Readonly<
    Record<string, { end(app: StoreProcess): void; readonly code: readonly [number | null, string | null] }>
  > = {
    'by SIGTERM, which the library leaves to the app (P3)': {
      end: app => void app.process.kill('SIGTERM'),
      code: [null, 'SIGTERM'],
    },
    'by SIGINT (P3)': { end: app => void app.process.kill('SIGINT'), code: [null, 'SIGINT'] },
    'by process.exit of the app, whose code stays (P4)': {
      end: app => void app.order({ do: 'exit' }).catch(() => {}),
      code: [3, null],
    },
    'by an error that the app does not catch (P4)': {
      end: app => void app.order({ do: 'throw' }).catch(() => {}),
      code: [1, null],
    },
  }
  for (const [how, { end, code }] of Object.entries(ends))
    test(`${how}, keeps what it acknowledged (I1, I3, I47)`, async () => {
      const directory = join(await scratch(), 'store')
      const app = await storeProcess(directory, keeping)
      await app.order({ do: 'open' })
      const { promised } = traffic(app, 150)
      await eventually(() => promised.size >= 20)
      end(app)
      expect(await app.ended).toEqual(code)
      expect(app.said.filter(line => !line.includes('the app fails'))).toEqual([])
      await expectAllThere(directory, promised)
    })

  test('by close, settles every put that is under way, takes no more, and ends by itself (P3, I1, I2)', async () => {
    const directory = join(await scratch(), 'store')
    const app = await storeProcess(directory, keeping)
    await app.order({ do: 'open' })
    const { promised, failed } = traffic(app, 150)
    await eventually(() => promised.size >= 20)
    await app.order({ do: 'close' })
    expect(await app.failed({ do: 'put', key: 'late', seed: 'late', size: 1 })).toMatchObject({ code: 'CLOSED' })
    expect(promised.size + failed.length).toBe(150)
    for (const error of failed) expect(error).toMatchObject({ code: 'CLOSED' })
    expect(app.said).toEqual([])
    app.process.disconnect()
    await app.ended
    await expectAllThere(directory, promised)
  })
})

test('a process without file descriptors refuses, loses nothing, poisons nothing, and goes on when it has some (D11, I2, I31)', async context => {
  if (process.platform !== 'linux') {
    process.stdout.write(`SKIPPED: ${context.task.name}: prlimit is of Linux\n`)
    return context.skip('prlimit is of Linux')
  }
  const directory = join(await scratch(), 'store')
  const app = await storeProcess(directory)
  await app.order({ do: 'open' })
  const limit = (files: number) => run('prlimit', ['--pid', String(app.process.pid), `--nofile=${files}:4096`])
  await limit(4096)
  const promised: Promised = new Map()
  const put = async (prefix: string, count: number, size: number): Promise<string[]> => {
    const { taken, failed } = await app.order<{ taken: string[]; failed: string[] }>({
      do: 'puts',
      prefix,
      count,
      size,
    })
    for (const key of taken) promised.set(key, size)
    return failed
  }
  await put('before/', 20, large)
  // Less than it has open: no call that needs one more can get it.
  await limit(10)
  const refused = await put('without/', 20, large)
  expect(refused.length).toBe(20)
  expect(new Set(refused)).toEqual(new Set(['UNAVAILABLE']))
  // Bodies in rows need none.
  expect(await put('rows/', 20, 100)).toEqual([])
  expect(await app.order({ do: 'get', key: 'rows/1', seed: 'rows/1' })).toBe(100)
  expect((await app.order<Status>({ do: 'status' })).stage.journal).toBe('open')
  await limit(4096)
  expect(await put('after/', 20, large)).toEqual([])
  await app.order({ do: 'drain' })
  for (const [key, size] of promised) expect(await app.order({ do: 'get', key, seed: key })).toBe(size)
  expect(app.said).toEqual([])
  await app.order({ do: 'close' })
  await checkDirectory(directory, { orphans: 'allowed' })
})

test('a limit on the size of files refuses the bodies that are longer, and nothing else (D6, I2)', async context => {
  if (process.platform !== 'linux') {
    process.stdout.write(`SKIPPED: ${context.task.name}: prlimit is of Linux\n`)
    return context.skip('prlimit is of Linux')
  }
  const directory = join(await scratch(), 'store')
  const app = await storeProcess(directory)
  await app.order({ do: 'open' })
  const put = (key: string, size: number) => app.order({ do: 'put', key, seed: key, size })
  await run('prlimit', ['--pid', String(app.process.pid), '--fsize=6000000:unlimited'])
  expect(await app.failed({ do: 'put', key: 'long', seed: 'long', size: 7_000_000 })).toMatchObject({
    code: 'NO_SPACE',
    outcome: 'rejected',
    retryable: false,
  })
  await put('short', 1_000_000)
  await put('row', 10)
  await run('prlimit', ['--pid', String(app.process.pid), '--fsize=unlimited:unlimited'])
  await put('long', 7_000_000)
  await app.order({ do: 'drain' })
  expect(await app.order({ do: 'get', key: 'long', seed: 'long' })).toBe(7_000_000)
  await app.order({ do: 'close' })
  await checkDirectory(directory)
})

test('while the process that replicates is stopped, others of its directory accept and read; when it goes on it goes on, and when it dies another one does its work (P7, P11, I1, I38)', async () => {
  const root = await scratch()
  const directory = join(root, 'store')
  for (const name of ['a', 'b']) mkdirSync(join(root, name))
  const { primary, secondary } = twoPlaces(root)
  const first = await storeProcess(directory, { places: root })
  await first.order({ do: 'open' })
  await first.order({ do: 'put', key: 'before', seed: 'before', size: large })
  await first.order({ do: 'drain' })
  // Begun by a process that has the directory open too: what a child inherits is neither its locks nor its place.
  const other = await openHoldfast({ directory, primary, secondary, holdMs: 0 })
  onTestFinished(() => other.close())
  const bystander = await storeProcess(directory, { places: root, store: { replication: { run: 'external' } } })
  await bystander.order({ do: 'open' })
  bystander.process.kill('SIGKILL')
  await bystander.ended

  first.process.kill('SIGSTOP')
  await other.put('meanwhile', bodyFor('meanwhile', large))
  await other.put('before', 'newer')
  expect(await (await other.get('before'))?.text()).toBe('newer')
  await new Promise(resolve => setTimeout(resolve, 300))
  expect((await other.status()).pending.writes).toBe(2)
  expect(await bodyAt(primary, 'meanwhile')).toBeUndefined()
  first.process.kill('SIGCONT')
  await other.drain({ until: 'verified' })
  expect(String(await bodyAt(secondary, 'before'))).toBe('newer')

  first.process.kill('SIGSTOP')
  await other.put('before', 'newest')
  await other.put('later', bodyFor('later', large))
  first.process.kill('SIGKILL')
  await first.ended
  await other.drain({ until: 'verified', signal: AbortSignal.timeout(20_000) })
  for (const provider of [primary, secondary]) {
    expect(String(await bodyAt(provider, 'before'))).toBe('newest')
    expect((await bodyAt(provider, 'later'))?.equals(bodyFor('later', large))).toBe(true)
  }
  expect(first.said).toEqual([])
  await other.close()
  await checkDirectory(directory, { orphans: 'allowed' })
}, 60_000)

test('a process whose own thread was held up for longer than it waits for others goes on as before: nothing failed meanwhile (P6, I41)', async () => {
  const root = await scratch()
  const directory = join(root, 'store')
  for (const name of ['a', 'b']) mkdirSync(join(root, name))
  const app = await storeProcess(directory, { places: root, store: { ack: 'all', ackTimeoutMs: 1_000 } })
  await app.order({ do: 'open' })
  const puts = [0, 1, 2].map(n => app.order({ do: 'put', key: `k${n}`, seed: `k${n}`, size: large }))
  const blocked = app.order({ do: 'block', ms: 1_500 })
  await blocked
  await Promise.all(puts)
  const { providers, blocked: stuck } = await app.order<Status>({ do: 'status' })
  expect(providers.map(({ state }) => state)).toEqual(['up', 'up'])
  expect(stuck.writes).toBe(0)
  await app.order({ do: 'drain' })
  expect(app.said).toEqual([])
  await app.order({ do: 'close' })
  await checkDirectory(directory)
})
