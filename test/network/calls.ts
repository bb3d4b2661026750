import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/core/system.ts'
import { guardProvider } from '../../src/core/guarded.ts'
import type { Provider } from '../../src/core/provider.ts'
import { eventually } from '../support/store.ts'
import { type Cloud, type CloudName, calls, isWrite, putOf, type Run, whole } from './clouds.ts'
import { type Place, type Proxy, startProxy } from './proxy.ts'
import { failure, timed } from './scene.ts'

/** One provider behind a proxy, and the same past it. */
interface Behind extends AsyncDisposable {
  readonly proxy: Proxy
  readonly provider: Provider
  readonly direct: Provider
}

export async function behind(cloud: Cloud): Promise<Behind> {
  const proxy = await startProxy(cloud.port)
  return {
    proxy,
    provider: cloud.provider(proxy.endpoint),
    direct: cloud.provider(`http://127.0.0.1:${cloud.port}`),
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  }
}

export const patient = (): AbortSignal => AbortSignal.timeout(15_000)

const body = Buffer.alloc(300_000, 'abcdefghijklmnopqrstuvwxyz0123456789')

/** Single calls through a driver and its real SDK. */
export function singleCalls(name: CloudName, cloudOf: () => Cloud): void {
  describe(`calls to ${name}`, () => {
    test('of a network that takes everything and says nothing each end within the limits, and leave no connection (N1, N2)', async () => {
      await using at = await behind(cloudOf())
      const limits = { clock: systemClock, idleMs: 150, deadlineMs: 300, minBytesPerSecond: 1 }
      const guarded = guardProvider(at.provider, limits)
      await at.provider.put(putOf('silent', body), patient())
      const places: readonly Place[] = ['start', 'head', 1]
      for (const half of ['request', 'answer'] as const) {
        for (const place of places) {
          at.proxy.rules = [{ fault: { kind: 'silent', of: half, at: place } }]
          const hang = async (call: string, run: Run) => {
            const what = `${call}, ${half} ${place}`
            const ms = await timed(async () => {
              const error = await failure(run(guarded, 'silent', patient()))
              expect(error, what).toMatchObject({ code: 'UNAVAILABLE', reason: 'TIMEOUT' })
              expect(error.outcome, what).toBe(isWrite(call) ? 'unknown' : undefined)
            })
            expect(ms, what).toBeLessThan(3_000)
          }
          // What has no body of its own is not silent in it.
          const hasBody = (call: string) => (half === 'request' ? call === 'put' : call === 'get' || call === 'list')
          const hanging = Object.entries(calls).filter(([call]) => place === 'start' || hasBody(call))
          await Promise.all(hanging.map(([call, run]) => hang(call, run)))
          at.proxy.rules = []
          await eventually(() => at.proxy.busy === 0)
        }
      }
    })

    test('that are refused a connection did nothing for sure (N1)', async () => {
      await using at = await behind(cloudOf())
      await at.proxy.refuse()
      for (const [call, run] of Object.entries(calls)) {
        const error = await failure(run(at.provider, 'k', patient()))
        expect(error, call).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK', retryable: true })
        expect(error.outcome).toBe(isWrite(call) ? 'rejected' : undefined)
        expect(error.message).toContain('ECONNREFUSED')
      }
      await at.proxy.listen()
      for (const [call, run] of Object.entries(calls)) await run(at.provider, `refused-${call}`, patient())
    })

    test('never give a short body for a whole one, wherever it is reset, ended, or has no announced length (N3, N13, I24)', async () => {
      await using at = await behind(cloudOf())
      await at.direct.put(putOf('cut', body), patient())
      const isMedia = ({ method, path }: { method: string; path: string }) =>
        method === 'GET' && (name !== 'gcs' || path.includes('alt=media'))
      const places: readonly Place[] = ['start', 'head', 1, 100_000, body.byteLength - 1]
      const cuts = (['reset', 'end'] as const).flatMap(kind =>
        places.map(place => ({ kind, of: 'answer', at: place }) as const),
      )
      const withoutLength = {
        kind: 'rewrite',
        head: (text: string) => text.replace(/^content-length:.*\r\n/im, ''),
        endAfter: 1000,
      } as const
      for (const fault of [...cuts, withoutLength]) {
        at.proxy.rules = [{ match: isMedia, fault }]
        const chunks: Uint8Array[] = []
        const error = await failure(
          (async () => {
            const found = await at.provider.get(whole('cut'), patient())
            for await (const chunk of found?.body ?? []) chunks.push(chunk)
            return Buffer.concat(chunks).byteLength
          })(),
        )
        const what = JSON.stringify(fault)
        expect(error.code, what).toBe('UNAVAILABLE')
        expect(['NETWORK', 'PROTOCOL', 'NOT_PROVIDER'], what).toContain(error.reason)
        const came = Buffer.concat(chunks)
        expect(came.equals(body.subarray(0, came.byteLength)), what).toBe(true)
      }
      at.proxy.rules = []
      expect(await calls['get']?.(at.provider, 'cut', patient())).toEqual(body)
      await eventually(() => at.proxy.busy === 0)
    })

    test('that break while a body goes up may have happened, and the next try sends all of it anew (N4)', async () => {
      await using at = await behind(cloudOf())
      const first = '100 Continue'
      const faults = [
        { kind: 'reset', of: 'request', at: 'head' },
        { kind: 'reset', of: 'request', at: 100_000 },
        { kind: 'end', of: 'request', at: 100_000 },
        { kind: 'answer', bytes: `HTTP/1.1 ${first}\r\n\r\n`, early: true, after: 'reset' },
        { kind: 'answer', bytes: 'HTTP/1.1 102 Processing\r\n\r\n', after: 'reset' },
        { kind: 'answer', bytes: 'HTTP/1.1 102 Processing\r\n\r\n', after: 'end' },
      ] as const
      for (const [index, fault] of faults.entries()) {
        at.proxy.rules = [{ fault }]
        const error = await failure(at.provider.put(putOf(`up-${index}`, body), patient()))
        const what = JSON.stringify(fault)
        expect(error, what).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK', outcome: 'unknown' })
        expect(await at.direct.head(`up-${index}`, patient()), what).toBeUndefined()
        at.proxy.rules = []
        await at.provider.put(putOf(`up-${index}`, body), patient())
        expect(await calls['get']?.(at.direct, `up-${index}`, patient()), what).toEqual(body)
      }
      // Nobody waits for leave to send, so nobody waits for ever where it does not come.
      for (const { headers } of at.proxy.heads) expect(headers['expect']).toBeUndefined()
      await eventually(() => at.proxy.busy === 0)
    })

    test('whose answer comes before the body was sent are over, and so is their connection (N4)', async () => {
      await using at = await behind(cloudOf())
      const proof = Object.entries(cloudOf().proof).map(([header, value]) => `${header}: ${value}\r\n`)
      for (const status of ['200 OK', '503 Service Unavailable']) {
        const bytes = `HTTP/1.1 ${status}\r\ncontent-length: 0\r\n${proof.join('')}\r\n`
        at.proxy.rules = [{ fault: { kind: 'answer', bytes, early: true, after: 'keep' } }]
        const error = await failure(at.provider.put(putOf('early', Buffer.alloc(20_000_000)), patient()))
        expect(error, status).toMatchObject({ code: 'UNAVAILABLE', outcome: 'unknown' })
        at.proxy.rules = []
        await eventually(() => at.proxy.busy === 0)
      }
      expect(await at.direct.head('early', patient())).toBeUndefined()
    })

    test('whose answer is lost may have happened, and say so (N6, I15)', async () => {
      await using at = await behind(cloudOf())
      for (const kind of ['reset', 'end'] as const) {
        at.proxy.rules = [{ match: cloudOf().carriesBody, fault: { kind, of: 'answer', at: 'start' } }]
        const error = await failure(at.provider.put(putOf(`lost-${kind}`, 'body'), patient()))
        expect(error, kind).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK', outcome: 'unknown' })
        expect(await at.direct.head(`lost-${kind}`, patient())).toMatchObject({ size: 4 })
      }
    })

    test('on a connection that the service just closed fail as any that broke, and the next is on a new one (N9)', async () => {
      await using at = await behind(cloudOf())
      const isReused = ({ before }: { before: number }) => before > 0
      for (const [call, run] of Object.entries(calls)) {
        at.proxy.rules = []
        await at.provider.put(putOf('again', 'body'), patient())
        at.proxy.rules = [{ match: isReused, times: 1, fault: { kind: 'reset', of: 'request', at: 'start' } }]
        const error = await failure(run(at.provider, 'again', patient()))
        expect(error, call).toMatchObject({ code: 'UNAVAILABLE', reason: 'NETWORK', retryable: true })
        await run(at.provider, 'again', patient())
      }
      at.proxy.rules = []
      // Those that were seen to close in time are not used at all.
      await calls['head']?.(at.provider, 'again', patient())
      at.proxy.resetAll('idle')
      await eventually(() => at.proxy.open === 0)
      await calls['head']?.(at.provider, 'again', patient())
    })
  })
}
