import { join } from 'node:path'
import { HoldfastError, invalid } from '../core/errors.ts'
import type { Disk, Random } from '../core/ports.ts'
import { errno } from './failures.ts'
import { type Paths, writeDraft } from './files.ts'
import type { Steps } from './poison.ts'

const format = 1
const longestBytes = 4096
const uuid = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/

/**
 * The uuid of the directory, `undefined` where there is none yet. CORRUPT, directory/identity, where it cannot be read out of what is
 * there; INVALID, directory/format, where a later version wrote it.
 */
export async function readIdentity(disk: Disk, paths: Paths): Promise<string | undefined> {
  if ((await disk.stat(paths.identity)) === undefined) return undefined
  const text = await readText(disk, paths.identity)
  let content: unknown
  try {
    content = JSON.parse(text)
  } catch (error) {
    throw damaged(paths, error)
  }
  if (typeof content !== 'object' || content === null || !('format' in content)) throw damaged(paths)
  if (typeof content.format === 'number' && content.format > format) {
    throw invalid(
      'directory',
      'format',
      `directory ${paths.root} has format ${content.format}, this version of holdfast reads ${format}: upgrade it`,
    )
  }
  const identity = 'directory' in content ? content.directory : undefined
  if (content.format !== format || typeof identity !== 'string' || !uuid.test(identity)) throw damaged(paths)
  return identity
}

/**
 * Gives the directory an identity, on disk when this resolves. Of several processes that do so at the same time one succeeds
 * (`created`); all answer with what is there then.
 */
export async function writeIdentity(
  disk: Disk,
  paths: Paths,
  random: Random,
  steps: Steps,
): Promise<{ readonly identity: string; readonly created: boolean }> {
  const draft = join(paths.drafts, random.hex(16))
  const mine = newUuid(random)
  await writeDraft(disk, draft, Buffer.from(`${JSON.stringify({ format, directory: mine })}\n`, 'utf8'))
  try {
    await putFirst(disk, draft, paths.identity)
  } finally {
    await disk.unlink(draft).catch(() => {})
  }
  await steps.syncNames(() => disk.syncDirectory(paths.root))
  const identity = await readIdentity(disk, paths)
  if (identity === undefined) throw damaged(paths)
  return { identity, created: identity === mine }
}

/** A link, which unlike a rename never takes the place of a file that is there. */
async function putFirst(disk: Disk, draft: string, path: string): Promise<void> {
  try {
    await disk.link(draft, path)
  } catch (error) {
    const code = errno(error)
    const hasNoLinks = code === 'EPERM' || code === 'ENOTSUP' || code === 'EOPNOTSUPP' || code === 'ENOSYS'
    if (hasNoLinks) await disk.rename(draft, path)
    // EEXIST: another process was faster. ENOENT: one that was faster still has swept our draft away.
    else if (code !== 'EEXIST' && !(code === 'ENOENT' && (await disk.stat(path)) !== undefined)) throw error
  }
}

async function readText(disk: Disk, path: string): Promise<string> {
  const file = await disk.read(path)
  try {
    const bytes = new Uint8Array(Math.min(await file.size(), longestBytes))
    let filled = 0
    while (filled < bytes.byteLength) {
      const read = await file.read(bytes.subarray(filled), filled)
      if (read === 0) break
      filled += read
    }
    return Buffer.from(bytes.subarray(0, filled)).toString('utf8')
  } finally {
    // Nothing was written: a close that fails loses nothing, and says less than what failed before it.
    await file.close().catch(() => {})
  }
}

/** Version 4 of RFC 9562: random, but for six bits. */
function newUuid(random: Random): string {
  const hex = random.hex(16)
  const variant = '89ab'[Number.parseInt(hex.slice(16, 17), 16) % 4]
  const parts = [
    hex.slice(0, 8),
    hex.slice(8, 12),
    `4${hex.slice(13, 16)}`,
    `${variant}${hex.slice(17, 20)}`,
    hex.slice(20),
  ]
  return parts.join('-')
}

function damaged(paths: Paths, cause?: unknown): HoldfastError {
  return new HoldfastError(
    'CORRUPT',
    `${paths.identity} is damaged. Keep the directory, the bodies in it may be the only copies; restore that file (the journal knows the uuid)`,
    { field: 'directory', rule: 'identity', outcome: 'rejected', retryable: false, cause },
  )
}
