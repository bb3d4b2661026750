import type { PutObjectCommandInput, PutObjectCommandOutput } from '@aws-sdk/client-s3'
import type { Body, S3Features } from '../index.ts'
import { checksumFields, defined, quoted } from './described.ts'
import { checksumOf, md5Of, mismatchAs } from './digests.ts'
import { metadata } from './errors.ts'
import type { Call } from './handler.ts'
import { contentOf, featuresOf, keyOf, signalled } from './inputs.ts'
import { conditionOf, refusalAs } from './writing.ts'

export async function putObject(call: Call<PutObjectCommandInput>): Promise<PutObjectCommandOutput> {
  const { input, store, config, settings } = call
  const key = keyOf(input)
  const size = input.ContentLength
  const expect = { ...md5Of(input), ...(size === undefined || size === null ? {} : { size }) }
  const checksum = await checksumOf(input, config)
  const condition = await conditionOf(call, key, input)
  const features = featuresOf('PutObject', input, settings.relax)
  try {
    const receipt = await store.put(key, (input.Body ?? '') as Body, {
      ...contentOf(input),
      ...features,
      ...signalled(call),
      ...(condition === undefined ? {} : { if: condition }),
      expect,
      checksum,
      // One request of the app is one request to a service: then both say the same ETag.
      inOnePiece: true,
    })
    return {
      $metadata: metadata(200),
      ETag: quoted(receipt.etag),
      ...checksumFields(receipt),
      ...encryptionFields(features.features?.s3),
    }
  } catch (error) {
    throw refusalAs(mismatchAs(error, checksum.algorithm), input)
  }
}

/** How the object is encrypted, as S3 repeats it: with its own keys where nothing else was asked for. */
export function encryptionFields(
  features: S3Features = {},
): Pick<
  PutObjectCommandOutput,
  'ServerSideEncryption' | 'SSEKMSKeyId' | 'SSEKMSEncryptionContext' | 'BucketKeyEnabled'
> {
  const { ServerSideEncryption = 'AES256', SSEKMSKeyId, SSEKMSEncryptionContext, BucketKeyEnabled } = features
  const known = { SSEKMSKeyId, SSEKMSEncryptionContext, BucketKeyEnabled: BucketKeyEnabled === true ? true : undefined }
  return { ServerSideEncryption: ServerSideEncryption as 'AES256', ...defined(known) }
}
