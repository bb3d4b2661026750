import { type FieldRows, handled, refused } from './row.ts'
import {
  account,
  algorithm,
  body,
  checksums,
  content,
  copySource,
  customerKeys,
  features,
  object,
  writeConditions,
} from './shared.ts'

const compared = 'Compared (BadDigest, or InvalidRequest for what is none), kept, and given back by reads.'

export const PutObject: FieldRows = {
  ...object,
  ...body,
  ...content,
  ChecksumAlgorithm: algorithm('Computed, kept, and given back by reads.'),
  ...checksums(compared),
  ...writeConditions,
  ...features,
  WriteOffsetBytes: refused('S3 appends in directory buckets only; an object here is written whole: put it again'),
  ...customerKeys,
  ...account,
}

export const CopyObject: FieldRows = {
  ...object,
  ...copySource,
  ...content,
  MetadataDirective: handled(
    'As S3: COPY (default) takes headers and metadata from the source, REPLACE those of the call.',
  ),
  ChecksumAlgorithm: algorithm('Computed of the copy. Without: that of the source.'),
  ...writeConditions,
  ...features,
  TaggingDirective: handled(
    'As S3: COPY (default) takes the tags from the source, REPLACE those of the call. Unless it is on local disk the source’s own bucket is asked for its tags, and has to be up (ServiceUnavailable), unless `relax` names Tagging.',
  ),
  AnnotationDirective: {
    kind: 'handled',
    note: 'EXCLUDE is what happens, also without it: annotations belong to one service and are not mirrored.',
    only: { values: ['EXCLUDE'], otherwise: 'annotations belong to one service and are not mirrored' },
    canRelax: true,
  },
  ...customerKeys,
  ...account,
}
