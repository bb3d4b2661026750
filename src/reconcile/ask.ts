import { digester, type Digests } from '../core/digest.ts'
import { claimedVersion, entryName, entryThatCounts, recognise } from '../core/entry.ts'
import { HoldfastError } from '../core/errors.ts'
import { type Marker, markerAt } from '../core/marker.ts'
import type { Clock } from '../core/ports.ts'
import type { Provider, RemoteObject } from '../core/provider.ts'
import type { Copy } from './equal.ts'
import { patiently } from './patience.ts'
import type { Side } from './types.ts'

/** What one provider answered about one key. */
export interface Answer {
  readonly side: Side
  /** `undefined`: it proved that there is none; or it could not be asked, see `error`. */
  readonly copy: Copy | undefined
  /** Of the delete of the key, where it was looked for. */
  readonly marker: Marker | undefined
  /** It could not be asked: nobody knows what it has. */
  readonly error: HoldfastError | undefined
}

export interface AskDeps {
  readonly clock: Clock
  /** Whether bytes are read. */
  readonly deep: boolean
  /** One more request was made. */
  readonly asked: () => void
  readonly bytesRead: (bytes: number) => void
}

/** What every side has under a key: one head each, or with `deep` the whole body. Rejects only with the signal's reason. */
export function askAll(
  deps: AskDeps,
  key: string,
  sides: readonly Side[],
  signal: AbortSignal,
): Promise<readonly Answer[]> {
  const ask = async (side: Side): Promise<Answer> => {
    const nothing = { side, copy: undefined, marker: undefined, error: undefined }
    try {
      const copy = await patiently(deps.clock, signal, () =>
        deps.deep ? readAt(deps, side.provider, key, signal) : headAt(deps, side.provider, key, signal),
      )
      return { ...nothing, copy }
    } catch (error) {
      return { ...nothing, error: failure(side.provider, error, signal) }
    }
  }
  return Promise.all(sides.map(ask))
}

/** The same answers, with the delete marker of each that could be asked. */
export function withMarkers(
  deps: AskDeps,
  key: string,
  answers: readonly Answer[],
  signal: AbortSignal,
): Promise<readonly Answer[]> {
  const look = async (answer: Answer): Promise<Answer> => {
    if (answer.error !== undefined) return answer
    const { provider } = answer.side
    try {
      const marker = await patiently(deps.clock, signal, () => {
        deps.asked()
        return markerAt(provider, key, signal)
      })
      return { ...answer, marker }
    } catch (error) {
      return { ...answer, error: failure(provider, error, signal) }
    }
  }
  return Promise.all(answers.map(look))
}

async function headAt(
  { asked }: AskDeps,
  provider: Provider,
  key: string,
  signal: AbortSignal,
): Promise<Copy | undefined> {
  asked()
  const object = await provider.head(key, signal)
  return object && copyOf(object, undefined)
}

async function readAt(
  { asked, bytesRead }: AskDeps,
  provider: Provider,
  key: string,
  signal: AbortSignal,
): Promise<Copy | undefined> {
  asked()
  const answer = await provider.get({ key, range: undefined, token: undefined }, signal)
  if (answer === undefined) return undefined
  const digests = digester()
  for await (const chunk of answer.body) {
    digests.update(chunk)
    bytesRead(chunk.byteLength)
  }
  return copyOf(answer.object, digests.finish())
}

/** What an object is taken for, its bytes read or not. */
export function copyOf(object: RemoteObject, read: Digests | undefined): Copy {
  const { version } = recognise(object)
  const entry = entryThatCounts(object, object.metadata[entryName])
  const claims = claimedVersion(object)
  const isBroken = claims !== undefined && entry === undefined
  // Somebody wrote other bytes later and kept our metadata, as tools do that edit in place: the provider vouches for them, so they are his, and newest.
  const isRewritten = isBroken && isVouchedFor(object) && version > claims
  const isOther =
    read !== undefined &&
    (differs(entry?.crc32c, read.crc32c) ||
      differs(entry?.etag.includes('-') === false ? entry.etag : undefined, read.md5) ||
      differs(object.attested.crc32c, read.crc32c) ||
      differs(object.attested.md5, read.md5))
  const isDamaged = isOther || (isBroken && !isRewritten)
  return { object, version, entry, claims: isRewritten ? undefined : claims, isDamaged, read }
}

/** Whether the provider says by a digest what the bytes are that it was given. */
function isVouchedFor({ attested: { crc32c, md5 } }: RemoteObject): boolean {
  return crc32c !== undefined || md5 !== undefined
}

function differs(said: string | undefined, read: string): boolean {
  return said !== undefined && said !== read
}

function failure(provider: Provider, error: unknown, signal: AbortSignal): HoldfastError {
  if (signal.aborted) throw error
  return error instanceof HoldfastError ? error : provider.classify(error)
}
