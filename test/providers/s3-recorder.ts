import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { digestsOf } from '../../src/core/digest.ts'
import { noMemo, type Provider, type PutRequest } from '../../src/core/provider.ts'
import { bytesSource, type Source } from '../../src/core/source.ts'
import { s3, type S3Options } from '../../src/providers/s3.ts'

/** A server on loopback that writes down what it is asked, and answers as it is told: like S3, or not at all like it. */
export interface Recorder extends AsyncDisposable {
  readonly endpoint: string
  readonly requests: Seen[]
  /** Connections that are open now. */
  open(): number
  answer: Answer
}

export interface Seen {
  readonly method: string
  /** As on the wire. */
  readonly url: string
  readonly headers: IncomingMessage['headers']
  /** Bytes of the body, once it came to its end. */
  body?: Buffer
}

/** Whether the SDK made it: what goes past its middleware does not say this. */
export function isOfSdk({ headers }: Seen): boolean {
  return headers['x-amz-user-agent'] !== undefined
}

export type Answer = (request: IncomingMessage, response: ServerResponse, seen: Seen) => unknown

export async function startRecorder(answer: Answer): Promise<Recorder> {
  const requests: Seen[] = []
  const sockets = new Set<Socket>()
  const server = createServer((request, response) => {
    const seen: Seen = { method: request.method ?? '', url: request.url ?? '', headers: request.headers }
    requests.push(seen)
    request.on('error', () => {})
    // A client that leaves is part of many tests.
    Promise.resolve(recorder.answer(request, response, seen)).catch(() => response.destroy())
  })
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const recorder: Recorder = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    open: () => sockets.size,
    answer,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return recorder
}

/** What every answer of S3 carries, and those about an object. The date is that of today: by one of another time the client would correct its clock. */
export const named = { 'x-amz-request-id': 'TX0001', 'x-amz-id-2': 'abc', date: new Date().toUTCString() }
export const ofObject = {
  ...named,
  etag: '"5d41402abc4b2a76b9719d911017c592"',
  'last-modified': 'Sat, 21 Nov 2026 10:00:00 GMT',
  'content-type': 'text/plain',
}

/** Reads the request to its end, then answers. */
export function reply(status: number, headers: Record<string, string> = {}, body: string | Buffer = ''): Answer {
  return async (request, response, seen) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    seen.body = Buffer.concat(chunks)
    const length = seen.method === 'HEAD' || status === 204 ? {} : { 'content-length': String(Buffer.byteLength(body)) }
    response.writeHead(status, { ...length, ...headers })
    response.end(seen.method === 'HEAD' ? undefined : body)
  }
}

/** An error as S3 says it. HEAD gets the status alone. */
export function refuse(status: number, code: string, more: Record<string, string> = {}, message = 'No.'): Answer {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>${message}</Message><RequestId>TX0001</RequestId></Error>`
  return reply(status, { ...named, 'content-type': 'application/xml', ...more }, body)
}

export function listing(entries: readonly string[], more = '<IsTruncated>false</IsTruncated>', name = 'main'): Answer {
  const contents = entries.map(
    key =>
      `<Contents><Key>${key}</Key><LastModified>2026-11-21T10:00:00.000Z</LastModified><ETag>&quot;e&quot;</ETag><Size>1</Size></Contents>`,
  )
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><Name>${name}</Name><EncodingType>url</EncodingType><KeyCount>${entries.length}</KeyCount>${more}${contents.join('')}</ListBucketResult>`
  return reply(200, { ...named, 'content-type': 'application/xml' }, body)
}

/** Answers each request by its method, or by `METHOD /path` where that is given. */
export function byMethod(answers: Readonly<Record<string, Answer>>): Answer {
  return (request, response, seen) => {
    const path = seen.url.split('?')[0]
    const answer = answers[`${seen.method} ${path}`] ?? answers[seen.method] ?? refuse(500, 'InternalError')
    return answer(request, response, seen)
  }
}

export const secrets = {
  accessKeyId: 'AKIACANARYKEYID',
  secretAccessKey: 'canary/secret/key',
  sessionToken: 'canary-token',
}

/** Speaks Amazon's dialect from the first call on, as if it had been learned. */
export async function amazonAt(endpoint: string, more: Partial<S3Options> = {}): Promise<Provider> {
  const provider = s3({ bucket: 'main', endpoint, credentials: secrets, ...more })
  const amazon = s3({ bucket: 'main', region: 'us-east-1', credentials: secrets })
  await provider.learn(amazon.capabilities, AbortSignal.timeout(1000))
  return provider
}

export function putOf(key: string, body: string | Uint8Array, more: Partial<PutRequest> = {}): PutRequest {
  const bytes = typeof body === 'string' ? Buffer.from(body) : body
  return {
    key,
    source: bytesSource(bytes, digestsOf(bytes)),
    headers: { contentType: 'text/plain' },
    metadata: {},
    condition: undefined,
    upload: noMemo,
    ...more,
  }
}

/** So many zeros in chunks of 64 KiB, each after a wait of so many milliseconds. */
export function slowSource(size: number, msBefore: (at: number) => number): Source {
  const bytes = new Uint8Array(size)
  return {
    size,
    ...digestsOf(bytes),
    async *open(start, end) {
      for (let at = start; at < end; at += 65_536) {
        const ms = msBefore(at)
        if (ms > 0) await new Promise(resolve => setTimeout(resolve, ms))
        yield bytes.subarray(at, Math.min(end, at + 65_536))
      }
    },
  }
}

export async function errorOf(promise: Promise<unknown>): Promise<unknown> {
  let value: unknown
  try {
    value = await promise
  } catch (error) {
    return error
  }
  throw new Error(`resolved, where a rejection was due: ${JSON.stringify(value)}`)
}

export async function all<T>(items: AsyncIterable<T> | Iterable<T>): Promise<T[]> {
  const found: T[] = []
  for await (const item of items) found.push(item)
  return found
}

export const everything = { prefix: '', delimiter: '', startAfter: '' }
export const whole = (key: string): { key: string; range: undefined; token: undefined } => ({
  key,
  range: undefined,
  token: undefined,
})
