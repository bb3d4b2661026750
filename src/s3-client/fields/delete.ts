import { type FieldRow, type FieldRows, handled, ignored, refused } from './row.ts'
import { account, directoryOnly, object } from './shared.ts'

const VersionId: FieldRow = refused(
  'versions are kept by one bucket, not by Holdfast: a version is deleted there with the client as it was',
)

const guards: FieldRows = {
  MFA: refused('a code that is valid for half a minute cannot be kept for a delete that is sent later'),
  BypassGovernanceRetention: {
    kind: 'handled',
    note: 'false, as without it.',
    only: {
      values: [false],
      otherwise: 'no delete is mirrored past a retention: delete that version at the bucket with the client as it was',
    },
  },
}

export const DeleteObject: FieldRows = {
  ...object,
  IfMatch: handled('Only the object with this ETag, else PreconditionFailed.'),
  IfMatchLastModifiedTime: directoryOnly,
  IfMatchSize: directoryOnly,
  VersionId,
  ...guards,
  ...account,
}

export const DeleteObjects: FieldRows = {
  Bucket: handled('Chooses the store.'),
  Delete: handled('Up to 1,000 keys; each becomes a delete of its own, with an answer of its own.'),
  'Delete.Objects': handled('The keys, answered in this order.'),
  'Delete.Objects.Key': handled('The key in the store, as it is.'),
  'Delete.Objects.VersionId': VersionId,
  'Delete.Objects.ETag': handled('Only the object with this ETag, else an error for this key.'),
  'Delete.Objects.LastModifiedTime': directoryOnly,
  'Delete.Objects.Size': directoryOnly,
  'Delete.Quiet': handled('true: only the errors are answered.'),
  ChecksumAlgorithm: ignored('It is of the request, and none is sent.'),
  ...guards,
  ...account,
}
