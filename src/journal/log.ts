import { closeSync, existsSync, fstatSync, openSync, readSync, statSync } from 'node:fs'
import Database from 'better-sqlite3'
import { HoldfastError } from '../core/errors.ts'

// The format is SQLite's: sqlite.org/fileformat2.html, "The Write-Ahead Log".
const headerBytes = 32
const frameHeaderBytes = 24
const magic = 0x377f0682
/** Of every journal: nobody sets another one. */
const pageBytes = 4096

/**
 * Looks at the log of a journal (its `-wal`) before SQLite does, which ends it at the first frame that is damaged, and takes one that is gone for one
 * that was empty: what was promised after that would be forgotten. For whoever has the directory alone.
 *
 * CORRUPT, field `journal`: `missing`, where its index is there and it is not (SQLite removes the index first); `damaged`, where something that was
 * committed stands behind a bad frame. A bad frame in the last transaction is how a power cut leaves one that nobody was promised.
 */
export function demandLog(journal: string): void {
  const path = `${journal}-wal`
  if (existsSync(path)) return demandWhole(path)
  // Looked for twice: whoever opens the journal at this moment makes the log before the index.
  if (existsSync(`${journal}-shm`) && !existsSync(path)) throw lostLog(journal)
}

/**
 * Brings all that the log holds into the journal's own file, synced, and ends it: the next one has other salts. Else what a power cut tore would stay behind
 * what is written over its beginning, and after a second cut nobody could tell the two from damage in the middle. For whoever has the directory alone,
 * after `demandLog`. A crash at any moment leaves the log, or all of it in the file. On a full disk, or under a reader who does not end, it stays as it is.
 */
export function endLog(journal: string): void {
  if ((statSync(`${journal}-wal`, { throwIfNoEntry: false })?.size ?? 0) === 0) return
  const database = new Database(journal, { timeout: 500 })
  try {
    database.pragma('synchronous = 2')
    // Closing would do it only where nobody else, a tool of a person say, has it open.
    database.pragma('wal_checkpoint(TRUNCATE)')
  } catch (error) {
    if (!/^SQLITE_(FULL|BUSY)/.test((error as { code?: string }).code ?? '')) throw error
  } finally {
    database.close()
  }
}

/** What was committed last is not in the journal's own file, and its log is not there. */
export function lostLog(journal: string): HoldfastError {
  return new HoldfastError(
    'CORRUPT',
    `the log of the journal ${journal} (-wal) is missing, and with it what was accepted last: put it back; delete nothing, the bodies may be the only copies`,
    { field: 'journal', rule: 'missing' },
  )
}

function demandWhole(path: string): void {
  const log = openSync(path, 'r')
  try {
    const { size } = fstatSync(log)
    const header = Buffer.alloc(headerBytes)
    if (size <= headerBytes || readSync(log, header, 0, headerBytes, 0) < headerBytes) return
    const isBigEndian = (header.readUInt32BE(0) & 1) === 1
    const sums = checksum(isBigEndian, [0, 0], header.subarray(0, 24))
    let isWhole = (header.readUInt32BE(0) & ~1) >>> 0 === magic && same(sums, header, 24)
    const frame = Buffer.alloc(frameHeaderBytes + (isWhole ? header.readUInt32BE(8) : pageBytes))
    let salts = isWhole ? header.subarray(16, 24) : undefined
    let commits = 0
    for (let at = headerBytes; at + frame.length <= size; at += frame.length) {
      if (readSync(log, frame, 0, frame.length, at) < frame.length) break
      // Of a damaged header: those of the first frame.
      salts ??= Buffer.from(frame.subarray(8, 16))
      const isOfThisLog = salts.equals(frame.subarray(8, 16))
      if (isWhole) {
        checksum(isBigEndian, sums, frame.subarray(0, 8))
        checksum(isBigEndian, sums, frame.subarray(frameHeaderBytes))
        isWhole = isOfThisLog && same(sums, frame, 16)
      }
      if (!isWhole && isOfThisLog && frame.readUInt32BE(4) !== 0) commits++
    }
    if (commits > 1)
      throw new HoldfastError(
        'CORRUPT',
        `the log ${path} is damaged in the middle. Keep the directory, do not delete it: the bodies in it may be the only copies`,
        { field: 'journal', rule: 'damaged' },
      )
  } finally {
    closeSync(log)
  }
}

/** SQLite's running sums over pairs of words; changes `sums`. */
function checksum(isBigEndian: boolean, sums: [number, number], bytes: Buffer): [number, number] {
  let [first, second] = sums
  for (let at = 0; at < bytes.length; at += 8) {
    const even = isBigEndian ? bytes.readUInt32BE(at) : bytes.readUInt32LE(at)
    const odd = isBigEndian ? bytes.readUInt32BE(at + 4) : bytes.readUInt32LE(at + 4)
    first = (first + even + second) >>> 0
    second = (second + odd + first) >>> 0
  }
  sums[0] = first
  sums[1] = second
  return sums
}

function same([first, second]: readonly [number, number], bytes: Buffer, at: number): boolean {
  return bytes.readUInt32BE(at) === first && bytes.readUInt32BE(at + 4) === second
}
