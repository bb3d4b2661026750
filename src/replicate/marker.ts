import { digestsOf } from '../core/digest.ts'
import { entryName, writeEntry } from '../core/entry.ts'
import { HoldfastError } from '../core/errors.ts'
import { markerKey } from '../core/key.ts'
import { markerAt } from '../core/marker.ts'
import { noMemo, type PutCondition } from '../core/provider.ts'
import { bytesSource } from '../core/source.ts'
import { type Version, versionTime } from '../core/version.ts'
import type { WriteRow } from '../journal/contract.ts'
import { noteClock, type Target } from './target.ts'

/** How often a marker is tried again when others write it at the same moment. */
const mostRounds = 8
/** After so many a service that refuses to create what it says is not there is not asked to hold that condition; see `apply`. */
const mostCreates = 3

/** A put that was committed longer ago than this asks for a delete marker before it is sent. */
export const markerAfterMs = 60_000

/**
 * Whether another node may have deleted the key without our noticing: a repair brings back something old; whether a write is recent the wall clock cannot say
 * once it was turned back; and a clock that is behind stamps what is new as old, so that it is older than a delete that was looked at for the last time.
 */
export function mayBeDeletedSince({ origin, acceptedAt, version }: WriteRow, at: number, target: Target): boolean {
  const behindMs = at + (target.skew.offsetMs ?? 0) - versionTime(version)
  return origin === 'repair' || Math.abs(at - acceptedAt) > markerAfterMs || behindMs > markerAfterMs
}

/** The version of the newest delete of the key that the target was told of; see `markerAt`. Notes the target's clock. */
export async function readMarker(
  target: Target,
  key: string,
  now: () => number,
  signal: AbortSignal,
): Promise<Version | undefined> {
  const found = await markerAt(target.provider, key, signal)
  if (found !== undefined) noteClock(target, found.serverTime, now())
  return found?.version
}

/** Puts the marker of a delete, unless there is a newer one. Answers the version that is there now, and its token. */
export async function writeMarker(
  target: Target,
  key: string,
  version: Version,
  now: () => number,
  signal: AbortSignal,
): Promise<{ version: Version; token: string }> {
  const name = markerKey(key)
  const bytes = Buffer.from(JSON.stringify({ format: 1, key, version }), 'utf8')
  const digests = digestsOf(bytes)
  const entry = { version, size: bytes.byteLength, crc32c: digests.crc32c, etag: digests.md5, partSize: undefined }
  let condition: PutCondition | undefined = target.capabilities.createIfAbsent ? { absent: true } : undefined
  let looked = condition !== undefined
  for (let round = 0; round < mostRounds; round++) {
    if (!looked) {
      const found = await markerAt(target.provider, key, signal)
      if (found !== undefined) {
        noteClock(target, found.serverTime, now())
        if (found.version >= version) return { version: found.version, token: found.token }
        condition = target.capabilities.replaceIf ? { token: found.token } : undefined
      } else condition = target.capabilities.createIfAbsent && round < mostCreates ? { absent: true } : undefined
    }
    try {
      const put = await target.provider.put(
        {
          key: name,
          source: bytesSource(bytes, digests),
          headers: { contentType: 'application/json' },
          metadata: { [entryName]: writeEntry(name, entry) },
          condition,
          upload: noMemo,
        },
        signal,
      )
      noteClock(target, put.serverTime, now())
      return { version, token: put.token }
    } catch (error) {
      if (!(error instanceof HoldfastError) || error.code !== 'PRECONDITION') throw error
      looked = false
    }
  }
  throw new HoldfastError('UNAVAILABLE', 'the marker of a delete changes faster than it can be written', {
    provider: target.provider.name,
    key,
    reason: 'SERVER',
    outcome: 'unknown',
  })
}
