import { closeSync, ftruncateSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs'
import { HoldfastError } from '../../core/errors.ts'

/** Space, key, facts, and the pieces of the body: blob, its size, start and length in it. Without the last two: removed. */
export type StoredEntry = readonly [
  space: string,
  key: string,
  facts?: unknown,
  pieces?: readonly (readonly [id: string, size: number, start: number, length: number])[],
]

/** Changes that belong together. */
export type LogLine = readonly StoredEntry[]

/** A file of lines that say what changed. What `append` returned from survives a kill of the process; a power cut it need not. */
export interface Log {
  append(line: LogLine): void
  close(): void
}

export interface LogOwner {
  replay(line: LogLine): void
  /** Everything that is there now. */
  live(): Iterable<LogLine>
  count(): number
}

/** The log is written anew when it has this many lines more than twice what is live. */
const slackLines = 50_000

/** Replays what the file holds. A line that a kill cut short at the end is dropped; a bad one elsewhere is CORRUPT. */
export function openLog(path: string, kind: string, owner: LogOwner): Log {
  const head = `${JSON.stringify({ localCloud: kind, format: 1 })}\n`
  const found = replay(path, kind, owner)
  if (found === undefined) writeFileSync(path, head)
  let lines = found ?? 0
  let file = openSync(path, 'a')

  function compact(): void {
    const draft = `${path}.new`
    const fresh = openSync(draft, 'w')
    let text = head
    lines = 0
    for (const line of owner.live()) {
      text += `${JSON.stringify(line)}\n`
      lines++
      if (text.length < 1_048_576) continue
      writeAll(fresh, text)
      text = ''
    }
    writeAll(fresh, text)
    closeSync(fresh)
    renameSync(draft, path)
    closeSync(file)
    file = openSync(path, 'a')
  }

  return {
    append(line) {
      if (lines > 2 * owner.count() + slackLines) compact()
      writeAll(file, `${JSON.stringify(line)}\n`)
      lines++
    },
    close: () => closeSync(file),
  }
}

/** Number of lines, or undefined where there is no log yet. */
function replay(path: string, kind: string, owner: LogOwner): number | undefined {
  let bytes: Buffer
  try {
    bytes = readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw error
  }
  const end = bytes.lastIndexOf(10) + 1
  if (end === 0) return undefined
  let lines = -1
  for (let at = 0; at < end; lines++) {
    const next = bytes.indexOf(10, at)
    const line: unknown = parse(bytes.toString('utf8', at, next), path, lines + 2)
    if (lines >= 0) owner.replay(line as LogLine)
    else if ((line as { localCloud?: unknown }).localCloud !== kind)
      throw new HoldfastError('INVALID', `${path} belongs to another service than ${kind}`, {
        field: 'directory',
        rule: 'kind',
      })
    at = next + 1
  }
  if (end < bytes.byteLength) truncate(path, end)
  return lines
}

function parse(text: string, path: string, line: number): unknown {
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new HoldfastError('CORRUPT', `${path} cannot be read: line ${line}`, { field: 'directory', cause: error })
  }
}

function truncate(path: string, bytes: number): void {
  const file = openSync(path, 'r+')
  ftruncateSync(file, bytes)
  closeSync(file)
}

function writeAll(file: number, text: string): void {
  const bytes = Buffer.from(text, 'utf8')
  for (let at = 0; at < bytes.byteLength; ) at += writeSync(file, bytes, at)
}
