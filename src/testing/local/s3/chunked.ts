import { createHash, hash, type Hash } from 'node:crypto'
import { Refusal } from './refusal.ts'
import { chunkSignature, type Signed } from './signature.ts'

/** Takes the framing off an `aws-chunked` body. */
export interface ChunkedDecoder {
  /** The bytes of the object among these bytes of the wire: views of them. */
  push(wire: Uint8Array): readonly Uint8Array[]
  /** When the wire has ended: the trailing headers, lower-case names. A `Refusal` where the body did not end as it should. */
  end(): ReadonlyMap<string, string>
}

const smallestChunk = 8_192
const longestLine = 4_096
const mostTrailers = 16

/** Checks the chunk signatures, and the trailer's, when `signed` is given. */
export function chunkedDecoder(signed: Signed | undefined): ChunkedDecoder {
  const check = signed === undefined ? undefined : signatureChain(signed)
  const trailers = new Map<string, string>()
  let state: 'size' | 'data' | 'data end' | 'trailer' | 'over' = 'size'
  let line = ''
  let left = 0
  let chunks = 0
  let tooSmall = 0

  function onLine(text: string): void {
    switch (state) {
      case 'size': {
        const [, size, signature] = /^([0-9a-fA-F]{1,8})(?:;chunk-signature=([0-9a-f]{64}))?$/.exec(text) ?? []
        if (size === undefined || (check !== undefined && signature === undefined)) throw malformed()
        left = Number.parseInt(size, 16)
        if (left > 0 && tooSmall > 0)
          throw new Refusal('InvalidChunkSizeError', { Chunk: chunks, BadChunkSize: tooSmall })
        chunks++
        tooSmall = left < smallestChunk ? left : 0
        check?.begin(signature ?? '')
        if (left === 0) check?.finish()
        state = left === 0 ? 'trailer' : 'data'
        return
      }
      case 'data end':
        if (text !== '') throw malformed()
        check?.finish()
        state = 'size'
        return
      case 'trailer': {
        if (text === '') {
          check?.finishTrailers(trailers)
          state = 'over'
          return
        }
        const colon = text.indexOf(':')
        if (colon <= 0 || trailers.size === mostTrailers) throw new Refusal('MalformedTrailerError')
        trailers.set(text.slice(0, colon).toLowerCase().trim(), text.slice(colon + 1).trim())
        return
      }
      case 'data':
      case 'over':
        throw malformed()
      default:
        state satisfies never
    }
  }

  return {
    push(wire) {
      const data: Uint8Array[] = []
      for (let at = 0; at < wire.byteLength; ) {
        if (state === 'data') {
          const piece = wire.subarray(at, at + left)
          check?.update(piece)
          data.push(piece)
          at += piece.byteLength
          left -= piece.byteLength
          if (left === 0) state = 'data end'
          continue
        }
        const newline = wire.indexOf(10, at)
        const end = newline < 0 ? wire.byteLength : newline
        line += Buffer.from(wire.buffer, wire.byteOffset + at, end - at).toString('latin1')
        if (line.length > longestLine || state === 'over') throw malformed()
        at = end
        if (newline < 0) continue
        at++
        const whole = line.endsWith('\r') ? line.slice(0, -1) : line
        line = ''
        onLine(whole)
      }
      return data
    },
    end() {
      // Some clients leave out the empty line that ends the trailer.
      if (state === 'trailer' && line === '') onLine('')
      if (state !== 'over') throw new Refusal('IncompleteBody')
      return trailers
    },
  }
}

function malformed(): Refusal {
  return new Refusal('InvalidRequest', {}, 'The aws-chunked body is malformed.')
}

const trailerSignature = 'x-amz-trailer-signature'

/** Each signature covers the one before it, beginning with that of the request. */
function signatureChain(signed: Signed) {
  const nothing = hash('sha256', '')
  let previous = signed.signature
  let claimed = ''
  let digest: Hash = createHash('sha256')

  function compare(expected: string): void {
    if (claimed !== expected) throw new Refusal('SignatureDoesNotMatch', { SignatureProvided: claimed })
    previous = expected
  }

  return {
    begin(signature: string): void {
      claimed = signature
      digest = createHash('sha256')
    },
    update(bytes: Uint8Array): void {
      digest.update(bytes)
    },
    finish(): void {
      compare(chunkSignature(signed, previous, 'PAYLOAD', `${nothing}\n${digest.digest('hex')}`))
    },
    finishTrailers(trailers: ReadonlyMap<string, string>): void {
      if (!signed.payload.endsWith('-TRAILER')) return
      let text = ''
      for (const [name, value] of trailers) if (name !== trailerSignature) text += `${name}:${value}\n`
      claimed = trailers.get(trailerSignature) ?? ''
      compare(chunkSignature(signed, previous, 'TRAILER', hash('sha256', text)))
    },
  }
}
