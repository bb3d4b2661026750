import type { CompletedPart } from '@aws-sdk/client-s3'
import { etagOfParts, mostParts } from '../../core/layout.ts'
import type { OpenUpload, UploadPart } from '../../index.ts'
import { refused } from './refused.ts'

/** A part as the caller of Complete names it. */
export interface ListedPart {
  readonly number: number
  /** MD5 in hex. */
  readonly etag: string
  /** Those that were given: `ChecksumCRC32` and its value. */
  readonly checksums: readonly (readonly [name: string, value: string])[]
}

/** Every part but the last has at least 5 MiB (https://docs.aws.amazon.com/AmazonS3/latest/userguide/qfacts.html). */
const smallestPartBytes = 5_242_880

/** The parts in the input of Complete. MalformedXML, as S3 says it of the document that they are sent in. */
export function listedParts(parts: readonly CompletedPart[] | undefined): ListedPart[] {
  if (parts === undefined || parts.length === 0 || parts.length > mostParts) throw refused('MalformedXML')
  return parts.map(part => {
    const { PartNumber, ETag } = part
    if (typeof PartNumber !== 'number' || !Number.isInteger(PartNumber) || typeof ETag !== 'string')
      throw refused('MalformedXML')
    const checksums = Object.entries(part).filter(
      (entry): entry is [string, string] => entry[0].startsWith('Checksum') && typeof entry[1] === 'string',
    )
    return { number: PartNumber, etag: ETag.trim().replace(/^"(.*)"$/, '$1'), checksums }
  })
}

/** The ETag that an object of these parts has. Without quotes. */
export function etagOfListed(parts: readonly ListedPart[]): string {
  return etagOfParts(parts.map(({ etag }) => etag))
}

/** InvalidPartOrder unless the numbers ascend; InvalidPart, EntityTooSmall, InvalidRequest for a part that cannot be in the object. */
export function checkListed(listed: readonly ListedPart[], upload: OpenUpload): void {
  let before = 0
  for (const { number } of listed) {
    if (number <= before) throw refused('InvalidPartOrder', { UploadId: upload.id })
    before = number
  }
  const parts = new Map(upload.parts.map(part => [part.number, part]))
  for (const [index, each] of listed.entries()) {
    const part = parts.get(each.number)
    if (part === undefined || part.etag !== each.etag) throw invalidPart(upload.id, each)
    checkChecksum(each, part, upload)
    if (index < listed.length - 1 && part.size < smallestPartBytes)
      throw refused('EntityTooSmall', {
        ProposedSize: part.size,
        MinSizeAllowed: smallestPartBytes,
        PartNumber: each.number,
        ETag: each.etag,
      })
  }
}

function invalidPart(id: string, { number, etag }: ListedPart): Error {
  return refused('InvalidPart', { UploadId: id, PartNumber: number, ETag: etag })
}

function checkChecksum(listed: ListedPart, part: UploadPart, { id, checksum }: OpenUpload): void {
  const [sent] = listed.checksums
  if (checksum === undefined) {
    // Parts of such an upload have no checksum that S3 would know them by.
    if (sent !== undefined) throw invalidPart(id, listed)
    return
  }
  const { algorithm, type } = checksum
  if (sent === undefined) {
    if (type === 'FULL_OBJECT') return
    throw refused(
      'InvalidRequest',
      {},
      `The upload was created using a ${algorithm.toLowerCase()} checksum. The complete request must include the checksum for each part. It was missing for part ${listed.number} in the request.`,
    )
  }
  const [name, value] = sent
  if (name !== `Checksum${algorithm}`)
    throw refused(
      'BadDigest',
      {},
      `The ${name.slice('Checksum'.length).toLowerCase()} you specified for part ${listed.number} did not match what we received.`,
    )
  if (value !== part.checksum?.value) throw invalidPart(id, listed)
}
