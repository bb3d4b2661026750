import type { CreateMultipartUploadCommandInput } from '@aws-sdk/client-s3'
import type { ProviderFeatures, S3FeatureName, S3Features } from '../../index.ts'
import { defined } from '../described.ts'
import { s3Error } from '../errors.ts'
import type { Call } from '../handler.ts'
import { sdk } from '../sdk.ts'

/** What no read says of an object: stored anew when it is taken in, it would be without. */
const unread = ['GrantFullControl', 'GrantRead', 'GrantReadACP', 'GrantWriteACP', 'SSEKMSEncryptionContext'] as const

/** Begins an upload at the client's own bucket, as it is. NotImplemented for a feature that would be lost at Complete, unless `relax` names it. */
export async function createAtProvider(call: Call<CreateMultipartUploadCommandInput>): Promise<object> {
  const { input, settings } = call
  const lost = [...unread, ...(input.ACL === 'private' ? [] : (['ACL'] as const))].find(
    name => input[name] !== undefined && input[name] !== null && !settings.relax.includes(name),
  )
  if (lost === undefined) return await call.next()
  const message = `CreateMultipartUpload: ${lost} is refused with multipart: 'provider': the object is stored anew when it is taken in, and nobody can read from it what it was given. Use multipart: 'local', or leave it out with withHoldfast(…, { relax: ['${lost}'] })`
  throw s3Error('NotImplemented', 501, message, { Header: lost })
}

/**
 * What an object at the client's own bucket says of its features, so that it keeps them when it is taken in: its tags among them, which have to be
 * asked for. `undefined` where there is nothing but what a store finds by itself. Rejects with what the bucket says.
 */
export async function featuresThere({
  plain,
  input: { Bucket, Key },
  settings,
}: Call<{ readonly Bucket?: string | undefined; readonly Key?: string | undefined }>): Promise<
  ProviderFeatures | undefined
> {
  const { GetObjectTaggingCommand, HeadObjectCommand } = sdk()
  const head = await plain(new HeadObjectCommand({ Bucket, Key }))
  const isTagged = (head.TagCount ?? 0) > 0 && !settings.relax.includes('Tagging')
  const { TagSet = [] } = isTagged ? await plain(new GetObjectTaggingCommand({ Bucket, Key })) : {}
  const tags = new URLSearchParams(TagSet.map(({ Key: name = '', Value = '' }): [string, string] => [name, Value]))
  const isKms = head.ServerSideEncryption?.startsWith('aws:kms') === true
  const asked: S3Features = defined({
    Tagging: tags.toString(),
    ObjectLockMode: head.ObjectLockMode,
    ObjectLockRetainUntilDate: head.ObjectLockRetainUntilDate?.toISOString(),
    ObjectLockLegalHoldStatus: head.ObjectLockLegalHoldStatus,
    ...(isKms
      ? {
          ServerSideEncryption: head.ServerSideEncryption,
          SSEKMSKeyId: head.SSEKMSKeyId,
          BucketKeyEnabled: head.BucketKeyEnabled,
        }
      : {}),
  })
  if (Object.keys(asked).length === 0) return undefined
  const found: S3Features = defined({
    StorageClass: head.StorageClass,
    WebsiteRedirectLocation: head.WebsiteRedirectLocation,
    Expires: head.ExpiresString,
  })
  const relaxed = settings.relax.filter(name => Object.hasOwn(asked, name))
  const relax = [...relaxed, ...Object.keys(found)] as S3FeatureName[]
  return { s3: { ...found, ...asked }, relax }
}
