import { expect, test } from 'vitest'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { type Faults, outage } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually, keysOf, testDirectory } from '../support/store.ts'

/**
 * Never an object. While the primary is down and the delete is done with, the honest answer is UNAVAILABLE: another node may have put the
 * key again, and only the primary could tell.
 */
async function expectAbsent(store: Holdfast, key: string, isPrimaryDown = false): Promise<void> {
  for (const read of [() => store.get(key), () => store.head(key)]) {
    const found = await read().catch((error: unknown) => error)
    if (isPrimaryDown && found !== undefined) expect(found).toMatchObject({ code: 'UNAVAILABLE' })
    else expect(found).toBeUndefined()
  }
  expect(await Array.fromAsync(store.list({ prefix: key }))).toEqual([])
}

/** The steps of a life in which the primary may be down. */
const steps = ['put', 'replicated', 'delete', 'deleted', 'restart'] as const

for (const [from, first] of steps.entries()) {
  for (const last of steps.slice(from)) {
    test(`put, delete, restart with the primary down from ${first} to ${last}: the key stays absent everywhere (P5, P6, I13)`, async () => {
      await using directory = await testDirectory()
      const faults: Faults = {}
      const inner = memory({ name: 'a' })
      const providers = [faulty(inner, faults), memory({ name: 'b' })] as const
      let store = await directory.open(providers)
      const at = async (step: (typeof steps)[number], work: () => Promise<unknown>) => {
        if (step === first) faults.rules = [{ fault: outage }]
        await work()
        if (step === last) faults.rules = []
      }
      await at('put', () => store.put('k', 'body'))
      await at('replicated', () => eventually(() => bodyAt(providers[1], 'k')))
      const expectNothing = () => expectAbsent(store, 'k', (faults.rules ?? []).length > 0)
      await at('delete', () => store.delete('k'))
      await expectNothing()
      await at('deleted', () => eventually(async () => (await bodyAt(providers[1], 'k')) === undefined))
      await expectNothing()
      await at('restart', async () => {
        await store.close()
        store = await directory.open(providers)
        await expectNothing()
      })
      await store.drain({ until: 'verified' })
      for (const provider of [inner, providers[1]]) {
        expect(await keysOf(provider)).toEqual([])
        expect(await bodyAt(provider, '.holdfast/deleted/k')).toBeDefined()
      }
      await expectAbsent(store, 'k')
    }, 60_000)
  }
}

test('a put of one node that arrives after the delete of another does not bring the key back (I13)', async () => {
  await using mine = await testDirectory()
  await using theirs = await testDirectory()
  const faults: Faults = {}
  const inner = memory({ name: 'a' })
  const b = memory({ name: 'b' })
  const here = await mine.open([faulty(inner, faults), b], { holdMs: 1_500 })
  const there = await theirs.open([inner, b], { holdMs: 1_500 })
  for (const rule of ['late', 'slow'] as const) {
    const key = `k ${rule}`
    faults.calls = []
    faults.rules = [{ on: 'put', key, times: 1, fault: { kind: rule, ms: 900 } }]
    await here.put(key, 'zombie')
    await eventually(() => faults.calls?.some(call => call.operation === 'put' && call.key === key))
    const deleted = await there.delete(key)
    await deleted.replicated({ until: 'verified' })
    await here.drain({ until: 'verified' }).catch(() => {})
    await there.drain({ until: 'verified' })
    for (const provider of [inner, b]) expect(await bodyAt(provider, key)).toBeUndefined()
    for (const store of [here, there]) expect(await store.get(key)).toBeUndefined()
  }
}, 60_000)

test('a put that waited longer than a minute while another node deleted the key is overtaken by the marker (I13)', async () => {
  const { manualClock } = await import('../../src/testing/clock.ts')
  const { openWith } = await import('../../src/holdfast/open.ts')
  const { systemRandom } = await import('../../src/core/system.ts')
  const { nodeDisk } = await import('../../src/stage/disk.ts')
  await using mine = await testDirectory()
  await using theirs = await testDirectory()
  const faults: Faults = {}
  const inner = memory({ name: 'a' })
  const b = memory({ name: 'b' })
  const external = await mine.open([faulty(inner, faults), b], { replication: { run: 'external' } })
  await external.put('k', 'waiting')
  await external.close()
  await new Promise(resolve => setTimeout(resolve, 5))
  const there = await theirs.open([inner, b])
  await (await there.delete('k')).replicated({ until: 'verified' })
  const clock = manualClock(Date.now() + 61_000)
  const late = await openWith(
    { directory: mine.path, primary: faulty(inner, faults), secondary: b, holdMs: 0 },
    { clock, random: systemRandom, disk: nodeDisk },
  )
  faults.calls = []
  await eventually(async () => {
    await clock.advance(50)
    return (await late.status()).superseded === 1
  })
  expect(faults.calls.filter(({ operation, key }) => operation === 'put' && key === 'k')).toEqual([])
  expect(await keysOf(inner)).toEqual([])
  await late.close()
}, 30_000)
