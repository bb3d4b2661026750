import type {
  AbortMultipartUploadCommandInput,
  AbortMultipartUploadCommandOutput,
  CreateMultipartUploadCommandInput,
  CreateMultipartUploadCommandOutput,
} from '@aws-sdk/client-s3'
import { checksumAlgorithms } from '../../core/checksum.ts'
import type { UploadOptions } from '../../index.ts'
import { metadata } from '../errors.ts'
import type { Call } from '../handler.ts'
import { contentOf, featuresOf, keyOf, signalled } from '../inputs.ts'
import { encryptionFields } from '../put.ts'
import { begunUpload, checksumFields, noSuchUpload } from './call.ts'
import { memoryOf } from './memory.ts'
import { refused } from './refused.ts'

/** What S3 says of an upload that was begun without a media type. (With a body in one piece, the SDK itself sends another.) */
const usualType = 'binary/octet-stream'

type Beginning = Call<CreateMultipartUploadCommandInput>

/** An upload that is safe on local disk. InvalidRequest for a kind of checksum that S3 has not; else as PutObject. */
export async function createMultipartUpload(call: Beginning): Promise<CreateMultipartUploadCommandOutput> {
  const { input, store, bucket, settings } = call
  const key = keyOf(input)
  const checksum = checksumOf(input)
  const upload = await store.uploads.create(key, {
    contentType: usualType,
    ...contentOf(input),
    ...featuresOf('CreateMultipartUpload', input, settings.relax),
    ...(checksum === undefined ? {} : { checksum }),
    ...signalled(call),
  })
  memoryOf(store).opened(upload)
  return {
    $metadata: metadata(200),
    Bucket: bucket,
    Key: key,
    UploadId: upload.id,
    ...encryptionFields(upload.features?.s3),
    ...checksumFields(upload),
  }
}

/** Drops the upload with its parts. NoSuchUpload where it is gone. */
export async function abortMultipartUpload(
  call: Call<AbortMultipartUploadCommandInput>,
): Promise<AbortMultipartUploadCommandOutput> {
  const { id } = await begunUpload(call)
  if (!(await call.store.uploads.abort(id, signalled(call)))) throw noSuchUpload(id)
  memoryOf(call.store).end(id, 'aborted')
  return { $metadata: metadata(204) }
}

/** Algorithm and type as S3 lets them go together: a digest of the whole comes out of the parts' for CRCs only, and for CRC64NVME always. */
function checksumOf({ ChecksumAlgorithm: asked, ChecksumType: type }: Beginning['input']): UploadOptions['checksum'] {
  if (asked === undefined) {
    if (type === undefined) return undefined
    throw refused(
      'InvalidRequest',
      {},
      'The x-amz-checksum-type header can only be used with the x-amz-checksum-algorithm header.',
    )
  }
  const algorithm = checksumAlgorithms.find(known => known === asked.toUpperCase())
  const isCrc = algorithm?.startsWith('CRC') ?? false
  const fits = type === 'FULL_OBJECT' ? isCrc : type !== 'COMPOSITE' || algorithm !== 'CRC64NVME'
  if (algorithm === undefined || !fits)
    throw refused(
      'InvalidRequest',
      {},
      `The ${type} checksum type cannot be used with the ${asked.toLowerCase()} checksum algorithm.`,
    )
  return { algorithm, type: type ?? (algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE') }
}
