import { digestsOf } from '../core/digest.ts'
import { attendedKey } from '../core/key.ts'
import { readNote } from '../core/note.ts'
import { noMemo, type Provider } from '../core/provider.ts'
import { bytesSource } from '../core/source.ts'
import { maxClockLeadMs } from '../core/version.ts'
import type { Journal } from '../journal/contract.ts'

/** A mark younger than this is as good as a new one: an app that restarts all the time does not write all the time. */
const renewAfterMs = 3_600_000
const longestBytes = 1024

/** What this directory remembers of its visits to a bucket: JSON, the journal's job `attended:<provider>`. */
interface Visits {
  /** When its mark was last found good, or written; ms since 1970, this machine's clock. */
  readonly at?: number
  /** The mark that made the provider stale; ms since 1970, as the mark says. */
  readonly stale?: number
}

export interface VisitDeps {
  readonly journal: Pick<Journal, 'providers' | 'job' | 'saveJob' | 'stale' | 'trusted'>
  readonly provider: Provider
  /** Its id in the journal. */
  readonly id: number
  /** A mark older than this makes the provider stale, ms. */
  readonly maxAgeMs: number
  readonly now: () => number
}

export interface Visit {
  /** It was away, as is known now or was before. Its mark is left alone. */
  readonly isStale: boolean
  /** `isStale` was not known before: since when nobody was there, by the provider's clock, ms since 1970. */
  readonly awaySince: number | undefined
  /** Writes the mark anew. Only where the provider is not stale. */
  renew(): Promise<void>
}

/**
 * Looks how long nobody replicated to this bucket, by the bucket's own mark and clock. One whose mark is too old becomes stale in the journal, and
 * its mark stays as it is until somebody says `trusted`: here, or in another directory, whose new mark is believed. A bucket without a mark
 * is trusted: a version wrote it that knew of no marks.
 */
export async function visit({ journal, provider, id, maxAgeMs, now }: VisitDeps, signal: AbortSignal): Promise<Visit> {
  const mark = await readMark(provider, signal)
  const wasStale = journal.providers().find(row => row.id === id)?.isStale === true
  const remembered = visitsOf(journal, id)
  const time = mark?.serverTime ?? now()
  const isJudged = mark !== undefined && mark.at === remembered.stale
  // Another directory trusts it again: only then there is another mark than the one that made it stale.
  const isTrustedElsewhere = remembered.stale !== undefined && !isJudged && mark !== undefined
  const isOld = mark !== undefined && !isRecent(mark, time, maxAgeMs)
  const isStale = wasStale ? !isTrustedElsewhere || isOld : isOld && !isJudged
  const remember = (visits: Visits) => journal.saveJob(jobOf(id), JSON.stringify(visits))
  if (isStale) {
    if (mark !== undefined && isOld && !isJudged) await remember({ ...remembered, stale: mark.at })
    if (!wasStale) await journal.stale(id)
    return { isStale, awaySince: wasStale ? undefined : mark?.at, renew: async () => {} }
  }
  if (wasStale) await journal.trusted(id)
  // One that is trusted although its mark is old is so until the mark is another: looking at it makes it no older.
  const seenAt = mark === undefined || isJudged ? now() : now() - (time - mark.at)
  const seen = { at: Math.floor(seenAt), ...(isJudged ? { stale: mark.at } : {}) }
  if (Math.abs(seenAt - (remembered.at ?? 0)) >= renewAfterMs) await remember(seen)
  const isFresh = mark !== undefined && Math.abs(time - mark.at) < renewAfterMs
  return {
    isStale,
    awaySince: undefined,
    async renew() {
      if (!isFresh) await writeMark(provider, mark === undefined ? undefined : time, now, signal)
      await remember({ at: Math.floor(now()) })
    },
  }
}

/**
 * When this directory last found the provider attended, ms since 1970 by this machine's clock; `undefined` where it never did. Before anybody
 * replicates again, a visit long ago is all that tells that the provider may have been away.
 */
export function lastVisit(journal: Pick<Journal, 'job'>, id: number): number | undefined {
  return visitsOf(journal, id).at
}

function jobOf(id: number): string {
  return `attended:${id}`
}

function visitsOf(journal: Pick<Journal, 'job'>, id: number): Visits {
  const text = journal.job(jobOf(id))
  return text === undefined ? {} : (JSON.parse(text) as Visits)
}

interface Mark {
  /** By the provider's clock, ms since 1970. */
  readonly at: number
  readonly serverTime: number | undefined
}

/** A mark from the future says nothing: some clock was wrong when it was written. */
function isRecent({ at }: Mark, now: number, maxAgeMs: number): boolean {
  return now - at <= maxAgeMs && at - now <= maxClockLeadMs
}

async function readMark(provider: Provider, signal: AbortSignal): Promise<Mark | undefined> {
  const note = await readNote(provider, attendedKey, longestBytes, signal)
  if (note === undefined) return undefined
  const { modifiedAt, serverTime } = note.object
  const { format, at } = (note.value ?? {}) as { readonly format?: unknown; readonly at?: unknown }
  const isOurs = format === 1 && typeof at === 'number' && Number.isSafeInteger(at)
  // Of a form that only a later version knows: whoever wrote it was there then.
  return { at: isOurs ? at : modifiedAt.getTime(), serverTime }
}

/** Without `at`: nobody asked the provider for its time yet. Then ours is corrected by what it answers. */
async function writeMark(
  provider: Provider,
  at: number | undefined,
  now: () => number,
  signal: AbortSignal,
): Promise<void> {
  const bytes = Buffer.from(JSON.stringify({ format: 1, at: Math.floor(at ?? now()) }), 'utf8')
  const { serverTime } = await provider.put(
    {
      key: attendedKey,
      source: bytesSource(bytes, digestsOf(bytes)),
      headers: { contentType: 'application/json' },
      metadata: {},
      condition: undefined,
      upload: noMemo,
    },
    signal,
  )
  if (at === undefined && serverTime !== undefined && Math.abs(serverTime - now()) > maxClockLeadMs)
    await writeMark(provider, serverTime, now, signal)
}
