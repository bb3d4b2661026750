import {
  Agent as HttpAgent,
  type AgentOptions,
  type ClientRequest,
  type IncomingMessage,
  request as httpRequest,
} from 'node:http'
import { Agent as HttpsAgent, request as httpsRequest } from 'node:https'
import type { Storage } from '@google-cloud/storage'
import type { HoldfastError } from '../../core/errors.ts'
import { unlessAborted, untilAborted } from '../../core/abort.ts'
import { guardedLookup, isLoopback } from '../endpoint.ts'
import type { Carried } from '../carried.ts'
import type { ErrorMaker } from '../errors.ts'
import { httpDate } from '../transport.ts'
import { credentialsError, isService, type Purpose, protocolError, refusalError, transportError } from './errors.ts'

/**
 * Requests to one endpoint with the official client's credentials, and answers as they come: nothing is retried, followed,
 * decompressed or believed. Why not the client's own calls: docs/decisions/gcs-requests.md.
 */
export interface Wire {
  /** Resolves at the head of the answer, whatever its status. Rejects where none came, or with the reason of the signal, at once. */
  send(request: WireRequest, signal: AbortSignal): Promise<Answer>
  /** The whole answer as text, at most 32 MiB. */
  text(answer: Answer, purpose: Purpose): Promise<string>
  /** What an answer that refuses means. Ends it. */
  refused(answer: Answer, purpose: Purpose): Promise<HoldfastError>
}

export interface WireRequest {
  readonly purpose: Purpose
  readonly method: 'GET' | 'POST' | 'PUT' | 'DELETE'
  /** Path and query as they go on the wire: never through a URL, which would fold `/../`. */
  readonly target: string
  readonly headers?: Readonly<Record<string, string>>
  readonly body?: WireBody
}

export interface WireBody {
  /** Bytes, exactly what `open` yields. */
  readonly length: number
  open(): AsyncIterable<Uint8Array>
}

export interface Answer {
  readonly status: number
  header(name: string): string | undefined
  /** Its `Date`, ms since 1970. */
  readonly serverTime: number | undefined
  /** Bytes as they came. Iterated at most once; leaving the loop closes the connection. */
  readonly body: AsyncIterable<Uint8Array>
  /** Closes the connection, unless the answer was read to its end. */
  close(): void
}

export interface WireOptions {
  readonly storage: Storage
  /** `storage.apiEndpoint`, checked. */
  readonly endpoint: URL
  readonly userProject: string | undefined
  readonly errors: ErrorMaker
  /** Is told of every request. */
  readonly carried: Carried
}

const textBytes = 32 * 2 ** 20
const refusalBytes = 65_536
/** An idle connection is dropped before the service drops it, so that few requests die on a connection that is just being closed. */
const idleSocketMs = 30_000

export function wireTo({ storage, endpoint, userProject, errors, carried }: WireOptions): Wire {
  const secure = endpoint.protocol === 'https:'
  const agent = secure ? new HttpsAgent(agentOptions(endpoint)) : new HttpAgent(agentOptions(endpoint))
  const start = secure ? httpsRequest : httpRequest
  const address = {
    hostname: endpoint.hostname.replace(/^\[|\]$/g, ''),
    port: endpoint.port === '' ? (secure ? 443 : 80) : Number(endpoint.port),
  }
  let refreshes = false

  /** The headers that say who asks: those that the official client would send. */
  async function identify(purpose: Purpose): Promise<Record<string, string>> {
    try {
      if (refreshes) {
        refreshes = false
        await refreshToken(storage)
      }
      return await authorise(storage, endpoint.origin)
    } catch (error) {
      throw credentialsError(errors, purpose, error)
    }
  }

  function headersOf(request: WireRequest, identity: Record<string, string>): Record<string, string | number> {
    const agentName = [storage.providedUserAgent, 'holdfast'].filter(Boolean).join(' ')
    return {
      'user-agent': agentName,
      accept: '*/*',
      ...(userProject === undefined ? {} : { 'x-goog-user-project': userProject }),
      ...intercepted(storage, request.method, endpoint.origin + request.target),
      ...identity,
      ...request.headers,
      ...(request.body === undefined
        ? request.method === 'GET' || request.method === 'DELETE'
          ? {}
          : { 'content-length': 0 }
        : { 'content-length': request.body.length }),
    }
  }

  async function send(request: WireRequest, signal: AbortSignal): Promise<Answer> {
    signal.throwIfAborted()
    const identity = await unlessAborted(identify(request.purpose), signal)
    const headers = headersOf(request, identity)
    carried.note(headers, request.target)
    return await new Promise<Answer>((resolve, reject) => {
      const { method, target: path, body, purpose } = request
      const sent = start({ ...address, agent, method, path, headers })
      const abort = (): void => {
        reject(signal.reason)
        sent.destroy()
      }
      signal.addEventListener('abort', abort, { once: true })
      sent.once('close', () => signal.removeEventListener('abort', abort))
      sent.on('error', error => reject(signal.aborted ? signal.reason : transportError(errors, purpose, error)))
      sent.once('response', received => {
        if (received.statusCode === 401 && 'authorization' in identity) refreshes = true
        resolve(answerOf(sent, received, purpose, signal))
      })
      if (body === undefined) sent.end()
      else
        pump(body, sent, signal).catch(error => {
          reject(signal.aborted ? signal.reason : transportError(errors, purpose, error))
          sent.destroy()
        })
    })
  }

  function answerOf(sent: ClientRequest, received: IncomingMessage, purpose: Purpose, signal: AbortSignal): Answer {
    received.on('error', () => {})
    const header = (name: string): string | undefined => {
      const value = received.headers[name]
      return Array.isArray(value) ? value.join(', ') : value
    }
    return {
      status: received.statusCode ?? 0,
      header,
      serverTime: httpDate(header('date')),
      body: chunksOf(sent, received, purpose, signal),
      close: () => {
        if (received.complete && sent.writableFinished) received.resume()
        else sent.destroy()
      },
    }
  }

  async function* chunksOf(
    sent: ClientRequest,
    received: IncomingMessage,
    purpose: Purpose,
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array> {
    try {
      for await (const chunk of received) {
        signal.throwIfAborted()
        yield chunk as Uint8Array
      }
    } catch (error) {
      signal.throwIfAborted()
      throw transportError(errors, purpose, error)
    } finally {
      if (!received.complete || !sent.writableFinished) sent.destroy()
    }
    signal.throwIfAborted()
  }

  async function read(answer: Answer, limit: number): Promise<{ text: string; whole: boolean }> {
    const chunks: Uint8Array[] = []
    let size = 0
    for await (const chunk of answer.body) {
      chunks.push(chunk)
      size += chunk.byteLength
      if (size > limit) return { text: Buffer.concat(chunks).toString('utf8', 0, limit), whole: false }
    }
    return { text: Buffer.concat(chunks).toString('utf8'), whole: true }
  }

  return {
    send,
    async text(answer, purpose) {
      const { text, whole } = await read(answer, textBytes)
      if (!whole) throw protocolError(errors, purpose, `answered more than ${textBytes} bytes`)
      return text
    },
    async refused(answer, purpose) {
      const { status, header } = answer
      if (status >= 300 && status < 400 && status !== 304 && !(status === 308 && isService(header))) {
        answer.close()
        return refusalError(errors, purpose, { status, header: () => undefined, text: '' })
      }
      const { text } = await read(answer, refusalBytes)
      return refusalError(errors, purpose, { status, header, text })
    },
  }
}

/** `proxyEnv`: the usual HTTPS_PROXY and NO_PROXY, where this Node knows the option (22.21, 24.5). */
function agentOptions(endpoint: URL): AgentOptions {
  const options: AgentOptions = { keepAlive: true, timeout: idleSocketMs, lookup: guardedLookup }
  return isLoopback(endpoint.hostname) ? options : { ...options, proxyEnv: process.env }
}

/** Stops early where the service answered before it had all: it will not read the rest. */
async function pump(body: WireBody, sent: ClientRequest, signal: AbortSignal): Promise<void> {
  let answered = false
  sent.once('response', () => {
    answered = true
  })
  for await (const chunk of untilAborted(body.open(), signal)) {
    if (answered || sent.destroyed) return
    if (!sent.write(chunk)) await drained(sent)
  }
  sent.end()
}

function drained(sent: ClientRequest): Promise<void> {
  return new Promise(resolve => {
    const done = (): void => {
      for (const event of ['drain', 'response', 'error', 'close']) sent.removeListener(event, done)
      resolve()
    }
    for (const event of ['drain', 'response', 'error', 'close']) sent.on(event, done)
  })
}

/** The client's own way of signing a request, stopped before it sends it: it knows whether an endpoint wants credentials at all. */
function authorise(storage: Storage, uri: string): Promise<Record<string, string>> {
  return new Promise((resolve, reject) => {
    storage.makeAuthenticatedRequest(
      { uri, headers: {} },
      {
        onAuthenticated(error, options) {
          if (error instanceof Error) reject(error)
          else resolve(plainHeaders(options?.headers))
        },
      },
    )
  })
}

/** A token that the service refused, although it is not expired, would be handed out again for the rest of its hour. */
async function refreshToken(storage: Storage): Promise<void> {
  const client = await storage.authClient.getClient()
  if (!('refreshAccessToken' in client) || !client.credentials.refresh_token) return
  await (client as unknown as { refreshAccessToken(): Promise<unknown> }).refreshAccessToken()
}

/** Headers that the user's own interceptors add to each request of the client, as for auditing. */
function intercepted(storage: Storage, method: string, uri: string): Record<string, string> {
  let options: { method: string; uri: string; headers: unknown } = { method, uri, headers: {} }
  for (const intercept of storage.getRequestInterceptors()) options = intercept(options) ?? options
  return plainHeaders(options.headers)
}

function plainHeaders(headers: unknown): Record<string, string> {
  const plain: Record<string, string> = {}
  const pairs = headers instanceof Headers ? headers.entries() : Object.entries(headers ?? {})
  for (const [name, value] of pairs) if (typeof value === 'string') plain[name.toLowerCase()] = value
  return plain
}
