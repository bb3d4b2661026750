import { DeleteObject, DeleteObjects } from './fields/delete.ts'
import { ListMultipartUploads, ListObjects, ListObjectsV2 } from './fields/list.ts'
import {
  AbortMultipartUpload,
  CompleteMultipartUpload,
  CreateMultipartUpload,
  ListParts,
  UploadPart,
  UploadPartCopy,
} from './fields/multipart.ts'
import { CopyObject, PutObject } from './fields/put.ts'
import { GetObject, GetObjectAttributes, HeadObject } from './fields/read.ts'
import type { FieldRows } from './fields/row.ts'

/**
 * What becomes of every input field of every command that Holdfast answers itself. A test holds it to the SDK's own schema: a field of a
 * newer SDK fails it until somebody has decided.
 */
export const fields: Readonly<Record<HandledCommand, FieldRows>> = {
  PutObject,
  CopyObject,
  GetObject,
  HeadObject,
  GetObjectAttributes,
  DeleteObject,
  DeleteObjects,
  ListObjects,
  ListObjectsV2,
  CreateMultipartUpload,
  UploadPart,
  UploadPartCopy,
  ListParts,
  ListMultipartUploads,
  CompleteMultipartUpload,
  AbortMultipartUpload,
}

/** A command that Holdfast answers itself, by its name in the SDK's schema. */
export type HandledCommand =
  | 'PutObject'
  | 'CopyObject'
  | 'GetObject'
  | 'HeadObject'
  | 'GetObjectAttributes'
  | 'DeleteObject'
  | 'DeleteObjects'
  | 'ListObjects'
  | 'ListObjectsV2'
  | 'CreateMultipartUpload'
  | 'UploadPart'
  | 'UploadPartCopy'
  | 'ListParts'
  | 'ListMultipartUploads'
  | 'CompleteMultipartUpload'
  | 'AbortMultipartUpload'
