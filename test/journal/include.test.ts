import { expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { makeVersion } from '../../src/core/version.ts'
import { memory } from '../../src/providers/memory.ts'
import { eventually } from '../support/store.ts'
import { mending } from '../replicate/mending.ts'

const digests = digestsOf(Buffer.from('A'))

const put = (key: string, providers: readonly number[], more: object = {}) => ({
  key,
  kind: 'put' as const,
  origin: 'app' as const,
  version: undefined,
  stampMs: Date.now(),
  condition: undefined,
  size: 1,
  ...digests,
  attributes: { contentType: 'text/plain', metadata: {} },
  body: { in: 'row' as const, bytes: Buffer.from('A') },
  providers,
  maxStageBytes: 1e9,
  ...more,
})

test('what is not finished goes to a provider that was added later too, once, and deletes as well', async () => {
  const [a, b, c] = [memory({ name: 'a' }), memory({ name: 'b' }), memory({ name: 'c' })]
  await using at = await mending([a, b, c])
  const { journal } = at
  const { seq } = await journal.accept(put('k', [1, 2]))
  const tentative = await journal.accept(put('if', [1, 2], { condition: 'absent' }))
  await journal.accept(put('has', [1, 2, 3]))
  await journal.accept(put('gone', [1, 2], { kind: 'delete', size: 0, crc32c: '', md5: '', body: { in: 'none' } }))
  expect(journal.isOpenFor('k', 3)).toBe(false)
  await expect(journal.include(3)).resolves.toEqual({ objects: 2, bytes: 2 })
  await expect(journal.include(3)).resolves.toEqual({ objects: 0, bytes: 0 })
  expect(journal.isOpenFor('k', 3)).toBe(true)
  expect(journal.write(seq)?.replicas.map(({ provider, state }) => [provider, state])).toEqual([
    [1, 'waiting'],
    [2, 'waiting'],
    [3, 'waiting'],
  ])
  expect(journal.write(tentative.seq)?.replicas).toHaveLength(1)
  at.replicate()
  await eventually(() => journal.counts().groups.every(({ state }) => state !== 'open' && state !== 'tentative'))
  for (const key of ['k', 'if', 'has']) expect(await c.head(key, AbortSignal.timeout(1_000)), key).toBeDefined()
})

test('a repair of a version that is still on its way elsewhere is taken for providers that it does not go to, and for no other', async () => {
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  await using at = await mending([a, b])
  const { version } = await at.journal.accept(put('k', [1]))
  const repair = (to: number, of: string) => at.journal.accept(put('k', [to], { origin: 'repair', version: of }))
  await expect(repair(1, version)).rejects.toMatchObject({ code: 'PRECONDITION' })
  await expect(repair(2, makeVersion(1, 0, '0'.repeat(16)))).rejects.toMatchObject({ code: 'PRECONDITION' })
  await repair(2, version)
  await expect(repair(2, version)).rejects.toMatchObject({ code: 'PRECONDITION' })
  await at.journal.accept(put('k', [1]))
  expect(at.repairs().writes).toBe(0)
})
