import type { CopyObjectCommandInput, CopyObjectCommandOutput } from '@aws-sdk/client-s3'
import { HoldfastError, type PutReceipt } from '../index.ts'
import { unchanged, unmet } from './conditions.ts'
import { contentOfSource, openSource, type Source } from './copy-from.ts'
import { demandSource } from './copy-source.ts'
import { checksumFields, quoted } from './described.ts'
import { invalidArgument, metadata, noSuchKey, preconditionFailed, s3Error } from './errors.ts'
import type { Call } from './handler.ts'
import { contentOf, featuresOf, keyOf, signalled } from './inputs.ts'
import { encryptionFields } from './put.ts'
import { sourceTags } from './tags.ts'
import { conditionOf, refusalAs } from './writing.ts'
import { wholeSeconds } from './conditions.ts'

/** What S3 says of an object that came without a media type. (Of a body that is sent, the SDK itself says another.) */
const untyped = 'binary/octet-stream'

export type Copying = Call<CopyObjectCommandInput>

/**
 * To a wrapped bucket. Within one store the bytes are linked or fetched by the store; from another, or from a bucket without one, they are read and put.
 */
export async function copyObject(call: Copying): Promise<CopyObjectCommandOutput> {
  const { input, store, settings, bucket } = call
  const key = keyOf(input)
  demandDirectives(input)
  const from = demandSource(input.CopySource)
  const source = await openSource(call, from)
  try {
    checkSource(input, source)
    if (from.bucket === bucket && from.key === key) demandChange(input, source)
    const isReplaced = input.MetadataDirective === 'REPLACE'
    const tags = await sourceTags(call, from, source)
    const features = featuresOf(
      'CopyObject',
      {
        ...input,
        Expires: isReplaced ? input.Expires : source.info.features?.Expires,
        Tagging: input.TaggingDirective === 'REPLACE' ? input.Tagging : tags,
      },
      settings.relax,
    )
    const condition = await conditionOf(call, key, input)
    // As S3: that of the source, or one of its own.
    const algorithm = input.ChecksumAlgorithm ?? source.info.checksum?.algorithm ?? 'CRC64NVME'
    const options = {
      ...features,
      ...signalled(call),
      ...(condition === undefined ? {} : { if: condition }),
      checksum: { algorithm: algorithm as 'CRC32' },
      inOnePiece: true,
    }
    const { size, crc32c } = source.info
    const expect = { size, ...(crc32c === undefined ? {} : { crc32c }) }
    const receipt =
      source.store === store && !isReplaced
        ? await linked(call, from.key, key, { ...options, expect }, source)
        : await store.put(key, source.body(), {
            ...(isReplaced ? { contentType: untyped, ...contentOf(input) } : contentOfSource(source)),
            ...options,
            expect,
          })
    return { $metadata: metadata(200), ...resultOf(receipt), ...encryptionFields(features.features?.s3) }
  } catch (error) {
    throw refusalAs(error, input)
  } finally {
    source.close()
  }
}

async function linked(
  { store }: Copying,
  from: string,
  to: string,
  { checksum, ...options }: Parameters<Copying['store']['put']>[2] & object,
  { info }: Source,
): Promise<PutReceipt> {
  // That of the source is kept as it is, without being computed again.
  const isSame = checksum?.algorithm === info.checksum?.algorithm
  try {
    return await store.copy(from, to, { ...options, ...(isSame || checksum === undefined ? {} : { checksum }) })
  } catch (error) {
    if (!(error instanceof HoldfastError)) throw error
    if (error.field === 'from') throw noSuchKey(from)
    // It was replaced after it was looked at; the conditions were for the one that was.
    if (error.code === 'CHECKSUM') throw s3Error('ConditionalRequestConflict', 409, error.message, { cause: error })
    throw error
  }
}

function resultOf(receipt: PutReceipt): Pick<CopyObjectCommandOutput, 'CopyObjectResult'> {
  const modifiedAt = new Date(Number.parseInt(receipt.version.slice(0, 12), 16))
  return {
    CopyObjectResult: {
      ETag: quoted(receipt.etag),
      LastModified: wholeSeconds(modifiedAt),
      ...checksumFields(receipt),
    },
  }
}

export function checkSource(input: CopyObjectCommandInput, { info }: Source): void {
  const conditions = {
    IfMatch: input.CopySourceIfMatch,
    IfNoneMatch: input.CopySourceIfNoneMatch,
    IfModifiedSince: input.CopySourceIfModifiedSince,
    IfUnmodifiedSince: input.CopySourceIfUnmodifiedSince,
  }
  const failed = unmet(conditions, info) ?? unchanged(conditions, info, 'either')
  if (failed !== undefined) throw preconditionFailed(`x-amz-copy-source-${failed}`)
}

export function demandDirectives({ MetadataDirective, TaggingDirective }: CopyObjectCommandInput): void {
  for (const [name, value] of [
    ['x-amz-metadata-directive', MetadataDirective],
    ['x-amz-tagging-directive', TaggingDirective],
  ] as const) {
    if (value === undefined || value === null || value === 'COPY' || value === 'REPLACE') continue
    throw invalidArgument(name, value, 'Unknown metadata directive.')
  }
}

/** Onto itself, a copy has to change something. */
function demandChange(input: CopyObjectCommandInput, { info }: Source): void {
  const { StorageClass = 'STANDARD' } = info.features ?? {}
  const isOtherClass = input.StorageClass !== undefined && input.StorageClass !== StorageClass
  const changes = [
    input.ServerSideEncryption,
    input.SSEKMSKeyId,
    input.WebsiteRedirectLocation,
    input.ACL,
    input.GrantFullControl,
    input.GrantRead,
    input.GrantReadACP,
    input.GrantWriteACP,
    input.ObjectLockMode,
    input.ObjectLockRetainUntilDate,
    input.ObjectLockLegalHoldStatus,
  ]
  const isChanged = changes.some(each => each !== undefined && each !== null)
  if (isOtherClass || isChanged || input.MetadataDirective === 'REPLACE' || input.TaggingDirective === 'REPLACE') return
  throw s3Error(
    'InvalidRequest',
    400,
    "This copy request is illegal because it is trying to copy an object to itself without changing the object's metadata, storage class, website redirect location or encryption attributes.",
  )
}
