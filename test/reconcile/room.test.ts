import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { eventually, keysOf, testDirectory } from '../support/store.ts'

const isApps = (key: string) => !key.startsWith('.holdfast/')

test('a repair that waits for a provider that takes nothing says so, and goes on when it does (I33)', async () => {
  await using directory = await testDirectory()
  const faults: Faults = {}
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const store = await directory.open([a, faulty(b, faults)], { maxStageBytes: 40_000 })
  const keys = ['k1', 'k2', 'k3', 'k4']
  for (const key of ['k0', ...keys]) await store.put(key, Buffer.alloc(6_000))
  await store.drain({ until: 'verified' })
  await eventually(async () => (await store.status()).done === keys.length + 1)
  for (const key of keys) await b.delete(key, undefined, AbortSignal.timeout(5_000))

  faults.rules = [{ on: 'put', key: isApps, fault: { kind: 'fail', code: 'DENIED', reason: 'ACCOUNT' } }]
  // The room is 10,000 bytes: two of them do not fit.
  await expect(store.reconcile({ repair: true })).rejects.toMatchObject({
    code: 'BLOCKED',
    field: 'room',
    provider: 'b',
    reason: 'ACCOUNT',
  })
  expect((await store.status()).repairs.writes).toBe(1)

  faults.rules = []
  await eventually(async () => (await store.status()).repairs.writes === 0, 15_000)
  await store.reconcile({ repair: true })
  await store.drain()
  expect(await keysOf(b)).toEqual(['k0', ...keys])
}, 60_000)
