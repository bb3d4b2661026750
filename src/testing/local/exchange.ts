import type { IncomingMessage, ServerResponse } from 'node:http'
import { aborted, pause, sendAnswer, type Answer } from './answer.ts'
import type { Fault } from './cloud.ts'
import type { RequestName, Treatment } from './faults.ts'
import { bufferedBody, incomingBody, type LocalRequest, type RequestBody, type Watch } from './request.ts'
import type { Protocol } from './protocol.ts'

/** One request on its way through a server. */
export interface Exchange {
  readonly protocol: Protocol
  readonly incoming: IncomingMessage
  readonly response: ServerResponse
  /** The client waits for `100 Continue` before it sends the body. */
  readonly waiting: boolean
  readonly name: RequestName
  readonly receivedAt: number
  readonly treatment: Treatment | undefined
  /** The server is being stopped. */
  readonly stopping: AbortSignal
  /** Told the status that the service came to, also where the client never learns it. */
  answered(status: number): void
}

const html =
  '<!DOCTYPE html><html><head><title>Sign in</title></head><body>Please sign in to the network.</body></html>\n'

/** Answers one request, or does to it what the treatment says. Resolves when nothing more will happen on its behalf. */
export async function serve(exchange: Exchange): Promise<void> {
  const { treatment, response } = exchange
  if (treatment === undefined) {
    const body = incomingBody(exchange.incoming, response, exchange.waiting, undefined)
    await reply(exchange, body, await handle(exchange, body), exchange.stopping)
    return
  }
  const gone = new AbortController()
  response.once('close', () => gone.abort())
  await treat(exchange, treatment, AbortSignal.any([exchange.stopping, gone.signal]))
}

async function treat(exchange: Exchange, { fault, healed }: Treatment, signal: AbortSignal): Promise<void> {
  const { incoming, response, waiting } = exchange
  const body = incomingBody(incoming, response, waiting, watch(fault, healed, response, signal))
  switch (fault.kind) {
    case 'status':
    case 'error-in-200':
    case 'html':
    case 'redirect':
      // Not before the client has sent everything: some take an early answer for a broken connection.
      if (!waiting) await drain(body)
      await reply(exchange, body, instead(exchange, fault), signal)
      return
    case 'reset':
      if (fault.of !== 'answer' && (fault.afterBytes ?? 0) === 0) {
        response.socket?.resetAndDestroy()
        return
      }
      break
    case 'stall':
      if (fault.of !== 'answer' && (fault.afterBytes ?? 0) === 0) {
        await Promise.race([healed, aborted(signal)])
        if (signal.aborted) return
      }
      break
    case 'late': {
      const whole = await body.bytes(Number.POSITIVE_INFINITY)
      response.socket?.destroySoon()
      if (await pause(fault.ms, exchange.stopping)) {
        const late = await handle(exchange, bufferedBody(whole ?? new Uint8Array()))
        exchange.answered(late.status)
        letGo(late)
      }
      return
    }
    case 'lose-answer': {
      const lost = await handle(exchange, body)
      exchange.answered(lost.status)
      letGo(lost)
      response.socket?.destroy()
      return
    }
    case 'slow': {
      const answer = await handle(exchange, body)
      if (await pause(fault.ms, signal)) await reply(exchange, body, answer, signal)
      else letGo(answer)
      return
    }
    case 'cut':
    case 'drip':
    case 'corrupt':
    case 'empty-list':
    case 'ignore-headers':
      break
    default:
      fault satisfies never
  }
  await reply(exchange, body, await handle(exchange, body), signal)
}

/** What the service answers. A failure of its own is its 500. */
async function handle(exchange: Exchange, body: RequestBody): Promise<Answer> {
  const { protocol, incoming, name, receivedAt, treatment } = exchange
  const request: LocalRequest = {
    method: incoming.method ?? 'GET',
    url: incoming.url ?? '/',
    headers: incoming.headers,
    rawHeaders: incoming.rawHeaders,
    name,
    receivedAt,
    emptyList: treatment?.fault.kind === 'empty-list',
    unheeded: treatment?.fault.kind === 'ignore-headers' ? treatment.fault.names : [],
    body,
  }
  try {
    return await protocol.handle(request)
  } catch (error) {
    return protocol.error({ status: 500, code: undefined, message: String(error) }, request)
  }
}

async function reply(exchange: Exchange, body: RequestBody, answer: Answer, signal: AbortSignal): Promise<void> {
  exchange.answered(answer.status)
  // Without a `100 Continue` the client may send the body or not: nothing can follow on this connection.
  const unsure = exchange.waiting && !body.begun
  const sent = unsure ? { ...answer, headers: { ...answer.headers, connection: 'close' } } : answer
  await sendAnswer(exchange.response, sent, exchange.treatment, signal)
}

function letGo({ body }: Answer): void {
  if (typeof body === 'object' && !(body instanceof Uint8Array)) body.close()
}

/** The answer that takes the place of the service's. */
function instead(
  { protocol, incoming, name }: Exchange,
  fault: Extract<Fault, { kind: 'status' | 'error-in-200' | 'html' | 'redirect' }>,
): Answer {
  const { method = 'GET', url = '/', headers } = incoming
  const head = { method, url, headers, name }
  switch (fault.kind) {
    case 'status': {
      const { status, code, message, retryAfterSeconds } = fault
      const answer = protocol.error({ status, code, message }, head)
      if (retryAfterSeconds === undefined) return answer
      return { ...answer, headers: { ...answer.headers, 'retry-after': String(retryAfterSeconds) } }
    }
    case 'error-in-200':
      return { ...protocol.error({ status: 200, code: fault.code, message: undefined }, head), status: 200 }
    case 'html':
      return { status: 200, headers: { 'content-type': 'text/html; charset=utf-8' }, body: html }
    case 'redirect':
      return { status: fault.status, headers: { location: fault.location } }
    default:
      return fault satisfies never
  }
}

/** Breaks or holds up a request's body at the byte that the fault says. */
function watch(fault: Fault, healed: Promise<void>, response: ServerResponse, signal: AbortSignal): Watch | undefined {
  if ((fault.kind !== 'reset' && fault.kind !== 'stall') || fault.of === 'answer') return undefined
  const at = fault.afterBytes ?? 0
  if (at === 0) return undefined
  let done = false
  return seen => {
    if (done || seen < at) return undefined
    done = true
    if (fault.kind === 'stall') return Promise.race([healed, aborted(signal)])
    response.socket?.resetAndDestroy()
    throw new Error('the connection was reset within the request, as a fault rule says')
  }
}

/** Reads what is left. */
async function drain(body: RequestBody): Promise<void> {
  for await (const _chunk of body);
}
