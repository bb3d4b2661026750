import { join } from 'node:path'
import { describe, expect, test, type TestContext } from 'vitest'
import type { Status } from '../../src/holdfast/status.ts'
import { checkDirectory } from '../support/directory.ts'
import { eventually } from '../support/store.ts'
import { scratch } from './place.ts'
import { type StoreProcess, storeProcess } from './process.ts'
import { type DiskFault, type Shim, shim } from './shim.ts'

// A real process, real SQLite, a real disk; a shim between them lets single calls fail.

interface Scene {
  readonly directory: string
  readonly disk: Shim
  readonly app: StoreProcess
  put(key: string, size?: number): Promise<string>
  /** `key` names its own body. */
  size(key: string): Promise<unknown>
  status(): Promise<Status>
}

const small = 100
const large = 60_000
/** Files, by a part of their path. */
const [drafts, names, log, bodies] = ['/store/drafts/', '/store/bodies', '/journal.sqlite-wal', '/store/bodies/']

async function scene(context: TestContext, run: 'here' | 'external' = 'external'): Promise<Scene> {
  const root = await scratch()
  const disk = shim(context, root)
  const directory = join(root, 'store')
  const app = await storeProcess(directory, { store: { replication: { run } } }, disk.env)
  await app.order({ do: 'open' })
  return {
    directory,
    disk,
    app,
    put: (key, size = small) => app.order({ do: 'put', key, seed: key, size }),
    size: key => app.order({ do: 'get', key, seed: key }),
    status: () => app.order<Status>({ do: 'status' }),
  }
}

async function reopened({ app, disk, directory }: Scene): Promise<void> {
  disk.clear()
  await app.order({ do: 'close' })
  await checkDirectory(directory, { orphans: 'allowed' })
  await app.order({ do: 'open' })
}

/** A put that meets the fault; what it says. */
function refusal({ app, disk }: Scene, fault: DiskFault, size: number) {
  disk.set(fault)
  return app.failed({ do: 'put', key: 'refused', seed: 'refused', size })
}

const poisoned = { code: 'CORRUPT', field: 'directory', rule: 'poisoned', retryable: false }

describe('a sync that fails ends this opening, and is not tried again', () => {
  const cases: readonly [string, DiskFault, number, object][] = [
    ['of a body (D2)', { on: ['syncs'], path: drafts, count: 1 }, large, { ...poisoned, outcome: 'rejected' }],
    ['of a name (D3)', { on: ['syncs'], path: names, count: 1 }, large, { ...poisoned, outcome: 'rejected' }],
    ['of the journal (D4, J3)', { on: ['syncs'], path: log, count: 1 }, small, { ...poisoned, outcome: 'unknown' }],
    [
      'of the journal, for want of space (D6, J3)',
      { on: ['syncs'], path: log, code: 'ENOSPC', count: 1 },
      small,
      { ...poisoned, outcome: 'unknown' },
    ],
  ]
  test.for(cases)('%s (I2, I4)', async ([, fault, size, expected], context) => {
    const here = await scene(context)
    await here.put('before', size)
    expect(await refusal(here, fault, size)).toMatchObject(expected)
    const { seen, hit } = here.disk.clear()
    expect({ seen, hit }).toEqual({ seen: 1, hit: 1 })
    // The disk is well again, and nobody believes it.
    here.disk.set({ on: ['syncs'], path: '/store/', mode: 'delay' })
    for (const more of [small, large])
      expect(await here.app.failed({ do: 'put', key: 'later', seed: 'later', size: more })).toMatchObject(poisoned)
    expect(await here.app.failed({ do: 'delete', key: 'before' })).toMatchObject(poisoned)
    expect(here.disk.clear().seen).toBe(0)
    expect((await here.status()).stage.journal).toBe('poisoned')
    expect(await here.size('before')).toBe(size)
    await reopened(here)
    expect(await here.size('before')).toBe(size)
    expect(await here.size('later')).toBe('nothing')
    expect([size, 'nothing']).toContain(await here.size('refused'))
    await here.put('after', size)
    expect(here.app.said).toEqual([])
  })
})

test('a commit that is said to have failed and is durable is found whole after a kill, and counted once (J4, I3)', async context => {
  const here = await scene(context)
  const fault = { on: ['syncs'], path: log, mode: 'do, then fail', count: 1 } as const
  expect(await refusal(here, fault, small)).toMatchObject({ ...poisoned, outcome: 'unknown' })
  here.app.process.kill('SIGKILL')
  await here.app.ended
  const app = await storeProcess(here.directory, { store: { replication: { run: 'external' } } })
  await app.order({ do: 'open' })
  expect(await app.order({ do: 'get', key: 'refused', seed: 'refused' })).toBe(small)
  expect((await app.order<Status>({ do: 'status' })).accepted).toBe(1)
  await app.order({ do: 'put', key: 'refused', seed: 'refused', size: large })
  expect(await app.order({ do: 'get', key: 'refused', seed: 'refused' })).toBe(large)
  expect((await app.order<Status>({ do: 'status' })).accepted).toBe(2)
})

test('a journal without room refuses puts and nothing else: what makes room goes on, on the reserve (D6, J3, I2, I31)', async context => {
  const here = await scene(context)
  await here.put('k', large)
  for (let round = 0; round < 2; round++) {
    const fault = { on: ['writes'], path: log, code: 'ENOSPC' } as const
    expect(await refusal(here, fault, small)).toMatchObject({ code: 'NO_SPACE', outcome: 'rejected', retryable: true })
    here.disk.set({ ...fault, count: 1 })
    await here.app.order({ do: 'delete', key: 'k' })
    here.disk.clear()
    expect(await here.size('k')).toBe('nothing')
    await here.put('k', large)
    expect((await here.status()).stage.journal).toBe('open')
    if (round === 0) await reopened(here)
  }
  expect(await here.size('refused')).toBe('nothing')
  expect((await here.status()).accepted).toBe(5)
})

test('writes that take only a part, and say so to nobody, lose nothing (D6, I1)', async context => {
  const here = await scene(context)
  here.disk.set({ on: ['writes'], path: '/store/', mode: 'short' })
  for (const size of [0, small, 16_384, large, 700_000]) await here.put(`k${size}`, size)
  expect(here.disk.clear().hit).toBeGreaterThan(20)
  await reopened(here)
  for (const size of [0, small, 16_384, large, 700_000]) expect(await here.size(`k${size}`)).toBe(size)
})

test('a body that cannot be read is neither served nor sent, and blocks itself alone; once it can be read it goes on (D10, I7, I30)', async context => {
  const here = await scene(context)
  await here.put('file', large)
  await here.put('row')
  await here.app.order({ do: 'close' })
  here.app.process.disconnect()
  await here.app.ended
  const app = await storeProcess(here.directory, {}, here.disk.env)
  here.disk.set({ on: ['reads'], path: bodies })
  await app.order({ do: 'open' })
  const status = () => app.order<Status>({ do: 'status' })
  await eventually(async () => (await status()).blocked.writes === 1)
  expect((await status()).blocked.reasons.map(({ reason }) => reason)).toEqual(['LOCAL_CORRUPT', 'LOCAL_CORRUPT'])
  expect(await app.failed({ do: 'get', key: 'file', seed: 'file' })).toMatchObject({ code: 'CORRUPT' })
  expect(await app.order({ do: 'get', key: 'row', seed: 'row' })).toBe(small)
  expect(here.disk.clear().hit).toBeGreaterThan(0)
  await app.order({ do: 'close' })
  await app.order({ do: 'open' })
  await eventually(async () => (await status()).blocked.writes === 0)
  await app.order({ do: 'drain' })
  expect(await app.order({ do: 'get', key: 'file', seed: 'file' })).toBe(large)
  expect(app.said).toEqual([])
})

test('a slow disk holds up the puts that wait for it, and not the process (D13, I31)', async context => {
  const here = await scene(context)
  await here.put('k')
  await here.app.order({ do: 'lag' })
  here.disk.set({ on: ['syncs'], path: '/store/', mode: 'delay', delayMs: 500 })
  const began = performance.now()
  const puts = Promise.all([here.put('small'), here.put('large', large)])
  for (let reads = 0; reads < 5; reads++) expect(await here.size('k')).toBe(small)
  const readMs = performance.now() - began
  await puts
  expect(performance.now() - began).toBeGreaterThan(500)
  expect(readMs).toBeLessThan(500)
  expect(await here.app.order<number>({ do: 'lag' })).toBeLessThan(400)
  expect([await here.size('small'), await here.size('large')]).toEqual([small, large])
})
