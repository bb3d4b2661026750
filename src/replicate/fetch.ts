import { HoldfastError } from '../core/errors.ts'
import type { Provider, RemoteObject } from '../core/provider.ts'
import type { Draft } from '../stage/drafts.ts'
import type { Stage } from '../stage/stage.ts'

/** A whole object of a provider on local disk, its digests computed here and compared with all that the provider attests. */
export interface Fetched {
  readonly object: RemoteObject
  readonly draft: Draft
}

/**
 * Fetches an object into the stage, pinned to one write of it: never a mixture of two. `undefined`: there is none. PRECONDITION: another
 * write came in between. CORRUPT where the bytes are not what the provider attests, or what `wanted` says. `watch` sees every chunk, in order.
 */
export async function fetchInto(
  stage: Stage,
  provider: Provider,
  key: string,
  wanted: { readonly token: string; readonly size: number; readonly crc32c: string | undefined } | undefined,
  signal: AbortSignal,
  watch?: (chunk: Uint8Array) => void,
): Promise<Fetched | undefined> {
  const pin = wanted !== undefined && provider.capabilities.readIf ? wanted.token : undefined
  const answer = await provider.get({ key, range: undefined, token: pin }, signal)
  if (answer === undefined) return undefined
  const { object } = answer
  if (wanted !== undefined && (object.token !== wanted.token || object.size !== wanted.size)) {
    await answer.close()
    throw new HoldfastError('PRECONDITION', `${provider.name} has another object under the key now`, {
      provider: provider.name,
      key,
      reason: 'CONDITION',
    })
  }
  const expected = {
    size: object.size,
    crc32c: wanted?.crc32c ?? object.attested.crc32c,
    md5: object.attested.md5,
  }
  try {
    const body = watch === undefined ? answer.body : watched(answer.body, watch)
    return { object, draft: await stage.receive(body, { expected, signal }) }
  } catch (error) {
    await answer.close()
    if (!(error instanceof HoldfastError) || error.code !== 'CHECKSUM') throw error
    throw new HoldfastError('CORRUPT', `the bytes that ${provider.name} gives are not the bytes that it says it has`, {
      provider: provider.name,
      key,
      cause: error,
      reason: 'MISMATCH',
      retryable: false,
    })
  }
}

async function* watched(
  body: AsyncIterable<Uint8Array>,
  watch: (chunk: Uint8Array) => void,
): AsyncIterable<Uint8Array> {
  for await (const chunk of body) {
    watch(chunk)
    yield chunk
  }
}
