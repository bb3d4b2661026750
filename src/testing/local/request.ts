import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import type { RequestName } from './faults.ts'

/** A request as a service sees it. */
export interface LocalRequest {
  readonly method: string
  /** Path and query as on the wire, undecoded. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
  /** Names and values in turn, as on the wire. */
  readonly rawHeaders: readonly string[]
  readonly name: RequestName
  /** When its head was there, ms since 1970. A late request is judged by this time. */
  readonly receivedAt: number
  /** A listing shall come out empty. */
  readonly emptyList: boolean
  /** Headers, by lower-case name, that count for the signature and for nothing else. */
  readonly unheeded: readonly string[]
  readonly body: RequestBody
}

/** The body as on the wire, without HTTP's own chunk framing. Read at most once, or not at all; throws when the connection ends early. */
export interface RequestBody extends AsyncIterable<Uint8Array> {
  /** Whether anybody has asked for it. */
  readonly begun: boolean
  /** The whole body, when it has at most `limit` bytes; else undefined, and what was read is lost. */
  bytes(limit: number): Promise<Uint8Array | undefined>
}

/** Called after each chunk with the bytes seen so far; what it throws ends the body, what it waits for holds it up. */
export type Watch = (seen: number) => Promise<void> | undefined

/**
 * Says `100 Continue` when the reading begins, if the client waits for that. Leaving the loop leaves the connection usable: the rest is
 * read and dropped after the answer.
 */
export function incomingBody(
  request: IncomingMessage,
  response: ServerResponse,
  waiting: boolean,
  watch: Watch | undefined,
): RequestBody {
  let begun = false
  const begin = (): void => {
    begun = true
    if (waiting) response.writeContinue()
  }
  return {
    get begun() {
      return begun
    },
    async *[Symbol.asyncIterator]() {
      begin()
      let seen = 0
      for await (const chunk of request.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>) {
        seen += chunk.byteLength
        const held = watch?.(seen)
        if (held !== undefined) await held
        yield chunk
      }
    },
    async bytes(limit) {
      if (watch === undefined) {
        begin()
        return collect(request, limit)
      }
      const chunks: Uint8Array[] = []
      let size = 0
      for await (const chunk of this) {
        size += chunk.byteLength
        if (size > limit) return undefined
        chunks.push(chunk)
      }
      return Buffer.concat(chunks)
    },
  }
}

/** A body that was read before. */
export function bufferedBody(bytes: Uint8Array): RequestBody {
  return {
    begun: true,
    async *[Symbol.asyncIterator]() {
      if (bytes.byteLength > 0) yield bytes
    },
    bytes: async limit => (bytes.byteLength > limit ? undefined : bytes),
  }
}

/** By events, which is what makes small requests cheap. */
function collect(request: IncomingMessage, limit: number): Promise<Uint8Array | undefined> {
  return new Promise((resolve, reject) => {
    const chunks: Buffer[] = []
    let size = 0
    const stop = (): void => {
      request.off('data', onData).off('end', onEnd).off('error', reject).off('close', onClose)
    }
    const onData = (chunk: Buffer): void => {
      size += chunk.byteLength
      if (size <= limit) chunks.push(chunk)
      else {
        stop()
        request.pause()
        resolve(undefined)
      }
    }
    const onEnd = (): void => {
      stop()
      resolve(chunks.length === 1 ? chunks[0] : Buffer.concat(chunks, size))
    }
    const onClose = (): void => reject(new Error('the client closed the connection within its request'))
    request.on('data', onData).once('end', onEnd).once('error', reject).once('close', onClose)
  })
}
