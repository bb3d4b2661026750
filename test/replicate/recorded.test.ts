import { expect, test } from 'vitest'
import { makeVersion } from '../../src/core/version.ts'
import type { Lease } from '../../src/journal/contract.ts'
import { memory } from '../../src/providers/memory.ts'
import { eventually, bodyAt } from '../support/store.ts'
import { mending, putAt } from './mending.ts'

const version = makeVersion(1_700_000_000_000, 0, '00000000000000aa')
const keys = Array.from({ length: 40 }, (_, i) => `k${i}`)

test('while the journal has not recorded yet what a provider took, the provider is given more, and nothing twice', async () => {
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const puts: string[] = []
  const counted = {
    ...b,
    put: (...[request, signal]: Parameters<typeof b.put>) => {
      if (request.key.startsWith('k')) puts.push(request.key)
      return b.put(request, signal)
    },
  }
  await using m = await mending([a, counted])
  const { lease } = m.journal
  const recording = Promise.withResolvers<void>()
  Object.assign(m.journal, {
    async lease() {
      const held = await lease.call(m.journal)
      const stored: Lease['stored'] = async (...what) => {
        await recording.promise
        await held?.stored(...what)
      }
      return held && Object.assign(Object.create(held) as Lease, { stored })
    },
  })
  for (const key of keys) {
    await putAt(a, key, 'body', { version })
    await m.mend({ key, wanted: { is: 'object', version, source: 1 }, targets: [2] })
  }
  m.replicate()
  await eventually(() => puts.length >= keys.length)
  expect(m.repairs().writes).toBe(keys.length)
  recording.resolve()
  await eventually(() => m.repairs().writes === 0)
  expect(puts.toSorted()).toEqual(keys.toSorted())
  expect(String(await bodyAt(b, 'k7'))).toBe('body')
})
