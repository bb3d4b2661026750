import type { UploadPartCopyCommandInput, UploadPartCopyCommandOutput } from '@aws-sdk/client-s3'
import { openPiece } from '../copy-piece.ts'
import { metadata } from '../errors.ts'
import type { Call } from '../handler.ts'
import { signalled } from '../inputs.ts'
import { encryptionFields } from '../put.ts'
import { begunUpload, unlessGone } from './call.ts'
import { checksumField, partNumber } from './part.ts'

/** A part that is an object, or a piece of one, all of one version, read from whoever has it. The errors of UploadPart, and those of `openPiece`. */
export async function uploadPartCopy(call: Call<UploadPartCopyCommandInput>): Promise<UploadPartCopyCommandOutput> {
  const { input, store } = call
  const upload = await begunUpload(call)
  const number = partNumber(input.PartNumber)
  const piece = await openPiece(call)
  try {
    const options = { expect: { size: piece.bytes }, ...signalled(call) }
    const part = await unlessGone(call, store.uploads.putPart(upload.id, number, piece.body(), options))
    return {
      $metadata: metadata(200),
      CopyPartResult: {
        ETag: `"${part.etag}"`,
        LastModified: part.uploadedAt,
        ...(upload.checksum === undefined ? {} : checksumField(part)),
      },
      ...encryptionFields(upload.features?.s3),
    }
  } finally {
    piece.close()
  }
}
