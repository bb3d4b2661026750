import { crc32c, hex32 } from '../../core/digest.ts'
import type { ContentHeaders } from '../../core/provider.ts'

/** What is known of an object, written before its bytes in the same file, so that a rename changes both or neither. */
export interface FileRecord {
  /** Bytes of the body. */
  readonly size: number
  readonly key: string
  /** New with every write. */
  readonly token: string
  readonly crc32c: string
  readonly md5: string
  /** When it was written, ms since 1970. */
  readonly modified: number
  readonly headers: ContentHeaders
  /** Pairs, since names may be any, `__proto__` among them. */
  readonly metadata: readonly (readonly [string, string])[]
}

/**
 * `holdfast-fs 1 <length> <crc32c>\n<JSON>\n`, then the body: length in bytes of the JSON in 8 digits, its CRC32C in hex. Written last
 * into a file that is otherwise complete, so that a file that begins so was complete once.
 */
const magic = 'holdfast-fs 1 '
const lineBytes = magic.length + 8 + 1 + 8 + 1
const PROLOGUE = /^holdfast-fs 1 ([0-9]{8}) ([0-9a-f]{8})\n$/

/** As much as is read at first: enough for nearly every object. */
export const usualBytes = 4096

export function encodeRecord(record: FileRecord): Buffer {
  const json = Buffer.from(JSON.stringify(record), 'utf8')
  const prologue = `${magic}${String(json.byteLength).padStart(8, '0')} ${hex32(crc32c(json))}\n`
  return Buffer.concat([Buffer.from(prologue, 'latin1'), json, Buffer.from('\n')])
}

/** How many bytes come before the body, told by the first of them. `undefined`: this is no file of ours, or a damaged one. */
export function bytesBeforeBody(start: Uint8Array): number | undefined {
  const found = PROLOGUE.exec(Buffer.from(start.subarray(0, lineBytes)).toString('latin1'))
  return found === null ? undefined : lineBytes + Number(found[1]) + 1
}

/** Reads what `bytesBeforeBody` measured. `undefined` where its bytes are not those that were written. */
export function decodeRecord(start: Uint8Array): FileRecord | undefined {
  const found = PROLOGUE.exec(Buffer.from(start.subarray(0, lineBytes)).toString('latin1'))
  const json = start.subarray(lineBytes, lineBytes + Number(found?.[1]))
  if (found === null || hex32(crc32c(json)) !== found[2]) return undefined
  return JSON.parse(Buffer.from(json).toString('utf8')) as FileRecord
}
