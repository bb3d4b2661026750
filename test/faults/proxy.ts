import { once } from 'node:events'
import { createServer, type IncomingMessage, request, type ServerResponse } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'

/** Stands between a driver and a real server on loopback, and does to single requests what that server cannot be told to do. */
export interface FaultProxy extends AsyncDisposable {
  /** `http://127.0.0.1:<port>`. Signed for, since the name of the host goes through as it came. */
  readonly endpoint: string
  /** All that came, oldest first. */
  readonly requests: Passing[]
  /** Decides about each request. `undefined`: it goes through, and its answer comes back, as they are. */
  rule: (passing: Passing) => Treatment | undefined
}

export interface Passing {
  readonly method: string
  /** As on the wire. */
  readonly url: string
  readonly headers: IncomingMessage['headers']
}

export interface Treatment {
  /** Default true: the server gets it, whatever the client is told. */
  readonly passes?: boolean
  /** Request headers that the server does not get to see: conditions, digests. Of no use where they are signed. */
  readonly hides?: readonly string[]
  /** What the client is told instead of the server's answer; 'nothing': the connection is closed. Default: what the server says. */
  readonly tells?: 'nothing' | Told
  /** Changes the headers of the server's answer. */
  readonly retells?: (headers: Record<string, string>, status: number) => void
}

export interface Told {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: string | Buffer
}

export async function startProxy(to: string): Promise<FaultProxy> {
  const { hostname, port } = new URL(to)
  const requests: Passing[] = []
  const sockets = new Set<Socket>()

  async function pass(incoming: IncomingMessage, body: Buffer, hides: readonly string[]): Promise<Passed> {
    const headers = { ...incoming.headers }
    for (const name of [...hides, 'connection', 'transfer-encoding', 'expect']) delete headers[name]
    if (body.byteLength > 0) headers['content-length'] = String(body.byteLength)
    const asked = request({ hostname, port, agent: false, method: incoming.method, path: incoming.url, headers })
    // One that breaks while it is being told goes on as its answer says.
    asked.on('error', () => {})
    asked.end(body)
    const [answer] = (await once(asked, 'response')) as [IncomingMessage]
    const said: Record<string, string> = {}
    for (const [name, value] of Object.entries(answer.headers)) if (typeof value === 'string') said[name] = value
    for (const name of ['connection', 'keep-alive', 'transfer-encoding']) delete said[name]
    return { status: answer.statusCode ?? 0, headers: said, body: await whole(answer) }
  }

  async function serve(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
    const passing: Passing = { method: incoming.method ?? '', url: incoming.url ?? '', headers: incoming.headers }
    requests.push(passing)
    const body = await whole(incoming)
    const { passes = true, hides = [], tells, retells } = proxy.rule(passing) ?? {}
    const passed = passes ? await pass(incoming, body, hides) : undefined
    if (tells === 'nothing' || (tells === undefined && passed === undefined)) {
      response.socket?.destroy()
      return
    }
    const told: Told | undefined = tells ?? passed
    const headers = { ...told?.headers }
    retells?.(headers, told?.status ?? 0)
    const { body: said = '' } = told ?? {}
    const bytes = typeof said === 'string' ? Buffer.from(said) : said
    if (passing.method !== 'HEAD' && told?.status !== 204 && told?.status !== 304)
      headers['content-length'] = String(bytes.byteLength)
    response.writeHead(told?.status ?? 0, headers)
    response.end(passing.method === 'HEAD' ? undefined : bytes)
  }

  const server = createServer((incoming, response) => {
    incoming.on('error', () => {})
    // A client that leaves is part of many tests.
    serve(incoming, response).catch(() => response.destroy())
  })
  server.keepAliveTimeout = 600_000
  server.on('connection', socket => {
    sockets.add(socket)
    socket.on('close', () => sockets.delete(socket))
    socket.on('error', () => {})
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy: FaultProxy = {
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    rule: () => undefined,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
  return proxy
}

/** As Azure Blob Storage refuses. */
export function azureRefusal(status: number, code: string, headers: Readonly<Record<string, string>> = {}): Told {
  const body = `<?xml version="1.0" encoding="utf-8"?><Error><Code>${code}</Code><Message>No.\nRequestId:x\nTime:y</Message></Error>`
  const named = {
    'x-ms-request-id': '11111111-2222-3333-4444-555555555555',
    'x-ms-version': '2026-10-06',
    'x-ms-error-code': code,
    'content-type': 'application/xml',
  }
  return { status, headers: { ...named, ...headers }, body }
}

/** As S3 refuses. */
export function s3Refusal(status: number, code: string, headers: Readonly<Record<string, string>> = {}): Told {
  const body = `<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>${code}</Code><Message>No.</Message><RequestId>TX1</RequestId></Error>`
  return { status, headers: { 'x-amz-request-id': 'TX1', 'content-type': 'application/xml', ...headers }, body }
}

interface Passed {
  readonly status: number
  readonly headers: Record<string, string>
  readonly body: Buffer
}

async function whole(stream: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of stream) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}
