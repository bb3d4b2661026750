import { type Attributes, attributesOf, foreignAttributesOf, metadataBytes } from '../core/attributes.ts'
import { claimedVersion, type Entry, recognise } from '../core/entry.ts'
import { HoldfastError } from '../core/errors.ts'
import { featuresAlong } from '../core/features.ts'
import type { ProviderLimits } from '../core/guarded.ts'
import { type Layout, layoutOf } from '../core/layout.ts'
import { markerAt } from '../core/marker.ts'
import type { Clock } from '../core/ports.ts'
import type { Provider, RemoteObject } from '../core/provider.ts'
import { maxClockLeadMs, type Version, versionTime } from '../core/version.ts'
import type { DamagedCopy, Journal, NewWrite } from '../journal/contract.ts'
import { commitDraft, type Draft } from '../stage/drafts.ts'
import type { Stage } from '../stage/stage.ts'
import { type Fetched, fetchInto } from './fetch.ts'
import type { Room } from './room.ts'

/** How often one repair starts over because its source is written at the same moment. */
const mostRounds = 3
/** A disk that is full is tried again after a second, then after two, up to a minute: each time the whole body is read at its source. */
const fullMs = 1_000
const longestFullMs = 60_000

/** What some providers lack, and where it is. */
export interface Repair {
  readonly key: string
  /** `source`: id of the provider that has it. */
  readonly wanted:
    | { readonly is: 'object'; readonly version: Version; readonly source: number }
    | { readonly is: 'delete'; readonly version: Version }
  /** Ids of providers. */
  readonly targets: readonly number[]
  /** Of the targets: objects whose bytes were read and are wrong, although their provider says otherwise. */
  readonly damaged?: readonly DamagedCopy[]
  /** The source's object, where it and the delete markers of the targets were looked at a moment ago: they are not asked for once more. */
  readonly looked?: RemoteObject
}

/** What became of a repair. `settled`: meanwhile there is nothing to do any more, or replication does it. */
export type Repaired =
  | { readonly is: 'queued'; readonly bytes: number }
  | { readonly is: 'settled' }
  | { readonly is: 'impossible'; readonly why: string }

export interface MendDeps {
  readonly journal: Journal
  readonly stage: Stage
  /** By their id in the journal. Guarded: no call of them hangs. */
  readonly providers: ReadonlyMap<number, Provider>
  readonly room: Room
  readonly maxStageBytes: number
  readonly clock: Clock
  /** Whether objects that were written past Holdfast are brought to the others too. */
  readonly mirrorsForeign: boolean
}

type Mend = (repair: Repair, signal: AbortSignal) => Promise<Repaired>

interface Accepting extends Omit<Repair, 'wanted' | 'looked'> {
  readonly version: Version
}

/**
 * Queues repairs as ordinary work, with the version that they repair, and touches no source. Waits while repairs fill their share of the stage, or
 * the stage is full. What a source gives is taken only where it is, to the byte, what the source says of it; else the repair is `impossible`.
 * Rejects where a provider cannot be asked, or the journal takes nothing.
 */
export function mend(deps: MendDeps): Mend {
  const { journal, clock, room } = deps

  return async (repair, signal) => {
    const { key, wanted, targets } = repair
    if (wanted.is === 'delete') return mendDelete(key, wanted.version, targets)
    // Before it is sent the marker is looked at once more, however long it waited.
    const takers = repair.looked === undefined ? await lacking(repair, wanted.version, signal) : targets
    if (takers.length === 0) return settled
    const damaged = repair.damaged?.filter(({ provider }) => takers.includes(provider)) ?? []
    const task = { key, version: wanted.version, targets: takers, ...(damaged.length === 0 ? {} : { damaged }) }
    const source = deps.providers.get(wanted.source)
    if (source === undefined) return impossible('its source is not among the options any more')
    let fulls = 0
    for (let round = 1; ; round++) {
      try {
        return await fromProvider(task, source, round === 1 ? repair.looked : undefined, signal)
      } catch (error) {
        const code = error instanceof HoldfastError ? error.code : undefined
        if (code === 'NO_SPACE') await clock.sleep(Math.min(longestFullMs, fullMs * 2 ** fulls++), signal)
        else if (code !== 'PRECONDITION' || round - fulls >= mostRounds) throw error
      }
    }
  }

  /** Targets without a delete that is newer. */
  async function lacking({ key, targets }: Repair, version: Version, signal: AbortSignal): Promise<number[]> {
    const asked = targets.map(async id => {
      const provider = deps.providers.get(id)
      if (provider === undefined) return []
      const marker = await markerAt(provider, key, signal)
      return marker === undefined || marker.version < version ? [id] : []
    })
    return (await Promise.all(asked)).flat()
  }

  async function mendDelete(key: string, version: Version, targets: readonly number[]): Promise<Repaired> {
    if (versionTime(version) > clock.now() + maxClockLeadMs) return impossible(ahead)
    const nothing: Attributes = { contentType: 'application/octet-stream', metadata: {} }
    return accept(0, () =>
      journal.accept({
        ...rowOf({ key, version, targets }, nothing),
        kind: 'delete',
        size: 0,
        crc32c: '',
        md5: '',
        body: { in: 'none' },
      }),
    )
  }

  async function fromProvider(
    task: Accepting,
    source: Provider,
    looked: RemoteObject | undefined,
    signal: AbortSignal,
  ): Promise<Repaired> {
    const { key, version } = task
    const found = looked ?? (await source.head(key, signal))
    if (found === undefined) return vanished(task, source, signal)
    const there = recognise(found)
    if (there.version !== version)
      return claimedVersion(found) === version
        ? impossible(`what ${source.name} has is not what its entry says`)
        : settled
    // Taken in, a stamp from the future would be followed by all that this directory writes after it.
    if (versionTime(version) > (found.serverTime ?? clock.now()) + maxClockLeadMs) return impossible(ahead)
    if (there.whose === 'foreign' && !deps.mirrorsForeign)
      return impossible('it was written past Holdfast, and `foreign` is not "adopt"')
    const attributes = there.whose === 'foreign' ? foreignAttributesOf(found) : attributesOf(found)
    const refusal = refusalOf(task, found, attributes)
    if (refusal !== undefined) return impossible(refusal)
    const giveBack = await room.take(found.size, signal)
    try {
      const crc32c = there.whose === 'ours' ? there.entry.crc32c : found.attested.crc32c
      const fetched = await fetchInto(deps.stage, source, key, { token: found.token, size: found.size, crc32c }, signal)
      if (fetched === undefined) return await vanished(task, source, signal)
      await using draft = fetched.draft
      const entry = there.whose === 'ours' ? there.entry : undefined
      const layout = layoutThere(source, fetched, entry)
      const features = featuresAlong(fetched.object.features, takersOf(task))
      return await acceptDraft(draft, {
        ...rowOf(task, attributes),
        ...(layout === undefined ? {} : { layout }),
        ...(features === undefined ? {} : { features }),
      })
    } catch (error) {
      if (error instanceof HoldfastError && error.code === 'CORRUPT' && error.reason === 'MISMATCH')
        return impossible(error.message)
      throw error
    } finally {
      giveBack()
    }
  }

  /** Gone between two looks: deleted, or lost. */
  async function vanished({ key, version }: Accepting, source: Provider, signal: AbortSignal): Promise<Repaired> {
    const marker = await markerAt(source, key, signal)
    if (marker !== undefined && marker.version >= version) return settled
    return impossible(`${source.name} had it a moment ago and has it no more`)
  }

  /** Why a target could not keep it, before any byte moves. */
  function refusalOf(task: Accepting, { key, size }: RemoteObject, { metadata, checksum }: Attributes) {
    const { maxStageBytes } = deps
    if (size > maxStageBytes)
      return `it has ${size} bytes, and goes through the stage: maxStageBytes is ${maxStageBytes}`
    for (const taker of takersOf(task)) {
      const { name, limits } = taker
      const refusal = taker.refuseKey(key)
      if (refusal !== undefined) return `${name} cannot hold this key: it ${refusal.message}`
      if (size > limits.objectBytes) return `${name} takes objects of ${limits.objectBytes} bytes, this one has ${size}`
      const bytes = metadataBytes(metadata, limits.metadata, checksum?.algorithm)
      if (bytes > limits.metadata.bytes)
        return `${name} takes ${limits.metadata.bytes} bytes of metadata with ours, this object would have ${bytes}`
    }
    return undefined
  }

  function takersOf({ targets }: Pick<Repair, 'targets'>): readonly Provider[] {
    return targets.flatMap(id => deps.providers.get(id) ?? [])
  }

  function acceptDraft(draft: Draft, row: ReturnType<typeof rowOf>): Promise<Repaired> {
    const { crc32c, md5 } = draft.digests
    const { size } = draft
    return accept(size, () =>
      commitDraft(draft, body => journal.accept({ ...row, kind: 'put', size, crc32c, md5, body })),
    )
  }

  async function accept(bytes: number, commit: () => Promise<unknown>): Promise<Repaired> {
    try {
      await commit()
      return { is: 'queued', bytes }
    } catch (error) {
      // The key was written, or deleted, since: then that is on its way.
      if (error instanceof HoldfastError && error.code === 'PRECONDITION') return settled
      throw error
    }
  }

  function rowOf(
    { key, version, targets, damaged }: Accepting,
    attributes: Attributes,
  ): Omit<NewWrite, 'kind' | 'size' | 'crc32c' | 'md5' | 'body'> {
    return {
      key,
      origin: 'repair',
      version,
      stampMs: clock.now(),
      condition: undefined,
      attributes,
      providers: targets,
      ...(damaged === undefined ? {} : { damaged }),
      maxStageBytes: deps.maxStageBytes,
    }
  }
}

const settled: Repaired = { is: 'settled' }
const ahead = 'its version is from a clock more than 5 minutes ahead: it is not followed'

function impossible(why: string): Repaired {
  return { is: 'impossible', why }
}

/**
 * The parts that the app's ETag tells of. One that came in one piece is stored so again where the source shows by its own ETag that it was; of
 * others nobody knows whether drivers may cut it as they like, and then they may.
 */
function layoutThere({ kind }: Provider, { object, draft }: Fetched, entry: Entry | undefined): Layout | undefined {
  if (entry === undefined) {
    const { md5 } = draft.digests
    return object.etag === md5 ? { etag: md5, parts: [{ count: 1, bytes: object.size }] } : undefined
  }
  const { etag, partSize } = entry
  if (partSize === undefined && (kind !== 's3' || object.etag !== etag)) return undefined
  return layoutOf(etag, object.size, partSize)
}

/** For guarding the providers of repairs: they wait for nobody. */
export const repairLimits: Omit<ProviderLimits, 'clock'> = {
  idleMs: 30_000,
  deadlineMs: 60_000,
  minBytesPerSecond: 16 * 1024,
}
