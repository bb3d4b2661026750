import type { UploadPartCommandInput, UploadPartCommandOutput } from '@aws-sdk/client-s3'
import { mostParts } from '../../core/layout.ts'
import type { Body, PartOptions, UploadPart } from '../../index.ts'
import { checksumOf, md5Of, mismatchAs } from '../digests.ts'
import { invalidArgument, metadata } from '../errors.ts'
import type { Call } from '../handler.ts'
import { signalled } from '../inputs.ts'
import { encryptionFields } from '../put.ts'
import { begunUpload, unlessGone } from './call.ts'
import type { Begun } from './memory.ts'
import { refused } from './refused.ts'

/**
 * Resolves when the part is safe on local disk. NoSuchUpload; InvalidArgument for a number that no part can have; InvalidRequest where the
 * checksum is not of the upload's kind; BadDigest, InvalidDigest.
 */
export async function uploadPart(call: Call<UploadPartCommandInput>): Promise<UploadPartCommandOutput> {
  const { input, store } = call
  const upload = await begunUpload(call)
  const number = partNumber(input.PartNumber)
  const checksum = await sentChecksum(call)
  demandKind(upload, checksum)
  const part = await unlessGone(
    call,
    store.uploads
      .putPart(upload.id, number, (input.Body ?? '') as Body, {
        expect: { ...md5Of(input), ...(input.ContentLength === undefined ? {} : { size: input.ContentLength }) },
        ...(checksum === undefined ? {} : { checksum }),
        ...signalled(call),
      })
      .catch((error: unknown) => {
        throw mismatchAs(error, checksum?.algorithm ?? '')
      }),
  )
  return {
    $metadata: metadata(200),
    ETag: `"${part.etag}"`,
    ...(checksum === undefined ? {} : checksumField(part)),
    ...encryptionFields(upload.features?.s3),
  }
}

/** The number of a part, or InvalidArgument. */
export function partNumber(given: number | undefined): number {
  if (given !== undefined && Number.isInteger(given) && given >= 1 && given <= mostParts) return given
  throw invalidArgument('partNumber', given, 'Part number must be an integer between 1 and 10000, inclusive')
}

/** As a field of an answer: `ChecksumCRC32`. */
export function checksumField({ checksum }: UploadPart): { readonly [field: string]: string } {
  return checksum === undefined ? {} : { [`Checksum${checksum.algorithm}`]: checksum.value }
}

/** An upload that named an algorithm takes parts with that one only; one that is COMPOSITE needs it with each. */
function demandKind({ checksum }: Begun, sent: PartOptions['checksum']): void {
  if (checksum === undefined || checksum.algorithm === sent?.algorithm) return
  if (sent === undefined && checksum.type === 'FULL_OBJECT') return
  const actual = sent?.algorithm.toLowerCase() ?? 'null'
  throw refused(
    'InvalidRequest',
    {},
    `Checksum Type mismatch occurred, expected checksum Type: ${checksum.algorithm.toLowerCase()}, actual checksum Type: ${actual}`,
  )
}

/** The one that the plain client would send along; it is given back then. `undefined`: none, because the client is told to send none. */
async function sentChecksum({ input, config }: Call<UploadPartCommandInput>): Promise<PartOptions['checksum']> {
  const checksum = await checksumOf(input, config)
  const isAsked = checksum.value !== undefined || input.ChecksumAlgorithm !== undefined
  return isAsked || (await config.requestChecksumCalculation?.()) === 'WHEN_SUPPORTED' ? checksum : undefined
}
