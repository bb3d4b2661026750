import { describe, expect, test } from 'vitest'
import { digestsOf } from '../../src/core/digest.ts'
import { makeVersion } from '../../src/core/version.ts'
import { memory } from '../../src/providers/memory.ts'
import { eventually } from '../support/store.ts'
import { mending } from '../replicate/mending.ts'
import { deletion, engines, scene, write } from './scene.ts'

const body = Buffer.from('A')
const put = (key: string, providers: readonly number[], more: object = {}) =>
  write(key, { size: 1, ...digestsOf(body), body: { in: 'row', bytes: body }, providers, ...more })

describe.each(engines)('a provider that was added later, in %s', engine => {
  test('what is not finished goes to it too, once, and deletes as well', async () => {
    await using at = await scene(engine)
    const journal = await at.journal(['a', 'b', 'c'])
    const { seq } = await journal.accept(put('k', [1, 2]))
    const tentative = await journal.accept(put('if', [1, 2], { condition: 'absent' }))
    await journal.accept(put('has', [1, 2, 3]))
    await journal.accept(deletion('gone', { providers: [1, 2] }))
    expect(journal.isOpenFor('k', 3)).toBe(false)
    await expect(journal.include(3)).resolves.toEqual({ objects: 2, bytes: 2 })
    await expect(journal.include(3)).resolves.toEqual({ objects: 0, bytes: 0 })
    for (const key of ['k', 'gone', 'if']) expect(journal.isOpenFor(key, 3), key).toBe(true)
    expect(journal.write(seq)?.replicas.map(({ provider, state }) => [provider, state])).toEqual([
      [1, 'waiting'],
      [2, 'waiting'],
      [3, 'waiting'],
    ])
    expect(journal.write(tentative.seq)?.replicas).toHaveLength(1)
  })

  test('a repair of a version that is still on its way elsewhere is taken for providers that it does not go to, and for no other', async () => {
    await using at = await scene(engine)
    const journal = await at.journal()
    const { version } = await journal.accept(put('k', [1]))
    const repair = (to: number, of: string) => journal.accept(put('k', [to], { origin: 'repair', version: of }))
    await expect(repair(1, version)).rejects.toMatchObject({ code: 'PRECONDITION' })
    await expect(repair(2, makeVersion(1, 0, '0'.repeat(16)))).rejects.toMatchObject({ code: 'PRECONDITION' })
    await repair(2, version)
    await expect(repair(2, version)).rejects.toMatchObject({ code: 'PRECONDITION' })
    await journal.accept(put('k', [1]))
    const repairs = journal.counts().groups.filter(({ origin, state }) => origin === 'repair' && state === 'open')
    expect(repairs).toEqual([])
  })
})

test('what was included reaches the provider that was added later, also what was tentative then', async () => {
  const [a, b, c] = [memory({ name: 'a' }), memory({ name: 'b' }), memory({ name: 'c' })]
  await using at = await mending([a, b, c])
  const { journal } = at
  await journal.accept(put('k', [1, 2]))
  await journal.accept(put('if', [1, 2], { condition: 'absent' }))
  await journal.accept(put('has', [1, 2, 3]))
  await journal.include(3)
  at.replicate()
  await eventually(() => journal.counts().groups.every(({ state }) => state !== 'open' && state !== 'tentative'))
  for (const key of ['k', 'if', 'has']) expect(await c.head(key, AbortSignal.timeout(1_000)), key).toBeDefined()
})
