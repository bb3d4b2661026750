import { describe, expect, test } from 'vitest'
import type { Status } from '../../src/holdfast/status.ts'
import { eventually } from '../support/store.ts'
import { bodies, drafts, large, log, names, poisoned, refusal, reopened, scene, small } from './faulted.ts'
import { storeProcess } from './process.ts'
import type { DiskFault } from './shim.ts'

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
