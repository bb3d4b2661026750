import type { CompleteMultipartUploadCommandInput, CompleteMultipartUploadCommandOutput } from '@aws-sdk/client-s3'
import { checksumAlgorithms, isDigest } from '../../core/checksum.ts'
import {
  type CompleteOptions,
  HoldfastError,
  type KeptChecksum,
  type OpenUpload,
  type S3Features,
} from '../../index.ts'
import { matches } from '../conditions.ts'
import { mismatchAs } from '../digests.ts'
import { checksumFields, quoted } from '../described.ts'
import { metadata, preconditionFailed } from '../errors.ts'
import type { Call } from '../handler.ts'
import { keyOf, signalled } from '../inputs.ts'
import { encryptionFields } from '../put.ts'
import { conditionOf, refusalAs } from '../writing.ts'
import { findUpload, isGone, noSuchUpload } from './call.ts'
import { checkListed, etagOfListed, type ListedPart, listedParts } from './listed.ts'
import { locationOf } from './location.ts'
import { isUploadId, memoryOf } from './memory.ts'
import { refused } from './refused.ts'

type Completing = Call<CompleteMultipartUploadCommandInput>

/**
 * One object of the parts that are listed. Again, after it was completed: the same answer, as long as the object is there (S3 promises this for
 * retries). The errors of S3, in the order in which it looks: NoSuchUpload, InvalidPartOrder, InvalidPart, EntityTooSmall, InvalidRequest,
 * BadDigest, PreconditionFailed.
 */
export async function completeMultipartUpload(call: Completing): Promise<CompleteMultipartUploadCommandOutput> {
  const { input, store } = call
  const listed = listedParts(input.MultipartUpload?.Parts)
  const upload = await findUpload(call)
  if (upload === undefined) return await completedBefore(call, listed)
  const { id } = upload
  checkListed(listed, upload)
  checkSize(input, listed, upload)
  const checksum = wholeChecksum(input, listed.length, upload)
  const condition = await conditionNow(call)
  try {
    const receipt = await store.uploads.complete(
      id,
      listed.map(({ number, etag }) => ({ number, etag })),
      {
        ...(condition === undefined ? {} : { if: condition }),
        ...(checksum === undefined ? {} : { expect: { checksum } }),
        ...signalled(call),
      },
    )
    memoryOf(store).end(id, 'completed')
    return await completed(call, { ...receipt, features: upload.features?.s3 })
  } catch (error) {
    if (isGone(error)) return await completedBefore(call, listed)
    throw partsError(error, id) ?? refusalAs(mismatchAs(error, upload.checksum?.algorithm ?? ''), input)
  }
}

/** NoSuchUpload, unless this upload is known, or must be thought, to have become the object that is there. */
async function completedBefore(
  call: Completing,
  listed: readonly ListedPart[],
): Promise<CompleteMultipartUploadCommandOutput> {
  const { store, input } = call
  const { Key = '', UploadId = '', IfMatch, IfNoneMatch } = input
  const memory = memoryOf(store)
  const begun = await memory.begun(UploadId)
  // What is remembered as open may have ended a moment ago, unless it is another key's.
  const isOpenElsewhere = begun !== undefined && begun.key !== Key
  if (!isUploadId(UploadId) || isOpenElsewhere || memory.ended(UploadId) === 'aborted') throw noSuchUpload(UploadId)
  // After a restart nobody knows how an upload ended; the ETag names its parts, and their order.
  const info = await store.head(Key, signalled(call))
  if (info === undefined || info.etag !== etagOfListed(listed)) throw noSuchUpload(UploadId)
  if (IfNoneMatch !== undefined) throw preconditionFailed('If-None-Match')
  if (IfMatch !== undefined && !matches(IfMatch, info.etag)) throw preconditionFailed('If-Match')
  return await completed(call, info)
}

async function completed(
  call: Completing,
  {
    etag,
    checksum,
    features,
  }: { readonly etag: string; readonly checksum?: KeptChecksum; readonly features?: S3Features | undefined },
): Promise<CompleteMultipartUploadCommandOutput> {
  const { Key = '' } = call.input
  const location = await locationOf(call.config, call.bucket, Key)
  return {
    $metadata: metadata(200),
    ...(location === undefined ? {} : { Location: location }),
    Bucket: call.bucket,
    Key,
    ETag: quoted(etag),
    ...checksumFields(checksum === undefined ? {} : { checksum }),
    ...encryptionFields(features),
  }
}

/** The condition, for the store. What does not hold now is refused here, before the parts are read. */
async function conditionNow(call: Completing): Promise<CompleteOptions['if']> {
  const { input, store } = call
  const condition = await conditionOf(call, keyOf(input), input)
  if (condition !== 'absent') return condition
  const there = await store.head(keyOf(input), signalled(call))
  if (there !== undefined) throw preconditionFailed('If-None-Match')
  return condition
}

function checkSize(
  { MpuObjectSize }: CompleteMultipartUploadCommandInput,
  listed: readonly ListedPart[],
  { parts }: OpenUpload,
): void {
  if (MpuObjectSize === undefined) return
  const sizes = new Map(parts.map(({ number, size }) => [number, size]))
  const size = listed.reduce((sum, { number }) => sum + (sizes.get(number) ?? 0), 0)
  if (MpuObjectSize !== size)
    throw refused(
      'InvalidRequest',
      {},
      `The provided 'x-amz-mp-object-size' header value ${MpuObjectSize} does not match what was computed: ${size}`,
    )
}

/** The checksum that the whole has to have, as the store compares it. InvalidRequest for one of another kind than the upload's. */
function wholeChecksum(
  input: CompleteMultipartUploadCommandInput,
  count: number,
  { checksum }: OpenUpload,
): string | undefined {
  if (input.ChecksumType !== undefined && input.ChecksumType !== (checksum?.type ?? 'FULL_OBJECT'))
    throw refused(
      'InvalidRequest',
      {},
      `The upload was created using the ${checksum?.type ?? 'FULL_OBJECT'} checksum mode. The complete request must use the same checksum mode.`,
    )
  for (const algorithm of checksumAlgorithms) {
    const value = input[`Checksum${algorithm}`]
    if (value === undefined) continue
    if (algorithm !== checksum?.algorithm)
      throw refused(
        'InvalidRequest',
        {},
        `Checksum Type mismatch occurred, expected checksum Type: ${checksum?.algorithm.toLowerCase() ?? 'null'}, actual checksum Type: ${algorithm.toLowerCase()}`,
      )
    const bare = value.replace(/-\d+$/, '')
    if (!isDigest(algorithm, bare))
      throw refused('InvalidRequest', {}, `Value for x-amz-checksum-${algorithm.toLowerCase()} header is invalid.`)
    return checksum.type === 'COMPOSITE' ? `${bare}-${count}` : bare
  }
  return undefined
}

/** What the store found of the parts that was another a moment before. */
function partsError(error: unknown, id: string): Error | undefined {
  if (!(error instanceof HoldfastError)) return undefined
  const { field, rule } = error
  if (field === 'parts' && rule === 'order') return refused('InvalidPartOrder', { UploadId: id, cause: error })
  if ((field === 'parts' && rule === 'absent') || (field === 'upload' && rule === 'changed'))
    return refused('InvalidPart', { UploadId: id, cause: error })
  return undefined
}
