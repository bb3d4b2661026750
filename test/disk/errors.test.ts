import { expect, test, vi } from 'vitest'
import type { Status } from '../../src/holdfast/status.ts'
import { large, log, poisoned, refusal, reopened, scene, small } from './faulted.ts'
import { storeProcess } from './process.ts'

// Processes and mounts: seconds where the machine has nothing else to do, many more where it has.
vi.setConfig({ testTimeout: 60_000 })

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
