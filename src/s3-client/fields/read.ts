import { type FieldRow, type FieldRows, handled } from './row.ts'
import { account, customerKeys, object } from './shared.ts'

const VersionId: FieldRow = {
  kind: 'primary',
  note: 'Versions are kept by the bucket, not by Holdfast: the client’s own bucket is asked, as without Holdfast.',
}

const conditions: FieldRows = {
  IfMatch: handled('PreconditionFailed (412) where the ETag differs.'),
  IfNoneMatch: handled('NotModified (304) where the ETag is the same.'),
  IfModifiedSince: handled('NotModified (304) where it is not newer; whole seconds, as in HTTP.'),
  IfUnmodifiedSince: handled('PreconditionFailed (412) where it is newer.'),
}

const overrides: FieldRows = {
  ResponseCacheControl: handled('Given back in place of what is kept.'),
  ResponseContentDisposition: handled('Given back in place of what is kept.'),
  ResponseContentEncoding: handled('Given back in place of what is kept.'),
  ResponseContentLanguage: handled('Given back in place of what is kept.'),
  ResponseContentType: handled('Given back in place of what is kept.'),
  ResponseExpires: handled('Given back in place of what is kept.'),
}

export const HeadObject: FieldRows = {
  ...object,
  ...conditions,
  ...overrides,
  Range: handled('One range in bytes, from the front or the end; anything else is ignored, as HTTP has it.'),
  PartNumber: handled('The part as it was uploaded, with PartsCount.'),
  ChecksumMode: handled('ENABLED: with the checksum that is kept.'),
  VersionId,
  ...customerKeys,
  ...account,
}

export const GetObject: FieldRows = HeadObject

export const GetObjectAttributes: FieldRows = {
  ...object,
  ObjectAttributes: handled('ETag, Checksum, ObjectParts, StorageClass, ObjectSize.'),
  MaxParts: handled('Parts in one answer.'),
  PartNumberMarker: handled('Parts after this one.'),
  VersionId,
  ...customerKeys,
  ...account,
}
