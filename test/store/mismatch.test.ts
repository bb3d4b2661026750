import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { type Faults, throttled } from '../../src/testing/faulty/rules.ts'
import { eventually, testDirectory } from '../support/store.ts'

function pair() {
  const faults: Faults = {}
  const inner = memory({ name: 'a' })
  return { faults, a: faulty(inner, faults), b: memory({ name: 'b' }) }
}

test('a provider that acknowledges and loses again and again is sent a copy four times, then it is blocked as MISMATCH (P8)', async () => {
  await using directory = await testDirectory()
  const { faults, a, b } = pair()
  const store = await directory.open([a, b])
  faults.rules = [{ on: 'put', key: 'k', fault: { kind: 'lie' } }]
  faults.calls = []
  await store.put('k', 'body')
  await eventually(async () => (await store.status()).blocked.writes === 1)
  expect((await store.status()).blocked.reasons).toEqual([{ provider: 'a', reason: 'MISMATCH', writes: 1 }])
  expect(faults.calls.filter(({ operation, key }) => operation === 'put' && key === 'k').length).toBe(4)
})

test('a copy that was lost once is sent again, however often the network failed before', async () => {
  await using directory = await testDirectory()
  const { faults, a, b } = pair()
  const store = await directory.open([a, b])
  faults.rules = [
    { on: 'put', key: 'k', times: 4, fault: throttled },
    { on: 'put', key: 'k', times: 1, fault: { kind: 'lie' } },
  ]
  const receipt = await store.put('k', 'body')
  await receipt.replicated({ until: 'verified' })
}, 30_000)
