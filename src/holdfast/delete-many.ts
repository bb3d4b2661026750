import { HoldfastError } from '../core/errors.ts'
import { isLate } from '../core/late.ts'
import type { Clock } from '../core/ports.ts'
import { run, type Run } from '../core/run.ts'
import type { ListEntry } from '../read/types.ts'
import type { DeleteOptions, ListOptions } from './input/calls.ts'
import { checkDeleteMany, type DeleteManyOptions } from './input/delete-many.ts'

/** Deletes that are accepted at the same time: they share commits. */
const most = 64
/** Progress is told at least so often. */
const everyMs = 1_000

/** How far `deleteMany` is. */
export interface DeleteManyProgress {
  /** Keys so far; with `dryRun`, those that would be. */
  readonly deleted: number
  /** The last of them; '' before the first. */
  readonly key: string
}

/** What it takes of a store. */
interface Deleting {
  list(options: ListOptions): AsyncIterable<ListEntry>
  delete(key: string, options: DeleteOptions): Promise<unknown>
}

/** Deletes, one by one and each as durably as `delete`, what the store's own listing has of a prefix. */
export function deleteMany(
  store: Deleting,
  options: DeleteManyOptions,
  clock: Clock,
): Run<DeleteManyProgress, { readonly deleted: number }> {
  return run(() => work(store, options, clock))
}

async function* work(
  store: Deleting,
  options: DeleteManyOptions,
  clock: Clock,
): AsyncGenerator<DeleteManyProgress, { readonly deleted: number }, undefined> {
  const { prefix, dryRun, ack, signal: given } = checkDeleteMany(options)
  given?.throwIfAborted()
  const leaving = new AbortController()
  const signal = given === undefined ? leaving.signal : AbortSignal.any([leaving.signal, given])
  const terms = { signal, ...(ack === undefined ? {} : { ack }) }
  const inFlight = new Set<Promise<void>>()
  let progress: DeleteManyProgress = { deleted: 0, key: '' }
  let failure: { readonly error: unknown } | undefined
  /** Keys that a listing shows and no call takes: written past Holdfast. The others are deleted all the same. */
  let unnamed: HoldfastError | undefined

  async function remove(key: string): Promise<void> {
    try {
      if (!dryRun) await store.delete(key, terms)
      progress = { deleted: progress.deleted + 1, key }
    } catch (error) {
      if (error instanceof HoldfastError && error.code === 'INVALID' && error.field === 'key') unnamed ??= error
      else failure ??= { error }
    }
  }

  async function removeAll(): Promise<void> {
    for await (const entry of store.list({ prefix, signal })) {
      if (entry.type !== 'object') continue
      const removing: Promise<void> = remove(entry.key).finally(() => inFlight.delete(removing))
      inFlight.add(removing)
      if (inFlight.size >= most) await Promise.race(inFlight)
      if (failure !== undefined) break
    }
    await Promise.all(inFlight)
    given?.throwIfAborted()
    if (failure !== undefined) throw failure.error
    if (unnamed !== undefined) throw unnamed
  }

  const all = removeAll()
  // Told below; here only so that nobody calls it unheard while the caller looks at the progress.
  all.catch(() => {})
  try {
    while (await isLate(all, everyMs, clock)) yield progress
    await all
    if (progress.deleted > 0) yield progress
    return { deleted: progress.deleted }
  } finally {
    leaving.abort(new Error('deleteMany was left'))
    await all.catch(() => {})
    await Promise.all(inFlight)
  }
}
