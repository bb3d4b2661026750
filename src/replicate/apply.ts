import { attributesOf, packMetadata, sameAttributes } from '../core/attributes.ts'
import { claimedVersion, recognise, writeEntry } from '../core/entry.ts'
import { HoldfastError, shown } from '../core/errors.ts'
import { featureRefusal } from '../core/features.ts'
import { partSizeOf } from '../core/layout.ts'
import type { PutCondition, RemoteObject, UploadMemo } from '../core/provider.ts'
import type { Source } from '../core/source.ts'
import type { Task, WriteRow } from '../journal/contract.ts'
import { clear } from './clear.ts'
import { markerAfterMs, mayBeDeletedSince, readMarker, writeMarker } from './marker.ts'
import {
  busy,
  conflict,
  isAhead,
  isAheadNow,
  isPrecondition,
  noteClock,
  type Overtaken,
  type Settled,
  type Target,
} from './target.ts'

/** Over this a body is not sent before a head said that it is wanted: 1 MiB. */
const lookFirstBytes = 1024 * 1024
/** How often one attempt starts over because others write the key at the same moment. */
const mostRounds = 8
/**
 * So often in a row a service may refuse to create what it then says is not there: Ceph 16 does, over a delete marker where versioning was suspended.
 * Another node that puts and deletes the key looks the same, but leaves a marker of its delete.
 */
const mostRefusedCreates = 3

export interface Applying {
  readonly task: Task
  readonly target: Target
  /** The body, for a put. */
  readonly source: Source
  readonly upload: UploadMemo
  readonly now: () => number
  readonly signal: AbortSignal
  /** An earlier attempt may have been applied, or may still be: the provider is asked first. */
  readonly mayBeThere: boolean
  /** Of a conditional write: an earlier attempt had no answer. It may still arrive, long after this one. */
  readonly mayArrive: boolean
}

/**
 * Brings one write to one provider so that everyone converges, whatever others write at the same time: never over a newer one, never twice.
 * An unknown outcome rejects; the next attempt asks the provider before it sends anything.
 */
export async function apply(applying: Applying): Promise<Settled> {
  const { task, target, now, signal } = applying
  if (await isAheadNow(task.write.version, target, now, signal))
    throw conflict(
      `the write's stamp is more than 5 minutes ahead of the clock of ${target.provider.name}: set this machine's clock`,
      'CLOCK',
      task.write.key,
    )
  if (task.write.state === 'tentative') return task.write.kind === 'put' ? decidePut(applying) : decideDelete(applying)
  return task.write.kind === 'put' ? applyPut(applying) : applyDelete(applying)
}

async function applyPut(applying: Applying): Promise<Settled> {
  const { task, target, now, mayBeThere } = applying
  const { write, known } = task
  const begun = now()
  const isLate = mayBeDeletedSince(write, begun, target)
  if (isLate) {
    const overtaken = await deletedSince(applying)
    // An earlier try may have arrived after the delete was looked at for the last time.
    if (overtaken !== undefined && mayBeThere) await clear(target, write.key, overtaken.by, now, applying.signal)
    if (overtaken !== undefined) return overtaken
  }
  const { createIfAbsent, replaceIf, uniqueTokens } = target.capabilities
  // A token that is a digest passes over a newer write of the same bytes. One of that age may have been verified before ours gets there: nobody
  // would look again.
  const trustsKnown = known !== undefined && replaceIf && known.version < write.version && (uniqueTokens || !isLate)
  let found: RemoteObject | undefined
  let condition: PutCondition | undefined
  if (mayBeThere || (known === undefined ? write.size > lookFirstBytes || !createIfAbsent : !trustsKnown))
    found = await look(applying)
  else condition = known === undefined ? { absent: true } : { token: known.token }

  let refusedCreates = 0
  for (let round = 0; round < mostRounds; round++) {
    if (condition === undefined) {
      if (found !== undefined) {
        const settled = compare(write, found, applying)
        if (settled !== undefined) return settled
        if (replaceIf) condition = { token: found.token }
      } else if (createIfAbsent && refusedCreates < mostRefusedCreates) condition = { absent: true }
    }
    try {
      const stored = await send(applying, condition)
      return Math.abs(now() - begun) > markerAfterMs ? await unlessDeleted(applying, stored) : stored
    } catch (error) {
      if (!isPrecondition(error)) throw error
      found = await look(applying)
      refusedCreates = found === undefined ? refusedCreates + 1 : 0
      const overtaken = refusedCreates < mostRefusedCreates ? undefined : await deletedSince(applying)
      if (overtaken !== undefined) return overtaken
      condition = undefined
    }
  }
  throw busy(target, task.write.key)
}

/** A body that took long to send may have arrived after a delete was looked at for the last time. */
async function unlessDeleted(applying: Applying, stored: Settled): Promise<Settled> {
  const { task, target, now, signal } = applying
  const overtaken = await deletedSince(applying)
  if (overtaken !== undefined) await clear(target, task.write.key, overtaken.by, now, signal)
  return overtaken ?? stored
}

/** What an object that is there means for our write; `undefined`: it is older, or ours but not right, and is to be replaced. */
function compare(write: WriteRow, found: RemoteObject, applying: Applying): Settled | undefined {
  const there = recognise(found)
  if (there.version < write.version) return undefined
  // It came with our entry and not with our bytes, or under the token that we were given: ours, damaged or cut.
  if (there.whose === 'foreign' && (claimedVersion(found) === write.version || isWhatWeStored(applying, found)))
    return undefined
  // Both were written past Holdfast, and in the same moment as far as their services tell: whoever compared them chose ours.
  if (there.whose === 'foreign' && there.version === write.version) return undefined
  if (there.whose === 'ours' && there.version === write.version) {
    if (!isSame(write, found) || lacksTags(applying, found) || isKnownDamaged(applying, found)) return undefined
    const attested = found.attested.crc32c !== undefined || found.attested.md5 !== undefined
    return { is: 'stored', token: found.token, etag: found.etag, proof: attested ? 'server-full' : 'none' }
  }
  if (isAhead(there.version, applying.target, applying.now()))
    throw conflict(
      `${applying.target.provider.name} holds a version from a clock more than 5 minutes ahead: it is not followed`,
      'CLOCK',
      write.key,
    )
  return { is: 'overtaken', by: there.version, foreign: there.whose === 'foreign' ? found : undefined }
}

/**
 * The bytes of this very object were read, or missed, after its provider had acknowledged them, and they were wrong: by our own second look, or by whoever
 * made the repair. That its provider says otherwise proves nothing.
 */
function isKnownDamaged({ task: { replica } }: Applying, found: RemoteObject): boolean {
  return replica.token === found.token
}

/** How much later than our own put a provider's whole seconds may make an object look. */
const modifiedSlackMs = 2_000

/**
 * Whether this is the object that our put was acknowledged with, damaged, rather than one that somebody wrote over it: the same token, and
 * not modified since. Without the time, a token that is a digest would not tell.
 */
export function isWhatWeStored({ task, target }: Pick<Applying, 'task' | 'target'>, found: RemoteObject): boolean {
  const { token, storedAt } = task.replica
  const latest = (storedAt ?? 0) + Math.max(0, target.skew.offsetMs ?? 0) + modifiedSlackMs
  return found.token === token && found.modifiedAt.getTime() <= latest
}

/**
 * Whether an object that says it is this write has its bytes and attributes, and the ETag that the app was told. What else was asked for
 * (storage class, access rights) is the service's to change, and is not compared.
 */
export function isSame(write: WriteRow, found: RemoteObject): boolean {
  const there = recognise(found)
  return (
    there.whose === 'ours' &&
    there.entry.crc32c === write.crc32c &&
    there.entry.etag === write.layout.etag &&
    found.size === write.size &&
    sameAttributes(attributesOf(found), write.attributes)
  )
}

/**
 * Whether an upload in parts may have ended before its object had its tags, which some services are told afterwards: then it is gone on with, and
 * no part is sent again.
 */
function lacksTags({ task, target, upload }: Applying, found: RemoteObject): boolean {
  const { Tagging = '' } = task.write.features?.s3 ?? {}
  const count = Tagging.split('&').filter(tag => tag !== '').length
  return count > 0 && found.tagCount !== count && target.provider.kind === 's3' && upload.saved !== undefined
}

async function send(applying: Applying, condition: PutCondition | undefined): Promise<Settled> {
  const { task, target, source, upload, now, signal } = applying
  const { write } = task
  const { metadata, checksum, ...headers } = write.attributes
  const { layout, keepsLayout, features } = write
  demandKept(applying)
  const { version, size, crc32c } = write
  const entry = { version, size, crc32c, etag: layout.etag, partSize: partSizeOf(layout) }
  const result = await target.provider.put(
    {
      key: write.key,
      source,
      headers,
      metadata: packMetadata(metadata, writeEntry(write.key, entry), target.provider.limits.metadata, checksum),
      condition,
      ...(features === undefined ? {} : { features }),
      ...(keepsLayout && layout.parts.length > 0 ? { parts: layout.parts } : {}),
      ...(layout.etag.includes('-') ? { inParts: true } : {}),
      upload,
    },
    signal,
  )
  noteClock(target, result.serverTime, now())
  return { is: 'stored', token: result.token, etag: result.etag, proof: result.proof }
}

/** What was kept when the write was accepted may be kept no more: the provider is opened with other options today. */
function demandKept({ task, target }: Applying): void {
  const { key, features } = task.write
  const refusal = features && featureRefusal(target.provider, features)
  if (refusal === undefined) return
  const { name } = target.provider
  throw new HoldfastError('BLOCKED', `features.${refusal.field} ${refusal.message} (provider ${shown(name)})`, {
    provider: name,
    key,
    reason: 'REFUSED',
    retryable: false,
  })
}

/** Whether the key was deleted after our write, while it waited. A marker from a clock that does not agree settles nothing. */
export async function deletedSince(
  applying: Pick<Applying, 'task' | 'target' | 'now' | 'signal'>,
): Promise<Overtaken | undefined> {
  const { task, target, now, signal } = applying
  const marker = await readMarker(target, task.write.key, now, signal)
  if (marker === undefined || marker < task.write.version) return undefined
  if (isAhead(marker, target, now()))
    throw conflict(
      `${target.provider.name} has a delete of this key from a clock more than 5 minutes ahead: which is newer cannot be told`,
      'CONFLICT',
      task.write.key,
    )
  return { is: 'overtaken', by: marker, foreign: undefined }
}

async function applyDelete(applying: Applying): Promise<Settled> {
  const { task, target, now, signal } = applying
  const { write } = task
  const marker = await writeMarker(target, write.key, write.version, now, signal)
  if (marker.version > write.version) {
    if (isAhead(marker.version, target, now()))
      throw conflict(
        `${target.provider.name} has a delete of this key from a clock more than 5 minutes ahead`,
        'CONFLICT',
        write.key,
      )
    return { is: 'overtaken', by: marker.version, foreign: undefined }
  }
  const newer = await clear(target, write.key, write.version, now, signal)
  if (newer === undefined) return { is: 'stored', token: marker.token, etag: undefined, proof: 'server-full' }
  const there = recognise(newer)
  if (isAhead(there.version, target, now()))
    throw conflict(
      `${target.provider.name} holds a version from a clock more than 5 minutes ahead: it is not followed`,
      'CLOCK',
      write.key,
    )
  return { is: 'overtaken', by: there.version, foreign: there.whose === 'foreign' ? newer : undefined }
}

/** The primary decides a conditional put: whoever gets through its condition has won, for everybody. */
async function decidePut(applying: Applying): Promise<Settled> {
  const { task, target, mayBeThere } = applying
  const { write } = task
  const absent = write.condition === 'absent'
  const { createIfAbsent, replaceIf } = target.capabilities
  if (absent ? !createIfAbsent : !replaceIf)
    return unable(applying, absent ? 'create-only puts' : 'conditional replaces')
  let isLooked = !absent || mayBeThere || write.size > lookFirstBytes
  for (let round = 0; round < mostRounds; round++) {
    const found = isLooked ? await look(applying) : undefined
    const there = found === undefined ? undefined : recognise(found)
    const isOurs = found !== undefined && there?.version === write.version && isSame(write, found)
    if (isOurs && !lacksTags(applying, found))
      return { is: 'stored', token: found.token, etag: found.etag, proof: 'none' }
    const deleted = await readMarker(target, write.key, applying.now, applying.signal)
    const present = unlessGone(there?.version, deleted)
    const wanted = write.condition === 'absent' || write.condition === undefined ? undefined : write.condition.version
    if (!isOurs && present !== wanted) return refused(applying, present)
    const behind = isBehind(applying, there?.version, deleted)
    if (behind !== undefined) return behind
    try {
      return await send(applying, found === undefined ? { absent: true } : { token: found.token })
    } catch (error) {
      if (!isPrecondition(error)) throw error
      isLooked = true
    }
  }
  throw busy(target, task.write.key)
}

/**
 * The primary decides a conditional delete. Here the object goes first, under the condition: a marker left by a delete that was then
 * refused would make the object look deleted.
 */
async function decideDelete(applying: Applying): Promise<Settled> {
  const { task, target, now, signal } = applying
  const { write } = task
  if (!target.capabilities.deleteIf) return unable(applying, 'conditional deletes')
  const wanted = write.condition === 'absent' || write.condition === undefined ? undefined : write.condition.version
  const found = await look(applying)
  const there = found === undefined ? undefined : recognise(found)
  // Gone after an attempt with an unknown outcome: that was us, or somebody who wanted the same.
  if (found === undefined && applying.mayBeThere) return markDeleted(applying)
  const deleted = found && (await readMarker(target, write.key, now, signal))
  const present = unlessGone(there?.version, deleted)
  if (found === undefined || present !== wanted) return refused(applying, present)
  const behind = isBehind(applying, there?.version, deleted)
  if (behind !== undefined) return behind
  try {
    await target.provider.delete(write.key, found.token, signal)
  } catch (error) {
    if (isPrecondition(error)) return refused(applying, undefined)
    throw error
  }
  return markDeleted(applying)
}

/** What a marker of this version or a newer one deletes is not there, whoever brought it back and however late: it is about to be taken away. */
function unlessGone(version: string | undefined, deleted: string | undefined): string | undefined {
  return version !== undefined && version > (deleted ?? '') ? version : undefined
}

/**
 * A condition that holds for a write that is older than what it follows, a delete or a version from a machine whose clock is ahead: acknowledged, it
 * would lose to that all the same. The next try is stamped later.
 */
function isBehind(
  { task, target, now, mayArrive }: Applying,
  there: string | undefined,
  deleted: string | undefined,
): Settled | undefined {
  const newest = (there ?? '') > (deleted ?? '') ? there : deleted
  if (newest === undefined || newest <= task.write.version) return undefined
  return {
    is: 'refused',
    code: 'UNAVAILABLE',
    message: `what the write would follow at ${target.provider.name} (version ${newest}) has the stamp of a clock ahead of ours: once more, and it is newer`,
    outcome: mayArrive ? 'unknown' : 'rejected',
    ...(isAhead(newest, target, now()) ? {} : { seen: newest }),
  }
}

async function markDeleted({ task, target, now, signal }: Applying): Promise<Settled> {
  const marker = await writeMarker(target, task.write.key, task.write.version, now, signal)
  return { is: 'stored', token: marker.token, etag: undefined, proof: 'server-full' }
}

async function look({ task, target, now, signal }: Applying): Promise<RemoteObject | undefined> {
  const found = await target.provider.head(task.write.key, signal)
  noteClock(target, found?.serverTime, now())
  return found
}

/**
 * Not what was wanted is there. After a try with an unknown outcome, something newer may have come over what we wrote: then nobody can tell. Nor where
 * that try may still arrive and find what it asks for: the key absent again, or a token that is a digest, of the same bytes. Nor of a delete, whatever is there:
 * what it asked for is gone, and as long as its marker is missing an older write may have taken that place.
 */
function refused({ task, mayBeThere, mayArrive, target }: Applying, found: string | undefined): Settled {
  const { condition, kind, version } = task.write
  const mayPassYet = mayArrive && (kind === 'delete' || condition === 'absent' || !target.capabilities.uniqueTokens)
  if (mayPassYet || (mayBeThere && (found === undefined || found > version)))
    return {
      is: 'refused',
      code: 'UNAVAILABLE',
      message: `an answer of ${target.provider.name} was lost, and ${found === undefined ? 'the key is absent' : `version ${found} is there`} now: whether the write was there before, or is still to come, is not known`,
      outcome: 'unknown',
    }
  const wanted = condition === 'absent' || condition === undefined ? 'be absent' : `have version ${condition.version}`
  return {
    is: 'refused',
    code: 'PRECONDITION',
    message: `the key was to ${wanted}, but ${found === undefined ? 'it is absent' : `it has version ${found}`}`,
    outcome: 'rejected',
  }
}

function unable({ target }: Applying, what: string): Settled {
  return {
    is: 'refused',
    code: 'UNSUPPORTED',
    message: `the primary ${target.provider.name} has no ${what}: write without \`if\`, or make another provider the primary`,
    outcome: 'rejected',
  }
}
