import { expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import { openWith } from '../../src/holdfast/open.ts'
import { memory } from '../../src/providers/memory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { bodyAt, eventually, testDirectory } from '../support/store.ts'

const pause = (ms: number) => new Promise(resolve => setTimeout(resolve, ms))

/** A store that holds for ten minutes, and a clock whose hands the test moves: both, or only the wall clock. */
async function holding(directory: string) {
  const ahead = { wallMs: 0, steadyMs: 0 }
  const clock = {
    ...systemClock,
    now: () => systemClock.now() + ahead.wallMs + ahead.steadyMs,
    monotonic: () => systemClock.monotonic() + ahead.steadyMs,
  }
  const [primary, secondary] = [memory({ name: 'a', clock }), memory({ name: 'b', clock })]
  const store = await openWith(
    { directory, primary, secondary, holdMs: 600_000 },
    { clock, disk: nodeDisk, random: systemRandom },
  )
  let puts = 0
  /** Whatever is due now is done, and this many writes are held for their second look, the new one among them. */
  const heldAfterPut = async () => {
    await store.put(`other/${++puts}`, 'v', { ack: 'all' })
    await pause(150)
    return (await store.status()).held.writes
  }
  return { ahead, store, heldAfterPut }
}

test('the second look comes when the hold is over, and not before (I18)', async () => {
  await using directory = await testDirectory()
  const { ahead, store, heldAfterPut } = await holding(directory.path)
  await store.put('k', 'v', { ack: 'all' })
  expect(await heldAfterPut()).toBe(2)
  ahead.steadyMs = 590_000
  expect(await heldAfterPut()).toBe(3)
  ahead.steadyMs = 605_000
  await store.put('last', 'v', { ack: 'all' })
  await eventually(async () => (await store.status()).done === 2)
  await store.close()
})

test('a wall clock that jumps ends no hold (I18, I41)', async () => {
  await using directory = await testDirectory()
  const { ahead, store, heldAfterPut } = await holding(directory.path)
  await store.put('k', 'v', { ack: 'all' })
  ahead.wallMs = 86_400_000
  expect(await heldAfterPut()).toBe(2)
  ahead.steadyMs = 61_000
  await store.put('last', 'v', { ack: 'all' })
  await eventually(async () => (await store.status()).done >= 1)
  await store.close()
})

test('bytes that a service attests nothing of are read back before they are believed (I18)', async () => {
  await using directory = await testDirectory()
  const faults: Faults = { rules: [{ on: 'put', key: 'k', times: 1, fault: { kind: 'corrupt', atByte: 3 } }] }
  const inner = memory({ name: 'a' })
  const asked = faulty(inner, faults)
  const silent: Provider = {
    ...asked,
    capabilities: { ...inner.capabilities, attests: [] },
    put: async (request, signal) => ({ ...(await asked.put(request, signal)), proof: 'none' }),
    async head(key, signal) {
      const found = await asked.head(key, signal)
      return found && { ...found, attested: {} }
    },
    async get(request, signal) {
      const found = await asked.get(request, signal)
      return found && { ...found, object: { ...found.object, attested: {} } }
    },
  }
  const store = await directory.open([silent, memory({ name: 'b' })])
  await store.put('k', 'the right bytes')
  await store.drain({ until: 'verified' })
  expect(String(await bodyAt(inner, 'k'))).toBe('the right bytes')
})

test('each try of a put reads its body anew, from its first byte (I15, I24)', async () => {
  await using directory = await testDirectory()
  const faults: Faults = { rules: [{ on: 'put', key: 'k', times: 1, fault: { kind: 'cut', after: 300_000 } }] }
  const inner = memory({ name: 'a' })
  const store = await directory.open([faulty(inner, faults), memory({ name: 'b' })])
  const body = Buffer.alloc(1_000_000, 'holdfast')
  await store.put('k', body)
  await store.drain({ until: 'verified' })
  const puts = faults.calls?.filter(({ operation, key }) => operation === 'put' && key === 'k')
  expect(puts?.map(({ state }) => state)).toEqual(['rejected', 'resolved'])
  expect((await bodyAt(inner, 'k'))?.equals(body)).toBe(true)
})
