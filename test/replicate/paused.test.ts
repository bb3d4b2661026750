import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Clock } from '../../src/core/ports.ts'
import { systemClock } from '../../src/core/system.ts'
import { makeVersion } from '../../src/core/version.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { eventually } from '../support/store.ts'
import { mending, putAt } from './mending.ts'

const version = makeVersion(1_700_000_000_000, 0, '00000000000000aa')
const pace = 20

/** A second of it takes a twentieth. */
const begun = { at: Date.now(), monotonic: performance.now() }
const fast: Clock = {
  now: () => begun.at + Math.round((performance.now() - begun.monotonic) * pace),
  monotonic: () => performance.now() * pace,
  sleep: (ms, signal) => systemClock.sleep(ms / pace, signal),
}

test('a provider that asked for a pause, and answers at once after it, is not down: what we wait is not how slow it is (I29)', async () => {
  const a = memory({ name: 'a', clock: fast })
  const told = { reason: 'THROTTLED', retryAfterMs: 11_000, outcome: 'rejected' } as const
  const slowDown = new HoldfastError('UNAVAILABLE', 'slow down', told)
  const looked = Promise.withResolvers<void>()
  let looks = 0
  let refused = 0
  const faults: Faults = {
    rules: [
      // Each of them looks at its key between two puts, and the pause begins while all of them look.
      { on: 'put', key: /^k\d$/, times: 3, fault: { kind: 'fail', code: 'PRECONDITION', reason: 'CONDITION' } },
      { on: 'head', key: /^k\d$/, times: 3, fault: { kind: 'before', run: () => (looks++, looked.promise) } },
      { on: 'put', key: 'x', times: 1, fault: { kind: 'before', run: () => (refused++, Promise.reject(slowDown)) } },
      // It ends after them, so that no success comes in between.
      { on: 'put', key: 'x', times: 1, fault: { kind: 'slow', ms: 40 } },
    ],
  }
  const b = faulty(memory({ name: 'b', clock: fast }), faults)
  await using m = await mending([a, b], { clock: fast })
  const states = new Set<string>()
  m.journal.onChange(() => {
    const state = m.journal.providers().find(({ name }) => name === 'b')?.health?.state
    if (state !== undefined) states.add(state)
  })
  const mended = async (key: string) => {
    await putAt(a, key, 'body', { version })
    await m.mend({ key, wanted: { is: 'object', version, source: 1 }, targets: [2] })
  }
  for (const key of ['k0', 'k1', 'k2']) await mended(key)
  m.replicate()
  await eventually(() => looks === 3, 5_000)
  await mended('x')
  await eventually(() => refused === 1, 5_000)
  await systemClock.sleep(20)
  looked.resolve()
  await eventually(() => m.repairs().writes === 0, 10_000)
  expect([...states]).toEqual(['up'])
})
