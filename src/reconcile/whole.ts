import type { Clock } from '../core/ports.ts'
import type { Journal } from '../journal/contract.ts'
import { bit } from '../journal/masks.ts'
import type { Side } from './types.ts'

/** How often it is looked whether repairs arrived, ms. */
const everyMs = 200

/**
 * After a complete repair: as soon as everything that was queued for a provider is stored there, it has all that the others have, and may be believed. Nothing is said
 * of one where something is blocked. Waits only for providers of which there is something to say.
 */
export async function settleSides(
  {
    journal,
    clock,
  }: { readonly journal: Pick<Journal, 'providers' | 'counts' | 'filled' | 'trusted'>; readonly clock: Clock },
  sides: readonly Side[],
  signal: AbortSignal,
): Promise<void> {
  const mine = new Set(sides.map(({ id }) => id))
  for (const { id, isFilled, isStale } of journal.providers()) {
    if (!mine.has(id) || (isFilled && !isStale)) continue
    if (!(await arrived(journal, clock, id, signal))) continue
    if (!isFilled) await journal.filled(id)
    if (isStale) await journal.trusted(id)
  }
}

/** False: something is blocked, and waits for a person. */
async function arrived(
  journal: Pick<Journal, 'providers' | 'counts'>,
  clock: Clock,
  id: number,
  signal: AbortSignal,
): Promise<boolean> {
  while (true) {
    const open = journal.counts().groups.filter(({ state }) => state === 'open')
    // Of the app's too: a delete that is blocked there is known to nobody else once its markers ended.
    if (open.some(({ blocked }) => (blocked & bit(id)) !== 0)) return false
    const repairs = open.filter(({ origin }) => origin === 'repair')
    if (!repairs.some(({ waiting }) => (waiting & bit(id)) !== 0)) return true
    if (journal.providers().find(row => row.id === id)?.health?.state === 'blocked') return false
    await clock.sleep(everyMs, signal)
  }
}
