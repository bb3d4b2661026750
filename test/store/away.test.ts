import { expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import { memory } from '../../src/providers/memory.ts'
import { bodyAt } from '../support/store.ts'
import { dayMs, holdMs, nodes } from './nodes.ts'

/** Signs: a URL that says where it leads. */
function signing(inner: Provider): Provider {
  return {
    ...inner,
    capabilities: { ...inner.capabilities, sign: true },
    learn: async () => ({ ...inner.capabilities, sign: true }),
    sign: async ({ key }) => ({ url: `https://${inner.name}/${key}`, headers: {}, expiresAt: new Date(0) }),
  }
}

test('a provider that was away is said to be stale, signs for nothing that another proves absent, and is believed about what is new', async () => {
  await using world = await nodes()
  const { clock } = world
  const [a, b] = [signing(memory({ name: 'a', clock })), signing(memory({ name: 'b', clock }))]
  const here = world.node()
  await here.open([a, b])
  await here.store.put('lost', 'body')
  await world.pass(2 * holdMs, here)
  await here.close()
  await a.delete('lost', undefined, AbortSignal.timeout(5_000))
  await world.pass(46 * dayMs)
  // Both were away: what one has is served, since nobody who was there says otherwise.
  await here.open([a, b])
  await world.pass(1_000, here)
  expect((await here.store.status()).providers).toMatchObject([{ stale: true }, { stale: true }])
  expect(await (await here.store.get('lost'))?.text()).toBe('body')
  expect(await here.store.signedUrl('lost', { method: 'GET', expiresInSeconds: 60 })).toMatchObject({ provider: 'b' })
  await world.pass(10_000, here)
  expect(await bodyAt(a, 'lost')).toBeUndefined()
  await here.close()

  // The first alone is marked again, by a directory that trusts it.
  await a.delete('.holdfast/attended', undefined, AbortSignal.timeout(5_000))
  const other = world.node()
  await other.open([a, b])
  await world.pass(1_000, other)
  expect((await other.store.status()).providers).toMatchObject([{ stale: false }, { stale: true }])
  expect(await other.store.get('lost')).toBeUndefined()
  const link = { expiresInSeconds: 60 } as const
  await expect(other.store.signedUrl('lost', { method: 'GET', ...link })).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  await expect(other.store.adopt('lost')).rejects.toMatchObject({ code: 'INVALID', rule: 'absent' })
  expect(await other.store.signedUrl('new', { method: 'PUT', ...link })).toMatchObject({ provider: 'a' })
  await other.store.put('new', 'body')
  await world.pass(2 * holdMs, other)
  expect(await (await other.store.get('new'))?.text()).toBe('body')
  // A person that names the provider means it.
  await other.store.adopt('lost', { from: 'b' })
}, 60_000)

test('a provider that was away is believed as soon as a complete repair was made, by the directory that had been there before', async () => {
  await using world = await nodes()
  const { clock } = world
  const [a, b] = [memory({ name: 'a', clock }), memory({ name: 'b', clock })]
  const here = world.node()
  await here.open([a, b])
  for (const key of ['old', 'other']) await here.store.put(key, 'body')
  await world.pass(2 * holdMs, here)
  await here.close()
  await world.pass(46 * dayMs)
  // Only the second was away: somebody has been at the first, whose mark is new.
  await a.delete('.holdfast/attended', undefined, AbortSignal.timeout(5_000))
  await here.open([a, b])
  await world.pass(1_000, here)
  expect((await here.store.status()).providers).toMatchObject([{ stale: false }, { stale: true }])

  const repaired = here.store.reconcile({ repair: true }).then(counters => counters)
  await world.pass(5_000, here)
  expect(await repaired).toMatchObject({ compared: 2, missing: 0 })
  expect((await here.store.status()).providers).toMatchObject([{ stale: false }, { stale: false }])
  await a.delete('old', undefined, AbortSignal.timeout(5_000))
  expect(await (await here.store.get('old'))?.text()).toBe('body')
}, 60_000)
