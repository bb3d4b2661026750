import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { putAt } from '../replicate/mending.ts'
import { bodyAt, eventually, testDirectory } from '../support/store.ts'

function faultyMemory(name: string) {
  const faults: Faults = { calls: [] }
  const inner = memory({ name })
  return { faults, inner, provider: faulty(inner, faults) }
}

test('an evacuation that goes on after a crash does not forget whom it had left out', async () => {
  await using directory = await testDirectory()
  const [a, b, c] = [faultyMemory('a'), faultyMemory('b'), faultyMemory('c')]
  await putAt(a.inner, 'a/only', 'at a alone')
  for (let n = 0; n < 40; n++) await putAt(b.inner, `b/${String(n).padStart(2, '0')}`, `at b ${n}`)
  const store = await directory.open([a.provider, b.provider], { mirrors: [c.provider] })
  await eventually(async () => (await store.status()).providers.every(({ state }) => state === 'up'))
  a.faults.rules = [{ on: ['head', 'get', 'list'], fault: { kind: 'fail', code: 'DENIED', reason: 'ACCOUNT' } }]
  const stop = new AbortController()
  b.faults.rules = [
    {
      on: 'get',
      key: 'b/30',
      fault: {
        kind: 'before',
        run: async () => {
          stop.abort(new Error('killed'))
        },
      },
    },
  ]
  await expect(store.evacuate({ from: 'a', to: 'c', signal: stop.signal })).rejects.toThrow()
  a.faults.rules = []
  b.faults.rules = []
  const result = await store.evacuate({ from: 'a', to: 'c' })
  const has = await bodyAt(c.inner, 'a/only')
  expect(has !== undefined || result.without.includes('a')).toBe(true)
}, 30_000)

test('nobody is said to be filled where all that could be asked were empty: who was left out may have had everything', async () => {
  await using directory = await testDirectory()
  const [a, c] = [faultyMemory('a'), faultyMemory('c')]
  {
    const store = await directory.open([a.provider, faultyMemory('b').provider])
    await store.put('k', 'x')
    await store.drain({ until: 'verified' })
    await store.close()
  }
  a.faults.rules = [{ on: ['head', 'get', 'list'], fault: { kind: 'fail', code: 'DENIED', reason: 'ACCOUNT' } }]
  const store = await directory.open([a.provider, c.provider])
  const result = await store.evacuate({ from: 'a', to: 'c' })
  expect(result).toMatchObject({ objects: 0, without: ['a'], filled: false })
  expect((await store.status()).providers[1]).toMatchObject({ name: 'c', filled: false })
  a.faults.rules = []
})
