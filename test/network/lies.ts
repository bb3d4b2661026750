import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import { eventually } from '../support/store.ts'
import { behind, patient } from './calls.ts'
import { type Cloud, type CloudName, calls, isWrite, putOf } from './clouds.ts'
import type { Fault } from './proxy.ts'
import { failure } from './scene.ts'

const page = '<!DOCTYPE html><html><body>Please sign in to the network.</body></html>'

/** A whole answer of something that is not the service. */
function said(status: string, headers: Readonly<Record<string, string>>, body: string | Buffer): Buffer {
  const lines = Object.entries({ 'content-length': String(Buffer.byteLength(body)), ...headers })
  const head = `HTTP/1.1 ${status}\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join('')}\r\n`
  return Buffer.concat([Buffer.from(head), Buffer.from(body)])
}

function* endless(head: string, chunk: string): Iterable<string> {
  yield head
  const many = chunk.repeat(Math.ceil(65_536 / chunk.length))
  while (true) yield many
}

/** What may be read of an answer that goes on and on before it is left, and what the kernel holds of it besides. */
const mostRead = 16 * 2 ** 20

/** Answers of whoever is in the way, and answers that make no sense. */
export function lies(name: CloudName, cloudOf: () => Cloud): void {
  describe(`answers in place of ${name}`, () => {
    const html = { 'content-type': 'text/html' }
    const portals: Readonly<Record<string, { readonly bytes: Buffer; readonly reason: string }>> = {
      'a page': { bytes: said('200 OK', html, page), reason: 'NOT_PROVIDER' },
      'a login elsewhere': {
        bytes: said('302 Found', { location: 'http://127.0.0.1:1/login' }, ''),
        reason: 'NOT_PROVIDER',
      },
      'a proxy that wants a password': {
        bytes: said('407 Proxy Authentication Required', { 'proxy-authenticate': 'Basic' }, page),
        reason: 'NOT_PROVIDER',
      },
      'a 403 of a filter': { bytes: said('403 Forbidden', html, page), reason: 'NOT_PROVIDER' },
      'a 404 of another server': { bytes: said('404 Not Found', html, page), reason: 'NOT_PROVIDER' },
      'nothing, politely': { bytes: said('204 No Content', {}, ''), reason: 'NOT_PROVIDER' },
      'a bad gateway': { bytes: said('502 Bad Gateway', html, page), reason: 'SERVER' },
      'an error that is packed': {
        bytes: said('403 Forbidden', { ...html, 'content-encoding': 'gzip' }, gzipSync(page)),
        reason: 'NOT_PROVIDER',
      },
      'a page that is packed': {
        bytes: said('200 OK', { ...html, 'content-encoding': 'gzip' }, gzipSync(page)),
        reason: 'NOT_PROVIDER',
      },
    }

    test('that a portal or a proxy gives are neither success nor absence, and worth another try (N12, I14, I27)', async () => {
      await using at = await behind(cloudOf())
      await at.direct.put(putOf('portal', 'body'), patient())
      for (const [what, { bytes, reason }] of Object.entries(portals)) {
        at.proxy.rules = [{ fault: { kind: 'answer', bytes: [bytes], after: 'keep' } }]
        for (const [call, run] of Object.entries(calls)) {
          const error = await failure(run(at.provider, 'portal', patient()))
          expect(error, `${call}: ${what}`).toMatchObject({ code: 'UNAVAILABLE', reason, retryable: true })
          if (isWrite(call)) expect(error.outcome, `${call}: ${what}`).toBe('unknown')
          expect(error.message, call).not.toContain('<')
        }
      }
      at.proxy.rules = []
      expect(await at.provider.head('portal', patient())).toMatchObject({ size: 4 })
    })

    const bad: Readonly<Record<string, () => Fault>> = {
      'a header without end': () => ({
        kind: 'answer',
        bytes: endless('HTTP/1.1 200 OK\r\n', `x-${'h'.repeat(100)}: ${'v'.repeat(900)}\r\n`),
        after: 'keep',
      }),
      'a chunk of no size': () => ({
        kind: 'answer',
        bytes: 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nZZ\r\nxx\r\n',
        after: 'keep',
      }),
      'a length below zero': () => ({
        kind: 'answer',
        bytes: 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\nx',
        after: 'keep',
      }),
      'two lengths': () => ({
        kind: 'answer',
        bytes: 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nxx',
        after: 'keep',
      }),
      'a length and chunks': () => ({
        kind: 'answer',
        bytes: 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n',
        after: 'keep',
      }),
      'another protocol': () => ({ kind: 'answer', bytes: 'SSH-2.0-OpenSSH_9.2\r\n', after: 'keep' }),
    }

    test('that are no HTTP are errors of protocol, and their connection is closed (N13)', async () => {
      await using at = await behind(cloudOf())
      await at.direct.put(putOf('bad', 'body'), patient())
      for (const [what, fault] of Object.entries(bad)) {
        for (const [call, run] of Object.entries(calls)) {
          at.proxy.rules = [{ fault: fault() }]
          const error = await failure(run(at.provider, 'bad', patient()))
          expect(error, `${call}: ${what}`).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
          // Of what breaks in its body a client may have seen that it broke, or whose headers it lacks.
          expect(['PROTOCOL', 'NETWORK', 'NOT_PROVIDER'], `${call}: ${what}`).toContain(error.reason)
          if (isWrite(call)) expect(error.outcome, `${call}: ${what}`).toBe('unknown')
        }
        at.proxy.rules = []
        await eventually(() => at.proxy.busy === 0)
      }
    })

    test('that refuse and never end are read to a limit (N13)', async () => {
      await using at = await behind(cloudOf())
      const proof = Object.entries(cloudOf().proof).map(([header, value]) => `${header}: ${value}\r\n`)
      const heads = [
        `HTTP/1.1 500 Internal Server Error\r\ncontent-length: ${2 ** 30}\r\n${proof.join('')}\r\n`,
        `HTTP/1.1 503 Service Unavailable\r\n\r\n`,
      ]
      for (const head of heads) {
        for (const [call, run] of Object.entries(calls)) {
          at.proxy.rules = [{ fault: { kind: 'answer', bytes: endless(head, '<Error>'), after: 'keep' } }]
          const before = at.proxy.said
          const error = await failure(run(at.provider, 'long', patient()))
          expect(error, call).toMatchObject({ code: 'UNAVAILABLE', retryable: true })
          expect(['SERVER', 'THROTTLED'], call).toContain(error.reason)
          at.proxy.rules = []
          await eventually(() => at.proxy.busy === 0)
          expect(at.proxy.said - before, call).toBeLessThan(mostRead)
        }
      }
    })

    test('in the old protocol, one answer a connection, are answers all the same (N13)', async () => {
      await using at = await behind(cloudOf())
      const head = (text: string) =>
        text.replace(/^HTTP\/1\.1/, 'HTTP/1.0').replace(/^(connection|keep-alive|transfer-encoding):.*\r\n/gim, '')
      at.proxy.rules = [{ match: ({ method }) => method !== 'GET', fault: { kind: 'rewrite', head } }]
      await at.provider.put(putOf('old', 'body'), patient())
      expect(await at.provider.head('old', patient())).toMatchObject({ size: 4 })
      await eventually(() => at.proxy.busy === 0)
    })
  })
}
