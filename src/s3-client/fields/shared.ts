import { type FieldRow, type FieldRows, feature, handled, refused, relaxable } from './row.ts'

/** Of commands that name a key. */
export const object: FieldRows = {
  Bucket: handled('Chooses the store.'),
  Key: handled('The key in the store, as it is.'),
}

/** About one bucket and who pays for it, of a store that has several. */
export const account: FieldRows = {
  RequestPayer: relaxable(
    'it speaks of one bucket, and the store has several: who reads them pays as their providers are configured',
  ),
  ExpectedBucketOwner: relaxable(
    'it speaks of one bucket, and the store has several: their providers are bound to the buckets they were first opened with',
  ),
}

const customerKey: FieldRow = refused(
  "the key would have to be kept in the journal, and without it no provider's copy can be read or compared: use ServerSideEncryption, or the client as it was",
)

/** Encryption with a key that comes with each request (SSE-C). */
export const customerKeys: FieldRows = {
  SSECustomerAlgorithm: customerKey,
  SSECustomerKey: customerKey,
  SSECustomerKeyMD5: customerKey,
}

/** The same for the source of a copy. */
export const sourceCustomerKeys: FieldRows = {
  CopySourceSSECustomerAlgorithm: customerKey,
  CopySourceSSECustomerKey: customerKey,
  CopySourceSSECustomerKeyMD5: customerKey,
}

/** Headers and metadata that every provider keeps. */
export const content: FieldRows = {
  CacheControl: handled('Kept at every provider.'),
  ContentDisposition: handled('Kept at every provider.'),
  ContentEncoding: handled('Kept at every provider; the bytes are stored as they come.'),
  ContentLanguage: handled('Kept at every provider.'),
  ContentType: handled(
    'Kept at every provider. Without: `application/octet-stream` with a body, as the SDK sends it, else `binary/octet-stream`, as S3.',
  ),
  Metadata: handled(
    'Kept at every provider; names in lower case. At most what fits beside Holdfast’s own entry (about 1.8 KB).',
  ),
}

const eventHold: FieldRow = refused(
  'this version does not carry event holds: a write that looks protected and is not would be worse than none',
)

/** What services keep each in their own way. */
export const features: FieldRows = {
  ACL: feature('ACL'),
  GrantFullControl: feature('GrantFullControl'),
  GrantRead: feature('GrantRead'),
  GrantReadACP: feature('GrantReadACP'),
  GrantWriteACP: feature('GrantWriteACP'),
  StorageClass: feature('StorageClass'),
  ServerSideEncryption: feature('ServerSideEncryption'),
  SSEKMSKeyId: feature('SSEKMSKeyId'),
  SSEKMSEncryptionContext: feature('SSEKMSEncryptionContext'),
  BucketKeyEnabled: feature('BucketKeyEnabled'),
  Tagging: feature('Tagging'),
  WebsiteRedirectLocation: feature('WebsiteRedirectLocation'),
  Expires: feature('Expires'),
  ObjectLockMode: feature('ObjectLockMode'),
  ObjectLockRetainUntilDate: feature('ObjectLockRetainUntilDate'),
  ObjectLockLegalHoldStatus: feature('ObjectLockLegalHoldStatus'),
  ObjectLockEventHold: eventHold,
  ObjectLockEventHoldDurationDays: eventHold,
  ObjectLockEventHoldDurationYears: eventHold,
}

const algorithms = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256']

const otherDigest =
  'this version computes CRC32, CRC32C, CRC64NVME, SHA1 and SHA256, and keeps no digest that it did not compare'

/** `note`: what the algorithm is asked for. */
export const algorithm = (note: string): FieldRow => ({
  kind: 'handled',
  note,
  only: { values: algorithms, otherwise: otherDigest },
})

/** `note`: what is compared. Digests that this version cannot compute are refused, never taken on trust. */
export const checksums = (note: string, at = ''): FieldRows => {
  const row = handled(note)
  const other = refused(otherDigest)
  return {
    [`${at}ChecksumCRC32`]: row,
    [`${at}ChecksumCRC32C`]: row,
    [`${at}ChecksumCRC64NVME`]: row,
    [`${at}ChecksumSHA1`]: row,
    [`${at}ChecksumSHA256`]: row,
    [`${at}ChecksumSHA512`]: other,
    [`${at}ChecksumMD5`]: other,
    [`${at}ChecksumXXHASH64`]: other,
    [`${at}ChecksumXXHASH3`]: other,
    [`${at}ChecksumXXHASH128`]: other,
  }
}

/** Of a body that comes with the call. */
export const body: FieldRows = {
  Body: handled('Read once, to local disk. Streams need no length.'),
  ContentLength: handled('Compared with the bytes that came.'),
  ContentMD5: handled('Compared: BadDigest, or InvalidDigest for what is none.'),
}

/** Conditions on what is at the key of a write. */
export const writeConditions: FieldRows = {
  IfMatch: handled(
    'Only over the object with this ETag, else PreconditionFailed. Decided at the primary, which has to be up.',
  ),
  IfNoneMatch: handled(
    '`*`: only where there is no object, else PreconditionFailed. Decided at the primary, which has to be up.',
  ),
}

/** Where a copy comes from, and under which conditions. */
export const copySource: FieldRows = {
  CopySource: handled(
    '`bucket/key`: read through its store where it has one, else by the plain client. A `?versionId=` is refused: versions are kept by one bucket.',
  ),
  CopySourceIfMatch: handled('Compared with the source: PreconditionFailed.'),
  CopySourceIfNoneMatch: handled('Compared with the source: PreconditionFailed.'),
  CopySourceIfModifiedSince: handled('Compared with the source: PreconditionFailed.'),
  CopySourceIfUnmodifiedSince: handled('Compared with the source: PreconditionFailed.'),
  ...sourceCustomerKeys,
  ExpectedSourceBucketOwner: account['ExpectedBucketOwner'] as FieldRow,
}

const directoryBuckets = 'S3 knows this condition in directory buckets only, and a condition is never left out'

export const directoryOnly: FieldRow = refused(directoryBuckets)
