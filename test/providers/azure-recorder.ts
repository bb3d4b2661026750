import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** A server on loopback that writes down what it is asked, and answers as it is told. */
export interface Recorder extends AsyncDisposable {
  /** Of a storage account: `http://127.0.0.1:<port>/account`. */
  readonly endpoint: string
  readonly requests: Seen[]
  /** Connections ever made. */
  readonly connections: () => number
  /** Connections that are open now. */
  readonly open: () => number
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

export type Answer = (request: IncomingMessage, response: ServerResponse, seen: Seen) => unknown

export async function startRecorder(answer: Answer): Promise<Recorder> {
  const requests: Seen[] = []
  const sockets = new Set<Socket>()
  let connections = 0
  const server = createServer((request, response) => {
    const seen: Seen = { method: request.method ?? '', url: request.url ?? '', headers: request.headers }
    requests.push(seen)
    recorder.answer(request, response, seen)
  })
  server.on('connection', socket => {
    connections += 1
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const recorder: Recorder = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}/account`,
    requests,
    connections: () => connections,
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

/** Headers that the service sends with every answer, and with those about a blob. */
export const proof = { 'x-ms-request-id': '11111111-2222-3333-4444-555555555555', 'x-ms-version': '2026-10-06' }
export const blobProof = {
  ...proof,
  etag: '"0x8DEADBEEF"',
  'last-modified': 'Sat, 21 Nov 2026 10:00:00 GMT',
  'x-ms-blob-type': 'BlockBlob',
}

/** Reads the body to its end, then answers. */
export function reply(status: number, headers: Record<string, string> = {}, body: string | Buffer = ''): Answer {
  return async (request, response, seen) => {
    seen.body = await wholeBody(request)
    response.writeHead(status, { 'content-length': String(Buffer.byteLength(body)), ...headers })
    response.end(seen.method === 'HEAD' ? undefined : body)
  }
}

export async function wholeBody(request: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  try {
    for await (const chunk of request) chunks.push(chunk as Buffer)
  } catch {
    // The client went away.
  }
  return Buffer.concat(chunks)
}

/** As the service refuses. */
export function refuse(status: number, code: string, message = 'No.', headers: Record<string, string> = {}): Answer {
  const body = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>${message}\nRequestId:x\nTime:y</Message></Error>`
  return reply(status, { ...proof, 'content-type': 'application/xml', 'x-ms-error-code': code, ...headers }, body)
}

export function listing(names: readonly string[], more: { next?: string; prefixes?: readonly string[] } = {}): string {
  const blobs = names.map(
    name =>
      `<Blob><Name>${name}</Name><Properties><Last-Modified>Sat, 21 Nov 2026 10:00:00 GMT</Last-Modified><Etag>0x8D1</Etag>` +
      '<Content-Length>3</Content-Length><Content-MD5>kAFQmDzST7DWlj99KOF/cg==</Content-MD5><BlobType>BlockBlob</BlobType></Properties></Blob>',
  )
  const prefixes = (more.prefixes ?? []).map(name => `<BlobPrefix><Name>${name}</Name></BlobPrefix>`)
  const all = [...blobs, ...prefixes].join('')
  return `\ufeff<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://x/" ContainerName="c"><Blobs>${all}</Blobs><NextMarker>${more.next ?? ''}</NextMarker></EnumerationResults>`
}
