import { expect, test } from 'vitest'
import { scene, write } from '../journal/scene.ts'

test('what a provider has that was given up while it was asked takes the write from nobody else (I1)', async () => {
  await using at = await scene()
  const journal = await at.journal(['a', 'b'])
  const lease = await journal.lease()
  if (lease === undefined) throw new Error('somebody else has the lease')
  const { seq } = await journal.accept(write('k'))
  await lease.sending(seq, 2)
  // In another process, while the answer of the provider is on its way: it has something newer.
  await journal.retire(2, 'another bucket now', () => {})
  await lease.overtaken(seq, 'e'.repeat(32), 2)
  expect(journal.write(seq)).toMatchObject({ state: 'open' })
  expect(journal.write(seq)?.replicas.map(({ state }) => state)).toEqual(['waiting', 'abandoned'])
  await lease.overtaken(seq, 'f'.repeat(32), 1)
  expect(journal.isOpen('k')).toBe(false)
})
