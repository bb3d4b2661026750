import { expect, test } from 'vitest'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { prove } from './prove.ts'
import { converge } from './runs.ts'

test('300 random runs of three nodes on providers that fail, delay, repeat and lose answers: all end equal, newest first (I10, I12, I13, I15, I23, I25)', async () => {
  await prove(3_000_000, 1, 300, { calls: 5 })
}, 120_000)

test('the same runs tell when a provider takes no notice of conditions, and nobody looks a second time', async () => {
  const { faults } = await converge({ seed: 1, runs: 20, holdMs: 0, weakness: [], broken: unconditional })
  expect(faults.length).toBeGreaterThan(0)
}, 60_000)

/** Says that it keeps conditions, and does not. */
function unconditional(inner: Provider): Provider {
  return {
    ...inner,
    put: (request, signal) => inner.put({ ...request, condition: undefined, upload: noMemo }, signal),
    delete: (key, _token, signal) => inner.delete(key, undefined, signal),
  }
}
