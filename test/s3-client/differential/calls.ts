import { listMultipartUploads, listObjects, listObjectsV2 } from './listings.ts'
import { copyObject, deleteObject, deleteObjects, getObjectAttributes, putObject, readObject } from './objects.ts'
import {
  abortMultipartUpload,
  completeMultipartUpload,
  createMultipartUpload,
  listParts,
  uploadPart,
  uploadPartCopy,
} from './parts.ts'
import type { Call, World } from './world.ts'

const kinds: readonly (readonly [weight: number, make: (world: World) => Call])[] = [
  [26, putObject],
  [26, readObject],
  [5, getObjectAttributes],
  [3, deleteObject],
  [2, deleteObjects],
  [9, copyObject],
  [8, listObjectsV2],
  [6, listObjects],
  [3, listMultipartUploads],
  [3, createMultipartUpload],
  [10, uploadPart],
  [6, uploadPartCopy],
  [3, listParts],
  [5, completeMultipartUpload],
  [2, abortMultipartUpload],
]

/** The next call: valid as far as the SDK checks it, which the service may still refuse. */
export function nextCall(world: World): Call {
  return world.chance.weighted(kinds)(world)
}
