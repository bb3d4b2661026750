import { createHash, randomBytes } from 'node:crypto'
import { unlessAborted } from '../../core/abort.ts'
import { crc32c, hex32 } from '../../core/digest.ts'
import { HoldfastError } from '../../core/errors.ts'
import type { Proof, PutRequest, PutResult } from '../../core/provider.ts'
import { isAbsent, type Purpose } from './errors.ts'
import { blobFeatures } from './features.ts'
import { mostBlockBytes, mostBlocks } from './keys.ts'
import { blobHeaders, hexOf } from './object.ts'
import { conditionsOf, exactly, sending } from './put.ts'
import { call, etagOf, proven, provenBlob, type Target, timeIn } from './target.ts'

/**
 * An upload in blocks: where it is, and what of it is at the service. Kept as JSON in the upload memo.
 *
 * `crc` runs over the bytes of the blocks that are staged, as they were when they were staged: at the end it is the CRC32C of what the
 * service put together, whichever processes took part, and has to be the source's.
 */
interface Upload {
  readonly format: 1
  /** Before the number in each block's id: other uploads to the same blob can neither overwrite our blocks nor lend us theirs. */
  readonly nonce: string
  readonly blockBytes: number
  readonly size: number
  readonly md5: string
  readonly staged: number
  readonly crc: number
}

/**
 * Put Block for each block, each with its MD5, which the service compares; then Put Block List under the condition, which names our
 * blocks and no others. The proof is `server-parts` once the service says the length of the whole.
 *
 * Content-MD5 of the blob is left empty: the service would keep any that it is told, and compare nothing.
 */
export async function putBlocks(
  target: Target,
  request: PutRequest,
  blockBytes: number,
  signal: AbortSignal,
): Promise<PutResult> {
  const saved = await resumable(target, request, signal)
  if (saved === undefined) return await run(target, request, await begin(request, blockBytes, signal), signal)
  try {
    return await run(target, request, saved, signal)
  } catch (error) {
    // Another upload was completed meanwhile, and took our blocks with it. From the beginning, once.
    if (!(error instanceof HoldfastError) || error.reason !== 'UPLOAD_GONE') throw error
    return await run(target, request, await begin(request, blockBytes, signal), signal)
  }
}

async function begin({ source, upload }: PutRequest, blockBytes: number, signal: AbortSignal): Promise<Upload> {
  const fresh: Upload = {
    format: 1,
    nonce: randomBytes(21).toString('hex'),
    blockBytes: Math.min(mostBlockBytes, Math.max(blockBytes, wholeMebibytes(source.size / mostBlocks))),
    size: source.size,
    md5: source.md5,
    staged: 0,
    crc: 0,
  }
  await unlessAborted(upload.save(JSON.stringify(fresh)), signal)
  return fresh
}

function wholeMebibytes(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20) * 2 ** 20
}

async function run(target: Target, request: PutRequest, from: Upload, signal: AbortSignal): Promise<PutResult> {
  let upload = from
  while (upload.staged * upload.blockBytes < upload.size) {
    upload = { ...upload, ...(await stage(target, request, upload, signal)) }
    await unlessAborted(request.upload.save(JSON.stringify(upload)), signal)
  }
  const { crc32c: announced } = request.source
  if (hex32(upload.crc) !== announced) {
    throw target.errors.digest(request.key, `CRC32C ${hex32(upload.crc)}, announced ${announced}`)
  }
  return await commit(target, request, upload, signal)
}

async function stage(
  target: Target,
  { key, source }: PutRequest,
  { nonce, blockBytes, size, staged, crc }: Upload,
  signal: AbortSignal,
): Promise<Pick<Upload, 'staged' | 'crc'>> {
  const start = staged * blockBytes
  const end = Math.min(size, start + blockBytes)
  // Read twice, once for the digests, so that a block of any size takes no memory.
  const md5 = createHash('md5')
  let running = crc
  for await (const chunk of exactly(source, start, end, key, target.errors, signal)) {
    md5.update(chunk)
    running = crc32c(chunk, running)
  }
  const digest = md5.digest()
  const purpose: Purpose = { call: 'put block', key, effect: 'prepares' }
  const blob = target.blob(key)
  const answer = await sending(target, key, source, [start, end], signal, body =>
    call(target, purpose, signal, abortSignal =>
      blob.stageBlock(blockId(nonce, staged), body, end - start, { abortSignal, transactionalContentMD5: digest }),
    ),
  )
  const { contentMD5 } = proven(target, purpose, answer)
  if (contentMD5 !== undefined && !digest.equals(contentMD5)) {
    throw target.errors.digest(
      key,
      `the service has MD5 ${hexOf(contentMD5)} of a block, sent ${digest.toString('hex')}`,
    )
  }
  return { staged: staged + 1, crc: running }
}

/** 48 bytes before encoding, as long as those that the official clients make: all ids of a blob must have the same length. */
function blockId(nonce: string, number: number): string {
  return Buffer.from(nonce + String(number).padStart(6, '0')).toString('base64')
}

function blockIds({ nonce, staged }: Upload): string[] {
  return Array.from({ length: staged }, (_none, number) => blockId(nonce, number))
}

async function commit(
  target: Target,
  { key, headers, metadata, condition, features }: PutRequest,
  upload: Upload,
  signal: AbortSignal,
): Promise<PutResult> {
  const purpose: Purpose = { call: 'put block list', key, effect: 'writes' }
  const blob = target.blob(key)
  const answer = await call(target, purpose, signal, abortSignal =>
    blob.commitBlockList(blockIds(upload), {
      abortSignal,
      blobHTTPHeaders: blobHeaders(headers),
      metadata: { ...metadata },
      conditions: conditionsOf(condition),
      ...blobFeatures(features),
    }),
  )
  const { token } = provenBlob(target, purpose, answer)
  return {
    token,
    etag: undefined,
    proof: await wholeProof(target, key, token, upload.size, signal),
    serverTime: timeIn(answer.date),
  }
}

/** Asks for the length of what was put together. Where nobody can say any more (overwritten meanwhile, no answer), nothing is proven. */
async function wholeProof(
  target: Target,
  key: string,
  token: string,
  size: number,
  signal: AbortSignal,
): Promise<Proof> {
  const purpose: Purpose = { call: 'put', key, effect: 'writes' }
  const blob = target.blob(key)
  let length: number | undefined
  try {
    const conditions = { ifMatch: etagOf(token) }
    const answer = await call(target, purpose, signal, abortSignal => blob.getProperties({ abortSignal, conditions }))
    provenBlob(target, purpose, answer)
    length = answer.contentLength
  } catch {
    signal.throwIfAborted()
    return 'none'
  }
  if (length === size) return 'server-parts'
  throw target.errors.because('CHECKSUM', 'DIGEST', `put together ${length} bytes instead of ${size}`, {
    key,
    outcome: 'unknown',
  })
}

/** The upload that the memo remembers, if it is one of this body and its blocks are still there. */
async function resumable(target: Target, request: PutRequest, signal: AbortSignal): Promise<Upload | undefined> {
  const { key, source, upload } = request
  const saved = readUpload(upload.saved)
  if (saved === undefined || saved.size !== source.size || saved.md5 !== source.md5) return undefined
  if (saved.staged === 0) return saved
  const lengths = await uncommitted(target, key, signal)
  const isThere = (id: string, number: number): boolean =>
    lengths.get(id) === Math.min(saved.blockBytes, saved.size - number * saved.blockBytes)
  return blockIds(saved).every(isThere) ? saved : undefined
}

/** Lengths of the blocks that are staged for a blob, by id. */
async function uncommitted(target: Target, key: string, signal: AbortSignal): Promise<ReadonlyMap<string, number>> {
  const purpose: Purpose = { call: 'get block list', key, effect: 'prepares' }
  const blob = target.blob(key)
  const answer = await call(target, purpose, signal, abortSignal =>
    blob.getBlockList('uncommitted', { abortSignal }).catch((error: unknown) => {
      if (isAbsent(error)) return undefined
      throw error
    }),
  )
  const blocks = answer === undefined ? [] : (proven(target, purpose, answer).uncommittedBlocks ?? [])
  return new Map(blocks.map(({ name, size }) => [name, size]))
}

function readUpload(text: string | undefined): Upload | undefined {
  const state = parsed(text)
  if (typeof state !== 'object' || state === null) return undefined
  const { format, nonce, blockBytes, size, md5, staged, crc } = state as Partial<Record<keyof Upload, unknown>>
  const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
  if (format !== 1 || typeof nonce !== 'string' || !/^[0-9a-f]{42}$/.test(nonce)) return undefined
  if (!isCount(blockBytes) || !isCount(size) || !isCount(staged) || !isCount(crc)) return undefined
  if (typeof md5 !== 'string' || blockBytes === 0 || blockBytes > mostBlockBytes) return undefined
  if (staged > Math.ceil(size / blockBytes) || size > blockBytes * mostBlocks) return undefined
  return { format, nonce, blockBytes, size, md5, staged, crc }
}

function parsed(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text)
  } catch {
    return undefined
  }
}
