import { HoldfastError } from '../core/errors.ts'
import type { ByteRange } from '../core/provider.ts'
import { recognise } from '../core/entry.ts'
import { withLimits } from '../core/guard.ts'
import { cutRange } from '../core/range.ts'
import type { CachedBody, KeyView, WriteRow } from '../journal/contract.ts'
import { bodyOf, collect } from './body.ts'
import { bodyInMemory } from './body-in-memory.ts'
import { asError } from './enter.ts'
import { infoOfLocal, infoOfRemote } from './info.ts'
import { type Pin, pinOfLocal, pinOfRemote } from './pin.ts'
import { pastTheEnd } from './range.ts'
import { type Answer, type Question, search, type SearchDeps } from './search.ts'
import { localStretch, openRemote, type Stretch } from './stretch.ts'
import type { LocalBody, ObjectInfo, ReadDeps, ReadProvider, StoredObject } from './types.ts'
import { type Whole, wholeIfSmall, wholeLocal } from './whole.ts'

/** A body that is about to be read, or the news that the range begins past the end of the object. */
type Ready =
  | {
      readonly is: 'body'
      readonly info: ObjectInfo
      readonly pin: Pin
      readonly start: number
      readonly end: number
      readonly stretch: Stretch | Whole
    }
  | { readonly is: 'past-the-end'; readonly size: number }

export async function get(
  deps: SearchDeps,
  key: string,
  view: KeyView,
  range: ByteRange | undefined,
  signal: AbortSignal,
): Promise<StoredObject | undefined> {
  const question: Question<Ready> = {
    remote: (at, patienceMs, asked) => askRemote(deps, key, at, range, patienceMs, asked),
    local: held => readLocal(deps, key, held, range, signal),
    drop(ready) {
      if (ready.is === 'body' && 'left' in ready.stretch) ready.stretch.left()
    },
  }
  const hit = await search(deps, key, view, question, signal)
  if (hit === undefined) return undefined
  const { value, stale } = hit
  if (value.is === 'past-the-end') throw pastTheEnd(key, value.size)
  const { info, pin, start, end, stretch } = value
  const { body, bytes } =
    'bytes' in stretch
      ? whenAsked(stretch.bytes, signal)
      : atOnce(bodyOf({ deps, pin, start, end, signal }, stretch), end - start)
  return {
    info,
    ...(range === undefined ? {} : { range: { start, end } }),
    from: stretch.from,
    stale,
    get body() {
      return body()
    },
    bytes,
    text: async () => new TextDecoder().decode(await bytes()),
  }
}

interface Given {
  readonly body: () => ReadableStream<Uint8Array>
  readonly bytes: () => Promise<Uint8Array>
}

function atOnce(body: ReadableStream<Uint8Array>, size: number): Given {
  return { body: () => body, bytes: () => collect(body, size) }
}

/** What is in memory, and was compared, becomes a stream only for whoever wants one: making it costs as much as all the rest of reading a small body. */
function whenAsked(all: Uint8Array, signal: AbortSignal): Given {
  let stream: ReadableStream<Uint8Array> | undefined
  let isRead = false
  const body = (): ReadableStream<Uint8Array> => {
    if (stream !== undefined) return stream
    stream = bodyInMemory(all, signal)
    if (isRead) stream.cancel().catch(() => {})
    return stream
  }
  return {
    body,
    async bytes() {
      if (isRead || stream !== undefined) return collect(body(), all.byteLength)
      signal.throwIfAborted()
      isRead = true
      return all
    },
  }
}

async function askRemote(
  deps: ReadDeps,
  key: string,
  at: ReadProvider,
  range: ByteRange | undefined,
  patienceMs: number,
  signal: AbortSignal,
): Promise<Answer<Ready> | undefined> {
  try {
    const opened = await openRemote(deps, at, { key, range, token: undefined, patienceMs, signal })
    if (opened === undefined) return undefined
    const { object, recognised, start, end } = opened
    const pin = pinOfRemote(at, object, recognised)
    const stretch = await wholeIfSmall(deps, pin, start, end, opened.stretch)
    const info = infoOfRemote(object, recognised)
    return { object, version: pin.version, value: { is: 'body', info, pin, start, end, stretch } }
  } catch (error) {
    const isPast = error instanceof HoldfastError && error.code === 'INVALID' && error.field === 'range'
    if (!isPast || signal.aborted) throw error
    return await pastTheEndOf(deps, key, at, patienceMs, signal)
  }
}

/** The provider refused the range without saying of what: an object that may be served, or one that is too old? */
async function pastTheEndOf(
  { clock }: ReadDeps,
  key: string,
  { provider }: ReadProvider,
  patienceMs: number,
  signal: AbortSignal,
): Promise<Answer<Ready> | undefined> {
  const about = { what: 'head', provider: provider.name, key }
  const limits = { clock, idleMs: patienceMs, deadlineMs: patienceMs, signal, about }
  const object = await withLimits(limits, inner => provider.head(key, inner)).catch(error => {
    throw signal.aborted ? error : asError(provider, error)
  })
  if (object === undefined) return undefined
  return { object, version: recognise(object).version, value: { is: 'past-the-end', size: object.size } }
}

async function readLocal(
  deps: ReadDeps,
  key: string,
  held: WriteRow | CachedBody,
  range: ByteRange | undefined,
  signal: AbortSignal,
): Promise<Ready> {
  const { size } = held
  const part = cutRange(range, size)
  if (part === undefined) return { is: 'past-the-end', size }
  const { start, end } = part
  const pin = pinOfLocal(key, held)
  const body: LocalBody = { ...held, tree: 'seq' in held ? 'stage' : 'cache' }
  const whole = start === 0 && end === size ? await wholeLocal(deps, pin, body, signal) : undefined
  const stretch = whole ?? (await checkedOrBegun())
  return { is: 'body', info: infoOfLocal(key, held), pin, start, end, stretch }

  async function checkedOrBegun(): Promise<Stretch | Whole> {
    const reading = localStretch(deps, deps.localSource(body), start, end, signal)
    const checked = await wholeIfSmall(deps, pin, start, end, reading)
    return checked === reading ? await begun(reading) : checked
  }
}

/** With its first chunk there: the file is open, so that it may be unlinked now. */
async function begun(stretch: Stretch): Promise<Stretch> {
  let ahead: IteratorResult<Uint8Array, undefined> | undefined = await stretch.next()
  return {
    ...stretch,
    async next() {
      const step = ahead ?? (await stretch.next())
      ahead = undefined
      return step
    },
  }
}
