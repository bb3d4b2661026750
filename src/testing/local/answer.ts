import type { OutgoingHttpHeaders, ServerResponse } from 'node:http'
import { setTimeout as wait } from 'node:timers/promises'
import type { BodyReader } from './bodies.ts'
import type { Fault } from './cloud.ts'
import type { Treatment } from './faults.ts'

/** What a service answers. `content-length` is added from the body; where there is none it is 0, unless the headers say one (HEAD). */
export interface Answer {
  readonly status: number
  readonly headers: OutgoingHttpHeaders
  readonly body?: string | Uint8Array | BodyReader | undefined
}

/** The faults that are done while the answer goes out. */
type AnswerFault = Extract<Fault, { kind: 'reset' | 'cut' | 'stall' | 'drip' | 'corrupt' }>

/**
 * Sends it, through the fault if there is one. Resolves when it is sent, or the connection is gone. An answer without a body (and any
 * to HEAD) is over with its headers, so a reset, cut or stall of it comes before them.
 */
export async function sendAnswer(
  response: ServerResponse,
  answer: Answer,
  treatment: Treatment | undefined,
  signal: AbortSignal,
): Promise<void> {
  const { status, body } = answer
  const bytes = typeof body === 'string' ? Buffer.from(body, 'utf8') : body
  const length = bytes === undefined ? 0 : bytes instanceof Uint8Array ? bytes.byteLength : bytes.length
  const headless = response.req.method === 'HEAD' || status === 204 || status === 304
  const headers = headless ? answer.headers : { ...answer.headers, 'content-length': length }
  try {
    if (response.destroyed) return
    const fault = treatment?.fault
    if (treatment !== undefined && fault !== undefined && isAnswerFault(fault)) {
      await sendFaulty(response, status, headers, headless ? undefined : bytes, length, fault, treatment.healed, signal)
      return
    }
    response.writeHead(status, headers)
    if (bytes === undefined || headless) response.end()
    else if (bytes instanceof Uint8Array) response.end(bytes)
    else {
      for await (const chunk of bytes.chunks()) if (!(await write(response, chunk))) return
      response.end()
    }
  } finally {
    if (bytes !== undefined && !(bytes instanceof Uint8Array)) bytes.close()
  }
}

function isAnswerFault(fault: Fault): fault is AnswerFault {
  const { kind } = fault
  if (kind === 'reset' || kind === 'stall') return fault.of === 'answer'
  return kind === 'cut' || kind === 'drip' || kind === 'corrupt'
}

async function sendFaulty(
  response: ServerResponse,
  status: number,
  headers: OutgoingHttpHeaders,
  body: Uint8Array | BodyReader | undefined,
  length: number,
  fault: AnswerFault,
  healed: Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const hasBody = body !== undefined && length > 0
  const breakAt = fault.kind === 'drip' || fault.kind === 'corrupt' ? Number.POSITIVE_INFINITY : (fault.afterBytes ?? 0)
  if (!hasBody && breakAt === 0 && !(await survives(response, fault, healed, signal))) return
  response.writeHead(status, headers)
  if (!hasBody) {
    response.end()
    return
  }
  response.flushHeaders()
  const drip = fault.kind === 'drip' ? dripper(response, fault.bytesPerSecond, signal) : undefined
  let sent = 0
  const chunks = body instanceof Uint8Array ? [body] : body.chunks()
  for await (const chunk of chunks) {
    let rest = fault.kind === 'corrupt' ? flipped(chunk, fault.atByte - sent) : chunk
    if (sent <= breakAt && breakAt < sent + rest.byteLength) {
      const before = rest.subarray(0, breakAt - sent)
      if (before.byteLength > 0 && !(await flush(response, before))) return
      if (!(await survives(response, fault, healed, signal))) return
      rest = rest.subarray(before.byteLength)
      sent += before.byteLength
    }
    if (!(await (drip === undefined ? write(response, rest) : drip(rest)))) return
    sent += rest.byteLength
  }
  response.end()
}

/** Does what is to be done at the chosen byte. True when the answer is to go on. */
async function survives(
  response: ServerResponse,
  fault: AnswerFault,
  healed: Promise<void>,
  signal: AbortSignal,
): Promise<boolean> {
  switch (fault.kind) {
    case 'reset':
      response.socket?.resetAndDestroy()
      return false
    case 'cut':
      response.socket?.destroySoon()
      return false
    case 'stall':
      await Promise.race([healed, aborted(signal)])
      return !signal.aborted
    case 'drip':
    case 'corrupt':
      return true
    default:
      return fault satisfies never
  }
}

function flipped(chunk: Uint8Array, at: number): Uint8Array {
  if (at < 0 || at >= chunk.byteLength) return chunk
  const copy = Buffer.from(chunk)
  copy[at] = (copy[at] as number) ^ 1
  return copy
}

/** Sends a slice every twentieth of a second, or a byte as often as the rate says; how much was due is told by the clock. */
function dripper(response: ServerResponse, rate: number, signal: AbortSignal): (bytes: Uint8Array) => Promise<boolean> {
  const begun = performance.now()
  const step = Math.max(1, Math.floor(rate / 20))
  let sent = 0
  return async bytes => {
    for (let at = 0; at < bytes.byteLength; at += step) {
      const slice = bytes.subarray(at, at + step)
      if (!(await write(response, slice))) return false
      sent += slice.byteLength
      const early = begun + (sent / rate) * 1_000 - performance.now()
      if (early > 1 && !(await pause(early, signal))) return false
    }
    return true
  }
}

/** False when the connection ended, or the server was stopped, before the time was over. */
export async function pause(ms: number, signal: AbortSignal): Promise<boolean> {
  try {
    await wait(ms, undefined, { signal })
    return true
  } catch {
    return false
  }
}

export function aborted(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}

/** False when the client is gone. */
function write(response: ServerResponse, chunk: Uint8Array): Promise<boolean> | boolean {
  if (response.destroyed) return false
  if (response.write(chunk)) return true
  return new Promise(resolve => {
    const settle = (): void => {
      response.off('drain', settle).off('close', settle)
      resolve(!response.destroyed)
    }
    response.on('drain', settle).on('close', settle)
  })
}

/** Resolves when the system has the bytes: what comes after must not overtake them. */
function flush(response: ServerResponse, chunk: Uint8Array): Promise<boolean> {
  if (response.destroyed) return Promise.resolve(false)
  return new Promise(resolve => {
    const gone = (): void => resolve(false)
    response.once('close', gone)
    response.write(chunk, error => {
      response.off('close', gone)
      resolve(error === null || error === undefined)
    })
  })
}
