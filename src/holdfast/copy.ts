import { type Attributes, withoutOurs } from '../core/attributes.ts'
import { mismatch } from '../core/body.ts'
import { isComposite } from '../core/checksum.ts'
import { HoldfastError } from '../core/errors.ts'
import type { ObjectInfo, Reader } from '../read/types.ts'
import type { Draft } from '../stage/drafts.ts'
import type { AskedChecksum, Expected } from '../stage/intake.ts'
import { checkKey } from './input/key.ts'
import { demandRoom } from './input/metadata.ts'
import { checkPut, wholeAttributes } from './input/put.ts'
import type { PutReceipt } from './receipt.ts'
import { onePiece, promise, underClose, type WriteDeps } from './writes.ts'

/**
 * A new write of the bytes that are under another key now: linked where they are on local disk, else fetched, pinned to one version. Its body is
 * staged like any other, so that a later delete of the source cannot take it away. INVALID from/absent where there is nothing to copy.
 *
 * As S3's CopyObject: it is one piece, whatever the source came in, and so a checksum of the source's parts becomes one of all bytes. Storage
 * class, access rights and encryption are what the copy is given, never the source's; tags too, which no read shows.
 */
export async function copy(
  deps: WriteDeps,
  reader: Reader,
  from: unknown,
  to: unknown,
  options: unknown,
): Promise<PutReceipt> {
  const providers = deps.providers.map(({ provider }) => provider)
  const source = checkKey(from, providers, 'from')
  const target = checkKey(to, providers, 'to')
  const { attributes, features, inOnePiece, ...asked } = checkPut(options, providers, 'copy')
  const { checksum, expected, condition, ack, signal } = asked
  signal?.throwIfAborted()
  const prepare = (info: Attributes): Wanted => {
    const whole = wholeAttributes(attributes, info)
    const { algorithm } = checksum ?? whole.checksum ?? {}
    demandRoom(whole.metadata, providers, algorithm)
    const isKept = checksum === undefined && (whole.checksum === undefined || !isComposite(whole.checksum))
    return { attributes: whole, checksum: isKept || algorithm === undefined ? undefined : (checksum ?? { algorithm }) }
  }
  const wanted: Asked = { expected, prepare, signal }
  const found = (await linked(deps, source, wanted)) ?? (await fetched(deps, reader, source, wanted))
  const layout = inOnePiece ? onePiece(found.draft) : undefined
  return promise(
    deps,
    target,
    found.draft,
    { attributes: found.attributes, features, layout },
    { condition, ack, signal },
  )
}

interface Asked {
  readonly expected: Expected
  /** What the copy is kept with, from what its source has. */
  readonly prepare: (source: Attributes) => Wanted
  readonly signal: AbortSignal | undefined
}

interface Wanted {
  readonly attributes: Attributes
  /** To be computed of the bytes. */
  readonly checksum: AskedChecksum | undefined
}

interface Found {
  readonly draft: Draft
  readonly attributes: Attributes
}

/** A second name for a body that is on local disk and is the newest that this directory knows of. */
async function linked(deps: WriteDeps, key: string, asked: Asked): Promise<Found | undefined> {
  const { open } = deps.journal.view(key)
  if (open === undefined || open.kind !== 'put' || open.damaged || open.body.in !== 'file') return undefined
  // Once a provider has it, another node may have written something newer there.
  if (open.replicas.some(({ state }) => state === 'stored' || state === 'verified')) return undefined
  const { expected, signal } = asked
  const { attributes, checksum } = asked.prepare(open.attributes)
  // What is linked is not digested anew.
  if (checksum !== undefined || expected.sha256 !== undefined) return undefined
  const { size, crc32c, md5 } = open
  for (const name of ['size', 'md5', 'crc32c'] as const) {
    const wanted = expected[name]
    if (wanted !== undefined && wanted !== open[name]) throw mismatch(name, wanted, open[name])
  }
  const body = { file: open.body.file, size, crc32c, md5 }
  // A link takes the bytes on trust, and what is accepted must be what was once put: damaged ones are left to the reader to find elsewhere.
  for await (const _ of deps.stage.verifyBodies([body], signal)) return undefined
  try {
    return { draft: await deps.stage.linkDraft(body, signal), attributes }
  } catch (error) {
    // Released between the look and the link: then the providers have it.
    if (error instanceof HoldfastError && error.code === 'CORRUPT' && error.field === 'body') return undefined
    throw error
  }
}

async function fetched(deps: WriteDeps, reader: Reader, key: string, asked: Asked): Promise<Found> {
  const { expected, signal } = asked
  const object = await reader.get(key, undefined, signal)
  if (object === undefined)
    throw new HoldfastError('INVALID', 'there is nothing to copy: the key has no object', {
      key,
      field: 'from',
      rule: 'absent',
      outcome: 'rejected',
    })
  try {
    const { info } = object
    const { attributes, checksum } = asked.prepare(attributesIn(info))
    const { size, crc32c = expected.crc32c } = info
    if (expected.size !== undefined && expected.size !== size) throw mismatch('size', expected.size, size)
    if (expected.crc32c !== undefined && expected.crc32c !== crc32c)
      throw mismatch('crc32c', expected.crc32c, crc32c ?? 'none')
    const draft = await deps.stage.receive(object.body, {
      expected: { ...expected, size, crc32c },
      checksum,
      signal: underClose(deps, signal),
    })
    return { draft, attributes }
  } catch (error) {
    await object.body.cancel().catch(() => {})
    throw error
  }
}

/** Without what only Holdfast writes: an object that somebody else wrote may have come with it. */
function attributesIn(info: ObjectInfo): Attributes {
  const { contentType, cacheControl, contentDisposition, contentEncoding, contentLanguage, checksum } = info
  const headers = { cacheControl, contentDisposition, contentEncoding, contentLanguage, checksum }
  const given = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined))
  return { contentType, ...given, metadata: withoutOurs(info.metadata) }
}
