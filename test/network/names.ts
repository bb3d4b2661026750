import dns from 'node:dns'
import { syncBuiltinESMExports } from 'node:module'
import { isIP } from 'node:net'
import { describe, expect, onTestFinished, test } from 'vitest'
import { bodyAt, eventually, keysOf } from '../support/store.ts'
import { patient } from './calls.ts'
import { type Cloud, type CloudName, calls, isWrite, putOf } from './clouds.ts'
import { startProxy } from './proxy.ts'
import { failure, scene } from './scene.ts'

/** A name that only this file knows. Of no other is anything asked of the system's resolver. */
const host = 'cloud'

type Answer = readonly string[] | { readonly code: string }

/** Answers for `host` until the test ends: addresses, or the code of an error. Counts how often it was asked. */
function resolver(first: Answer): { answer: Answer; readonly asked: number } {
  const { lookup } = dns
  const state = { answer: first, asked: 0 }
  type Callback = (error: Error | null, found?: unknown, family?: number) => void
  function fake(hostname: string, options: { readonly all?: boolean }, callback: Callback): void {
    if (hostname !== host) {
      // Servers ask for their own address by this way too.
      if (isIP(hostname) === 0) throw new Error(`a test asked the network for ${hostname}`)
      lookup(hostname, options, callback as never)
      return
    }
    state.asked++
    const { answer } = state
    setImmediate(() => {
      if ('code' in answer) {
        const { code } = answer
        const error = new Error(`getaddrinfo ${code} ${hostname}`)
        callback(Object.assign(error, { code, errno: -3000, syscall: 'getaddrinfo', hostname }))
        return
      }
      const found = answer.map(address => ({ address, family: address.includes(':') ? 6 : 4 }))
      if (options.all === true) callback(null, found)
      else callback(null, found[0]?.address, found[0]?.family)
    })
  }
  Object.assign(dns, { lookup: fake })
  syncBuiltinESMExports()
  onTestFinished(() => {
    Object.assign(dns, { lookup })
    syncBuiltinESMExports()
  })
  return state
}

/** What names resolve to, and do not. */
export function names(name: CloudName, cloudOf: () => Cloud): void {
  describe(`the name of ${name}`, () => {
    test('that does not resolve is worth another try, did nothing, and is asked for anew each time (N10)', async () => {
      await using proxy = await startProxy(cloudOf().port)
      const resolved = resolver({ code: 'ENOTFOUND' })
      const provider = cloudOf().provider(`http://${host}:${proxy.port}`, { allowInsecure: true })
      for (const code of ['ENOTFOUND', 'EAI_AGAIN', 'EAI_FAIL']) {
        resolved.answer = { code }
        for (const [call, run] of Object.entries(calls)) {
          const error = await failure(run(provider, 'named', patient()))
          expect(error, `${call}, ${code}`).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK', retryable: true })
          expect(error.outcome, `${call}, ${code}`).toBe(isWrite(call) ? 'rejected' : undefined)
          expect(error.message).toContain(code)
        }
      }
      expect(proxy.made).toBe(0)
      resolved.answer = ['127.0.0.1']
      for (const run of Object.values(calls)) await run(provider, 'named', patient())
    })

    // The client of @azure/storage-blob looks names up by itself.
    const isGuarded = name !== 'azure'
    if (isGuarded)
      test('that leads to the link, where clouds hand out credentials, is not followed (N10, I46)', async () => {
        resolver(['169.254.169.254'])
        const provider = cloudOf().provider(`http://${host}:80`, { allowInsecure: true })
        const error = await failure(provider.put(putOf('k', 'body'), patient()))
        expect(error).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK', outcome: 'rejected' })
        expect(error.message).toContain('link-local')
      })

    test('that leads to a machine where nobody listens, and to one that does, is reached (N10)', async () => {
      await using proxy = await startProxy(cloudOf().port)
      resolver(['::1', '127.0.0.2', '127.0.0.1'])
      const provider = cloudOf().provider(`http://${host}:${proxy.port}`, { allowInsecure: true })
      await provider.put(putOf('named', 'body'), patient())
      expect(await provider.head('named', patient())).toMatchObject({ size: 4 })
    })
  })
}

/** The same for a store, over time. */
export function movingNames(name: CloudName, cloudOf: () => Cloud): void {
  describe(`a store that knows ${name} by name`, () => {
    test('that leads to another machine is followed there once it changes, and what stands there by mistake is not believed (N10, N12, I33)', async () => {
      const resolved = resolver(['127.0.0.1'])
      await using at = await scene(cloudOf(), { host, allowInsecure: true })
      await using stranger = await startProxy(cloudOf().port, { host: '127.0.0.3', port: at.proxy.port })
      stranger.rules = [
        { fault: { kind: 'answer', bytes: 'HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n', after: 'keep' } },
      ]
      await at.store.put('before', 'body', { ack: 'all' })
      resolved.answer = ['127.0.0.3']
      await at.proxy.refuse()
      for (let i = 0; i < 5; i++) await at.store.put(`k${i}`, 'body', { ack: 'one' })
      await eventually(async () => (await at.standing()).reason === 'NOT_PROVIDER')
      expect(await (await at.store.get('before'))?.text()).toBe('body')
      resolved.answer = { code: 'ENOTFOUND' }
      for (let i = 5; i < 10; i++) await at.store.put(`k${i}`, 'body', { ack: 'one' })
      // The machine has moved. As long as the stranger keeps a connection, it is the one that is used.
      await stranger.refuse()
      await using moved = await startProxy(cloudOf().port, { host: '127.0.0.4', port: at.proxy.port })
      resolved.answer = ['127.0.0.4']
      await at.drained()
      expect((await keysOf(at.cloud)).length).toBe(11)
      expect((await bodyAt(at.cloud, 'k9'))?.toString()).toBe('body')
      expect(moved.made).toBeGreaterThan(0)
    })
  })
}
