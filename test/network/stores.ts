import { describe, expect, test } from 'vitest'
import { bodyAt, eventually, keysOf } from '../support/store.ts'
import { type Cloud, type CloudName, isBody, isRead } from './clouds.ts'
import type { Fault } from './proxy.ts'
import { failure, scene, timed } from './scene.ts'

const large = Buffer.alloc(600_000, 'abcdefghijklmnopqrstuvwxyz0123456789')
/** A put waits for the disk alone: nobody mistakes that for the 15 s that a provider may be silent. */
const diskMs = 5_000

/** Whole stores, whose primary is behind the network. */
export function stores(name: CloudName, cloudOf: () => Cloud): void {
  describe.concurrent(`a store before ${name}`, () => {
    test('whose connections are refused acknowledges as ever, reads elsewhere, asks seldom, and drains when they are taken again (N1, I11, I29, I33)', async () => {
      await using at = await scene(cloudOf())
      await at.store.put('before', 'body', { ack: 'all' })
      await at.proxy.refuse()
      const made = at.proxy.made
      for (let i = 0; i < 30; i++)
        expect(await timed(() => at.store.put(`k${i}`, 'body', { ack: 'one' }))).toBeLessThan(diskMs)
      expect(await (await at.store.get('before'))?.text()).toBe('body')
      await eventually(async () => (await at.standing()).state !== 'up')
      expect(await at.standing()).toMatchObject({ reason: 'NETWORK' })
      expect((await keysOf(at.near)).length).toBe(31)
      expect(at.proxy.made).toBe(made)
      await at.proxy.listen()
      await at.drained()
      expect((await keysOf(at.cloud)).length).toBe(31)
    })

    test('that falls silent in every connection delays neither puts nor the other copy nor reads, gives up in time, and goes on after it (N2, I11, I15, I33)', async () => {
      await using at = await scene(cloudOf())
      await at.store.put('before', 'body', { ack: 'all' })
      await eventually(async () => (await at.store.status()).done === 1)
      at.proxy.rules = [{ fault: { kind: 'silent', of: 'answer', at: 'start' } }]
      for (let i = 0; i < 20; i++)
        expect(await timed(() => at.store.put(`k${i}`, 'body', { ack: 'one' }))).toBeLessThan(diskMs)
      expect((await keysOf(at.near)).length).toBe(21)
      // After 2 s another is asked; after 15 s what is silent is left, and its connection closed.
      at.clock.times = 20
      expect(await timed(async () => expect(await (await at.store.get('before'))?.text()).toBe('body'))).toBeLessThan(
        diskMs,
      )
      await eventually(() => at.told.some(({ event, payload }) => event === 'retry' && payload['reason'] === 'TIMEOUT'))
      await at.drained()
      expect((await keysOf(at.cloud)).length).toBe(21)
      await eventually(() => at.proxy.busy === 0)
    })

    const breaks: readonly Fault[] = [
      { kind: 'reset', of: 'answer', at: 250_000 },
      { kind: 'end', of: 'answer', at: 250_000 },
      { kind: 'silent', of: 'answer', at: 250_000 },
      { kind: 'silent', of: 'answer', at: 'head' },
      { kind: 'drip', of: 'answer', bytesPerSecond: 1 },
    ]
    test('that breaks in the middle of a body is left for the same version elsewhere, at that byte, and no body is ever short (N2, N3, N5, I24, I26)', async () => {
      await using at = await scene(cloudOf())
      await at.store.put('large', large, { ack: 'all' })
      await eventually(async () => (await at.store.status()).stage.bytes === 0)
      for (const fault of breaks) {
        at.proxy.rules = [{ match: isBody(name), fault, times: 1 }]
        const got = await at.store.get('large')
        at.clock.times = 20
        expect(await got?.bytes(), JSON.stringify(fault)).toEqual(Uint8Array.from(large))
        const last = at.told.findLast(({ event }) => event === 'failover')
        expect(last?.payload, JSON.stringify(fault)).toMatchObject({ from: name, to: 'near' })
        if ('at' in fault && fault.at === 250_000) expect(last?.payload['atByte']).toBeGreaterThan(0)
        at.clock.times = 1
        at.proxy.rules = []
        await eventually(() => at.proxy.busy === 0)
      }
      // The other copy went too, in the middle: then it is an error, and no end.
      at.proxy.rules = [{ match: isBody(name), fault: { kind: 'end', of: 'answer', at: 250_000 } }]
      await at.near.delete('large', undefined, AbortSignal.timeout(1_000))
      const error = await failure((async () => await (await at.store.get('large'))?.bytes())())
      expect(error.code).toBe('UNAVAILABLE')
    })

    test('that breaks while a body goes up, or loses the answer, has every write once and whole in the end (N2, N4, N6, I15)', async () => {
      await using at = await scene(cloudOf())
      const { carriesBody } = cloudOf()
      const faults: readonly Fault[] = [
        { kind: 'reset', of: 'answer', at: 'start' },
        { kind: 'end', of: 'answer', at: 'start' },
        { kind: 'silent', of: 'answer', at: 'start' },
        { kind: 'reset', of: 'request', at: 100_000 },
        { kind: 'end', of: 'request', at: 100_000 },
        { kind: 'silent', of: 'request', at: 100_000 },
        { kind: 'answer', bytes: 'HTTP/1.1 100 Continue\r\n\r\n', early: true, after: 'reset' },
      ]
      for (const [index, fault] of faults.entries()) {
        const before = at.proxy.heads.filter(carriesBody).length
        at.proxy.rules = [{ match: carriesBody, times: 1, fault }]
        await at.store.put(`k${index}`, large)
        at.clock.times = fault.kind === 'silent' ? 20 : 5
        const isTold = (event: string) =>
          at.told.some(each => each.event === event && each.payload['provider'] === name)
        await eventually(() => isTold(fault.kind === 'silent' ? 'retry' : 'stored'))
        await at.drained()
        at.told.length = 0
        const sent = at.proxy.heads.filter(carriesBody).length - before
        // What was applied is found when the provider is asked, and not sent a second time.
        expect(sent, JSON.stringify(fault)).toBe('of' in fault && fault.of === 'answer' ? 1 : 2)
        expect(await bodyAt(at.cloud, `k${index}`), JSON.stringify(fault)).toEqual(large)
      }
      expect((await at.store.status()).accepted).toBe(faults.length)
      await eventually(() => at.proxy.busy === 0)
    })

    test('whose network keeps a put and delivers it after a newer put, or a delete, does not go back (N7, I12, I13)', async () => {
      await using at = await scene(cloudOf())
      const { carriesBody } = cloudOf()
      for (const then of ['put', 'delete'] as const) {
        at.proxy.rules = [{ match: carriesBody, times: 1, fault: { kind: 'hold' } }]
        await at.store.put(then, 'old')
        await eventually(() =>
          at.told.some(
            ({ event, payload }) => event === 'stored' && payload['key'] === then && payload['provider'] === name,
          ),
        )
        if (then === 'put') await at.store.put(then, 'new')
        else await at.store.delete(then)
        await at.drained()
        const [line] = await at.proxy.deliver()
        // Its condition does not hold any more; or, after a delete, it does: then what it left has to be found older than the marker.
        expect(line).toMatch(then === 'put' ? /^HTTP\/1\.1 4(09|12) / : /^HTTP\/1\.1 \d{3} /)
        expect(await (await at.store.get(then))?.text()).toBe(then === 'put' ? 'new' : undefined)
      }
      expect((await bodyAt(at.cloud, 'put'))?.toString()).toBe('new')
    })

    test('whose network delivers every request twice has one of everything (N8, I15)', async () => {
      await using at = await scene(cloudOf())
      at.proxy.rules = [{ fault: { kind: 'twice' } }]
      await at.store.put('once', 'one', { ack: 'all' })
      await at.store.put('once', 'two', { ack: 'all' })
      await at.store.put('large', large, { ack: 'all' })
      await at.store.put('gone', 'body', { ack: 'all' })
      await at.store.delete('gone', { ack: 'all' })
      expect(await at.store.put('created', 'x', { if: 'absent' })).toBeDefined()
      expect(await failure(at.store.put('created', 'y', { if: 'absent' }))).toMatchObject({ code: 'PRECONDITION' })
      await at.drained()
      expect((await bodyAt(at.cloud, 'once'))?.toString()).toBe('two')
      expect(await bodyAt(at.cloud, 'large')).toEqual(large)
      expect(await bodyAt(at.cloud, 'gone')).toBeUndefined()
      expect((await at.store.status()).blocked.writes).toBe(0)
    })

    test('whose idle connections are dropped without a word goes on as if nothing had happened (N9, I33)', async () => {
      await using at = await scene(cloudOf())
      for (let round = 0; round < 3; round++) {
        await Promise.all(Array.from({ length: 8 }, (_, i) => at.store.put(`k${i}`, `round ${round}`, { ack: 'all' })))
        at.proxy.rules = [
          { match: ({ before }) => before > 0, times: 4, fault: { kind: 'reset', of: 'request', at: 'start' } },
        ]
        const got = await Promise.all(Array.from({ length: 8 }, async (_, i) => (await at.store.get(`k${i}`))?.text()))
        expect(new Set(got)).toEqual(new Set([`round ${round}`]))
      }
      await at.drained()
      expect((await keysOf(at.cloud)).length).toBe(8)
    })

    test('behind a portal claims nothing absent, stores nothing there, says so, and drains when it is gone (N12, I14, I27, I33)', async () => {
      await using at = await scene(cloudOf())
      await at.store.put('before', 'body', { ack: 'all' })
      await eventually(async () => (await at.store.status()).done === 1)
      const page = 'HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 6\r\n\r\n<html>'
      at.proxy.rules = [{ fault: { kind: 'answer', bytes: page, after: 'keep' } }]
      expect(await (await at.store.get('before'))?.text()).toBe('body')
      expect(await failure(at.store.get('never'))).toMatchObject({ code: 'UNAVAILABLE' })
      for (let i = 0; i < 5; i++) await at.store.put(`k${i}`, 'body', { ack: 'one' })
      await at.store.delete('before', { ack: 'one' })
      await eventually(async () => (await at.standing()).reason === 'NOT_PROVIDER')
      expect(await keysOf(at.cloud)).toEqual(['before'])
      await at.drained()
      expect((await keysOf(at.cloud)).toSorted()).toEqual(['k0', 'k1', 'k2', 'k3', 'k4'])
    })

    test('that takes no writes still answers reads, and that answers no reads still takes writes (N14)', async () => {
      await using at = await scene(cloudOf())
      await at.store.put('before', 'body', { ack: 'all' })
      await eventually(async () => (await at.store.status()).done === 1)
      const busy = 'HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n'
      const fault: Fault = { kind: 'answer', bytes: busy, after: 'keep' }
      at.proxy.rules = [{ match: head => !isRead(head), fault }]
      for (let i = 0; i < 5; i++) await at.store.put(`k${i}`, 'body', { ack: 'one' })
      await eventually(async () => (await at.standing()).state !== 'up')
      expect(await at.standing()).toMatchObject({ reason: 'SERVER' })
      expect((await at.store.get('before'))?.from).toBe(name)
      expect((await at.store.head('before'))?.size).toBe(4)
      await at.drained()

      at.proxy.rules = [{ match: isRead, fault }]
      for (let i = 0; i < 5; i++) expect((await at.store.get('before'))?.from).toBe('near')
      const receipt = await at.store.put('during', 'body', { ack: 'all' })
      expect(receipt.version).toBeDefined()
      await at.drained()
    })

    test('that comes and goes is asked less and less, and has everything once it stays (N16, I29, I33)', async () => {
      await using at = await scene(cloudOf())
      const total = 40
      for (let i = 0; i < total; i++) {
        // Every other 5 s.
        at.clock.times = 20
        if (i % 10 === 0) at.proxy.rules = [{ fault: { kind: 'reset', of: 'request', at: 'start' } }]
        if (i % 10 === 5) at.proxy.rules = []
        expect(await timed(() => at.store.put(`k${i}`, 'body'))).toBeLessThan(diskMs)
        await new Promise(resolve => setTimeout(resolve, 50))
      }
      await at.drained()
      expect((await keysOf(at.cloud)).length).toBe(total)
      // One put a key, and what retries, probes and the second looks cost.
      expect(at.proxy.heads.length).toBeLessThan(total * 8)
    })

    test('whose few connections are all held by slow answers keeps nobody: not puts, not the other copy, not reads, not the end (N17, I11)', async () => {
      await using at = await scene(cloudOf())
      await at.store.put('before', large, { ack: 'all' })
      await eventually(async () => (await at.store.status()).stage.bytes === 0)
      at.proxy.mostOpen = 2
      at.proxy.rules = [{ fault: { kind: 'silent', of: 'answer', at: 'head' } }]
      for (let i = 0; i < 20; i++)
        expect(await timed(() => at.store.put(`k${i}`, 'body', { ack: 'one' }))).toBeLessThan(diskMs)
      at.clock.times = 10
      const reads = Array.from({ length: 10 }, async () => await (await at.store.get('before'))?.bytes())
      expect(
        await timed(async () => {
          for (const got of await Promise.all(reads)) expect(got?.byteLength).toBe(large.byteLength)
        }),
      ).toBeLessThan(3_000)
      expect(at.proxy.open).toBeLessThanOrEqual(2)
      at.proxy.mostOpen = Number.POSITIVE_INFINITY
      await at.drained()
      expect((await keysOf(at.cloud)).length).toBe(21)
      await eventually(() => at.proxy.busy === 0)
    })
  })
}
