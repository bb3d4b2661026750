import type { Database } from 'better-sqlite3'
import { HoldfastError, invalid } from '../core/errors.ts'
import type { BodyFiles } from './bodies.ts'
import type { Accepted } from './contract.ts'
import type { BodyPart, NewPart, NewUpload } from './upload-contract.ts'
import { fence } from './fence.ts'
import type { IncomingWrite } from './accept.ts'
import { type PartRecord, partRows } from './parts.ts'
import { sumOfPart, sumOfUpload, type UploadRecord } from './rows.ts'

/** An upload as it goes to the worker: attributes and checksum already as text. */
export type IncomingUpload = Pick<NewUpload, 'id' | 'key' | 'createdAt'> & {
  readonly attributes: string
  readonly checksum: string | null
}

/** A part as it goes to the worker. */
export type IncomingPart = Omit<NewPart, 'checksum'> & { readonly checksum: string | null }

/** Changes to uploads in parts, as those of the ledger: a HoldfastError only before the first change. */
export function uploadChanges(database: Database, bodies: BodyFiles, accept: (write: IncomingWrite) => Accepted) {
  const sql = <Row = unknown>(text: string) => database.prepare<unknown[], Row>(text)
  const requireLease = fence(database)
  const parts = partRows(database)
  const addUpload = sql(
    `INSERT INTO uploads (id, key, attributes, checksum, sum, created_at, used_at)
     VALUES (@id, @key, @attributes, @checksum, @sum, @createdAt, @createdAt)`,
  )
  const openUpload = sql<UploadRecord>('SELECT * FROM uploads WHERE id = ? AND seq IS NULL')
  const useUpload = sql('UPDATE uploads SET used_at = max(used_at, ?) WHERE id = ?')
  const partAt = sql<PartRecord>('SELECT * FROM parts WHERE upload = ? AND number = ?')
  const partsOf = sql<PartRecord>('SELECT * FROM parts WHERE upload = ?')
  const addPart = sql(
    `INSERT INTO parts (file, upload, number, size, crc32c, md5, checksum, sum, uploaded_at)
     VALUES (@file, @upload, @number, @size, @crc32c, @md5, @checksum, @sum, @uploadedAt)`,
  )
  const takePart = sql('UPDATE parts SET upload = NULL, seq = ? WHERE file = ?')
  const becomes = sql('UPDATE uploads SET seq = ? WHERE id = ?')
  const idle = sql<string>('SELECT id FROM uploads WHERE used_at < ? AND seq IS NULL LIMIT 256').pluck()
  const stagedBytes = sql<number>('SELECT coalesce(sum(bytes), 0) FROM tally').pluck()

  const demandUpload = (id: string): UploadRecord => {
    const upload = openUpload.get(id)
    if (upload === undefined) throw noUpload(id)
    return upload
  }

  return {
    beginUpload(upload: IncomingUpload): void {
      addUpload.run({ ...upload, sum: sumOfUpload(upload) })
    },

    addPart(part: IncomingPart): void {
      const { key } = demandUpload(part.upload)
      if (!bodies.has(part.file)) throw vanished(bodies.path, key)
      const before = partAt.get(part.upload, part.number)
      const used = stagedBytes.get() as number
      if (used + part.size > part.maxStageBytes) throw noRoom(used, part, key)
      if (before !== undefined) parts.dropFile(before.file)
      addPart.run({ ...part, sum: sumOfPart(part) })
      useUpload.run(part.uploadedAt, part.upload)
    },

    /** A tentative write may not come to be: until it is decided, the upload is kept for it, out of sight. */
    completeUpload(id: string, write: IncomingWrite): Accepted {
      demandUpload(id)
      const chosen = write.body.in === 'parts' ? write.body.parts : []
      demandUnchanged(chosen, partsOf.all(id), write.key)
      const accepted = accept(write)
      for (const { file } of chosen) takePart.run(accepted.seq, file)
      becomes.run(accepted.seq, id)
      if (write.condition === undefined) parts.keepFor(accepted.seq)
      return accepted
    },

    dropUpload(id: string): boolean {
      if (openUpload.get(id) === undefined) return false
      parts.dropUpload(id)
      return true
    },

    dropUploads(token: number, idleSince: number): string[] {
      requireLease(token)
      const ids = idle.all(idleSince)
      for (const id of ids) parts.dropUpload(id)
      return ids
    },
  }
}

export type UploadChanges = ReturnType<typeof uploadChanges>

function demandUnchanged(chosen: readonly BodyPart[], now: readonly PartRecord[], key: string): void {
  const found = new Map(now.map(part => [part.file, part]))
  let last = 0
  for (const { file, size, crc32c, md5 } of chosen) {
    const part = found.get(file)
    const same = part?.size === size && part.crc32c === crc32c && part.md5 === md5 && part.number > last
    if (!same) throw invalid('upload', 'changed', 'a part was uploaded anew meanwhile', { key })
    last = part.number
  }
}

function noUpload(id: string): HoldfastError {
  return invalid('upload', 'absent', `there is no upload ${id}: it was completed, aborted, or left alone for too long`)
}

function vanished(bodies: string, key: string): HoldfastError {
  return new HoldfastError(
    'CORRUPT',
    `the body of this part vanished from ${bodies}: something else removes files there`,
    { key, field: 'directory', rule: 'body', outcome: 'rejected' },
  )
}

function noRoom(used: number, { size, maxStageBytes }: IncomingPart, key: string): HoldfastError {
  return new HoldfastError(
    'NO_SPACE',
    `the stage holds ${used} of ${maxStageBytes} bytes, ${size} more do not fit; complete or abort uploads, drain, or raise maxStageBytes`,
    { key, field: 'maxStageBytes', rule: 'full', outcome: 'rejected' },
  )
}
