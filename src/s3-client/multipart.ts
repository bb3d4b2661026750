import type { HandledCommand } from './fields.ts'
import type { Call, Handler } from './handler.ts'
import { abortMultipartUpload, createMultipartUpload } from './multipart/begin.ts'
import { completeMultipartUpload } from './multipart/complete.ts'
import { createAtProvider } from './multipart/features-there.ts'
import { uploadPartCopy } from './multipart/copy.ts'
import { listMultipartUploads, listParts } from './multipart/list.ts'
import { uploadPart } from './multipart/part.ts'
import { completeAtProvider } from './multipart/provider.ts'

type MultipartCommand = Extract<
  HandledCommand,
  `${string}MultipartUpload` | 'ListMultipartUploads' | 'UploadPart' | 'UploadPartCopy' | 'ListParts'
>

/**
 * Objects that come in parts. `multipart: 'local'`: parts are kept on local disk until Complete makes one write of them. 'provider': everything goes to the
 * client's own bucket as it is, and Complete takes the object in.
 */
export const multipart: Readonly<Record<MultipartCommand, Handler>> = {
  CreateMultipartUpload: local(createMultipartUpload, createAtProvider),
  UploadPart: local(uploadPart),
  UploadPartCopy: local(uploadPartCopy),
  ListParts: local(listParts),
  ListMultipartUploads: local(listMultipartUploads),
  CompleteMultipartUpload: local(completeMultipartUpload, completeAtProvider),
  AbortMultipartUpload: local(abortMultipartUpload),
}

/** `atProvider`: what is done instead with `multipart: 'provider'`. Default: what the plain client does. */
function local<Input extends object>(
  here: (call: Call<Input>) => Promise<object>,
  atProvider: (call: Call<Input>) => Promise<object> = call => call.next(),
): Handler<Input> {
  return call => (call.settings.multipart === 'local' ? here(call) : atProvider(call))
}
