import type { KeptChecksum } from '../../core/checksum.ts'
import { invalid } from '../../core/errors.ts'
import type { BodyFiles } from '../bodies.ts'
import type { Accepted } from '../contract.ts'
import type { IncomingWrite } from '../accept.ts'
import { asKept } from '../rows.ts'
import type { BodyPart, UploadChecksum, UploadedPart } from '../upload-contract.ts'
import type { IncomingPart, IncomingUpload, UploadChanges } from '../uploads.ts'
import { demandLease, demandRoom, notUnique, vanished } from './refusals.ts'
import { frozen, type MemoryTables, type Upload } from './tables.ts'
import { dropUpload, endUploadOf, stagedBytes } from './writes.ts'

/** Changes to uploads in parts, as `contract.ts` tells of them. */
export function memoryUploads(
  tables: MemoryTables,
  bodies: BodyFiles,
  accept: (write: IncomingWrite) => Accepted,
): UploadChanges {
  const openUpload = (id: string): Upload | undefined => {
    const upload = tables.uploads.get(id)
    return upload?.seq === undefined ? upload : undefined
  }
  const demandUpload = (id: string): Upload => {
    const upload = openUpload(id)
    if (upload === undefined) throw invalid('upload', 'absent', `there is no upload ${id}`)
    return upload
  }

  return {
    beginUpload({ id, key, attributes: text, checksum, createdAt }: IncomingUpload): void {
      if (tables.uploads.has(id)) throw notUnique(`upload ${id}`)
      const { attributes, features } = asKept({ attributes: text, size: 0, md5: '' })
      const row = { id, key, attributes, features, checksum: parsed<UploadChecksum>(checksum), createdAt }
      tables.uploads.set(id, {
        row: frozen({ ...row, damaged: false }),
        parts: new Map(),
        usedAt: createdAt,
        seq: undefined,
      })
    },

    addPart({ upload: id, checksum, ...part }: IncomingPart): void {
      const upload = demandUpload(id)
      const { key } = upload.row
      if (!bodies.has(part.file)) throw vanished(bodies.path, key)
      demandRoom(stagedBytes(tables), part.size, part.maxStageBytes, key)
      const { number, file, size, crc32c, md5, uploadedAt } = part
      const before = upload.parts.get(number)
      if (before !== undefined) tables.trash.set(before.file, 'unlink')
      const row = { file, number, size, crc32c, md5, checksum: parsed<KeptChecksum>(checksum), uploadedAt }
      upload.parts.set(number, frozen({ ...row, damaged: false }))
      upload.usedAt = Math.max(upload.usedAt, uploadedAt)
    },

    completeUpload(id: string, write: IncomingWrite): Accepted {
      const upload = demandUpload(id)
      const chosen = write.body.in === 'parts' ? write.body.parts : []
      const parts = demandUnchanged(chosen, upload, write.key)
      const accepted = accept(write)
      const entry = tables.writes.get(accepted.seq)
      if (entry === undefined) return accepted
      entry.parts = parts
      entry.upload = id
      for (const { number } of parts) upload.parts.delete(number)
      upload.seq = accepted.seq
      // A tentative write may not come to be: until it is decided, the upload is kept for it.
      if (write.condition === undefined) endUploadOf(tables, entry)
      return accepted
    },

    dropUpload(id: string): boolean {
      const is = openUpload(id) !== undefined
      if (is) dropUpload(tables, id)
      return is
    },

    dropUploads(token: number, idleSince: number): string[] {
      demandLease(tables, token)
      const idle = [...tables.uploads.values()]
        .filter(({ usedAt, seq }) => usedAt < idleSince && seq === undefined)
        .sort((a, b) => a.usedAt - b.usedAt || (a.row.id < b.row.id ? -1 : 1))
        .map(({ row }) => row.id)
      for (const id of idle) dropUpload(tables, id)
      return idle
    },
  }
}

/** The parts of the upload that are meant, which have to be what they were, and in order. */
function demandUnchanged(chosen: readonly BodyPart[], { parts }: Upload, key: string): UploadedPart[] {
  const byFile = new Map([...parts.values()].map(part => [part.file, part]))
  let last = 0
  return chosen.map(({ file, size, crc32c, md5 }) => {
    const part = byFile.get(file)
    if (part?.size !== size || part.crc32c !== crc32c || part.md5 !== md5 || part.number <= last)
      throw invalid('upload', 'changed', 'a part was uploaded anew meanwhile', { key })
    last = part.number
    return part
  })
}

function parsed<T>(text: string | null): T | undefined {
  return text === null ? undefined : (JSON.parse(text) as T)
}
