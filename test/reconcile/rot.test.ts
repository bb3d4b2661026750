import { expect, test } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import { memory } from '../../src/providers/memory.ts'
import { bodyAt, testDirectory } from '../support/store.ts'

/** Gives wrong bytes of what it held when it began to rot, and still says of it what it said before. */
function rotting(inner: Provider): { readonly provider: Provider; rot(key: string): Promise<void> } {
  const rotten = new Set<string>()
  const provider: Provider = {
    ...inner,
    async get(request, signal) {
      const answer = await inner.get(request, signal)
      return answer !== undefined && rotten.has(answer.object.token)
        ? { ...answer, body: flipped(answer.body) }
        : answer
    },
  }
  return {
    provider,
    async rot(key) {
      rotten.add((await inner.head(key, AbortSignal.timeout(5_000)))?.token ?? '')
    },
  }
}

async function* flipped(body: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
  for await (const chunk of body) yield chunk.map(byte => byte ^ 1)
}

test('bytes that rotted where the provider says that they are right are replaced by a deep repair, from a copy that was checked (I7, I22)', async () => {
  await using directory = await testDirectory()
  const { provider: b, rot } = rotting(memory({ name: 'b' }))
  const store = await directory.open([memory({ name: 'a' }), b])
  await store.put('photo', 'the right bytes')
  await store.put('other', 'other bytes')
  await store.drain({ until: 'verified' })
  await rot('photo')
  expect(await bodyAt(b, 'photo')).not.toEqual(Buffer.from('the right bytes'))

  const found = await store.reconcile({ deep: true, repair: true })
  expect(found).toMatchObject({ different: 1, queued: 1, impossible: 0 })
  await store.drain({ until: 'verified' })
  expect(await bodyAt(b, 'photo')).toEqual(Buffer.from('the right bytes'))
  expect(await store.reconcile({ deep: true })).toMatchObject({ different: 0, compared: 2 })
})
