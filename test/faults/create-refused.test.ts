import { expect, test } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import type { Provider } from '../../src/core/provider.ts'
import { memory } from '../../src/providers/memory.ts'
import { bodyAt, testDirectory } from '../support/store.ts'

/** As Ceph 16 does in a bucket whose versioning was suspended: what was once deleted there cannot be created under a condition. */
function afterDeletes(inner: Provider, deleted: Set<string> = new Set()): { provider: Provider; puts: () => number } {
  let puts = 0
  const provider: Provider = {
    ...inner,
    async put(request, signal) {
      const { key, condition } = request
      if (key === 'k') puts++
      if (condition !== undefined && 'absent' in condition && deleted.has(key))
        throw new HoldfastError('PRECONDITION', 'there is a delete marker', {
          provider: inner.name,
          key,
          reason: 'CONDITION',
          outcome: 'rejected',
        })
      return inner.put(request, signal)
    },
    async delete(key, token, signal) {
      const result = await inner.delete(key, token, signal)
      deleted.add(key)
      return result
    },
  }
  return { provider, puts: () => puts }
}

test('a service that says of what is not there that it cannot be created, because it is, gets it without a condition in the end (S12, S14, I29, I33)', async () => {
  await using directory = await testDirectory()
  const inner = memory({ name: 'a' })
  const { provider, puts } = afterDeletes(inner)
  const store = await directory.open([provider, memory({ name: 'b' })])
  await store.put('k', 'first')
  await store.drain({ until: 'verified' })
  await store.delete('k')
  await store.drain({ until: 'verified' })
  const before = puts()
  await store.put('k', 'second')
  await store.drain({ until: 'verified' })
  expect((await bodyAt(inner, 'k'))?.toString()).toBe('second')
  expect(puts() - before).toBeLessThan(8)
  // A condition of the app is another matter: only the service can hold that.
  await store.delete('k')
  await store.drain({ until: 'verified' })
  await expect(store.put('k', 'third', { if: 'absent', signal: AbortSignal.timeout(1_500) })).rejects.toThrow()
  expect(await bodyAt(inner, 'k')).toBeUndefined()
}, 20_000)

test('nor does the marker of a delete wait for ever for leave to be created, where an earlier one expired (S12, I13, I33)', async () => {
  await using directory = await testDirectory()
  const inner = memory({ name: 'a' })
  const { provider } = afterDeletes(inner, new Set(['.holdfast/deleted/k']))
  const store = await directory.open([provider, memory({ name: 'b' })])
  await store.put('k', 'first')
  await store.delete('k')
  await store.drain({ until: 'verified' })
  expect(await bodyAt(inner, 'k')).toBeUndefined()
  expect(await bodyAt(inner, '.holdfast/deleted/k')).toBeDefined()
})

test('one that is refused over and over because another node puts and deletes the key never goes over what that one put last (I12)', async () => {
  const inner = memory({ name: 'a' })
  await using theirs = await testDirectory()
  const other = await theirs.open([inner, memory({ name: 'b' })])
  const theyDo = async (done: Promise<unknown>) => {
    await done
    await other.drain()
  }
  let refusals = 0
  const overNewer: string[] = []
  const provider: Provider = {
    ...inner,
    async put(request, signal) {
      if (request.key !== 'k') return inner.put(request, signal)
      await theyDo(other.put('k', `theirs ${refusals}`))
      if (request.condition === undefined) overNewer.push(`theirs ${refusals}`)
      try {
        return await inner.put(request, signal)
      } catch (error) {
        refusals++
        await theyDo(other.delete('k'))
        throw error
      }
    },
  }
  await using ours = await testDirectory()
  const store = await ours.open([provider, memory({ name: 'c' })])
  await store.put('k', 'ours')
  await store.drain()
  expect(refusals).toBeGreaterThan(0)
  expect(overNewer).toEqual([])
  await store.close()
  await other.close()
}, 30_000)
