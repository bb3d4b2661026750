import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { getCACertificates, setDefaultCACertificates } from 'node:tls'
import { inspect } from 'node:util'
import { afterAll, assert, beforeAll, describe, expect, test } from 'vitest'
import { bodyAt, eventually, keysOf } from '../support/store.ts'
import { patient } from './calls.ts'
import { type Cloud, type CloudName, calls, isWrite, putOf, whole } from './clouds.ts'
import { type Proxy, startProxy } from './proxy.ts'
import { failure, scene } from './scene.ts'
import { type Identity, startTls, type TestCa, testCa } from './tls.ts'

/** The first byte of a handshake of TLS. */
const handshake = 0x16

interface Door extends AsyncDisposable {
  readonly proxy: Proxy
  /** `https://127.0.0.1:<port>` */
  readonly origin: string
  /** What clients sent, as it was on the wire. */
  wire(): Buffer
  heard(): number
}

/** A CA that this process trusts while the tests around the call run. */
function trustedCa(): () => TestCa {
  let ca: TestCa
  let directory: string
  const trusted = getCACertificates('default')
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'holdfast-ca-'))
    ca = await testCa(directory)
    setDefaultCACertificates([...trusted, ca.certificate])
  })
  afterAll(async () => {
    setDefaultCACertificates(trusted)
    await rm(directory, { recursive: true, force: true })
  })
  return () => ca
}

/** Who answers at the other end, and what clients make of it. */
export function identities(name: CloudName, cloudOf: () => Cloud): void {
  describe(`${name} over TLS`, () => {
    const ca = trustedCa()

    async function door(identity: Identity, options: { readonly version?: 'TLSv1' } = {}): Promise<Door> {
      const end = await startTls(cloudOf().port, await ca().identity(identity), options)
      const seen: Buffer[] = []
      const proxy = await startProxy(end.port, { isRaw: true, tap: bytes => void seen.push(bytes) })
      return {
        proxy,
        origin: proxy.endpoint.replace('http:', 'https:'),
        wire: () => Buffer.concat(seen),
        heard: end.heard,
        async [Symbol.asyncDispose]() {
          await proxy[Symbol.asyncDispose]()
          await end[Symbol.asyncDispose]()
        },
      }
    }

    test('with a certificate of the CA that is trusted, everything works, and nothing is to be read on the way (N11, I46)', async () => {
      await using at = await door('good')
      const provider = cloudOf().provider(at.origin)
      for (const run of Object.values(calls)) await run(provider, 'tls', patient())
      expect(at.heard()).toBeGreaterThan(0)
      for (const secret of cloudOf().secrets) expect(at.wire().includes(secret)).toBe(false)
    })

    const wrong: readonly { readonly what: string; readonly door: () => Promise<Door>; readonly says: RegExp }[] = [
      { what: 'expired', door: () => door('expired'), says: /expired/i },
      { what: 'for another host', door: () => door('wrong host'), says: /127\.0\.0\.1|altname|does not match/i },
      { what: 'of nobody but itself', door: () => door('self-signed'), says: /self.signed/i },
      { what: 'of a CA that is not trusted', door: () => door('of another CA'), says: /unable to|issuer|verify/i },
      { what: 'of TLS 1.0', door: () => door('good', { version: 'TLSv1' }), says: /version|protocol/i },
    ]
    test('of one that cannot prove who it is: the error says so, nothing was sent, least of all credentials, and nothing is tried in the clear (N11, I46, I42)', async () => {
      for (const { what, door: open, says } of wrong) {
        await using at = await open()
        const provider = cloudOf().provider(at.origin)
        for (const [call, run] of Object.entries(calls)) {
          const error = await failure(run(provider, 'tls', patient()))
          expect(error, `${call}, ${what}`).toMatchObject({ code: 'DENIED', reason: 'TLS', retryable: false })
          expect(error.outcome, `${call}, ${what}`).toBe(isWrite(call) ? 'rejected' : undefined)
          expect(error.message, `${call}, ${what}`).toMatch(says)
          for (const secret of cloudOf().secrets) expect(inspect(error, { depth: 9 })).not.toContain(secret)
        }
        expect(at.heard(), what).toBe(0)
        expect(at.wire()[0], what).toBe(handshake)
        for (const secret of cloudOf().secrets) expect(at.wire().includes(secret), what).toBe(false)
        // One connection a call, or two where the driver has to ask something else first: nobody tries again and again.
        expect(at.proxy.made, what).toBeLessThanOrEqual(Object.keys(calls).length * 2)
        await eventually(() => at.proxy.open === 0).catch(() =>
          assert.fail(`${what}: ${at.proxy.open} of ${at.proxy.made} connections are open`),
        )
      }
    })

    test('of one that speaks no TLS at all is told so, and not asked in the clear (N11, I46)', async () => {
      const seen: Buffer[] = []
      await using proxy = await startProxy(cloudOf().port, { isRaw: true, tap: bytes => void seen.push(bytes) })
      const provider = cloudOf().provider(proxy.endpoint.replace('http:', 'https:'))
      const error = await failure(provider.put(putOf('tls', 'body'), patient()))
      expect(error).toMatchObject({ code: 'DENIED', reason: 'TLS', outcome: 'rejected' })
      const sent = Buffer.concat(seen)
      expect(sent[0]).toBe(handshake)
      for (const secret of cloudOf().secrets) expect(sent.includes(secret)).toBe(false)
    })

    test('whose bytes are damaged on the way is not one that cannot prove who it is: a put may have happened, and is worth another try (N11, I15)', async () => {
      await using at = await door('good')
      const provider = cloudOf().provider(at.origin)
      const body = Buffer.alloc(400_000, 'x')
      await provider.put(putOf('tls', body), patient())
      const handshakes = at.wire().byteLength - body.byteLength
      expect(handshakes).toBeGreaterThan(0)
      // In the middle of the answer to the second request of a connection: the first was the put above.
      let [up, down] = [0, 0]
      for (const half of ['request', 'answer'] as const) {
        await using other = await door('good')
        other.proxy.rules = [{ fault: { kind: 'flip', of: half, at: 300_000 } }]
        const behind = cloudOf().provider(other.origin)
        if (half === 'request') {
          const error = await failure(behind.put(putOf('flipped', body), patient()))
          expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK', outcome: 'unknown', retryable: true })
          up++
        } else {
          const error = await failure(
            (async () => {
              for await (const _ of (await behind.get(whole('tls'), patient()))?.body ?? []);
            })(),
          )
          expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK', retryable: true })
          down++
        }
      }
      expect([up, down]).toEqual([1, 1])
    })

    test('that is cut short within a body is an error and no end (N3, I24)', async () => {
      await using at = await door('good')
      const body = Buffer.alloc(400_000, 'x')
      const provider = cloudOf().provider(at.origin)
      await provider.put(putOf('tls-cut', body), patient())
      for (const kind of ['reset', 'end'] as const) {
        await using other = await door('good')
        other.proxy.rules = [{ fault: { kind, of: 'answer', at: 200_000 } }]
        const behind = cloudOf().provider(other.origin)
        const error = await failure(
          (async () => {
            for await (const _ of (await behind.get(whole('tls-cut'), patient()))?.body ?? []);
          })(),
        )
        expect(error, kind).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK' })
      }
    })
  })
}

/** The same for a store, over time. */
export function lastingIdentities(name: CloudName, cloudOf: () => Cloud): void {
  describe(`a store before ${name} over TLS`, () => {
    const ca = trustedCa()

    test('whose certificate runs out blocks its provider, is asked seldom, holds up nothing else, and goes on with a new certificate (N11, I11, I29, I33)', async () => {
      const bad = await startTls(cloudOf().port, await ca().identity('expired'))
      const good = await startTls(cloudOf().port, await ca().identity('good'))
      try {
        await using at = await scene(cloudOf(), { over: good.port })
        await at.store.put('before', 'body', { ack: 'all' })
        await eventually(async () => (await at.store.status()).done === 1)
        at.proxy.aim(bad.port)
        at.proxy.resetAll()
        const made = at.proxy.made
        for (let i = 0; i < 20; i++) await at.store.put(`k${i}`, 'body', { ack: 'one' })
        await eventually(async () => (await at.standing()).state === 'blocked')
        const standing = await at.standing()
        expect(standing).toMatchObject({ reason: 'TLS' })
        expect(standing.message).toMatch(/expired/i)
        expect(await (await at.store.get('before'))?.text()).toBe('body')
        expect((await keysOf(at.near)).length).toBe(21)
        expect((await at.store.check()).find(({ provider }) => provider === name)?.findings.join()).toMatch(
          /certificate/,
        )
        // Some 20 s.
        at.clock.times = 20
        await new Promise(resolve => setTimeout(resolve, 1_000))
        expect(at.proxy.made - made).toBeLessThan(40)
        at.proxy.aim(good.port)
        await at.drained()
        expect((await keysOf(at.cloud)).length).toBe(21)
        expect((await bodyAt(at.cloud, 'k0'))?.toString()).toBe('body')
      } finally {
        await bad[Symbol.asyncDispose]()
        await good[Symbol.asyncDispose]()
      }
    })
  })
}
