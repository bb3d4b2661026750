import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { plant, version } from '../reconcile/scene.ts'
import { bodyAt, eventually, testDirectory } from '../support/store.ts'

test("a create-only put that may still arrive, where another's object is found, is not said to be rejected: it may come once that is deleted (I15)", async () => {
  await using directory = await testDirectory()
  const faults: Faults = {}
  const inner = memory({ name: 'a' })
  const store = await directory.open([faulty(inner, faults), memory({ name: 'b' })])
  await eventually(async () => (await store.status()).providers.every(({ state }) => state === 'up'))
  // Of another node, older by its stamp, there before the second try looks.
  const others = () => plant(inner, 'k', { body: 'of another', version: version(Date.now() - 60_000) })
  faults.rules = [
    { on: 'put', key: 'k', times: 1, fault: { kind: 'late', ms: 1_500 } },
    { on: 'head', key: 'k', times: 1, fault: { kind: 'before', run: others } },
  ]
  const refused = await store.put('k', 'mine', { if: 'absent' }).catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'UNAVAILABLE', outcome: 'unknown', version: expect.any(String) })

  await inner.delete('k', undefined, AbortSignal.timeout(5_000))
  await eventually(async () => (await bodyAt(inner, 'k'))?.toString() === 'mine')
})

test('a create-only put that may still arrive, where the key was deleted by a newer write, is not said to be rejected: it may be read until that delete comes again (I15)', async () => {
  await using directory = await testDirectory()
  await using elsewhere = await testDirectory()
  const faults: Faults = {}
  const inner = memory({ name: 'a' })
  const second = memory({ name: 'b' })
  const store = await directory.open([faulty(inner, faults), second])
  const other = await elsewhere.open([inner, second])
  await eventually(async () => (await store.status()).providers.every(({ state }) => state === 'up'))
  // Of another node, newer by its stamp, there before the second try looks.
  const deletes = async () => {
    await other.delete('k')
    await other.drain()
  }
  faults.rules = [
    { on: 'put', key: 'k', times: 1, fault: { kind: 'late', ms: 1_500 } },
    { on: 'head', key: 'k', times: 1, fault: { kind: 'before', run: deletes } },
  ]
  const refused = await store.put('k', 'mine', { if: 'absent' }).catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: 'UNAVAILABLE', outcome: 'unknown', version: expect.any(String) })
  await eventually(async () => (await bodyAt(inner, 'k'))?.toString() === 'mine')
})

test('a replace that may still arrive is refused for good where a token names one write, and not where it is a digest (I12, I15)', async () => {
  for (const uniqueTokens of [true, false]) {
    await using directory = await testDirectory()
    const faults: Faults = {}
    const real = memory({ name: `a${uniqueTokens}` })
    const capabilities = { ...real.capabilities, uniqueTokens }
    const inner = { ...real, capabilities, learn: async () => capabilities }
    const store = await directory.open([faulty(inner, faults), memory({ name: `b${uniqueTokens}` })])
    const first = await store.put('k', 'first')
    await store.drain({ until: 'verified' })
    // Newer than what was to be replaced, older than what is to replace it.
    const between = version(Date.now())
    faults.rules = [
      { on: 'put', key: 'k', times: 1, fault: { kind: 'late', ms: 300 } },
      {
        on: 'head',
        key: 'k',
        skip: 1,
        times: 1,
        fault: { kind: 'before', run: () => plant(inner, 'k', { body: 'of another', version: between }) },
      },
    ]
    await new Promise(resolve => setTimeout(resolve, 20))
    const replaced = store.put('k', 'mine', { if: { version: first.version } })
    const refused = await replaced.catch((error: unknown) => error)
    expect(refused).toMatchObject(
      uniqueTokens
        ? { code: 'PRECONDITION', outcome: 'rejected' }
        : { code: 'UNAVAILABLE', outcome: 'unknown', version: expect.any(String) },
    )
  }
})
