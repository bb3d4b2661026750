import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually, testDirectory } from '../support/store.ts'

const isApps = (key: string) => !key.startsWith('.holdfast/')

test('an account that still answers reads and refuses every write is not asked again and again without a pause (I29)', async () => {
  await using directory = await testDirectory()
  const faults: Faults = {}
  const inner = memory({ name: 'b' })
  const store = await directory.open([memory({ name: 'a' }), faulty(inner, faults)])
  await eventually(async () => (await store.status()).providers.every(({ state }) => state === 'up'))
  faults.rules = [{ on: 'put', key: isApps, fault: { kind: 'fail', code: 'DENIED', reason: 'ACCOUNT' } }]
  faults.calls = []
  await store.put('k', 'v')
  await eventually(async () => (await store.status()).blocked.reasons.some(({ reason }) => reason === 'ACCOUNT'))
  await new Promise(resolve => setTimeout(resolve, 1500))
  expect(faults.calls.length).toBeLessThan(25)

  faults.rules = []
  // By itself: the next probe gets through.
  await eventually(async () => (await bodyAt(inner, 'k')) !== undefined, 15_000)
})
