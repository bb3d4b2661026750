import { createHash } from 'node:crypto'
import { emptyBody, type Body } from '../bodies.ts'
import { header, type Call } from './call.ts'
import {
  algorithms,
  checksumHeader,
  isDigest,
  summer,
  unknownAlgorithms,
  type Algorithm,
  type Summer,
} from './checksum.ts'
import { chunkedDecoder } from './chunked.ts'
import { Refusal } from './refusal.ts'

/** The body of a request, stored and checked: nothing refers to it yet. */
export interface Received {
  readonly body: Body
  /** Hex. */
  readonly md5: string
  /** The one that the client sent, if it did, and the one that was asked for. Base64. */
  readonly sums: ReadonlyMap<Algorithm, string>
  /** The one that the client sent. */
  readonly supplied: Algorithm | undefined
}

const mostBytes = 5 * 1024 ** 3
/** Bodies up to this are read in one go. */
const smallBytes = 262_144
const chunkedOverhead = 65_536

/**
 * Takes in the body of an object or a part. Checks, as S3 does: the length, Content-MD5, x-amz-content-sha256, the signatures of chunks,
 * and the checksum in header or trailer. `compute` names the checksum that is wanted besides, given the one that the client sent.
 */
export async function receive(
  call: Call,
  compute: (supplied: Algorithm | undefined) => Algorithm | undefined,
): Promise<Received> {
  const { store } = call.state
  const claim = checksumClaim(call)
  const intake = intakeOf(call, claim, compute(claim?.algorithm))
  const { expected } = intake
  if (expected > mostBytes) throw new Refusal('EntityTooLarge', { ProposedSize: expected, MaxSizeAllowed: mostBytes })
  if (expected <= smallBytes) {
    const wire = await call.request.body.bytes(expected + (intake.chunked ? chunkedOverhead : 0))
    if (wire === undefined) throw new Refusal('IncompleteBody')
    const pieces = wire.byteLength === 0 ? [] : intake.feed(wire)
    const outcome = intake.finish()
    const whole = pieces.length === 1 ? (pieces[0] as Uint8Array) : Buffer.concat(pieces)
    return { ...outcome, body: whole.byteLength === 0 ? emptyBody : store.bodyOf(whole) }
  }
  const writer = store.writer()
  try {
    for await (const wire of call.request.body) {
      for (const piece of intake.feed(wire)) {
        const writing = writer.write(piece)
        if (writing !== undefined) await writing
      }
    }
    const outcome = intake.finish()
    return { ...outcome, body: await writer.finish() }
  } catch (error) {
    await writer.abort()
    throw error
  }
}

/**
 * A small body, whole: the XML of a request. Checked in the same way, but for checksum headers where they are about an object that the
 * request makes; EntityTooLarge over the limit.
 */
export async function receiveDocument(
  call: Call,
  limit: number,
  checksums: 'about the body' | 'about the object' = 'about the body',
): Promise<Uint8Array> {
  const { headers } = call.request
  if (headers['content-length'] === undefined && headers['transfer-encoding'] === undefined) return new Uint8Array()
  const claim = checksums === 'about the body' ? checksumClaim(call) : undefined
  const intake = intakeOf(call, claim, undefined)
  if (intake.expected > limit)
    throw new Refusal('EntityTooLarge', { ProposedSize: intake.expected, MaxSizeAllowed: limit })
  const wire = await call.request.body.bytes(intake.expected + (intake.chunked ? chunkedOverhead : 0))
  if (wire === undefined) throw new Refusal('IncompleteBody')
  const pieces = wire.byteLength === 0 ? [] : intake.feed(wire)
  intake.finish()
  return Buffer.concat(pieces)
}

/** Whether the client sent something that the body can be checked with. */
export function hasDigest(call: Call): boolean {
  const { headers } = call.request
  return (
    headers['content-md5'] !== undefined ||
    headers['x-amz-trailer'] !== undefined ||
    algorithms.some(algorithm => headers[checksumHeader(algorithm)] !== undefined)
  )
}

interface Intake {
  /** Bytes of the object that the client announced. */
  readonly expected: number
  readonly chunked: boolean
  /** The bytes of the object among these of the wire. */
  feed(wire: Uint8Array): readonly Uint8Array[]
  finish(): Omit<Received, 'body'>
}

function intakeOf(call: Call, claim: Claim | undefined, wanted: Algorithm | undefined): Intake {
  const { payload } = call.signed
  const chunked = payload.startsWith('STREAMING-')
  const expected = announcedLength(call, chunked)
  const decoder = chunked ? chunkedDecoder(signedChunks(payload) ? call.signed : undefined) : undefined
  const wireHash = /^[0-9a-f]{64}$/.test(payload) ? createHash('sha256') : undefined
  if (wireHash === undefined && decoder === undefined && payload !== 'UNSIGNED-PAYLOAD')
    throw new Refusal(
      'InvalidArgument',
      { ArgumentName: 'x-amz-content-sha256', ArgumentValue: payload },
      'x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD or a valid sha256 value.',
    )

  const contentMd5 = header(call, 'content-md5')
  if (contentMd5 !== undefined && !isDigest('MD5', contentMd5))
    throw new Refusal('InvalidDigest', { 'Content-MD5': contentMd5 })
  const md5 = createHash('md5')
  const summers = new Map<Algorithm, Summer>()
  for (const algorithm of [claim?.algorithm, wanted])
    if (algorithm !== undefined && !summers.has(algorithm)) summers.set(algorithm, summer(algorithm))
  let size = 0

  return {
    expected,
    chunked,
    feed(wire) {
      wireHash?.update(wire)
      const pieces = decoder?.push(wire) ?? [wire]
      for (const piece of pieces) {
        size += piece.byteLength
        md5.update(piece)
        for (const each of summers.values()) each.update(piece)
      }
      if (size > expected) throw new Refusal('IncompleteBody')
      return pieces
    },
    finish() {
      const trailers = decoder?.end()
      if (size !== expected) throw new Refusal('IncompleteBody')
      const sha256 = wireHash?.digest('hex')
      if (sha256 !== undefined && sha256 !== payload)
        throw new Refusal('XAmzContentSHA256Mismatch', {
          ClientComputedContentSHA256: payload,
          S3ComputedContentSHA256: sha256,
        })
      const digest = md5.digest()
      if (contentMd5 !== undefined && contentMd5 !== digest.toString('base64'))
        throw new Refusal('BadDigest', { ExpectedDigest: contentMd5, CalculatedDigest: digest.toString('base64') })
      const sums = new Map([...summers].map(([algorithm, each]) => [algorithm, each.digest().toString('base64')]))
      if (claim !== undefined) checkClaim(claim, trailers, sums.get(claim.algorithm) ?? '')
      return { md5: digest.toString('hex'), sums, supplied: claim?.algorithm }
    },
  }
}

function signedChunks(payload: string): boolean {
  switch (payload) {
    case 'STREAMING-UNSIGNED-PAYLOAD-TRAILER':
      return false
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD':
    case 'STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER':
      return true
    default:
      throw new Refusal('NotImplemented', { Header: 'x-amz-content-sha256' })
  }
}

function announcedLength(call: Call, chunked: boolean): number {
  const { headers } = call.request
  const announced = chunked ? header(call, 'x-amz-decoded-content-length') : headers['content-length']
  if (announced === undefined) {
    if (!chunked && headers['transfer-encoding'] !== undefined)
      throw new Refusal('NotImplemented', { Header: 'Transfer-Encoding' })
    throw new Refusal('MissingContentLength')
  }
  const length = Number(announced)
  if (!/^\d+$/.test(announced) || !Number.isSafeInteger(length)) throw new Refusal('MissingContentLength')
  return length
}

/** Which checksum the client says that the body has, and where: in a header, or in the trailer to come. */
interface Claim {
  readonly algorithm: Algorithm
  readonly value: string | undefined
}

function checksumClaim(call: Call): Claim | undefined {
  const { headers } = call.request
  const trailer = header(call, 'x-amz-trailer')?.toLowerCase()
  for (const name of unknownAlgorithms)
    if (headers[`x-amz-checksum-${name.toLowerCase()}`] !== undefined)
      throw new Refusal('NotImplemented', { Header: `x-amz-checksum-${name.toLowerCase()}` })
  const inHeaders = algorithms.filter(algorithm => headers[checksumHeader(algorithm)] !== undefined)
  if (inHeaders.length + (trailer === undefined ? 0 : 1) > 1)
    throw invalid('Expecting a single x-amz-checksum- header. Multiple checksum Types are not allowed.')
  const algorithm =
    trailer === undefined ? inHeaders[0] : algorithms.find(each => checksumHeader(each) === trailer.trim())
  if (trailer !== undefined && algorithm === undefined)
    throw invalid('The value specified in the x-amz-trailer header is not supported')
  const named = header(call, 'x-amz-sdk-checksum-algorithm')
  if (algorithm === undefined) {
    if (named === undefined) return undefined
    throw invalid(
      'x-amz-sdk-checksum-algorithm specified, but no corresponding x-amz-checksum-* or x-amz-trailer headers were found.',
    )
  }
  if (named !== undefined && named.toUpperCase() !== algorithm)
    throw invalid('Value for x-amz-sdk-checksum-algorithm header is invalid.')
  const value = trailer === undefined ? header(call, checksumHeader(algorithm)) : undefined
  if (value !== undefined && !isDigest(algorithm, value))
    throw invalid(`Value for ${checksumHeader(algorithm)} header is invalid.`)
  return { algorithm, value }
}

function checkClaim(claim: Claim, trailers: ReadonlyMap<string, string> | undefined, actual: string): void {
  const name = checksumHeader(claim.algorithm)
  const value = claim.value ?? trailers?.get(name)
  if (value === undefined) throw new Refusal('MalformedTrailerError')
  if (!isDigest(claim.algorithm, value)) throw invalid(`Value for ${name} trailing header is invalid.`)
  if (value !== actual)
    throw new Refusal('BadDigest', {}, `The ${claim.algorithm} you specified did not match the calculated checksum.`)
}

function invalid(message: string): Refusal {
  return new Refusal('InvalidRequest', {}, message)
}
