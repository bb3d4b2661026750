import { expect, test } from 'vitest'
import { makeVersion } from '../../src/core/version.ts'
import type { Lease } from '../../src/journal/contract.ts'
import { memory } from '../../src/providers/memory.ts'
import { together } from '../../src/replicate/together.ts'
import { bell } from '../../src/replicate/wake.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { eventually } from '../support/store.ts'
import { mending, putAt } from './mending.ts'

/** Turned by hand, but with turns as the machine's own has them. */
const turning = () => Object.assign(manualClock(), { turn: () => Promise.resolve() })

test('rings that come soon after the last one are one, and none is lost', async () => {
  const clock = turning()
  const { signal } = new AbortController()
  const { ring, wait } = bell(clock)
  let woken = 0
  const waiting = (async () => {
    while (woken < 3) {
      await wait(60_000, signal, 20)
      woken++
    }
  })()
  ring()
  await clock.advance(0)
  expect(woken).toBe(1)
  for (let i = 0; i < 5; i++) {
    ring()
    await clock.advance(3)
  }
  expect(woken).toBe(1)
  await clock.advance(5)
  expect(woken).toBe(2)
  await clock.advance(59_999)
  expect(woken).toBe(2)
  await clock.advance(1)
  expect(woken).toBe(3)
  await waiting
  expect(clock.sleeping).toBe(0)
})

test('a wait, and a rest, end at once with their signal', async () => {
  const clock = turning()
  const stop = new AbortController()
  const { ring, wait } = bell(clock)
  ring()
  await wait(60_000, stop.signal, 1_000)
  ring()
  const resting = wait(60_000, stop.signal, 1_000)
  const waiting = bell(clock).wait(Number.POSITIVE_INFINITY, stop.signal)
  await clock.advance(0)
  expect(clock.sleeping).toBe(1)
  stop.abort(new Error('over'))
  await Promise.all([resting, waiting])
  await clock.advance(0)
  expect(clock.sleeping).toBe(0)
})

test('what is to be recorded soon after the last is recorded together, and the first at once', async () => {
  const clock = turning()
  const record = together(clock, 10)
  const done: number[] = []
  const begin = (n: number) => void record().then(() => done.push(n))
  begin(1)
  await clock.advance(0)
  expect(done).toEqual([1])
  begin(2)
  await clock.advance(4)
  begin(3)
  await clock.advance(5)
  expect(done).toEqual([1])
  await clock.advance(1)
  expect(done).toEqual([1, 2, 3])
  await clock.advance(100)
  begin(4)
  await clock.advance(0)
  expect(done).toEqual([1, 2, 3, 4])
  const still = together(manualClock(), 10)
  await still()
})

test('a provider that bears several at once is given its next ones without asking the journal for each', async () => {
  const version = makeVersion(1_700_000_000_000, 0, '00000000000000aa')
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  let before = Promise.resolve()
  const oneByOne = {
    ...b,
    put: async (...[request, signal]: Parameters<typeof b.put>) => {
      await (before = before.then(() => new Promise(resolve => setImmediate(resolve))))
      return b.put(request, signal)
    },
  }
  await using m = await mending([a, oneByOne])
  const { lease } = m.journal
  let asked = 0
  Object.assign(m.journal, {
    async lease() {
      const held = (await lease.call(m.journal)) as Lease
      const due: Lease['due'] = query => {
        const found = held.due(query)
        if (found.length > 0) asked++
        return found
      }
      return Object.assign(Object.create(held) as Lease, { due })
    },
  })
  const keys = Array.from({ length: 64 }, (_, i) => `k${i}`)
  for (const key of keys) {
    await putAt(a, key, 'body', { version })
    await m.mend({ key, wanted: { is: 'object', version, source: 1 }, targets: [2] })
  }
  m.replicate()
  await eventually(() => m.repairs().writes === 0)
  expect(asked).toBeLessThan(keys.length / 2)
})
