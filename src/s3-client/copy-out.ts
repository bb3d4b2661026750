import type {
  CopyObjectCommandInput,
  CopyObjectCommandOutput,
  PutObjectCommandInput,
  PutObjectCommandOutput,
  UploadPartCommandInput,
  UploadPartCopyCommandInput,
  UploadPartCopyCommandOutput,
} from '@aws-sdk/client-s3'
import { Readable } from 'node:stream'
import { wholeSeconds } from './conditions.ts'
import { checkSource, demandDirectives } from './copy.ts'
import { openSource, type Source } from './copy-from.ts'
import { openPiece } from './copy-piece.ts'
import { demandSource } from './copy-source.ts'
import { defined } from './described.ts'
import { metadata, s3Error } from './errors.ts'
import type { Call } from './handler.ts'
import { sdk } from './sdk.ts'
import { sourceTags } from './tags.ts'

/**
 * To a bucket without a store, from one that has one. The newest bytes may not be at the primary yet: they are read here, and sent by the plain client
 * as any PutObject of the app. `call.store` is the source's.
 */
export async function copyObjectOut(call: Call<CopyObjectCommandInput>): Promise<CopyObjectCommandOutput> {
  const { input } = call
  demandDirectives(input)
  refuseSourceKeys(input)
  const from = demandSource(input.CopySource)
  const source = await openSource(call, from)
  try {
    checkSource(input, source)
    const tags = await sourceTags(call, from, source)
    const given = {
      ...withoutSource(input),
      ...(input.MetadataDirective === 'REPLACE' ? {} : contentOfCopy(source)),
      ...(input.TaggingDirective === 'REPLACE' ? {} : { Tagging: tags }),
      Body: readable(source),
      ContentLength: source.info.size,
    }
    const { PutObjectCommand } = sdk()
    const answer = await call.plain(new PutObjectCommand(given as PutObjectCommandInput))
    const { $metadata: _, ETag, Size: _size, Expiration, VersionId, ...rest } = answer
    const { checksums, others } = apart(rest)
    return {
      $metadata: metadata(200),
      ...others,
      ...defined({ Expiration, VersionId }),
      CopyObjectResult: { ...defined({ ETag }), LastModified: wholeSeconds(new Date()), ...checksums },
    }
  } finally {
    source.close()
  }
}

/** The same for a part of an upload in a bucket without a store. */
export async function uploadPartCopyOut(call: Call<UploadPartCopyCommandInput>): Promise<UploadPartCopyCommandOutput> {
  const { input } = call
  refuseSourceKeys(input)
  const source = await openPiece(call)
  try {
    const given = { ...withoutSource(input), Body: readable(source), ContentLength: source.bytes }
    const { UploadPartCommand } = sdk()
    const answer = await call.plain(new UploadPartCommand(given as UploadPartCommandInput))
    const { $metadata: _, ETag, ...rest } = answer
    const { checksums, others } = apart(rest)
    return {
      $metadata: metadata(200),
      ...others,
      CopyPartResult: { ...defined({ ETag }), LastModified: wholeSeconds(new Date()), ...checksums },
    }
  } finally {
    source.close()
  }
}

/** A key that comes with each request opens nothing that a store has. */
function refuseSourceKeys({
  CopySourceSSECustomerAlgorithm,
}: CopyObjectCommandInput | UploadPartCopyCommandInput): void {
  if (CopySourceSSECustomerAlgorithm === undefined || CopySourceSSECustomerAlgorithm === null) return
  throw s3Error(
    'NotImplemented',
    501,
    'CopySourceSSECustomerAlgorithm is refused: no object of the source is encrypted so',
    {
      Header: 'CopySourceSSECustomerAlgorithm',
    },
  )
}

/** What is left of the input for a command that sends the bytes itself. */
function withoutSource(input: object): object {
  const others = ['MetadataDirective', 'TaggingDirective', 'AnnotationDirective', 'ExpectedSourceBucketOwner']
  return Object.fromEntries(
    Object.entries(input).filter(([name]) => !name.startsWith('CopySource') && !others.includes(name)),
  )
}

function contentOfCopy({ info }: Source): Partial<PutObjectCommandInput> {
  const expires = info.features?.Expires
  return {
    ContentType: info.contentType,
    CacheControl: info.cacheControl,
    ContentDisposition: info.contentDisposition,
    ContentEncoding: info.contentEncoding,
    ContentLanguage: info.contentLanguage,
    Metadata: { ...info.metadata },
    Expires: expires === undefined ? undefined : new Date(expires),
  }
}

function readable(source: Source): Readable {
  const body = source.body()
  return body instanceof Readable ? body : Readable.from(body, { objectMode: false })
}

/** Checksums are in the result of a copy; the rest is beside it. */
function apart(answer: Partial<PutObjectCommandOutput>): { checksums: object; others: object } {
  const [checksums, others] = [true, false].map(isChecksum =>
    Object.fromEntries(Object.entries(answer).filter(([name]) => name.startsWith('Checksum') === isChecksum)),
  )
  return { checksums: checksums ?? {}, others: others ?? {} }
}
