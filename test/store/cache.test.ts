import { expect, test } from 'vitest'
import { memory } from '../../src/providers/memory.ts'
import { faulty } from '../../src/testing/faulty.ts'
import { type Faults, outage } from '../../src/testing/faulty/rules.ts'
import { eventually, testDirectory } from '../support/store.ts'

function pair() {
  const faults: Faults = {}
  return { faults, providers: [faulty(memory({ name: 'a' }), faults), faulty(memory({ name: 'b' }), faults)] as const }
}

test('a released body in the cache is served, marked stale, when no provider answers, and only if that was allowed', async () => {
  for (const allowStale of [true, false]) {
    await using directory = await testDirectory()
    const { faults, providers } = pair()
    const store = await directory.open(providers, { cacheBytes: 1_000_000, reads: { allowStale } })
    for (const size of [10, 40_000]) await store.put(`k${size}`, Buffer.alloc(size, 7), { contentType: 'image/png' })
    await store.drain({ until: 'verified' })
    await eventually(async () => (await store.status()).stage.bytes === 0)
    expect((await store.get('k40000'))?.stale).toBe(false)
    faults.rules = [{ fault: outage }]
    for (const size of [10, 40_000]) {
      if (allowStale) {
        const got = await store.get(`k${size}`)
        expect(got).toMatchObject({ from: 'local', stale: true, info: { contentType: 'image/png', size } })
        expect((await got?.bytes())?.byteLength).toBe(size)
      } else await expect(store.get(`k${size}`)).rejects.toMatchObject({ code: 'UNAVAILABLE' })
    }
    faults.rules = []
  }
})
