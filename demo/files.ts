import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { opendir, stat } from 'node:fs/promises'
import { extname, join, relative, sep } from 'node:path'
import { fileURLToPath } from 'node:url'
import { HoldfastError } from '../src/index.ts'

/** A file on this machine, and the object that it is to become. */
export interface DemoFile {
  readonly path: string
  readonly key: string
  readonly size: number
  /** Hex, of what was in the file when the demo began. */
  readonly sha256: string
  readonly contentType: string
  readonly metadata: Readonly<Record<string, string>>
}

export interface Chosen {
  readonly folder: string
  readonly files: readonly DemoFile[]
  readonly bytes: number
  /** Files that were passed over, because there is enough without them. */
  readonly left: number
}

const most = { files: 400, bytes: 200 * 2 ** 20 }
/** With fewer objects there would be nothing left to put in the later scenes. */
const leastObjects = 60
/** So many files are looked at before it is decided which to take. */
const mostSeen = 100_000

/**
 * The files of this folder and all below it, in many sizes, at most 400 and 200 MiB; without a folder, documents and images of the
 * packages that are installed here. A few files are put several times, under several names. HoldfastError INVALID, field `folder`, whose
 * message is one line for a person, where there is no such folder, nothing in it, or a file in it that cannot be read.
 */
export async function chooseFiles(folder: string | undefined): Promise<Chosen> {
  const root = folder ?? fileURLToPath(new URL('../node_modules', import.meta.url))
  const found = await filesIn(root, folder === undefined ? isDocument : () => true)
  const taken = spread(found)
  if (taken.length === 0) {
    const why = found.length === 0 ? 'has no files' : `has only files over ${most.bytes / 2 ** 20} MiB`
    throw refused('empty', `${root} ${why}: name a folder with some, as in: npm run demo -- ~/Pictures`)
  }
  const once: DemoFile[] = []
  for (const file of taken) once.push(await described(root, file))
  const files = [...once]
  for (let copy = 2; files.length < leastObjects; copy++)
    files.push(...once.map(file => ({ ...file, key: `copy-${copy}/${file.key}` })))
  const bytes = files.reduce((sum, { size }) => sum + size, 0)
  return { folder: root, files, bytes, left: found.length - taken.length }
}

interface Found {
  readonly path: string
  readonly size: number
  readonly modified: Date
}

/** What people read or look at: of code, the declarations of types. */
function isDocument(name: string): boolean {
  if (/^(readme|licen[cs]e|changelog)|\.d\.ts$/i.test(name)) return true
  return !name.endsWith('.ts') && Object.hasOwn(contentTypes, extname(name).toLowerCase())
}

async function filesIn(root: string, isWanted: (name: string) => boolean): Promise<Found[]> {
  const found: Found[] = []
  try {
    for await (const entry of await opendir(root, { recursive: true })) {
      if (!entry.isFile() || !isWanted(entry.name)) continue
      const path = join(entry.parentPath, entry.name)
      const { size, mtime } = await stat(path)
      found.push({ path, size, modified: mtime })
      if (found.length === mostSeen) break
    }
  } catch (error) {
    throw unreadable(root, error)
  }
  // Directories come in an order of their own; the demo is the same each time.
  return found.sort((a, b) => (a.path < b.path ? -1 : 1))
}

/** All of them if they are few; else as many of each order of magnitude, taken evenly. */
function spread(found: readonly Found[]): readonly Found[] {
  const total = found.reduce((sum, { size }) => sum + size, 0)
  if (found.length <= most.files && total <= most.bytes) return found
  const classes = new Map<number, Found[]>()
  for (const file of found) {
    const magnitude = Math.floor(Math.log10(file.size + 1))
    classes.set(magnitude, [...(classes.get(magnitude) ?? []), file])
  }
  const taken: Found[] = []
  let bytes = 0
  // The rarest first: what they do not use of their share is for the others.
  const rarestFirst = [...classes.values()].sort((a, b) => a.length - b.length)
  for (const [index, files] of rarestFirst.entries()) {
    const share = Math.ceil((most.files - taken.length) / (rarestFirst.length - index))
    for (let n = 0; n < Math.min(share, files.length); n++) {
      const file = files[Math.floor((n * files.length) / Math.min(share, files.length))]
      if (file === undefined || bytes + file.size > most.bytes) continue
      bytes += file.size
      taken.push(file)
    }
  }
  return taken.sort((a, b) => (a.path < b.path ? -1 : 1))
}

async function described(root: string, { path, size, modified }: Found): Promise<DemoFile> {
  const hash = createHash('sha256')
  let read = 0
  try {
    for await (const chunk of createReadStream(path) as AsyncIterable<Buffer>) {
      hash.update(chunk)
      read += chunk.byteLength
    }
  } catch (error) {
    throw unreadable(path, error)
  }
  if (read !== size) throw refused('changing', `${path} changes while it is read: name a folder that is at rest`)
  const sha256 = hash.digest('hex')
  const contentType = contentTypes[extname(path).toLowerCase()] ?? 'application/octet-stream'
  return {
    path,
    key: keyOf(relative(root, path)),
    size,
    sha256,
    contentType,
    metadata: { modified: modified.toISOString(), sha256 },
  }
}

/** The path below the folder; what a cloud may refuse in a key is written as in a URL, and a path too long for one becomes its digest. */
function keyOf(path: string): string {
  const segments = path
    .split(sep)
    .map(each => (/^[\p{L}\p{N} ._@+=()-]+$/u.test(each) ? each : encodeURIComponent(each)))
  const key = `files/${segments.join('/')}`
  if (Buffer.byteLength(key) <= 600) return key
  return `files/${createHash('sha256').update(path).digest('hex')}${extname(path).slice(0, 16)}`
}

function unreadable(path: string, error: unknown): HoldfastError {
  const code = (error as NodeJS.ErrnoException).code ?? String(error)
  const why = reasons[code] ?? code
  return refused('unreadable', `cannot read ${(error as NodeJS.ErrnoException).path ?? path}: ${why}`)
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'there is no such file or folder',
  ENOTDIR: 'it is not a folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
}

function refused(rule: string, message: string): HoldfastError {
  return new HoldfastError('INVALID', message, { field: 'folder', rule })
}

const contentTypes: Readonly<Record<string, string>> = {
  '.css': 'text/css',
  '.csv': 'text/csv',
  '.gif': 'image/gif',
  '.htm': 'text/html',
  '.html': 'text/html',
  '.ico': 'image/x-icon',
  '.jpeg': 'image/jpeg',
  '.jpg': 'image/jpeg',
  '.markdown': 'text/markdown',
  '.md': 'text/markdown',
  '.mp4': 'video/mp4',
  '.odp': 'application/vnd.oasis.opendocument.presentation',
  '.pdf': 'application/pdf',
  '.png': 'image/png',
  '.pptx': 'application/vnd.openxmlformats-officedocument.presentationml.presentation',
  '.svg': 'image/svg+xml',
  '.ts': 'text/x-typescript',
  '.txt': 'text/plain',
  '.webp': 'image/webp',
  '.woff': 'font/woff',
  '.woff2': 'font/woff2',
}
