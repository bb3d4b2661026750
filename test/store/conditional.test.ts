import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { accountClosed, type Faults, throttled } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'

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

for (const [name, second] of [
  ['throttled', throttled],
  ['forbidden', { kind: 'fail', code: 'DENIED', reason: 'FORBIDDEN' }],
  ['refused', { kind: 'fail', code: 'INVALID', reason: 'REFUSED' }],
  ['blocked', accountClosed],
] as const) {
  test(`a conditional write that may have been applied is not said to be rejected by a later try, ${name}, and is mirrored (I15)`, async () => {
    await using directory = await testDirectory()
    const { faults, inner, a, b } = pair()
    const store = await directory.open([a, b], { ackTimeoutMs: 1_500 })
    faults.rules = [
      { on: 'put', key: 'k', times: 1, fault: { kind: 'late', ms: 700 } },
      { on: 'put', key: 'k', times: 1, fault: second },
    ]
    const failed = await store.put('k', 'body', { if: 'absent' }).catch((error: unknown) => error)
    if (failed instanceof HoldfastError) expect(failed).toMatchObject({ code: 'UNAVAILABLE', outcome: 'unknown' })
    await eventually(async () => (await bodyAt(b, 'k'))?.toString() === 'body', 15_000)
    expect((await bodyAt(inner, 'k'))?.toString()).toBe('body')
  }, 30_000)
}

test('a conditional write whose answer was lost and that others wrote over is not said to be rejected (I2)', async () => {
  await using mine = await testDirectory()
  await using theirs = await testDirectory()
  const { faults, inner, a, b } = pair()
  const here = await mine.open([a, b])
  const there = await theirs.open([inner, b])
  const fault = {
    kind: 'after' as const,
    run: async () => {
      await pause(5)
      await there.put('k', 'theirs', { ack: 'all' })
      throw new HoldfastError('UNAVAILABLE', 'the answer is lost', { reason: 'NETWORK', outcome: 'unknown' })
    },
  }
  faults.rules = [{ on: 'put', key: 'k', times: 1, fault }]
  await expect(here.put('k', 'mine', { if: 'absent' })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    outcome: 'unknown',
  })
  await expect(here.put('k', 'mine', { if: 'absent' })).rejects.toMatchObject({ code: 'PRECONDITION' })
}, 30_000)
