import type { Attributes } from '../core/attributes.ts'
import { readBody } from '../core/body.ts'
import { HoldfastError } from '../core/errors.ts'
import type { ProviderFeatures } from '../core/features.ts'
import type { Layout } from '../core/layout.ts'
import type { Clock } from '../core/ports.ts'
import type { Provider } from '../core/provider.ts'
import { stampTime } from '../core/version.ts'
import {
  type Accepted,
  type Condition,
  type Journal,
  type NewWrite,
  type Refusal,
  refusedKeptMs,
} from '../journal/contract.ts'
import { commitDraft, type Draft } from '../stage/drafts.ts'
import { longestPageBytes } from '../stage/pages.ts'
import type { Stage } from '../stage/stage.ts'
import type { Doubt } from './doubt.ts'
import { checkDelete } from './input/calls.ts'
import { checkKey } from './input/key.ts'
import { objectLimit } from './input/providers.ts'
import { type AckLevel, checkPut, wholeAttributes } from './input/put.ts'
import { acknowledge, type PutReceipt, type Receipt, type ReceiptDeps, receiptOf } from './receipt.ts'
import { providersOf } from './standing.ts'

export interface WriteDeps extends ReceiptDeps {
  readonly journal: Journal
  readonly stage: Stage
  readonly clock: Clock
  /** In the order of the options; the first is the primary. */
  readonly providers: readonly { readonly id: number; readonly provider: Provider }[]
  /** The level of a call: its own or the store's, and no less than the disk allows. */
  readonly ackFor: (own: AckLevel | undefined) => AckLevel
  readonly maxStageBytes: number
  /** Which providers were away for long: see `Doubt`. */
  readonly doubt: Pick<Doubt, 'until'>
  /** The store closes: a body that is still arriving is let go of. */
  readonly closing: AbortSignal
}

/**
 * The way of a put: check everything, stage the body, commit, resolve. Nothing here waits for a provider unless the caller asked for it
 * by `ack` or `if`.
 */
export async function put(deps: WriteDeps, key: unknown, body: unknown, options: unknown): Promise<PutReceipt> {
  const providers = deps.providers.map(({ provider }) => provider)
  const { attributes, features, checksum, inOnePiece, expected, ...terms } = checkPut(options, providers)
  const { signal } = terms
  // Taken in hand before anything can be refused: a stream that fails while nobody looks would end the process. Nothing is read yet.
  const incoming = readBody(body, {
    limit: objectLimit(providers),
    ...(expected.size === undefined ? {} : { expectedSize: expected.size }),
    ...(signal === undefined ? {} : { signal }),
  })
  const checkedKey = checkKey(key, providers)
  signal?.throwIfAborted()
  const draft = await deps.stage.receive(incoming.whole(longestPageBytes) ?? incoming.chunks, {
    expected: { ...expected, size: incoming.knownSize },
    checksum,
    signal: underClose(deps, signal),
  })
  const kept = { attributes: wholeAttributes(attributes), features, layout: inOnePiece ? onePiece(draft) : undefined }
  return promise(deps, checkedKey, draft, kept, terms)
}

/** What came in one request: its ETag is the MD5, at every provider that says so in its listings too. */
export function onePiece({ size, digests }: Draft): Layout {
  return { etag: digests.md5, parts: [{ count: 1, bytes: size }] }
}

/** The signal of a caller while the body arrives. */
export function underClose({ closing }: WriteDeps, signal: AbortSignal | undefined): AbortSignal {
  return signal === undefined ? closing : AbortSignal.any([closing, signal])
}

export interface Terms {
  readonly condition: Condition | undefined
  readonly ack: AckLevel | undefined
  readonly signal: AbortSignal | undefined
}

/** What goes with a body: attributes without a checksum that was computed on the way, which the draft knows. */
export interface Kept {
  readonly attributes: Attributes
  readonly features: ProviderFeatures | undefined
  readonly layout: Layout | undefined
}

/** From a body on local disk to a receipt. */
export async function promise(
  deps: WriteDeps,
  key: string,
  draft: Draft,
  kept: Kept,
  terms: Terms,
): Promise<PutReceipt> {
  await using staged = draft
  deps.closing.throwIfAborted()
  terms.signal?.throwIfAborted()
  const { crc32c, md5, checksum = kept.attributes.checksum } = staged.digests
  const size = staged.size
  const { features, layout } = kept
  const attributes = checksum === undefined ? kept.attributes : { ...kept.attributes, checksum }
  const content: Omit<Content, 'body'> = {
    key,
    kind: 'put',
    size,
    crc32c,
    md5,
    attributes,
    ...(features === undefined ? {} : { features }),
    ...(layout === undefined ? {} : { layout }),
  }
  const accepted = await commitDraft(staged, body => accept(deps, { ...content, body }, terms.condition))
  const promised = { ...accepted, key }
  await settled(deps, promised, terms)
  const receipt = { ...receiptOf(deps, promised), size, crc32c, md5, etag: layout?.etag ?? md5 }
  return checksum === undefined ? receipt : { ...receipt, checksum }
}

/** Resolves when an accepted write is decided, where it has a condition, and acknowledged. */
export async function settled(
  deps: WriteDeps,
  promised: Accepted & { readonly key: string },
  { condition, ack, signal }: Terms,
): Promise<void> {
  if (condition !== undefined) await decided(deps, promised, signal)
  await acknowledge(deps, promised, deps.ackFor(ack), signal)
}

/** A delete is a write without a body: accepted the same way, and on its way the same way. */
export async function remove(deps: WriteDeps, key: unknown, options: unknown): Promise<Receipt> {
  const checkedKey = checkKey(
    key,
    deps.providers.map(({ provider }) => provider),
  )
  const { condition, ack, signal } = checkDelete(options)
  signal?.throwIfAborted()
  const nothing: Attributes = wholeAttributes({})
  const accepted = await accept(
    deps,
    { key: checkedKey, kind: 'delete', size: 0, crc32c: '', md5: '', attributes: nothing, body: { in: 'none' } },
    condition,
  )
  const promised = { ...accepted, key: checkedKey }
  await settled(deps, promised, { condition, ack, signal })
  return receiptOf(deps, promised)
}

type Content = Pick<
  NewWrite,
  'key' | 'kind' | 'size' | 'crc32c' | 'md5' | 'attributes' | 'body' | 'layout' | 'features'
>

function accept(deps: WriteDeps, content: Content, condition: Condition | undefined): Promise<Accepted> {
  return deps.journal.accept(newWrite(deps, content, condition))
}

/** A write of the app, stamped now, for every provider. */
export function newWrite(deps: WriteDeps, content: Content, condition: Condition | undefined): NewWrite {
  const offsets = deps.journal.providers().flatMap(({ health }) => health?.clockOffsetMs ?? [])
  return {
    ...content,
    origin: 'app',
    version: undefined,
    stampMs: stampTime(deps.clock, offsets),
    condition,
    providers: deps.providers.map(({ id }) => id),
    maxStageBytes: deps.maxStageBytes,
  }
}

/** A conditional write is decided at the primary: resolves when it won there, else rejects with PRECONDITION or UNAVAILABLE. */
async function decided(
  deps: WriteDeps,
  promised: Accepted & { readonly key: string },
  signal: AbortSignal | undefined,
): Promise<void> {
  const { journal, clock, waiting } = deps
  const { seq, version, key, acceptedAt } = promised
  const stop = new AbortController()
  const timer = clock.sleep(deps.ackTimeoutMs, stop.signal).then(
    () => stop.abort(),
    () => {},
  )
  const primary = deps.providers[0]?.id as number
  let ended: HoldfastError | undefined
  const isOut = () => {
    const health = providersOf(journal, deps.configured).get(primary)?.row.health
    return health?.state === 'down' || health?.state === 'blocked' ? health : undefined
  }
  /** Of one that is there no more: it was released, or it was refused so long ago that nobody knows it any more. This process may have stood still. */
  const wasKept = () => clock.now() - acceptedAt < refusedKeptMs || journal.view(key).newest === version
  let answer: Refusal | 'kept' | 'out' | 'forgotten' | undefined
  try {
    answer = await waiting.until(
      () => {
        const row = journal.write(seq)
        if (row === undefined) return wasKept() ? 'kept' : 'forgotten'
        if (row.state === 'refused') return row.refusal
        if (row.state !== 'tentative') return 'kept'
        const begun = row.replicas.some(({ state, attempt }) => state !== 'waiting' || attempt > 0)
        return isOut() !== undefined && !begun ? 'out' : undefined
      },
      signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal]),
    )
  } catch (error) {
    const isOver = stop.signal.aborted || signal?.aborted === true
    if (!isOver && !(error instanceof HoldfastError)) throw error
    if (!isOver) ended = error as HoldfastError
  } finally {
    stop.abort()
    await timer
  }
  if (answer === 'kept') return
  if (answer === 'forgotten')
    throw new HoldfastError(
      'UNAVAILABLE',
      'a write with `if` was decided so long ago that it is not known any more how: this process stood still meanwhile',
      { key, version, outcome: 'unknown' },
    )
  if (answer !== 'out' && answer !== undefined) throw refusedError(answer, promised)
  // Nobody decided in time. Where nothing was sent yet it can still be taken back, and surely did not happen.
  const withdrawn = await journal.withdraw(seq).catch(() => false)
  if (!withdrawn && unlessFailed(() => journal.write(seq)?.state) === 'open') return
  if (withdrawn) signal?.throwIfAborted()
  const outcome = withdrawn ? 'rejected' : 'unknown'
  if (ended !== undefined)
    throw new HoldfastError(ended.code, ended.message, {
      key,
      version,
      outcome,
      retryable: false,
      cause: ended,
      ...(ended.rule === undefined ? {} : { rule: ended.rule }),
    })
  const why = unlessFailed(isOut)?.message
  throw new HoldfastError(
    'UNAVAILABLE',
    `a write with \`if\` is decided at the primary, which did not answer${why === undefined ? ' in time' : `: ${why}`}`,
    { key, version, outcome },
  )
}

/** A look at the journal that fails says that nothing was changed by it: of a write that was accepted before, that would not be true. */
function unlessFailed<T>(look: () => T): T | undefined {
  try {
    return look()
  } catch {
    return undefined
  }
}

function refusedError(
  { code, message, outcome }: Refusal,
  { key, version }: Accepted & { readonly key: string },
): HoldfastError {
  return new HoldfastError(code, message, {
    key,
    ...(outcome === 'unknown' ? { version } : {}),
    field: 'if',
    rule: 'condition',
    outcome,
    ...(code === 'PRECONDITION' ? { reason: 'CONDITION' as const } : {}),
  })
}
