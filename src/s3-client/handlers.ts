import { getObjectAttributes } from './attributes.ts'
import { copyObject } from './copy.ts'
import { copyObjectOut, uploadPartCopyOut } from './copy-out.ts'
import { deleteObject, deleteObjects } from './delete.ts'
import type { HandledCommand } from './fields.ts'
import { getObject, headObject } from './get.ts'
import type { Handler } from './handler.ts'
import { listObjects, listObjectsV2 } from './list.ts'
import { multipart } from './multipart.ts'
import { putObject } from './put.ts'

/** What answers each command that names a bucket with a store. */
export const handlers: Readonly<Record<HandledCommand, Handler>> = {
  PutObject: putObject,
  GetObject: getObject,
  HeadObject: headObject,
  GetObjectAttributes: getObjectAttributes,
  DeleteObject: deleteObject,
  DeleteObjects: deleteObjects,
  CopyObject: copyObject,
  ListObjects: listObjects,
  ListObjectsV2: listObjectsV2,
  ...multipart,
}

/** What answers those whose source alone is such a bucket. */
export const copiesOut: Readonly<Record<string, Handler>> = {
  CopyObject: copyObjectOut,
  UploadPartCopy: uploadPartCopyOut,
}
