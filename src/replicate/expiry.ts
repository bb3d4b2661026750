import { recognise } from '../core/entry.ts'
import { markerPrefixes } from '../core/key.ts'
import { keyOfMarker, markerAt } from '../core/marker.ts'
import type { Journal } from '../journal/contract.ts'
import { clear } from './clear.ts'
import { isAhead, isPrecondition, type Target } from './target.ts'

/** Markers that one step looks at: a page of a listing. */
const batch = 1000
const everyMs = 86_400_000

export interface ExpiryDeps {
  readonly journal: Pick<Journal, 'isOpen' | 'job' | 'saveJob'>
  /** How long a marker lives after the provider was told of the delete, ms. */
  readonly tombstoneMs: number
  readonly now: () => number
}

/** Where the pass through the markers of a provider is: JSON, the journal's job `expiry:<provider>`. */
type Position =
  | { readonly prefix: 0 | 1; readonly after: string }
  /** The last one is over; ms since 1970, this machine's clock. */
  | { readonly doneAt: number }

/** Whether a pass is under way, or the last one was more than a day ago. */
export function isExpiryDue({ journal, now }: Pick<ExpiryDeps, 'journal' | 'now'>, id: number): boolean {
  const position = positionOf(journal, id)
  return !('doneAt' in position) || Math.abs(now() - position.doneAt) >= everyMs
}

/**
 * One step through the markers of deletes at a provider, from where the last one ended: removes those that the provider was given longer ago than
 * they live. Answers whether the pass has more steps.
 *
 * A marker goes only where the key is absent, or newer: what arrived after the last look at a delete is taken away first, and the marker stays
 * for a pass more. One of a key that this directory has open work for stays too. It must be time by our clock and by the provider's; where
 * the provider does not tell the time, markers stay.
 */
export async function expire(deps: ExpiryDeps, target: Target, signal: AbortSignal): Promise<boolean> {
  const { journal, now } = deps
  const { id, provider, skew } = target
  if (skew.offsetMs === undefined) return false
  const modifiedBefore = now() + Math.min(0, skew.offsetMs) - deps.tombstoneMs
  const saved = positionOf(journal, id)
  const { prefix, after } = 'doneAt' in saved ? beginning : saved
  let seen = 0
  let last = after
  const request = { prefix: markerPrefixes[prefix], delimiter: '', startAfter: after }
  for await (const entry of provider.list(request, signal)) {
    if (entry.type !== 'object') continue
    last = entry.key
    if (entry.modifiedAt.getTime() < modifiedBefore) await remove(deps, target, entry.key, modifiedBefore, signal)
    if (++seen === batch) break
  }
  const isOver = seen < batch && prefix === 1
  const rest: Position = seen === batch ? { prefix, after: last } : { prefix: 1, after: '' }
  await journal.saveJob(jobOf(id), JSON.stringify(isOver ? { doneAt: Math.floor(now()) } : rest))
  return !isOver
}

const beginning = { prefix: 0, after: '' } as const

function jobOf(id: number): string {
  return `expiry:${id}`
}

function positionOf(journal: Pick<Journal, 'job'>, id: number): Position {
  const text = journal.job(jobOf(id))
  return text === undefined ? beginning : (JSON.parse(text) as Position)
}

async function remove(
  { journal, now }: ExpiryDeps,
  target: Target,
  name: string,
  modifiedBefore: number,
  signal: AbortSignal,
): Promise<void> {
  const { provider, capabilities } = target
  const key = await keyOfMarker(provider, name, signal)
  if (key === undefined || journal.isOpen(key)) return
  const marker = await markerAt(provider, key, signal)
  // Written anew since it was listed; or by a clock so wrong that nobody can say what it deletes.
  if (marker === undefined || marker.modifiedAt.getTime() >= modifiedBefore) return
  if (isAhead(marker.version, target, now())) return
  const found = await provider.head(key, signal)
  if (found !== undefined && recognise(found).version <= marker.version) {
    await clear(target, key, marker.version, now, signal)
    return
  }
  // Where there is no conditional delete: a newer marker that comes in this moment goes too, and its writer's second look finds that.
  const again = capabilities.deleteIf ? marker : await markerAt(provider, key, signal)
  if (again?.token !== marker.token) return
  try {
    await provider.delete(name, capabilities.deleteIf ? marker.token : undefined, signal)
  } catch (error) {
    if (!isPrecondition(error)) throw error
  }
}
