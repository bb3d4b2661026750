import { expect, test } from 'vitest'
import { recognise } from '../../src/core/entry.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { headAt, mending, putAt } from '../replicate/mending.ts'
import { bodyAt } from '../support/store.ts'
import { scene } from './scene.ts'

function faultyMemory(name: string) {
  const faults: Faults = { calls: [] }
  const inner = memory({ name })
  return { faults, inner, provider: faulty(inner, faults) }
}

const bodiesRead = ({ calls = [] }: Faults) =>
  calls.filter(({ operation, key }) => operation === 'get' && key?.startsWith('.holdfast/') === false).length

test('an object larger than the whole stage is impossible to repair: it is not fetched again and again (I28)', async () => {
  const [a, b] = [faultyMemory('a'), faultyMemory('b')]
  await using m = await mending([a.provider, b.provider], { maxStageBytes: 100_000 })
  await putAt(a.inner, 'large', Buffer.alloc(100_001))
  const found = await headAt(a.inner, 'large')
  const version = recognise(found as NonNullable<typeof found>).version
  const outcome = await m.mend(
    { key: 'large', wanted: { is: 'object', version, source: 1 }, targets: [2] },
    AbortSignal.timeout(4_000),
  )
  expect(outcome).toMatchObject({ is: 'impossible', why: expect.stringContaining('maxStageBytes') })
  expect(bodiesRead(a.faults)).toBe(0)
})

test('while the stage is full of what the app put, a repair waits: its source is not read again and again (I28)', async () => {
  await using s = await scene({ maxStageBytes: 100_000 })
  const { store, first, second } = s
  await putAt(first.inner, 'theirs', Buffer.alloc(20_000))
  second.faults.rules = [{ on: ['put', 'learn'], fault: { kind: 'fail', code: 'UNAVAILABLE', reason: 'SERVER' } }]
  for (let n = 0; n < 9; n++) await store.put(`app/${n}`, Buffer.alloc(10_000))
  first.faults.calls = []
  const stop = new AbortController()
  const run = store.reconcile({ repair: true, signal: stop.signal, confirm: true })
  const ended = Promise.resolve(run).catch((error: unknown) => error)
  await new Promise(resolve => setTimeout(resolve, 1_200))
  expect(bodiesRead(first.faults)).toBe(0)
  second.faults.rules = []
  await ended
  await store.drain({ until: 'verified' })
  expect((await bodyAt(second.inner, 'theirs'))?.length).toBe(20_000)
}, 20_000)
