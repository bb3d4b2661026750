import { crc32c, hex32 } from '../core/digest.ts'
import { recognise } from '../core/entry.ts'
import { HoldfastError } from '../core/errors.ts'
import type { RemoteObject } from '../core/provider.ts'
import type { Version } from '../core/version.ts'
import { type Applying, deletedSince, isSame, isWhatWeStored } from './apply.ts'
import { clear } from './clear.ts'
import { mayBeDeletedSince, readMarker } from './marker.ts'
import { conflict, isAhead, noteClock, type Overtaken } from './target.ts'

/** What the second look found. */
export type Looked =
  /** The same write, byte for byte as far as the service attests it. */
  | { readonly is: 'verified' }
  /** Gone, older, or not what was written: to be sent again. */
  | { readonly is: 'lost'; readonly message: string }
  | Overtaken

/** The second look at what a provider acknowledged: identity, version, length, digest, attributes; where nothing attests the bytes, the bytes. */
export async function lookAgain(looking: Pick<Applying, 'task' | 'target' | 'now' | 'signal'>): Promise<Looked> {
  const { task, target, now, signal } = looking
  const { write, replica } = task
  const found = await target.provider.head(write.key, signal)
  noteClock(target, found?.serverTime, now())
  if (write.kind === 'delete') return lookAtDelete(looking, found)

  const wasLate = mayBeDeletedSince(write, replica.storedAt ?? 0, target)
  if (found === undefined || wasLate) {
    const overtaken = await deletedSince(looking)
    // It got there after the delete was looked at for the last time: nobody else would take it away.
    if (overtaken !== undefined && found !== undefined) await clear(target, write.key, overtaken.by, now, signal)
    if (overtaken !== undefined) return overtaken
  }
  if (found === undefined) return { is: 'lost', message: 'the second look found nothing' }
  const there = recognise(found)
  if (there.whose === 'foreign' && isWhatWeStored(looking, found))
    return { is: 'lost', message: 'the second look found other bytes, or none of our metadata' }
  if (there.version > write.version) {
    requireClock(looking, there.version)
    return { is: 'overtaken', by: there.version, foreign: there.whose === 'foreign' ? found : undefined }
  }
  if (there.version < write.version) return { is: 'lost', message: 'the second look found an older write' }
  if (!isSame(write, found)) return { is: 'lost', message: 'the second look found other bytes or attributes' }
  const attested = found.attested.crc32c !== undefined || found.attested.md5 !== undefined
  if (attested || replica.proof === 'server-parts' || replica.proof === 'readback') return { is: 'verified' }
  return (await readBack(looking, found)) === write.crc32c
    ? { is: 'verified' }
    : { is: 'lost', message: 'the bytes read back are not the bytes that were sent' }
}

async function lookAtDelete(
  looking: Pick<Applying, 'task' | 'target' | 'now' | 'signal'>,
  found: RemoteObject | undefined,
): Promise<Looked> {
  const { task, target, now, signal } = looking
  const { write } = task
  if (found !== undefined) {
    const there = recognise(found)
    if (there.version > write.version) {
      requireClock(looking, there.version)
      return { is: 'overtaken', by: there.version, foreign: there.whose === 'foreign' ? found : undefined }
    }
    return { is: 'lost', message: 'the second look found an older write where there was to be none' }
  }
  const marker = await readMarker(target, write.key, now, signal)
  if (marker === undefined || marker < write.version)
    return { is: 'lost', message: 'the second look found no marker of the delete' }
  return { is: 'verified' }
}

function requireClock({ task, target, now }: Pick<Applying, 'task' | 'target' | 'now'>, version: Version): void {
  if (isAhead(version, target, now()))
    throw conflict(
      `${target.provider.name} holds a version from a clock more than 5 minutes ahead: it is not followed`,
      'CLOCK',
      task.write.key,
    )
}

async function readBack(
  { target, signal }: Pick<Applying, 'target' | 'signal'>,
  object: RemoteObject,
): Promise<string> {
  const token = target.capabilities.readIf ? object.token : undefined
  const answer = await target.provider.get({ key: object.key, range: undefined, token }, signal)
  if (answer === undefined)
    throw new HoldfastError('UNAVAILABLE', 'the object went away between the look and the reading', {
      provider: target.provider.name,
      key: object.key,
      reason: 'SERVER',
    })
  let crc = 0
  for await (const chunk of answer.body) crc = crc32c(chunk, crc)
  return hex32(crc)
}
