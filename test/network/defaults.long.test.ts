import { describe, expect, test } from 'vitest'
import { eventually, keysOf } from '../support/store.ts'
import { cloudNames, isBody, startCloud } from './clouds.ts'
import { scene, sceneBuckets, timed } from './scene.ts'

// The other tests of this folder hurry the clock. These wait for the limits that users get, in real time.

const large = Buffer.alloc(600_000, 'abcdefghijklmnopqrstuvwxyz0123456789')

describe('with the limits that nobody set', () => {
  for (const name of cloudNames) {
    test.concurrent(`of ${name}: silence is left after 2 s for a first byte, after 15 s for a body or a write, and nothing is left of it (N2, N17, I11, I24, I26)`, async () => {
      await using cloud = await startCloud(name, sceneBuckets)
      await using at = await scene(cloud)
      await at.store.put('large', large, { ack: 'all' })
      await eventually(async () => (await at.store.status()).stage.bytes === 0)

      at.proxy.rules = [{ match: isBody(name), fault: { kind: 'silent', of: 'answer', at: 250_000 } }]
      const midBody = await timed(async () => {
        const got = await at.store.get('large')
        expect(got?.from).toBe(name)
        expect(await got?.bytes()).toEqual(Uint8Array.from(large))
      })
      expect(midBody).toBeGreaterThan(14_500)
      expect(midBody).toBeLessThan(20_000)
      expect(at.told.findLast(({ event }) => event === 'failover')?.payload['atByte']).toBeGreaterThan(0)
      at.proxy.rules = []
      await eventually(() => at.proxy.busy === 0)

      at.proxy.rules = [{ fault: { kind: 'silent', of: 'answer', at: 'start' } }]
      const firstByte = await timed(async () => expect((await at.store.get('large'))?.from).toBe('near'))
      expect(firstByte).toBeGreaterThan(1_900)
      expect(firstByte).toBeLessThan(4_000)
      const write = await timed(async () => {
        expect(await timed(() => at.store.put('k', 'body', { ack: 'one' }))).toBeLessThan(1_000)
        await eventually(
          () => at.told.some(({ event, payload }) => event === 'retry' && payload['reason'] === 'TIMEOUT'),
          30_000,
        )
      })
      expect(write).toBeGreaterThan(14_500)
      expect(write).toBeLessThan(20_000)
      await at.drained()
      await eventually(() => at.proxy.busy === 0)
      expect((await keysOf(at.cloud)).toSorted()).toEqual(['k', 'large'])
    }, 90_000)
  }
})
