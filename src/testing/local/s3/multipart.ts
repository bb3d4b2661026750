import { randomBytes } from 'node:crypto'
import type { Answer } from '../answer.ts'
import { emptyBody } from '../bodies.ts'
import { amz, bucketOf, keyOf, newKeyOf, query, type Call, type PartFacts, type UploadFacts } from './call.ts'
import { algorithms, checksumHeader, combines, type Algorithm, type ChecksumType } from './checksum.ts'
import { described } from './described.ts'
import { argument } from './listing.ts'
import { encryptionHeaders, etagOfBytes } from './kept.ts'
import { defaultAlgorithm, xmlHeaders } from './objects.ts'
import { receive } from './payload.ts'
import { Refusal } from './refusal.ts'
import { answerXml, text } from './xml.ts'

export const mostParts = 10_000

export async function createMultipartUpload(call: Call): Promise<Answer> {
  const { state } = call
  const bucket = bucketOf(call)
  const key = newKeyOf(call)
  const algorithm = requestedAlgorithm(call)
  const type = requestedType(call, algorithm)
  const facts: UploadFacts = { ...described(call), key, begunAt: Date.now(), algorithm, type }
  const id = randomBytes(48).toString('base64url')
  state.store.commit([state.uploads(bucket).put(id, { facts, body: emptyBody })])
  const checksum = algorithm === undefined ? {} : { 'x-amz-checksum-algorithm': algorithm, 'x-amz-checksum-type': type }
  return {
    status: 200,
    headers: { ...xmlHeaders, ...encryptionHeaders(facts), ...checksum },
    body: answerXml('InitiateMultipartUploadResult', text('Bucket', bucket), text('Key', key), text('UploadId', id)),
  }
}

function requestedAlgorithm(call: Call): Algorithm | undefined {
  const name = amz(call, 'x-amz-checksum-algorithm')?.toUpperCase()
  if (name === undefined) return undefined
  const algorithm = algorithms.find(each => each === name)
  if (algorithm === undefined)
    throw invalid(
      `Checksum algorithm provided is unsupported. Please try again with any of the valid types: [${algorithms.join(', ')}]`,
    )
  return algorithm
}

function requestedType(call: Call, algorithm: Algorithm | undefined): ChecksumType {
  const type = amz(call, 'x-amz-checksum-type')?.toUpperCase()
  if (type !== undefined && algorithm === undefined)
    throw invalid('The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.')
  if (algorithm === undefined || type === undefined)
    return algorithm === undefined || algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE'
  const fits = type === 'FULL_OBJECT' ? combines(algorithm) : type === 'COMPOSITE' && algorithm !== 'CRC64NVME'
  if (!fits)
    throw invalid(`The ${type} checksum type cannot be used with the ${algorithm.toLowerCase()} checksum algorithm.`)
  return type === 'FULL_OBJECT' ? 'FULL_OBJECT' : 'COMPOSITE'
}

/** The upload and the part number that a request names. */
export function uploadOf(call: Call): { id: string; facts: UploadFacts; partNumber: number } {
  const { id, facts } = existingUpload(call)
  const number = query(call, 'partNumber') ?? ''
  if (!/^\d{1,5}$/.test(number) || Number(number) < 1 || Number(number) > mostParts)
    throw argument('partNumber', number, 'Part number must be an integer between 1 and 10000, inclusive')
  return { id, facts, partNumber: Number(number) }
}

/** The upload that a request names; NoSuchUpload where there is none. */
export function existingUpload(call: Call): { id: string; facts: UploadFacts } {
  const bucket = bucketOf(call)
  const id = query(call, 'uploadId') ?? ''
  const facts = call.state.uploads(bucket).get(id)?.facts
  if (facts === undefined || facts.key !== keyOf(call)) throw new Refusal('NoSuchUpload', { UploadId: id })
  return { id, facts }
}

/** Sorts as the numbers do. */
export function partKey(partNumber: number): string {
  return String(partNumber).padStart(5, '0')
}

export async function uploadPart(call: Call): Promise<Answer> {
  const { state } = call
  const { id, facts: upload, partNumber } = uploadOf(call)
  const wanted = upload.algorithm ?? defaultAlgorithm
  const { body, md5, sums, supplied } = await receive(call, sent => {
    checkAlgorithm(upload, sent)
    return wanted
  })
  try {
    // The upload may have been completed or aborted in the meantime.
    uploadOf(call)
  } catch (error) {
    state.store.forget(body)
    throw error
  }
  const etag = etagOfBytes(upload, md5)
  const facts: PartFacts = { etag, modifiedAt: Date.now(), checksum: sums.get(wanted) ?? '' }
  state.store.commit([state.parts(id).put(partKey(partNumber), { facts, body })])
  const checksum = supplied === undefined ? {} : { [checksumHeader(supplied)]: sums.get(supplied) ?? '' }
  return { status: 200, headers: { etag: `"${etag}"`, ...encryptionHeaders(upload), ...checksum } }
}

/** An upload that named an algorithm takes parts with that one only; a composite one needs it with each. */
function checkAlgorithm({ algorithm, type }: UploadFacts, sent: Algorithm | undefined): void {
  if (algorithm === undefined || algorithm === sent || (sent === undefined && type === 'FULL_OBJECT')) return
  throw invalid(
    `Checksum Type mismatch occurred, expected checksum Type: ${algorithm.toLowerCase()}, actual checksum Type: ${sent?.toLowerCase() ?? 'null'}`,
  )
}

export async function abortMultipartUpload(call: Call): Promise<Answer> {
  const { state } = call
  const { id } = existingUpload(call)
  const space = state.parts(id)
  state.store.commit([
    state.uploads(bucketOf(call)).remove(id),
    ...[...space.keys({ from: '' })].map(part => space.remove(part)),
  ])
  return { status: 204, headers: {} }
}

function invalid(message: string): Refusal {
  return new Refusal('InvalidRequest', {}, message)
}
