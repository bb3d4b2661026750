import { readBody } from '../../core/body.ts'
import { invalid } from '../../core/errors.ts'
import type { Random } from '../../core/ports.ts'
import type { UploadedPart, UploadRow } from '../../journal/upload-contract.ts'
import { commitDraft } from '../../stage/drafts.ts'
import { checkCall } from '../input/calls.ts'
import { checkKey } from '../input/key.ts'
import { objectLimit } from '../input/providers.ts'
import type { OpenUpload, Upload, UploadPart } from '../uploads.ts'
import { underClose, type WriteDeps } from '../writes.ts'
import { checkId, checkNumber, checkPart, checkPrefix, checkUpload } from './check.ts'
import { demandUpload } from './demand.ts'

/** Rejects as `Uploads` says. */
export async function createUpload(
  deps: WriteDeps & { readonly random: Random },
  key: unknown,
  options: unknown,
): Promise<Upload> {
  const providers = deps.providers.map(({ provider }) => provider)
  const { attributes, features, checksum, signal } = checkUpload(options, providers)
  const checkedKey = checkKey(key, providers)
  signal?.throwIfAborted()
  const row = {
    id: deps.random.hex(16),
    key: checkedKey,
    attributes,
    features,
    checksum,
    createdAt: deps.clock.now(),
    damaged: false,
  }
  await deps.journal.beginUpload(row)
  return shownUpload(row)
}

/** A part is staged as a body is, always in a file of its own: the file is what the object will be made of. */
export async function putPart(
  deps: WriteDeps,
  id: unknown,
  number: unknown,
  body: unknown,
  options: unknown,
): Promise<UploadPart> {
  const { expected, checksum: asked, signal } = checkPart(options)
  // Taken in hand before anything can be refused, as the body of a put.
  const incoming = readBody(body, {
    limit: objectLimit(deps.providers.map(({ provider }) => provider)),
    ...(expected.size === undefined ? {} : { expectedSize: expected.size }),
    ...(signal === undefined ? {} : { signal }),
  })
  const upload = checkId(id)
  const checkedNumber = checkNumber(number)
  signal?.throwIfAborted()
  const { key, checksum: kind } = demandUpload(deps.journal, upload)
  if (kind !== undefined && asked !== undefined && asked.algorithm !== kind.algorithm)
    throw invalid('checksum', 'algorithm', `the upload was created with ${kind.algorithm}, got ${asked.algorithm}`, {
      key,
    })
  await using staged = await deps.stage.receive(incoming.chunks, {
    expected: { ...expected, size: incoming.knownSize },
    checksum: asked ?? kind,
    smallBytes: -1,
    signal: underClose(deps, signal),
  })
  deps.closing.throwIfAborted()
  const { crc32c, md5, checksum } = staged.digests
  const uploadedAt = deps.clock.now()
  const part = await commitDraft(staged, async body => {
    if (body.in !== 'file') throw new Error('a part was kept in memory')
    const published = { number: checkedNumber, file: body.file, size: staged.size, crc32c, md5, checksum }
    await deps.journal.addPart({ ...published, upload, uploadedAt, maxStageBytes: deps.maxStageBytes })
    return published
  })
  return shownPart({ ...part, uploadedAt })
}

export async function openUpload(deps: WriteDeps, id: unknown, options: unknown): Promise<OpenUpload | undefined> {
  const upload = checkId(id)
  checkCall(options, 'uploads.get').signal?.throwIfAborted()
  const row = deps.journal.upload(upload)
  if (row === undefined) return undefined
  const { metadata, checksum: _, ...headers } = row.attributes
  return {
    ...shownUpload(row),
    parts: deps.journal.uploadedParts(upload).map(shownPart),
    attributes: { ...headers, metadata },
  }
}

export async function listUploads(deps: WriteDeps, options: unknown): Promise<readonly Upload[]> {
  const { prefix, signal } = checkPrefix(options)
  signal?.throwIfAborted()
  return deps.journal.uploads(prefix).map(shownUpload)
}

export async function abortUpload(deps: WriteDeps, id: unknown, options: unknown): Promise<boolean> {
  const upload = checkId(id)
  checkCall(options, 'uploads.abort').signal?.throwIfAborted()
  return deps.journal.dropUpload(upload)
}

function shownUpload({ id, key, createdAt, checksum, features }: UploadRow): Upload {
  return {
    id,
    key,
    createdAt: new Date(createdAt),
    ...(checksum === undefined ? {} : { checksum }),
    ...(features === undefined ? {} : { features }),
  }
}

function shownPart({ number, size, md5, crc32c, checksum, uploadedAt }: Omit<UploadedPart, 'damaged'>): UploadPart {
  return {
    number,
    size,
    etag: md5,
    crc32c,
    ...(checksum === undefined ? {} : { checksum }),
    uploadedAt: new Date(uploadedAt),
  }
}
