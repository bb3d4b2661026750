import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { putAt } from '../replicate/mending.ts'
import { eventually, testDirectory } from '../support/store.ts'

const down = { kind: 'fail', code: 'UNAVAILABLE', reason: 'SERVER' } as const

function faultyMemory(name: string) {
  const faults: Faults = {}
  const inner = memory({ name })
  return { faults, inner, provider: faulty(inner, faults) }
}

test('progress comes every second, while a provider does not answer too, and it goes on when it does', async () => {
  await using directory = await testDirectory()
  const [a, b] = [faultyMemory('a'), faultyMemory('b')]
  for (let n = 10; n < 50; n++) await putAt(a.inner, `k/${n}`, 'x')
  const store = await directory.open([a.provider, b.provider])
  await eventually(async () => (await store.status()).providers.every(({ state }) => state === 'up'))
  const at: number[] = [performance.now()]
  const run = store.backfill({ to: 'b', maxRequestsPerSecond: 50 })
  for await (const { queued } of run) {
    at.push(performance.now())
    if (at.length === 2) a.faults.rules = [{ on: ['get', 'head'], fault: down }]
    if (at.length === 5) a.faults.rules = []
    if (at.length === 4) expect(queued).toBeLessThan(40)
  }
  for (let index = 1; index < at.length; index++) expect((at[index] ?? 0) - (at[index - 1] ?? 0)).toBeLessThan(1_900)
  await expect(run).resolves.toMatchObject({ queued: 40, stored: 40, impossible: 0, filled: true })
}, 60_000)
