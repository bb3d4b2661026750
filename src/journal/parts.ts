import type { Database } from 'better-sqlite3'

/** A row of `parts`: a file of an open upload, or of a write. */
export interface PartRecord {
  file: string
  upload: string | null
  seq: number | null
  number: number
  size: number
  crc32c: string
  md5: string
  checksum: string | null
  sum: string
  uploaded_at: number
}

/** Rows of parts change hands, and go, with what they belong to. */
export function partRows(database: Database) {
  const sql = (text: string) => database.prepare(text)
  const dropRows = (column: 'file' | 'seq' | 'upload') => {
    const list = sql(
      `INSERT INTO trash SELECT file, 'unlink' FROM parts WHERE ${column} = ? ON CONFLICT DO UPDATE SET "to" = excluded."to"`,
    )
    const forget = sql(`DELETE FROM parts WHERE ${column} = ?`)
    return (value: number | string) => {
      list.run(value)
      forget.run(value)
    }
  }
  const dropOfUpload = dropRows('upload')
  const dropOfWrite = dropRows('seq')
  const uploadOf = database.prepare<unknown[], string>('SELECT id FROM uploads WHERE seq = ?').pluck()
  const endUpload = sql('DELETE FROM uploads WHERE id = ?')
  const giveBack = sql('UPDATE parts SET upload = ?, seq = NULL WHERE seq = ?')
  const reopen = sql('UPDATE uploads SET seq = NULL WHERE id = ?')

  const drop = (upload: string) => {
    dropOfUpload(upload)
    endUpload.run(upload)
  }
  return {
    /** One part: replaced by another. */
    dropFile: dropRows('file') as (file: string) => void,
    /** An upload, with the parts that are still its own. */
    dropUpload: drop as (upload: string) => void,
    /** The body of a write that ends. */
    dropOfWrite: dropOfWrite as (seq: number) => void,
    /** A write did not happen after all: the upload that it was made of is open again, as it was. */
    returnFrom(seq: number): void {
      const upload = uploadOf.get(seq)
      if (upload === undefined) return
      giveBack.run(upload, seq)
      reopen.run(upload)
    },
    /** A write is decided: nothing goes back to its upload any more, which ends with the parts that were left out. */
    keepFor(seq: number): void {
      const upload = uploadOf.get(seq)
      if (upload !== undefined) drop(upload)
    },
  }
}
