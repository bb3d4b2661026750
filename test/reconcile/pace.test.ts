import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { pacedProviders } from '../../src/reconcile/pace.ts'
import { manualClock } from '../../src/testing/clock.ts'
import { settle } from '../core/time.ts'
import { never, plant } from './scene.ts'

/** How long it takes by this clock. */
async function passing(clock: ReturnType<typeof manualClock>, work: Promise<unknown>): Promise<number> {
  const started = clock.monotonic()
  let isDone = false
  const done = work.then(() => {
    isDone = true
  })
  for (let turn = 0; turn < 10_000 && !isDone; turn++) {
    await settle()
    if (!isDone && clock.nextMs !== undefined) await clock.advance(clock.nextMs)
  }
  await done
  return clock.monotonic() - started
}

test('I28: requests come no faster than the limit, each provider for itself; a listing is one for every 1,000 entries', async () => {
  const clock = manualClock()
  const inner = [memory({ name: 'p1', clock }), memory({ name: 'p2', clock })]
  const [first, second] = pacedProviders(inner, { clock, requestsPerSecond: 10, bytesPerSecond: undefined })
  if (first === undefined || second === undefined) throw new Error('two were given')
  const heads = (provider: typeof first) => Promise.all(Array.from({ length: 41 }, () => provider.head('a', never)))
  const ms = await passing(clock, Promise.all([heads(first), heads(second)]))
  // A tenth of a second may be saved up.
  expect(ms).toBeGreaterThanOrEqual(3_900)
  expect(ms).toBeLessThanOrEqual(4_000)
  for (let index = 0; index < 2_500; index++)
    await plant(inner[0] ?? first, `k${String(index).padStart(5, '0')}`, { body: '' })
  await clock.advance(1_000)
  const listing = passing(clock, Array.fromAsync(first.list({ prefix: '', delimiter: '', startAfter: '' }, never)))
  expect(await listing).toBe(100)
})

test('I28: bodies of all providers together come no faster than the limit', async () => {
  const clock = manualClock()
  const inner = [memory({ name: 'p3', clock }), memory({ name: 'p4', clock })]
  for (const provider of inner) await plant(provider, 'a', { body: 'x'.repeat(500_000) })
  const paced = pacedProviders(inner, { clock, requestsPerSecond: 1_000, bytesPerSecond: 100_000 })
  const read = async (provider: (typeof paced)[number]) => {
    const answer = await provider.get({ key: 'a', range: undefined, token: undefined }, never)
    let bytes = 0
    for await (const chunk of answer?.body ?? []) bytes += chunk.byteLength
    return bytes
  }
  const ms = await passing(clock, Promise.all(paced.map(read)))
  expect(ms).toBeGreaterThan(8_500)
  expect(ms).toBeLessThanOrEqual(10_000)
})
