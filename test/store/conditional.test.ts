import { expect, test } from 'vitest'
import type { HoldfastError } from '../../src/core/errors.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { type Faults, throttled } from '../../src/testing/faulty/rules.ts'
import { eventually, keysOf, testDirectory } from '../support/store.ts'

function pair() {
  const faults: Faults = {}
  const inner = memory({ name: 'a' })
  return { faults, inner, a: faulty(inner, faults), b: memory({ name: 'b' }) }
}

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

test('a condition on a write that is still on its way to the primary holds (I23)', async () => {
  await using directory = await testDirectory()
  const { faults, a, b } = pair()
  const store = await directory.open([a, b])
  for (let i = 0; i < 5; i++) {
    const first = await store.put(`k${i}`, 'one')
    await store.put(`k${i}`, 'two', { if: { version: first.version } })
    await store.delete(`k${i}`)
    await store.put(`k${i}`, 'three', { if: 'absent' })
  }
  faults.rules = [{ on: 'put', key: 'retried', times: 2, fault: throttled }]
  const first = await store.put('retried', 'one')
  await store.put('retried', 'two', { if: { version: first.version } })
}, 30_000)

test('a conditional write that surely did not happen is at no provider, however late it was given up', async () => {
  await using directory = await testDirectory()
  const { inner, a, b } = pair()
  const store = await directory.open([a, b], { ackTimeoutMs: 1 })
  await eventually(async () => (await store.status()).providers.every(({ state }) => state === 'up'))
  const rejected: string[] = []
  for (let i = 0; i < 150; i++) {
    await store.put(`k${i}`, 'body', { if: 'absent' }).catch((error: HoldfastError) => {
      if (error.outcome === 'rejected') rejected.push(`k${i}`)
    })
  }
  await pause(300)
  const there = new Set(await keysOf(inner))
  expect(rejected.filter(key => there.has(key))).toEqual([])
}, 30_000)
