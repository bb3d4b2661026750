import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import type { Faults } from '../../src/testing/faulty/rules.ts'
import { plant, version } from '../reconcile/scene.ts'
import { eventually, testDirectory } from '../support/store.ts'

const outage = { kind: 'fail', code: 'UNAVAILABLE', reason: 'NETWORK' } as const

test('a write that was overtaken leaves behind that something newer is there: no failover serves what is older than both (I23, I25)', async () => {
  await using directory = await testDirectory()
  const first: Faults = {}
  const second: Faults = {}
  const [a, b] = [memory({ name: 'a' }), memory({ name: 'b' })]
  const store = await directory.open([faulty(a, first), faulty(b, second)])
  await eventually(async () => (await store.status()).providers.every(({ state }) => state === 'up'))
  await plant(b, 'k', { body: 'older', version: version(Date.now() - 60_000) })
  await plant(a, 'k', { body: 'of a machine that is a minute ahead', version: version(Date.now() + 60_000) })
  second.rules = [{ on: ['put', 'head'], key: 'k', fault: outage }]
  await store.put('k', 'mine')
  await eventually(async () => (await store.status()).superseded === 1)

  second.rules = []
  first.rules = [{ on: ['get', 'head'], key: 'k', fault: outage }]
  await expect(store.get('k')).rejects.toMatchObject({ code: 'UNAVAILABLE' })
  first.rules = []
  expect(await (await store.get('k'))?.text()).toBe('of a machine that is a minute ahead')
})
