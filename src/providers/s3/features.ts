import type { ProviderFeatures, S3FeatureName, S3Features } from '../../core/features.ts'

/**
 * The header that carries each feature: sent as given with PutObject and CreateMultipartUpload, and given back by GET and HEAD, where S3
 * gives it back (of access rights and tags it does not). https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
 */
export const featureHeaders: Readonly<Record<S3FeatureName, string>> = {
  ACL: 'x-amz-acl',
  GrantFullControl: 'x-amz-grant-full-control',
  GrantRead: 'x-amz-grant-read',
  GrantReadACP: 'x-amz-grant-read-acp',
  GrantWriteACP: 'x-amz-grant-write-acp',
  StorageClass: 'x-amz-storage-class',
  ServerSideEncryption: 'x-amz-server-side-encryption',
  SSEKMSKeyId: 'x-amz-server-side-encryption-aws-kms-key-id',
  SSEKMSEncryptionContext: 'x-amz-server-side-encryption-context',
  BucketKeyEnabled: 'x-amz-server-side-encryption-bucket-key-enabled',
  Tagging: 'x-amz-tagging',
  WebsiteRedirectLocation: 'x-amz-website-redirect-location',
  Expires: 'expires',
  ObjectLockMode: 'x-amz-object-lock-mode',
  ObjectLockRetainUntilDate: 'x-amz-object-lock-retain-until-date',
  ObjectLockLegalHoldStatus: 'x-amz-object-lock-legal-hold',
}

const names = Object.keys(featureHeaders) as S3FeatureName[]

type Headers = Readonly<Record<string, string>>

/** As headers, and not as fields of the SDK's input: those make dates of what was given as text, and know less the older they are. */
export function headersOf(features: ProviderFeatures | undefined): Headers {
  const headers: Record<string, string> = {}
  for (const name of names) {
    const value = features?.s3?.[name]
    if (value !== undefined) headers[featureHeaders[name]] = String(value)
  }
  return headers
}

/** What the answer to a GET or HEAD says of them; `undefined` where it says nothing. */
export function featuresOf(headers: Headers): S3Features | undefined {
  const found: Record<string, string | boolean> = {}
  for (const name of names) {
    const value = headers[featureHeaders[name]]
    if (value !== undefined) found[name] = name === 'BucketKeyEnabled' ? value.toLowerCase() === 'true' : value
  }
  return Object.keys(found).length === 0 ? undefined : (found as S3Features)
}

/** Whether the write asks for a key of KMS: then its ETags are no digests, whatever the answers say or leave out. */
export function asksForKms(features: ProviderFeatures | undefined): boolean {
  return features?.s3?.ServerSideEncryption?.startsWith('aws:kms') === true
}
