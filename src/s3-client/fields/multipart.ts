import { type FieldRows, handled } from './row.ts'
import {
  account,
  algorithm,
  body,
  checksums,
  content,
  copySource,
  customerKeys,
  directoryOnly,
  features,
  object,
  writeConditions,
} from './shared.ts'

const UploadId = handled('An upload of this store; another is NoSuchUpload.')
const PartNumber = handled('1 to 10,000; a part of the same number before it is replaced.')

export const CreateMultipartUpload: FieldRows = {
  ...object,
  ...content,
  ChecksumAlgorithm: algorithm('Computed of each part, and of the whole at Complete.'),
  ChecksumType: handled('COMPOSITE or FULL_OBJECT, as S3 allows them for the algorithm.'),
  ...features,
  ...customerKeys,
  ...account,
}

export const UploadPart: FieldRows = {
  ...object,
  UploadId,
  PartNumber,
  ...body,
  ChecksumAlgorithm: algorithm('That of the upload; another is InvalidRequest.'),
  ...checksums('Compared with the part: BadDigest, or InvalidRequest for what is none.'),
  ...customerKeys,
  ...account,
}

export const UploadPartCopy: FieldRows = {
  ...object,
  UploadId,
  PartNumber,
  ...copySource,
  CopySourceRange: handled('`bytes=first-last` within the source; else InvalidArgument.'),
  ...customerKeys,
  ...account,
}

export const ListParts: FieldRows = {
  ...object,
  UploadId,
  MaxParts: handled('As S3: at most 1,000.'),
  PartNumberMarker: handled('Parts after this one.'),
  ...customerKeys,
  ...account,
}

export const CompleteMultipartUpload: FieldRows = {
  ...object,
  UploadId,
  MultipartUpload: handled('The parts, in ascending order.'),
  'MultipartUpload.Parts': handled('InvalidPart, InvalidPartOrder, EntityTooSmall as S3 has them.'),
  'MultipartUpload.Parts.ETag': handled('Compared with the part: InvalidPart.'),
  'MultipartUpload.Parts.PartNumber': handled('Which part.'),
  ...checksums('Compared with the part: InvalidPart.', 'MultipartUpload.Parts.'),
  ...checksums('Compared with the whole: BadDigest.'),
  ChecksumType: handled('Compared with that of the upload.'),
  MpuObjectSize: handled('Compared with the bytes of the parts.'),
  ...writeConditions,
  ...customerKeys,
  ...account,
}

export const AbortMultipartUpload: FieldRows = {
  ...object,
  UploadId,
  IfMatchInitiatedTime: directoryOnly,
  ...account,
}
