import { type Attributes, foreignAttributesOf, metadataBytes } from '../core/attributes.ts'
import { checksumName, isComposite, readChecksum } from '../core/checksum.ts'
import { recognise } from '../core/entry.ts'
import { HoldfastError, invalid } from '../core/errors.ts'
import { featuresAlong } from '../core/features.ts'
import { type Layout, type PartRun, partsDigester, pieces } from '../core/layout.ts'
import { maxClockLeadMs, versionTime } from '../core/version.ts'
import type { Provider, RemoteObject } from '../core/provider.ts'
import type { Draft } from '../stage/drafts.ts'
import { fetchInto } from '../replicate/fetch.ts'
import { checkAdopt } from './input/calls.ts'
import { checkKey } from './input/key.ts'
import { demandRoom } from './input/metadata.ts'
import type { PutReceipt } from './receipt.ts'
import { receiptOf } from './receipt.ts'
import { onePiece, promise, type WriteDeps } from './writes.ts'

/** An object that is the newest of all that the providers have under a key. */
interface Newest {
  readonly provider: Provider
  readonly object: RemoteObject
}

/**
 * Takes in an object that was uploaded to a provider directly: stages it, gives it a version, and mirrors it like any other write, back to its
 * source too. One that is ours already answers its own version. UNAVAILABLE where a provider that was to be asked cannot be; INVALID
 * key/absent where none has it, parts/size where it does not have the bytes of the parts that were given, metadata/size where another provider
 * cannot hold its metadata.
 *
 * Its ETag stays what the provider says where the bytes bear that out: as the MD5 of what came in one piece, or as that of the parts that
 * the caller names. An ETag that is no digest (S3's of an object under a key of KMS), or of parts that nobody names, becomes the MD5.
 */
export async function adopt(
  deps: WriteDeps,
  key: unknown,
  options: unknown,
  closing: AbortSignal,
): Promise<PutReceipt> {
  const all = deps.providers.map(({ provider }) => provider)
  const checkedKey = checkKey(key, all)
  const { from, parts, features, signal: given } = checkAdopt(options, all)
  const signal = given === undefined ? closing : AbortSignal.any([given, closing])
  const newest = await findNewest(deps, from === undefined ? deps.providers : [{ provider: from }], checkedKey, signal)
  if (newest === undefined)
    throw new HoldfastError(
      'INVALID',
      `there is nothing to adopt: ${from === undefined ? 'no provider has' : `${from.name} has not`} this key`,
      {
        key: checkedKey,
        field: 'key',
        rule: 'absent',
        outcome: 'rejected',
      },
    )
  const { provider, object } = newest
  const there = recognise(object)
  // What is taken in is to be newer than what is there now. A stamp from the future is not followed: all later writes would have one.
  if (versionTime(there.version) <= (object.serverTime ?? deps.clock.now()) + maxClockLeadMs)
    await deps.journal.observe(there.version)
  if (there.whose === 'ours') {
    const { version, entry } = there
    const receipt = receiptOf(deps, { seq: 0, key: checkedKey, version })
    const checksum = readChecksum(object.metadata[checksumName])
    const known = { ...receipt, size: entry.size, crc32c: entry.crc32c, etag: entry.etag }
    return checksum === undefined ? known : { ...known, checksum }
  }
  demandParts(parts, object.size)
  demandRoom(foreignAttributesOf(object).metadata, all)
  const wanted = { token: object.token, size: object.size, crc32c: object.attested.crc32c }
  const inParts = parts && partsDigester(parts)
  const watch = inParts && ((chunk: Uint8Array) => inParts.update(chunk))
  const fetched = await fetchInto(deps.stage, provider, checkedKey, wanted, signal, watch)
  if (fetched === undefined)
    throw new HoldfastError('UNAVAILABLE', `${provider.name} had the object a moment ago and has it no more`, {
      key: checkedKey,
      outcome: 'rejected',
    })
  const layout = layoutThere(fetched, parts, inParts?.etag())
  const attributes = { ...foreignAttributesOf(fetched.object), ...checksumThere(object, layout, all) }
  const kept = { attributes, features: features ?? featuresAlong(object.features, all), layout }
  const terms = { condition: undefined, ack: undefined, signal: given }
  return promise(deps, checkedKey, fetched.draft, kept, terms)
}

function demandParts(parts: readonly PartRun[] | undefined, size: number): void {
  if (parts === undefined) return
  let bytes = 0
  for (const { end } of pieces(parts)) bytes = end
  if (bytes !== size) throw invalid('parts', 'size', `the parts have ${bytes} bytes, the object has ${size}`)
}

/** What the object came in, where its provider's ETag is the one that such bytes have. */
function layoutThere(
  { object, draft }: { readonly object: RemoteObject; readonly draft: Draft },
  parts: readonly PartRun[] | undefined,
  etag: string | undefined,
): Layout | undefined {
  if (object.etag === draft.digests.md5) return onePiece(draft)
  return parts !== undefined && etag !== undefined && object.etag === etag ? { etag, parts } : undefined
}

/** The checksum that its provider keeps of these bytes, where others have room for it; one of parts only with the parts. */
function checksumThere(
  object: RemoteObject,
  layout: Layout | undefined,
  all: readonly Provider[],
): Pick<Attributes, 'checksum'> {
  const { checksum } = object
  if (checksum === undefined || (isComposite(checksum) && layout === undefined)) return {}
  const { metadata } = foreignAttributesOf(object)
  const hasRoom = ({ limits }: Provider): boolean =>
    metadataBytes(metadata, limits.metadata, checksum.algorithm) <= limits.metadata.bytes
  return all.every(hasRoom) ? { checksum } : {}
}

async function findNewest(
  { doubt }: WriteDeps,
  asked: readonly { readonly id?: number; readonly provider: Provider }[],
  key: string,
  signal: AbortSignal,
): Promise<Newest | undefined> {
  const providers = asked.map(({ provider }) => provider)
  /** What was there before is doubted, of a provider that was away; unless the caller named it. */
  const doubtedUntil = (index: number) => doubt.until(asked[index]?.id ?? 0)
  const answers = await Promise.allSettled(providers.map(provider => provider.head(key, signal)))
  signal.throwIfAborted()
  let newest: (Newest & { version: string }) | undefined
  const failures: unknown[] = []
  const isProvenAbsent = answers.some(
    (answer, index) => answer.status === 'fulfilled' && answer.value === undefined && doubtedUntil(index) === undefined,
  )
  for (const [index, answer] of answers.entries()) {
    const provider = providers[index] as Provider
    if (answer.status === 'rejected') failures.push(provider.classify(answer.reason))
    else if (answer.value !== undefined) {
      const { version } = recognise(answer.value)
      if (isProvenAbsent && versionTime(version) < (doubtedUntil(index) ?? 0)) continue
      if (newest === undefined || version > newest.version) newest = { provider, object: answer.value, version }
    }
  }
  if (newest === undefined && failures.length > 0)
    throw new HoldfastError(
      'UNAVAILABLE',
      `no provider that could be asked has the key, and ${failures.length} could not be asked: ${failures.map(error => (error as Error).message).join('; ')}`,
      {
        key,
        outcome: 'rejected',
        cause: new AggregateError(failures),
      },
    )
  return newest
}
