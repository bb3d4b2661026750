import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'
import { HoldfastError } from '../../core/errors.ts'
import type { Fault, LocalCloud, LocalCredentials, SeenRequest } from './cloud.ts'
import { serve } from './exchange.ts'
import { faultBook, type RequestName } from './faults.ts'
import type { Protocol } from './protocol.ts'

export interface ServerOptions {
  readonly port: number
  readonly credentials: LocalCredentials
}

const loggedRequests = 100_000
/** How long a port is waited for that its last holder, killed a moment ago, has not let go of. */
const portWaitMs = 3_000

/** Serves a protocol on loopback and does the faults that it is told. UNAVAILABLE when the port is taken and stays so. */
export async function startServer(protocol: Protocol, { port, credentials }: ServerOptions): Promise<LocalCloud> {
  const book = faultBook()
  const stopping = new AbortController()
  const running = new Set<Promise<void>>()
  let log: Logged[] = []

  function accept(incoming: IncomingMessage, response: ServerResponse, waiting: boolean): void {
    const name = protocol.name(incoming)
    const { method = 'GET', url = '/', headers } = incoming
    const treatment = book.decide(method, name)
    const at = Date.now()
    const seen: Logged = { at, method, url, name, headers, status: undefined, fault: treatment?.fault.kind }
    log.push(seen)
    if (log.length > loggedRequests * 1.1) log = log.slice(-loggedRequests)
    const answered = (status: number): void => {
      seen.status = status
    }
    const { signal } = stopping
    const served = serve({
      protocol,
      incoming,
      response,
      waiting,
      name,
      receivedAt: at,
      treatment,
      stopping: signal,
      answered,
    })
      .catch(() => {
        // Only the connection can have failed: what a protocol throws has become an answer.
        response.destroy()
      })
      .finally(() => {
        running.delete(served)
        // What nobody read must not hold up the next request of the connection.
        if (!incoming.complete) incoming.resume()
      })
    running.add(served)
  }

  const server = createServer({ keepAliveTimeout: 65_000, requestTimeout: 0, noDelay: true })
  server.on('request', (incoming, response) => accept(incoming, response, false))
  server.on('checkContinue', (incoming, response) => accept(incoming, response, true))
  const address = await listen(server, port)

  let stopped: Promise<void> | undefined
  async function stop(): Promise<void> {
    stopping.abort()
    const closed = new Promise<void>(resolve => server.close(() => resolve()))
    server.closeAllConnections()
    await Promise.allSettled(running)
    await closed
    protocol.close()
  }

  const cloud: LocalCloud = {
    endpoint: `http://127.0.0.1:${address.port}`,
    port: address.port,
    pid: process.pid,
    credentials,
    fault: async rule => book.add(rule),
    heal: async id => book.heal(id),
    async requests(options = {}) {
      const seen = log.slice(-loggedRequests).map(shown)
      if (options.reset === true) log = []
      return seen
    },
    stop: () => (stopped ??= stop()),
    async [Symbol.asyncDispose]() {
      await cloud.stop()
    },
  }
  return cloud
}

interface Logged {
  readonly at: number
  readonly method: string
  readonly url: string
  readonly name: RequestName
  readonly headers: IncomingMessage['headers']
  readonly fault: Fault['kind'] | undefined
  status: number | undefined
}

function shown({ at, method, url, name, headers, status, fault }: Logged): SeenRequest {
  const plain: Record<string, string> = {}
  for (const [header, value] of Object.entries(headers))
    if (value !== undefined) plain[header] = Array.isArray(value) ? value.join(', ') : value
  const { operation, bucket, key } = name
  return { at, method, url, operation, bucket, key, status, fault, headers: plain }
}

async function listen(server: Server, port: number): Promise<AddressInfo> {
  const until = Date.now() + portWaitMs
  for (;;) {
    try {
      server.listen({ port, host: '127.0.0.1' })
      await once(server, 'listening')
      return server.address() as AddressInfo
    } catch (error) {
      const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
      if (!taken || Date.now() > until)
        throw new HoldfastError('UNAVAILABLE', `cannot listen on 127.0.0.1:${port}`, { cause: error, retryable: taken })
      await wait(50)
    }
  }
}
