import { HoldfastError, invalid, shown } from '../../core/errors.ts'
import type { Journal } from '../../journal/contract.ts'
import type { UploadRow } from '../../journal/upload-contract.ts'

/** The upload, if it is open: INVALID upload/absent otherwise. CORRUPT journal/damaged where its row is not to be believed. */
export function demandUpload(journal: Journal, id: string): UploadRow {
  const upload = journal.upload(id)
  if (upload === undefined)
    throw invalid(
      'upload',
      'absent',
      `there is no upload ${shown(id)}: it was completed, aborted, or left alone for too long`,
    )
  if (upload.damaged)
    throw new HoldfastError('CORRUPT', 'the journal row of this upload is damaged: abort it and begin again', {
      key: upload.key,
      field: 'journal',
      rule: 'damaged',
      outcome: 'rejected',
    })
  return upload
}
