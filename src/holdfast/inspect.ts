import { type Attributes, attributesOf, foreignAttributesOf, sameAttributes } from '../core/attributes.ts'
import { crc32c as crc32cOf, hex32 } from '../core/digest.ts'
import { claimedVersion, recognise } from '../core/entry.ts'
import { type ErrorCode, HoldfastError, type Reason } from '../core/errors.ts'
import { markerAt } from '../core/marker.ts'
import type { Provider, RemoteObject } from '../core/provider.ts'
import type { Version } from '../core/version.ts'
import type { Journal, ReplicaRow, WriteRow } from '../journal/contract.ts'
import { checkInspect } from './input/inspect.ts'
import { checkKey } from './input/key.ts'
import type { WriteDeps } from './writes.ts'

/** One key, seen from everywhere: what this directory knows of it, and what each provider has at this moment. */
export interface Inspection {
  readonly key: string
  /** What this directory knows. */
  readonly journal: {
    /** A write or a repair of the key is not finished: what providers have may differ until it is. */
    readonly isOpen: boolean
    /** The newest accepted write that is not finished. */
    readonly open?: InspectedWrite
    /** A conditional write that the primary has not decided yet. */
    readonly tentative?: InspectedWrite
    /** The newest delete that is remembered. */
    readonly deleted?: Version
    /** The newest version that is known to be at some provider. */
    readonly newest?: Version
    /** A released copy on local disk. `size` in bytes. */
    readonly cached?: { readonly version: Version; readonly size: number }
  }
  /** In the order of the options. */
  readonly providers: readonly InspectedProvider[]
  /**
   * Every provider answered, and all have the same, or all have nothing: version, size, digests as far as both sides say them, headers and
   * metadata; with `deep` the bytes. An object that a delete marker of this version or a newer one speaks against agrees with nothing.
   */
  readonly agree: boolean
}

/** An accepted write, and how far it is at each provider. */
export interface InspectedWrite {
  readonly kind: 'put' | 'delete'
  readonly version: Version
  /** Bytes. */
  readonly size: number
  readonly acceptedAt: Date
  /** What is on local disk is not what was accepted: it goes nowhere. */
  readonly isDamaged: boolean
  /** One a provider that is to have it. */
  readonly replicas: readonly InspectedReplica[]
}

/** One write on its way to one provider. */
export interface InspectedReplica {
  readonly provider: string
  readonly state: ReplicaRow['state']
  /** How many attempts failed since one went well. */
  readonly attempts: number
  /** Of the last attempt that failed, or why it is blocked. */
  readonly reason?: Reason
  /** The same for a person. */
  readonly message?: string
  /** Not before then it is tried, or looked at, again. */
  readonly notBefore?: Date
}

/** What one provider said about the key. Neither `object` nor `error`: it proved that it has none. */
export interface InspectedProvider {
  readonly provider: string
  readonly object?: InspectedObject
  /** The delete that it was told of. */
  readonly marker?: { readonly version: Version }
  /** Why it could not be asked. */
  readonly error?: { readonly code: ErrorCode; readonly reason?: Reason; readonly message: string }
}

/** An object as its provider has it. */
export interface InspectedObject {
  readonly version: Version
  /** `foreign`: written past Holdfast. `damaged`: it claims to be ours, and its size, digest or bytes are not those of what we wrote. */
  readonly whose: 'ours' | 'foreign' | 'damaged'
  /** Bytes. */
  readonly size: number
  /** As its provider says it, without quotes. */
  readonly etag?: string
  /** Hex: of the bytes read (`deep`), else what the provider attests, else what our entry says. */
  readonly crc32c?: string
  /** When it was stored, by the provider's clock. */
  readonly modifiedAt: Date
  /** Headers and metadata as the app gave them. */
  readonly attributes: Attributes
  /** Only with `deep`: how many bytes were read and compared. */
  readonly bytesRead?: number
}

/** INVALID for a bad key or option; else the providers' failures are part of the answer. The reason of the signal, when it aborts. */
export async function inspect(
  deps: Pick<WriteDeps, 'journal' | 'providers'>,
  key: unknown,
  options: unknown,
  closing: AbortSignal,
): Promise<Inspection> {
  const all = deps.providers.map(({ provider }) => provider)
  const checkedKey = checkKey(key, all)
  const { deep, signal: given } = checkInspect(options)
  const signal = given === undefined ? closing : AbortSignal.any([given, closing])
  signal.throwIfAborted()
  const asked = await Promise.all(all.map(provider => ask(provider, checkedKey, deep, signal)))
  return {
    key: checkedKey,
    // After the providers: what was on its way meanwhile shows as open work rather than as a difference that nobody explains.
    journal: knownOf(deps.journal, checkedKey),
    providers: asked.map(({ shown }) => shown),
    agree: agreeing(asked),
  }
}

function knownOf(journal: Journal, key: string): Inspection['journal'] {
  const { open, tentative, deleted, newest, cached } = journal.view(key)
  const names = new Map(journal.providers().map(({ id, name }) => [id, name]))
  return {
    isOpen: journal.isOpen(key),
    ...(open === undefined ? {} : { open: writeOf(open, names) }),
    ...(tentative === undefined ? {} : { tentative: writeOf(tentative, names) }),
    ...(deleted === undefined ? {} : { deleted }),
    ...(newest === undefined ? {} : { newest }),
    ...(cached === undefined ? {} : { cached: { version: cached.version, size: cached.size } }),
  }
}

function writeOf(row: WriteRow, names: ReadonlyMap<number, string>): InspectedWrite {
  const { kind, version, size, acceptedAt, damaged, replicas } = row
  return {
    kind,
    version,
    size,
    acceptedAt: new Date(acceptedAt),
    isDamaged: damaged,
    replicas: replicas.map(({ provider, state, attempt, reason, message, notBefore }) => ({
      provider: names.get(provider) ?? `provider ${provider}`,
      state,
      attempts: attempt,
      ...(reason === undefined ? {} : { reason }),
      ...(message === undefined ? {} : { message }),
      ...(state === 'waiting' || state === 'stored' ? { notBefore: new Date(notBefore) } : {}),
    })),
  }
}

interface Asked {
  readonly shown: InspectedProvider
  /** As the service attests it, or our entry says it: with the CRC32C, what copies can be compared by. */
  readonly md5: string | undefined
}

async function ask(provider: Provider, key: string, deep: boolean, signal: AbortSignal): Promise<Asked> {
  try {
    const [object, marker] = await Promise.all([provider.head(key, signal), markerAt(provider, key, signal)])
    const found = object === undefined ? undefined : await lookInto(provider, object, deep, signal)
    const shown: InspectedProvider = {
      provider: provider.name,
      ...(found === undefined ? {} : { object: found }),
      ...(marker === undefined ? {} : { marker: { version: marker.version } }),
    }
    return { shown, md5: object === undefined ? undefined : md5Of(object) }
  } catch (error) {
    signal.throwIfAborted()
    const { code, reason, message } = provider.classify(error)
    const shown = {
      provider: provider.name,
      error: { code, message, ...(reason === undefined ? {} : { reason }) },
    }
    return { shown, md5: undefined }
  }
}

async function lookInto(
  provider: Provider,
  object: RemoteObject,
  deep: boolean,
  signal: AbortSignal,
): Promise<InspectedObject> {
  const there = recognise(object)
  const claimed = there.whose === 'foreign' ? claimedVersion(object) : undefined
  const said = object.attested.crc32c ?? (there.whose === 'ours' ? there.entry.crc32c : undefined)
  const read = deep ? await readAll(provider, object, signal) : undefined
  const isWrong = read !== undefined && said !== undefined && read.crc32c !== said
  const crc32c = read?.crc32c ?? said
  return {
    version: claimed ?? there.version,
    whose: claimed !== undefined || isWrong ? 'damaged' : there.whose,
    size: object.size,
    ...(object.etag === undefined ? {} : { etag: object.etag }),
    ...(crc32c === undefined ? {} : { crc32c }),
    modifiedAt: object.modifiedAt,
    attributes: there.whose === 'ours' ? attributesOf(object) : foreignAttributesOf(object),
    ...(read === undefined ? {} : { bytesRead: read.bytes }),
  }
}

async function readAll(
  provider: Provider,
  { key, token }: RemoteObject,
  signal: AbortSignal,
): Promise<{ readonly crc32c: string; readonly bytes: number }> {
  const pinned = provider.capabilities.readIf ? token : undefined
  const answer = await provider.get({ key, range: undefined, token: pinned }, signal)
  if (answer === undefined || answer.object.token !== token) {
    await answer?.close()
    throw new HoldfastError('UNAVAILABLE', 'the object was replaced between the look at it and the reading of it', {
      provider: provider.name,
      key,
      reason: 'CONDITION',
    })
  }
  let crc = 0
  let bytes = 0
  for await (const chunk of answer.body) {
    crc = crc32cOf(chunk, crc)
    bytes += chunk.byteLength
  }
  return { crc32c: hex32(crc), bytes }
}

function md5Of(object: RemoteObject): string | undefined {
  const there = recognise(object)
  const said = object.attested.md5 ?? (there.whose === 'ours' ? there.entry.etag : undefined)
  // Of what came in parts the ETag is no digest of the bytes.
  return said?.includes('-') === true ? undefined : said
}

function agreeing(asked: readonly Asked[]): boolean {
  if (asked.some(({ shown }) => shown.error !== undefined)) return false
  const [first, ...others] = asked
  const markers = asked.flatMap(({ shown }) => shown.marker?.version ?? [])
  return (
    first !== undefined &&
    asked.every(({ shown: { object } }) => object === undefined || isWhole(object, markers)) &&
    others.every(other => isSame(first, other))
  )
}

function isWhole(object: InspectedObject, markers: readonly Version[]): boolean {
  return object.whose !== 'damaged' && !markers.some(version => version >= object.version)
}

function isSame(one: Asked, other: Asked): boolean {
  const [a, b] = [one.shown.object, other.shown.object]
  if (a === undefined || b === undefined) return a === b
  const crcs = compared(a.crc32c, b.crc32c)
  const md5s = compared(one.md5, other.md5)
  if (a.size !== b.size || crcs === 'differ' || md5s === 'differ') return false
  if (a.version === b.version) return sameAttributes(a.attributes, b.attributes)
  // Two writes of ours are two; what another tool wrote has no version but its time, which no two providers agree on.
  return (a.whose === 'foreign' || b.whose === 'foreign') && (crcs === 'same' || md5s === 'same')
}

function compared(a: string | undefined, b: string | undefined): 'same' | 'differ' | 'unsaid' {
  if (a === undefined || b === undefined) return 'unsaid'
  return a === b ? 'same' : 'differ'
}
