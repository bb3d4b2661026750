import { HoldfastError } from '../core/errors.ts'
import type { Attributes } from '../core/attributes.ts'
import type { Reader } from '../read/types.ts'
import type { Draft } from '../stage/drafts.ts'
import { checkKey } from './input/key.ts'
import { checkPut, wholeAttributes } from './input/put.ts'
import { mismatch } from '../core/body.ts'
import type { PutReceipt } from './receipt.ts'
import { promise, underClose, type WriteDeps } from './writes.ts'

/**
 * A new write of the bytes that are under another key now: linked where they are on local disk, else fetched, pinned to one version. Its body is
 * staged like any other, so that a later delete of the source cannot take it away. INVALID from/absent where there is nothing to copy.
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
  const { attributes, expected, condition, ack, signal } = checkPut(options, providers, 'copy')
  signal?.throwIfAborted()
  const found = (await linked(deps, source, signal)) ?? (await fetched(deps, reader, source, signal))
  for (const name of ['md5', 'crc32c'] as const) {
    const wanted = expected[name]
    if (wanted === undefined || wanted === found.draft.digests[name]) continue
    await found.draft.discard()
    throw mismatch(name, wanted, found.draft.digests[name])
  }
  if (expected.size !== undefined && expected.size !== found.draft.size) {
    await found.draft.discard()
    throw mismatch('size', expected.size, found.draft.size)
  }
  return promise(deps, target, found.draft, wholeAttributes(attributes, found.attributes), { condition, ack, signal })
}

interface Found {
  readonly draft: Draft
  readonly attributes: Attributes
}

/** A second name for a body that is on local disk and is the newest that this directory knows of. */
async function linked(deps: WriteDeps, key: string, signal: AbortSignal | undefined): Promise<Found | undefined> {
  const { open } = deps.journal.view(key)
  if (open === undefined || open.kind !== 'put' || open.damaged || open.body.in !== 'file') return undefined
  // Once a provider has it, another node may have written something newer there.
  if (open.replicas.some(({ state }) => state === 'stored' || state === 'verified')) return undefined
  const { size, crc32c, md5 } = open
  const body = { file: open.body.file, size, crc32c, md5 }
  // A link takes the bytes on trust, and what is accepted must be what was once put: damaged ones are left to the reader to find elsewhere.
  for await (const _ of deps.stage.verifyBodies([body], signal)) return undefined
  try {
    return { draft: await deps.stage.linkDraft(body, signal), attributes: open.attributes }
  } catch (error) {
    // Released between the look and the link: then the providers have it.
    if (error instanceof HoldfastError && error.code === 'CORRUPT' && error.field === 'body') return undefined
    throw error
  }
}

async function fetched(deps: WriteDeps, reader: Reader, key: string, signal: AbortSignal | undefined): Promise<Found> {
  const object = await reader.get(key, undefined, signal)
  if (object === undefined)
    throw new HoldfastError('INVALID', 'there is nothing to copy: the key has no object', {
      key,
      field: 'from',
      rule: 'absent',
      outcome: 'rejected',
    })
  const { info } = object
  const { contentType, cacheControl, contentDisposition, contentEncoding, contentLanguage, metadata } = info
  const headers = { cacheControl, contentDisposition, contentEncoding, contentLanguage }
  const given = Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined))
  const draft = await deps.stage.receive(object.body, {
    expected: { size: info.size, crc32c: info.crc32c },
    signal: underClose(deps, signal),
  })
  return { draft, attributes: { contentType, ...given, metadata } }
}
