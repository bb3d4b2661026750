import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { testDirectory } from '../support/store.ts'
import { differenceOf, generated, keyOf } from './generated.ts'

// A million, timed and killed, is in million.alone.long.test.ts.

test('50,000 keys a side: exactly what differs; left at the half and resumed, both together find it, none twice over', async () => {
  const shared = { count: 50_000, every: 500 }
  const planted: string[] = []
  for (let index = 0; index < shared.count; index++)
    if (differenceOf(index, shared.every) !== 'none') planted.push(keyOf(index))
  await using directory = await testDirectory()
  const store = await directory.open([
    generated(memory({ name: 'm1' }), { ...shared, side: 0, flavour: 's3' }),
    generated(memory({ name: 'm2' }), { ...shared, side: 1, flavour: 'gcs' }),
  ])
  const found: string[] = []
  const half = keyOf(shared.count / 2)
  const first = store.reconcile({ maxRequestsPerSecond: 100_000 })
  for await (const { key } of first) {
    found.push(key)
    if (key > half) break
  }
  const second = store.reconcile({ resume: true, maxRequestsPerSecond: 100_000 })
  for await (const { key } of second) found.push(key)
  expect([...new Set(found)]).toEqual(planted)
  // The one at which it was left was not taken: the loop did not come back for more.
  expect(found.length).toBe(planted.length + 1)
  const { compared, missing, foreign, different, unknown } = await second
  expect(compared).toBeLessThan(26_000)
  expect({ unknown, differences: missing + foreign + different }).toEqual({
    unknown: 0,
    differences: planted.length / 2,
  })
})
