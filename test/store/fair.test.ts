import { expect, test } from 'vitest'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import { openWith } from '../../src/holdfast/open.ts'
import { memory } from '../../src/providers/memory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { keysOf, testDirectory } from '../support/store.ts'

test('however many fresh writes come, the backlog and the second looks have their turn (I32, I33)', async () => {
  await using directory = await testDirectory()
  const faults: Faults = {}
  const inner = memory({ name: 'a' })
  const [a, b] = [faulty(inner, faults), memory({ name: 'b' })]
  const before = { ...systemClock, now: () => Date.now() - 30_000 }
  const options = { directory: directory.path, primary: a, secondary: b, holdMs: 0 }
  const first = await openWith(
    { ...options, replication: { run: 'external' } },
    { clock: before, disk: nodeDisk, random: systemRandom },
  )
  for (let i = 0; i < 5; i++) await first.put(`old${i}`, 'body')
  await first.close()
  // Slower than what comes in: there is always something fresh.
  faults.rules = [{ on: ['put', 'head'], fault: { kind: 'slow', ms: 10 } }]
  const store = await directory.open([a, b], { replication: { concurrency: 1 } })
  let isOver = false
  const verified = new Set<string>()
  store.on('verified', ({ key, provider }) => {
    if (provider === 'a') verified.add(key)
  })
  const flood = (async () => {
    for (let i = 0; !isOver; i++)
      await Promise.all([store.put(`new${i}`, 'x'), new Promise(resolve => setTimeout(resolve, 4))])
  })()
  const end = Date.now() + 8_000
  const oldKeys = async () => (await keysOf(inner)).filter(key => key.startsWith('old')).length
  while ((verified.size < 5 || (await oldKeys()) < 5) && Date.now() < end)
    await new Promise(resolve => setTimeout(resolve, 50))
  const [sent, looked] = [await oldKeys(), verified.size]
  isOver = true
  await flood
  faults.rules = []
  expect(sent).toBe(5)
  expect(looked).toBeGreaterThanOrEqual(5)
  await store.drain()
}, 60_000)
