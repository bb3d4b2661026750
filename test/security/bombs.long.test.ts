import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { expect, onTestFinished, test } from 'vitest'
import { proof } from '../providers/azure-recorder.ts'
import { named } from '../providers/s3-recorder.ts'

// X5, X9, I31: answers of a gigabyte, compressed ones too. A small process reads of them what an answer can have, and lets go of the rest.

const gibibyte = 2 ** 30

/** What is read of a good answer at most, in MiB, and half of that again for what is on its way. */
const most = { s3: 16, gcs: 32, azure: 128 } as const

interface Line {
  readonly kind: string
  readonly call: string
  readonly ended: string
  readonly mostMiB?: number
}

test.each(Object.keys(most) as (keyof typeof most)[])(
  'answers of %s that do not end, unpacked or not: an error, memory in bounds, the connection let go (I31, X5, X9)',
  async name => {
    const sent = new Map<string, number>()
    let now = ''
    const server = createServer((request, response) => {
      request.resume()
      request.on('error', () => {})
      if (request.url?.startsWith('/now') === true) {
        now = new URL(request.url, 'http://host').searchParams.toString()
        response.end()
        return
      }
      const key = now
      const { kind = '' } = Object.fromEntries(new URLSearchParams(now))
      if (request.method === 'HEAD' && kind !== 'headers' && kind !== 'head') response.writeHead(200, marks).end()
      else bomb(kind, response, bytes => sent.set(key, (sent.get(key) ?? 0) + bytes))
    })
    server.on('connection', socket => socket.on('error', () => {}))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    onTestFinished(() => {
      server.closeAllConnections()
      server.close()
    })
    const { port } = server.address() as AddressInfo
    const child = spawn(
      process.execPath,
      [
        '--max-old-space-size=64',
        '--max-semi-space-size=4',
        join(import.meta.dirname, 'bombs-child.ts'),
        name,
        `http://127.0.0.1:${port}`,
      ],
      { stdio: ['ignore', 'pipe', 'pipe'] },
    )
    onTestFinished(() => void child.kill('SIGKILL'))
    const [out, err] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')])
    expect({ code: child.exitCode, err }).toEqual({ code: 0, err: '' })
    const lines = out
      .trim()
      .split('\n')
      .map(line => JSON.parse(line) as Line)
    const { mostMiB = 0 } = lines.at(-1) as Line
    // A gigabyte that was kept would show: one page, read and joined, and garbage that nobody collected yet, does not come near it.
    expect(mostMiB).toBeLessThan(700)
    expect(lines.length).toBe(5 * 4 + 1)
    for (const [what, bytes] of sent) expect(bytes, what).toBeLessThan((most[name] + 16) * 1.5 * 2 ** 20)
    for (const { kind, call, ended } of lines.slice(0, -1)) {
      if (kind !== 'head' && !(call === 'head' && name !== 'gcs'))
        expect(ended, `${kind} ${call}`).toMatch(/^[A-Z]+ [A-Z_]+$/)
    }
  },
  120_000,
)

const marks = { ...named, ...proof, 'x-guploader-uploadid': 'AA', 'content-type': 'application/xml' }

function bomb(kind: string, response: ServerResponse, count: (bytes: number) => void): void {
  response.on('error', () => {})
  if (kind === 'headers') {
    const many = Object.fromEntries(Array.from({ length: 5_000 }, (_, at) => [`x-amz-meta-h${at}`, 'x'.repeat(200)]))
    response.writeHead(200, { ...marks, ...many }).end()
    return
  }
  if (kind === 'head') {
    response.writeHead(200, {
      ...marks,
      'content-length': String(gibibyte),
      etag: '"e"',
      'last-modified': 'Sat, 21 Nov 2026 10:00:00 GMT',
    })
    response.end()
    return
  }
  const isPacked = kind.startsWith('gzip')
  const status = Number(kind.replace('gzip ', ''))
  response.writeHead(status, { ...marks, ...(isPacked ? { 'content-encoding': 'gzip' } : {}) })
  const body = isPacked ? Readable.from([packed]) : Readable.from(endless())
  body.on('data', (chunk: Buffer) => count(chunk.byteLength))
  body.on('error', () => {})
  body.pipe(response)
  response.on('close', () => body.destroy())
}

const beginning = Buffer.from('<?xml version="1.0"?><ListBucketResult><EnumerationResults><Error><Message>')
/** A thousand times as much when it is unpacked. */
const packed = gzipSync(Buffer.concat([beginning, Buffer.alloc(2 ** 28, 'x')]), { level: 1 })

function* endless(): Generator<Buffer> {
  yield beginning
  const chunk = Buffer.alloc(2 ** 18, 'x')
  for (let sent = 0; sent < gibibyte; sent += chunk.byteLength) yield chunk
}
