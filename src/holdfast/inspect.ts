import { type Attributes, attributesOf, foreignAttributesOf } from '../core/attributes.ts'
import { digester, type Digests } from '../core/digest.ts'
import { type ErrorCode, HoldfastError, type Reason } from '../core/errors.ts'
import { markerAt } from '../core/marker.ts'
import type { Provider, RemoteObject } from '../core/provider.ts'
import type { Version } from '../core/version.ts'
import type { Journal, ReplicaRow, WriteRow } from '../journal/contract.ts'
import { copyOf } from '../reconcile/ask.ts'
import { type Copy, isSameCopy } from '../reconcile/equal.ts'
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
  /**
   * `foreign`: written past Holdfast, also over one of ours with its metadata kept. `damaged`: it claims to be ours and has another size, with no digest of its
   * provider's to say that this is meant; or its bytes (`deep`) are not what it, or its provider, says.
   */
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
  /** What it has, as a comparison takes it. */
  readonly copy: Copy | undefined
}

async function ask(provider: Provider, key: string, deep: boolean, signal: AbortSignal): Promise<Asked> {
  try {
    const [object, marker] = await Promise.all([provider.head(key, signal), markerAt(provider, key, signal)])
    const read = object === undefined || !deep ? undefined : await readAll(provider, object, signal)
    const copy = object && copyOf(object, read)
    const shown: InspectedProvider = {
      provider: provider.name,
      ...(copy === undefined ? {} : { object: shownOf(copy) }),
      ...(marker === undefined ? {} : { marker: { version: marker.version } }),
    }
    return { shown, copy }
  } catch (error) {
    signal.throwIfAborted()
    const { code, reason, message } = provider.classify(error)
    const shown = {
      provider: provider.name,
      error: { code, message, ...(reason === undefined ? {} : { reason }) },
    }
    return { shown, copy: undefined }
  }
}

function shownOf({ object, version, claims, entry, isDamaged, read }: Copy): InspectedObject {
  const crc32c = read?.crc32c ?? object.attested.crc32c ?? entry?.crc32c
  return {
    version: claims ?? version,
    whose: isDamaged ? 'damaged' : entry === undefined ? 'foreign' : 'ours',
    size: object.size,
    ...(object.etag === undefined ? {} : { etag: object.etag }),
    ...(crc32c === undefined ? {} : { crc32c }),
    modifiedAt: object.modifiedAt,
    attributes: entry === undefined ? foreignAttributesOf(object) : attributesOf(object),
    // The guard of the provider saw to it that these were all.
    ...(read === undefined ? {} : { bytesRead: object.size }),
  }
}

async function readAll(provider: Provider, { key, token }: RemoteObject, signal: AbortSignal): Promise<Digests> {
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
  const digests = digester()
  for await (const chunk of answer.body) digests.update(chunk)
  return digests.finish()
}

function agreeing(asked: readonly Asked[]): boolean {
  if (asked.some(({ shown }) => shown.error !== undefined)) return false
  const deleted = asked.flatMap(({ shown }) => shown.marker?.version ?? [])
  const copies = asked.flatMap(({ copy }) => copy ?? [])
  const [first] = copies
  if (first === undefined) return true
  return (
    copies.length === asked.length &&
    copies.every(copy => !copy.isDamaged && !deleted.some(version => version >= copy.version)) &&
    copies.every(copy => isSameCopy(first, copy))
  )
}
