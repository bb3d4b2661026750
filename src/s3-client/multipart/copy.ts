import type { UploadPartCopyCommandInput, UploadPartCopyCommandOutput } from '@aws-sdk/client-s3'
import { HoldfastError, type ObjectInfo, type StoredObject } from '../../index.ts'
import { demandSource } from '../copy-source.ts'
import { unchanged, unmet } from '../conditions.ts'
import { invalidArgument, metadata, noSuchKey, preconditionFailed, s3Error } from '../errors.ts'
import type { Call } from '../handler.ts'
import { signalled } from '../inputs.ts'
import { encryptionFields } from '../put.ts'
import { begunUpload, unlessGone } from './call.ts'
import { checksumField, partNumber } from './part.ts'

type Copying = Call<UploadPartCopyCommandInput>

/**
 * A part that is a piece of an object of a wrapped bucket, all of one version, read from whoever has it. The errors of UploadPart, and NoSuchKey,
 * PreconditionFailed, InvalidArgument for a range that the source does not have.
 */
export async function uploadPartCopy(call: Copying): Promise<UploadPartCopyCommandOutput> {
  const { input, store } = call
  const upload = await begunUpload(call)
  const number = partNumber(input.PartNumber)
  const range = rangeOf(input.CopySourceRange)
  const source = await openSource(call, range)
  try {
    demandConditions(input, source.info)
    if (range !== undefined && range.end > source.info.size) throw notOfSource(input.CopySourceRange, source.info.size)
  } catch (error) {
    await source.body.cancel()
    throw error
  }
  const part = await unlessGone(call, store.uploads.putPart(upload.id, number, source.body, signalled(call)))
  return {
    $metadata: metadata(200),
    CopyPartResult: {
      ETag: `"${part.etag}"`,
      LastModified: part.uploadedAt,
      ...(upload.checksum === undefined ? {} : checksumField(part)),
    },
    ...encryptionFields(upload.features?.s3),
  }
}

/** The source, whose bytes are not read yet. */
async function openSource(call: Copying, range: Range | undefined): Promise<StoredObject> {
  const { bucket, key } = demandSource(call.input.CopySource)
  const from = call.storeOf(bucket)
  if (from === undefined)
    throw s3Error(
      'NotImplemented',
      501,
      `UploadPartCopy: CopySource is refused: the bucket ${bucket} has no store here. Wrap it too, or read the object and send it with UploadPart`,
      { Header: 'CopySource' },
    )
  const source = await from
    .get(key, { ...(range === undefined ? {} : { range }), ...signalled(call) })
    .catch((error: unknown) => {
      throw error instanceof HoldfastError && error.field === 'range' ? notOfSource(call.input.CopySourceRange) : error
    })
  if (source === undefined) throw noSuchKey(key)
  return source
}

/** S3 answers with 412 to all of them. */
function demandConditions(input: Copying['input'], info: ObjectInfo): void {
  const conditions = {
    IfMatch: input.CopySourceIfMatch,
    IfNoneMatch: input.CopySourceIfNoneMatch,
    IfModifiedSince: input.CopySourceIfModifiedSince,
    IfUnmodifiedSince: input.CopySourceIfUnmodifiedSince,
  }
  const broken = unmet(conditions, info) ?? unchanged(conditions, info, 'either')
  if (broken !== undefined) throw preconditionFailed(`x-amz-copy-source-${broken}`)
}

/** In bytes: start <= byte < end. */
interface Range {
  readonly start: number
  readonly end: number
}

/** Stricter than the Range of a read: S3 wants both ends. */
function rangeOf(given: string | undefined): Range | undefined {
  if (given === undefined) return undefined
  const [, first, last] = /^bytes=(\d{1,15})-(\d{1,15})$/.exec(given) ?? []
  if (first === undefined || last === undefined || Number(first) > Number(last))
    throw invalidArgument(
      'x-amz-copy-source-range',
      given,
      'The x-amz-copy-source-range value must be of the form bytes=first-last where first and last are the zero-based offsets of the first and last bytes to copy',
    )
  return { start: Number(first), end: Number(last) + 1 }
}

function notOfSource(given = '', size?: number): Error {
  const of = size === undefined ? '' : ` of size: ${size}`
  return invalidArgument('x-amz-copy-source-range', given, `Range specified is not valid for source object${of}`)
}
