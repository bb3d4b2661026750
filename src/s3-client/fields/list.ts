import { type FieldRow, type FieldRows, handled, relaxable } from './row.ts'
import { account } from './shared.ts'

const OptionalObjectAttributes: FieldRow = relaxable(
  'RestoreStatus is known to one bucket only: ask HeadObject with a VersionId, or ListObjectVersions',
)

const listing: FieldRows = {
  Bucket: handled('Chooses the store.'),
  Prefix: handled('As S3.'),
  Delimiter: handled('As S3: CommonPrefixes.'),
  EncodingType: handled('`url`: keys as S3 encodes them.'),
}

export const ListObjects: FieldRows = {
  ...listing,
  Marker: handled('Keys after it.'),
  MaxKeys: handled('As S3: at most 1,000.'),
  OptionalObjectAttributes,
  ...account,
}

export const ListObjectsV2: FieldRows = {
  ...listing,
  StartAfter: handled('Keys after it.'),
  ContinuationToken: handled('Only one that a listing of this client gave; another is InvalidArgument.'),
  MaxKeys: handled('As S3: at most 1,000.'),
  FetchOwner: {
    kind: 'handled',
    note: 'false, as without it.',
    only: { values: [false], otherwise: 'a mirrored object has no one owner' },
    canRelax: true,
  },
  OptionalObjectAttributes,
  ...account,
}

export const ListMultipartUploads: FieldRows = {
  ...listing,
  KeyMarker: handled('Uploads after it.'),
  UploadIdMarker: handled('Uploads of that key after it.'),
  MaxUploads: handled('As S3: at most 1,000.'),
  ...account,
}
