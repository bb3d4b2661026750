import { expect, test } from 'vitest'
import { noMemo, type Provider } from '../../src/core/provider.ts'
import { digestsOf } from '../../src/core/digest.ts'
import { bytesSource } from '../../src/core/source.ts'
import { systemClock, systemRandom } from '../../src/core/system.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import { openWith } from '../../src/holdfast/open.ts'
import { memory } from '../../src/providers/memory.ts'
import { nodeDisk } from '../../src/stage/disk.ts'
import { bodyAt, keysOf, releaseOf, testDirectory } from '../support/store.ts'
import { skewed } from './clock.ts'

const minutes = 60_000
const soon = () => AbortSignal.timeout(5_000)

function open(path: string, [primary, secondary]: readonly [Provider, Provider], byMs: number): Promise<Holdfast> {
  const ports = { clock: skewed(systemClock, byMs), disk: nodeDisk, random: systemRandom }
  return openWith({ directory: path, primary, secondary, holdMs: 0 }, ports)
}

/** Two machines that share two providers, of which one's clock is ahead. */
async function twoMachines() {
  const [mine, theirs] = [await testDirectory(), await testDirectory()]
  const providers = [memory({ name: 'a' }), memory({ name: 'b' })] as const
  const here = await open(mine.path, providers, 0)
  const ahead = await open(theirs.path, providers, 4 * minutes)
  return {
    providers,
    here,
    ahead,
    async [Symbol.asyncDispose]() {
      await here.close()
      await ahead.close()
      await mine[Symbol.asyncDispose]()
      await theirs[Symbol.asyncDispose]()
    },
  }
}

/** A request that arrives when nobody waits for it any more. */
async function zombie(provider: Provider, key: string): Promise<() => Promise<void>> {
  const there = await provider.get({ key, range: undefined, token: undefined }, soon())
  if (there === undefined) throw new Error(`${key} is to be there`)
  const { headers, metadata } = there.object
  const chunks: Uint8Array[] = []
  for await (const chunk of there.body) chunks.push(chunk)
  const bytes = Buffer.concat(chunks)
  const source = bytesSource(bytes, digestsOf(bytes))
  return async () => {
    await provider.put({ key, source, headers, metadata, condition: { absent: true }, upload: noMemo }, soon())
  }
}

test('a create-only put that is acknowledged stays, also after a delete by a machine whose clock is ahead (I10, I12)', async () => {
  await using machines = await twoMachines()
  const { providers, here, ahead } = machines
  const deleted = await ahead.delete('k')
  await deleted.replicated({ until: 'verified' })
  await expect(here.put('k', 'created', { if: 'absent' })).rejects.toMatchObject({
    code: 'UNAVAILABLE',
    outcome: 'rejected',
  })
  const created = await here.put('k', 'created', { if: 'absent' })
  expect(created.version > deleted.version).toBe(true)
  await created.replicated({ until: 'verified' })
  await here.drain({ until: 'verified' })
  for (const provider of providers) expect((await bodyAt(provider, 'k'))?.toString()).toBe('created')
})

test('a conditional write over a version of a machine whose clock is ahead is newer than that (I12)', async () => {
  await using machines = await twoMachines()
  const { providers, here, ahead } = machines
  const released = releaseOf(ahead, 'k')
  const before = await ahead.put('k', 'before', { ack: 'all' })
  await released
  const over = { if: { version: before.version } }
  await expect(here.put('k', 'after', over)).rejects.toMatchObject({ code: 'UNAVAILABLE', outcome: 'rejected' })
  const after = await here.put('k', 'after', over)
  expect(after.version > before.version).toBe(true)
  await after.replicated({ until: 'verified' })
  for (const provider of providers) expect((await bodyAt(provider, 'k'))?.toString()).toBe('after')
  const last = await ahead.delete('k', { if: { version: after.version } })
  await last.replicated({ until: 'verified' })
  for (const provider of providers) expect(await keysOf(provider)).toEqual([])
})

test('what a late request brings back after a delete satisfies no condition, and stands in the way of none (I13)', async () => {
  await using machines = await twoMachines()
  const { providers, here, ahead } = machines
  const old = await ahead.put('k', 'old', { ack: 'all' })
  const arrives = await zombie(providers[0], 'k')
  await (await ahead.delete('k')).replicated({ until: 'verified' })
  await arrives()
  const over = { if: { version: old.version } }
  await expect(here.put('k', 'over what is deleted', over)).rejects.toMatchObject({ code: 'PRECONDITION' })
  await expect(here.delete('k', over)).rejects.toMatchObject({ code: 'PRECONDITION' })
  await expect(here.put('k', 'new', { if: 'absent' })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await (await here.put('k', 'new', { if: 'absent' })).replicated({ until: 'verified' })
  for (const provider of providers) expect((await bodyAt(provider, 'k'))?.toString()).toBe('new')
})
