import { unlessAborted } from '../core/abort.ts'
import type { Body } from '../core/body.ts'
import { HoldfastError } from '../core/errors.ts'
import type { Random } from '../core/ports.ts'
import type { Run } from '../core/run.ts'
import type { ListEntry, ObjectInfo, Reader, StoredObject } from '../read/types.ts'
import type { CheckResult } from '../replicate/check.ts'
import { acceptBucket, type AcceptedBucket } from './accept-bucket.ts'
import { adopt } from './adopt.ts'
import { type Blocked, blockedCalls, type Settled } from './blocked.ts'
import { copy } from './copy.ts'
import { deleteMany, type DeleteManyProgress } from './delete-many.ts'
import { eventNames, type Events, type HoldfastEvents } from './events.ts'
import {
  type AdoptOptions,
  checkCall,
  checkClose,
  checkGet,
  checkList,
  checkListener,
  checkUntil,
  type CloseOptions,
  type DeleteOptions,
  type GetOptions,
  type ListOptions,
  type SignOptions,
  type UntilOptions,
} from './input/calls.ts'
import type { InspectOptions } from './input/inspect.ts'
import type { DeleteManyOptions } from './input/delete-many.ts'
import { checkKey } from './input/key.ts'
import type { CallOptions, PutOptions } from './input/put.ts'
import type { ReconcileOptions } from './input/reconcile.ts'
import type { BackfillOptions, EstimateOptions, EvacuateOptions } from './input/fill.ts'
import { backfillRun, estimated, evacuateRun, type FillingDeps } from './fill.ts'
import type { FillEstimate } from '../reconcile/fill-estimate.ts'
import type { FillProgress, FillResult } from '../reconcile/fill-types.ts'
import { type Inspection, inspect } from './inspect.ts'
import type { AcceptBucketOptions, RetireOptions } from './input/settle.ts'
import { blockedError, type PutReceipt, type Receipt } from './receipt.ts'
import { type ReconcileRun, reconcileRun } from './reconcile.ts'
import { type SignedUrl, sign } from './sign.ts'
import type { Uploads } from './uploads.ts'
import { abortUpload, createUpload, listUploads, openUpload, putPart } from './uploads/calls.ts'
import { complete } from './uploads/complete.ts'
import { blockedLook, remaining, type Status, type StatusDeps, statusOf } from './status.ts'
import { put, remove, type WriteDeps } from './writes.ts'

/** An open store. Every method rejects with CLOSED after `close`. */
export interface Holdfast extends AsyncDisposable {
  /**
   * Resolves when the body survives a kill of the process and a power cut, and is on its way to every provider; with `ack`, when providers have
   * it. The body is read once; memory is read until the promise settles. Rejects with INVALID (an input), CHECKSUM (the body is not what
   * was announced), NO_SPACE (before the body is read), PRECONDITION, ACK_TIMEOUT (accepted all the same), UNAVAILABLE (only with `if`),
   * CORRUPT (the disk failed). `outcome` says what became of the write.
   */
  put(key: string, body: Body, options?: PutOptions): Promise<PutReceipt>
  /** The newest version, from whoever can give it; `undefined` where the key is absent. UNAVAILABLE where nobody can tell. */
  get(key: string, options?: GetOptions): Promise<StoredObject | undefined>
  /** As `get`, without the body: the same answers and errors. */
  head(key: string, options?: CallOptions): Promise<ObjectInfo | undefined>
  /**
   * Resolves when the delete is safe on local disk and on its way to every provider. Deleting what is absent is no error. Rejects as `put`
   * does, without CHECKSUM; with a full stage too it is taken.
   */
  delete(key: string, options?: DeleteOptions): Promise<Receipt>
  /**
   * Deletes all keys that begin so, one by one, each as `delete` does. What is put meanwhile may or may not be among them. Iterated, it tells
   * how far it is, at least once a second. Rejects as `list` and `delete` do, at the first failure, when what was begun has ended: what was deleted until
   * then is. INVALID, field `key`, at the end where a key cannot be named: the others are deleted then.
   */
  deleteMany(options: DeleteManyOptions): Run<DeleteManyProgress, { readonly deleted: number }>
  /**
   * A new write of the same bytes and attributes; `options` replace what they name. Rejects as `get` and `put` do; INVALID, field `from`,
   * rule `absent`, where there is nothing to copy.
   */
  copy(from: string, to: string, options?: PutOptions): Promise<PutReceipt>
  /**
   * Keys in UTF-8 byte order, with what this directory has not replicated yet laid over a provider's listing; a page is read when it is asked
   * for. Throws UNAVAILABLE where no provider lists (see `whenUnreachable`), at the entry where it happens. Leaving the loop ends the requests.
   */
  list(options?: ListOptions): AsyncIterable<ListEntry>
  /**
   * A URL that lets its bearer read, or upload, one object for a time, without passing here. INVALID, UNAVAILABLE where no provider can
   * give it now, UNSUPPORTED where none can sign.
   */
  signedUrl(key: string, options: SignOptions): Promise<SignedUrl>
  /**
   * Takes in an object that was uploaded to a provider directly: stages it, gives it a version, mirrors it. Rejects as `get` and `put` do;
   * INVALID, field `key`, rule `absent`, where no provider has it.
   */
  adopt(key: string, options?: AdoptOptions): Promise<PutReceipt>
  /** Objects that arrive in parts: begin, add, complete. */
  readonly uploads: Uploads
  /** Resolves when every write, and every repair, is on every provider, or was looked at twice. BLOCKED when only blocked ones remain. */
  drain(options?: UntilOptions): Promise<void>
  /** What waits for a person: seen, sent again, or given up. */
  readonly blocked: Blocked
  /**
   * For a provider that left the options for good: gives up all that it is still owed, and forgets it. `kept` counts writes that no other provider has
   * or could get: they stay, and the provider with them. `blocked.list` shows them; `copy` each onto itself, or delete it again, and it goes to the
   * providers that are there now. INVALID, field
   * `provider`, rule `configured` where it is among the options, `unknown` where none of the name left; `why`. Of several processes all should be
   * without it before: one that still writes to it brings it back.
   */
  retire(provider: string, options: RetireOptions): Promise<Settled>
  /**
   * For a provider that is blocked as IDENTITY, when a person knows why: its bucket was emptied, made anew, or is to be another one. Forgets what
   * was remembered of the old one; whoever replicates goes on at once, with all that is not finished. What was finished is only at the others then: the
   * provider is unfilled, so `backfill({ to })` is next. Until that is through, conditional writes to a primary go by what is in the new bucket. Nothing
   * is deleted anywhere. Each directory that knew the old bucket has to be told.
   *
   * INVALID, field `provider`, rule `same` where it is the bucket that it was, or none was known yet, `unknown` where none of the options is called so;
   * `why`. Else the provider's error, where it cannot be asked: nothing is changed then.
   */
  acceptBucket(provider: string, options: AcceptBucketOptions): Promise<AcceptedBucket>
  /**
   * Asks each provider for everything that Holdfast needs, and says what is wrong and what to do. For deploy time. Writes and deletes under
   * `.holdfast/`. What a provider answers is a finding, never a rejection.
   */
  check(options?: CallOptions): Promise<readonly CheckResult[]>
  /**
   * What is known of one key, for a person who wonders: the journal's view, and what each provider has, marker included. Changes nothing. INVALID
   * for a bad key; what a provider fails with is in the answer. Costs two requests a provider; with `deep` also the transfer of the object.
   */
  inspect(key: string, options?: InspectOptions): Promise<Inspection>
  /**
   * Compares what the providers have: iterate it for the differences, or await it for the counters at its end. Nothing is written, unless `repair` is
   * asked for: then what makes them equal is queued, and sent like any other write (see `drain`). Where the listings agree no object is asked for.
   *
   * Rejects with INVALID (an option), BLOCKED with field `guard` (a repair that looks like a mass change; `rule` says which: `identity`, `empty`,
   * `short`, `many`, `listing`), or a provider's error where it cannot be listed. Wherever it ends, `resume: true` goes on there. A complete repair that
   * leaves nothing open says of providers that were unfilled, or away for too long, that they are not any more.
   */
  reconcile(options?: ReconcileOptions): ReconcileRun
  /**
   * Brings everything to one provider that the others have and it has not, objects that Holdfast never saw too: these are only read. Iterate it for
   * the progress, once a second, or await it for the result: when everything is on that provider, or blocked. Goes on where the last run was that
   * did not come to its end, in whatever process. The app may put and read meanwhile; each process of the directory is to know the provider already.
   *
   * Rejects with INVALID (an option), BLOCKED (field `guard`: a bucket is not the one that it was, or its listing leaves out what is there; else
   * nothing goes to the provider), or a provider's error where it did not answer for a quarter of an hour.
   */
  backfill(options: BackfillOptions): Run<FillProgress, FillResult>
  /** As `backfill`, to leave `from`: it is asked last, and gone on without where it does not answer, or left the options already. */
  evacuate(options: EvacuateOptions): Run<FillProgress, FillResult>
  /** Lists the providers once, and says what `backfill` (with `from`: `evacuate`) would take: objects, bytes, requests, time, money. Writes nothing. */
  estimate(options: EstimateOptions): Promise<FillEstimate>
  /** Counts of everything that was accepted, and the state of each provider, as this directory knows it now. Asks no provider. */
  status(): Promise<Status>
  /** Calls back, after the fact; answers the function that stops it. TypeError or INVALID for what is no event or no function. */
  on<E extends keyof HoldfastEvents>(event: E, listener: (payload: HoldfastEvents[E]) => void): () => void
  /**
   * Accepts nothing more, waits up to `drainMs` (default 0) for what is on its way, closes. What is left goes on at the next open. Only an
   * optimisation: a process that just ends loses nothing. Again: the same promise.
   */
  close(options?: CloseOptions): Promise<void>
}

export interface HoldfastDeps {
  readonly writes: WriteDeps
  readonly reader: Reader
  readonly status: StatusDeps
  readonly events: Events
  readonly check: (signal: AbortSignal) => Promise<readonly CheckResult[]>
  readonly compare: FillingDeps
  readonly closing: AbortController
  readonly random: Random
  /** Stops everything and closes the journal. */
  readonly shutDown: () => Promise<void>
}

export function holdfast(deps: HoldfastDeps): Holdfast {
  const { writes, reader, events, closing } = deps
  const inFlight = new Set<Promise<unknown>>()
  let leave: (() => void) | undefined
  let closed: Promise<void> | undefined

  const demandOpen = () => {
    if (closed !== undefined) throw closedError()
  }
  let isPoisonTold = false
  const tellPoison = (error: unknown) => {
    if (isPoisonTold || !(error instanceof HoldfastError) || error.rule !== 'poisoned') return
    isPoisonTold = true
    events.emit('poisoned', { message: error.message })
  }
  /** What was begun before `close` may end, as far as `drainMs` allows. */
  const begin = <T>(call: () => Promise<T>): Promise<T> => {
    const running = started(call)
    inFlight.add(running)
    // Between two tries it may wait for nothing but time, which keeps no process alive: who awaits it would never hear of it.
    leave ??= writes.clock.stayAlive?.()
    const forget = () => {
      inFlight.delete(running)
      if (inFlight.size > 0) return
      leave?.()
      leave = undefined
    }
    running.then(forget, error => {
      forget()
      tellPoison(error)
    })
    return running
  }
  /** A failure is always one of the promise. */
  const started = <T>(call: () => Promise<T>): Promise<T> => {
    try {
      demandOpen()
      return call()
    } catch (error) {
      return Promise.reject(error)
    }
  }
  const underClose = (signal: AbortSignal | undefined) =>
    signal === undefined ? closing.signal : AbortSignal.any([closing.signal, signal])
  /** Ends at once when the store closes; what is answered after that is let go of. */
  const unlessClosing = <T>(asked: Promise<T>, drop: (late: T) => void): Promise<T> =>
    unlessAborted(asked, closing.signal, () => void asked.then(drop, () => {}))
  const providers = writes.providers.map(({ provider }) => provider)

  async function drain(until: 'stored' | 'verified', signal: AbortSignal | undefined): Promise<void> {
    await writes.waiting.until(() => {
      const { moving, held, blocked, reasons } = remaining(deps.status)
      if (moving > 0) return undefined
      if (until === 'verified' && held > 0) {
        const look = blockedLook(deps.status)
        if (look === undefined) return undefined
        throw blockedError({ ...look, message: `${look.message} (second looks that wait for it: ${look.writes})` }, {})
      }
      const [reason] = reasons
      if (blocked === 0 || reason === undefined) return true
      const message = `somebody has to settle it (writes that wait for that: ${blocked})`
      throw blockedError({ provider: reason.provider, reason: reason.reason, message }, {})
    }, signal)
  }

  /** What is left may wait for nothing but time, which keeps no process alive: whoever awaits it would never hear of it. */
  async function awake(work: () => Promise<void>): Promise<void> {
    const leave = writes.clock.stayAlive?.()
    try {
      await work()
    } finally {
      leave?.()
    }
  }

  async function shutDown(drainMs: number): Promise<void> {
    if (drainMs > 0) {
      const stop = new AbortController()
      const late = writes.clock.sleep(drainMs, stop.signal).catch(() => {})
      const done = Promise.allSettled(inFlight).then(() => drain('stored', stop.signal))
      // Blocked writes and whatever else keeps it from draining goes on at the next open.
      await Promise.race([late, done.catch(() => {})])
      stop.abort()
    }
    closing.abort(closedError())
    await Promise.allSettled(inFlight)
    await deps.shutDown()
  }

  const { retire, ...blocked } = blockedCalls({ ...writes, events }, begin, closing.signal, demandOpen)

  const close = (options?: CloseOptions): Promise<void> => {
    const { drainMs } = checkClose(options)
    closed ??= awake(() => shutDown(drainMs))
    return closed
  }

  const store: Holdfast = {
    put: (key, body, options) => begin(() => put(writes, key, body, options)),
    get: (key, options) =>
      begin(async () => {
        const checked = checkKey(key, providers)
        const { range, signal } = checkGet(options)
        return unlessClosing(reader.get(checked, range, signal), late => void late?.body.cancel().catch(() => {}))
      }),
    head: (key, options) =>
      begin(async () => {
        const checked = checkKey(key, providers)
        return unlessClosing(reader.head(checked, checkCall(options, 'head').signal), () => {})
      }),
    delete: (key, options) => begin(() => remove(writes, key, options)),
    deleteMany: options => deleteMany(store, options, writes.clock),
    copy: (from, to, options) => begin(() => copy(writes, reader, from, to, options)),
    async *list(options) {
      demandOpen()
      const { signal, ...request } = checkList(options)
      yield* reader.list(request, underClose(signal))
    },
    signedUrl: (key, options) => begin(() => sign(writes, key, options, closing.signal)),
    uploads: {
      create: (key, options) => begin(() => createUpload({ ...writes, random: deps.random }, key, options)),
      putPart: (id, number, body, options) => begin(() => putPart(writes, id, number, body, options)),
      get: (id, options) => begin(() => openUpload(writes, id, options)),
      list: options => begin(() => listUploads(writes, options)),
      complete: (id, parts, options) => begin(() => complete(writes, id, parts, options)),
      abort: (id, options) => begin(() => abortUpload(writes, id, options)),
    },
    adopt: (key, options) => begin(() => adopt(writes, key, options, closing.signal)),
    drain: options =>
      begin(() => {
        const { until, signal } = checkUntil(options, 'drain')
        return drain(until, signal)
      }),
    blocked,
    retire,
    acceptBucket: (provider, options) =>
      begin(() => acceptBucket({ ...writes, events }, provider, options, closing.signal)),
    check: options => begin(() => deps.check(underClose(checkCall(options, 'check').signal))),
    inspect: (key, options) => begin(() => inspect(writes, key, options, closing.signal)),
    reconcile: options => reconcileRun(deps.compare, begin, options),
    backfill: options => backfillRun(deps.compare, begin, options),
    evacuate: options => evacuateRun(deps.compare, begin, options),
    estimate: options => begin(() => estimated(deps.compare, options)),
    status: () => begin(() => statusOf(deps.status)),
    on(event, listener) {
      return events.on(checkListener(event, listener, eventNames) as typeof event, listener)
    },
    close: async options => close(options),
    [Symbol.asyncDispose]: () => close(),
  }
  return store
}

function closedError(): HoldfastError {
  return new HoldfastError('CLOSED', 'the store is closed', { outcome: 'rejected', retryable: false })
}
