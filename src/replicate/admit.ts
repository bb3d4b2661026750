import { digestsOf } from '../core/digest.ts'
import { HoldfastError } from '../core/errors.ts'
import { identityAt } from '../core/identity.ts'
import { identityKey } from '../core/key.ts'
import type { Clock, Random } from '../core/ports.ts'
import { type Capabilities, noMemo, type Provider, type PutCondition } from '../core/provider.ts'
import { bytesSource } from '../core/source.ts'

/** So long after an identity was written, of several that met an empty bucket at once all have written theirs. */
const lastOneMs = 3_000

/** What must be known of a bucket before the first write to it. */
export interface Admission {
  readonly identity: string
  readonly capabilities: Capabilities
  /** The provider's clock when it answered, ms since 1970. */
  readonly serverTime: number | undefined
}

/**
 * Learns which bucket this is and what it can do. `proposal` is written into a bucket that has no identity, by whoever comes first. Rejects with DENIED/IDENTITY
 * where another identity was remembered: the bucket was emptied, made anew, or is another one under the old name, and writing to it would
 * hide that.
 */
export async function admit(
  provider: Provider,
  remembered: { readonly identity: string | undefined; readonly capabilities: Capabilities | undefined },
  { clock, proposal }: { readonly clock: Clock; readonly proposal: string },
  signal: AbortSignal,
): Promise<Admission> {
  const found = await readIdentity(provider, signal)
  if (found === undefined && remembered.identity !== undefined)
    throw replaced(provider, `lost its identity marker ${identityKey}: it was emptied, or made anew`)
  if (found !== undefined && remembered.identity !== undefined && found.identity !== remembered.identity)
    throw replaced(provider, `has identity ${found.identity}, but ${remembered.identity} is remembered`)
  const capabilities = await provider.learn(remembered.capabilities, signal)
  if (found === undefined) await writeIdentity(provider, capabilities, proposal, signal)
  if (found !== undefined && (remembered.identity !== undefined || capabilities.createIfAbsent))
    return { ...found, capabilities }
  // Where nothing keeps the first one, the last one stays: whoever else saw the bucket empty has written by then.
  if (!capabilities.createIfAbsent) await clock.sleep(lastOneMs, signal)
  const stays = await readIdentity(provider, signal)
  if (stays !== undefined) return { ...stays, capabilities }
  throw new HoldfastError('UNAVAILABLE', `${provider.name} took the identity marker and does not have it`, {
    provider: provider.name,
    reason: 'SERVER',
  })
}

/** Which bucket this is, by its own word; `undefined` where nobody has marked it. Rejects with DENIED/IDENTITY where the mark is none. */
export async function identityOf(provider: Provider, signal: AbortSignal): Promise<string | undefined> {
  return (await readIdentity(provider, signal))?.identity
}

/** Whether the bucket is still the one that it was, if that is known. Cheap enough to ask before anything is repaired. */
export async function confirmIdentity(
  provider: Provider,
  identity: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (identity === undefined) return
  const found = await readIdentity(provider, signal)
  if (found?.identity !== identity)
    throw replaced(
      provider,
      found === undefined
        ? `lost its identity marker ${identityKey}: it was emptied, or made anew`
        : `has identity ${found.identity} now, ${identity} before`,
    )
}

async function readIdentity(provider: Provider, signal: AbortSignal) {
  const found = await identityAt(provider, signal)
  if (found === undefined) return undefined
  const { identity, serverTime } = found
  if (identity === undefined)
    throw identityError(provider, `has something under ${identityKey} that is no identity of format 1`, removal)
  return { identity, serverTime }
}

/** What a bucket without an identity may be given. The same one for all tries: one that arrives late must not name the bucket anew. */
export function newIdentity(random: Random): string {
  const hex = random.hex(16)
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}

async function writeIdentity(
  provider: Provider,
  capabilities: Capabilities,
  identity: string,
  signal: AbortSignal,
): Promise<void> {
  const bytes = Buffer.from(JSON.stringify({ format: 1, identity }), 'utf8')
  const condition: PutCondition | undefined = capabilities.createIfAbsent ? { absent: true } : undefined
  try {
    await provider.put(
      {
        key: identityKey,
        source: bytesSource(bytes, digestsOf(bytes)),
        headers: { contentType: 'application/json' },
        metadata: {},
        condition,
        upload: noMemo,
      },
      signal,
    )
  } catch (error) {
    // Another directory was first, or an earlier try of ours got through after all: the bucket says which.
    if (!(error instanceof HoldfastError) || error.code !== 'PRECONDITION') throw error
  }
}

/** Writes, reads and deletes a small object: whether the account works at all, when one key is refused. */
export async function canary(provider: Provider, random: Random, signal: AbortSignal): Promise<void> {
  const key = `.holdfast/canary/${random.hex(16)}`
  const bytes = Buffer.from('canary')
  await provider.put(
    {
      key,
      source: bytesSource(bytes, digestsOf(bytes)),
      headers: { contentType: 'text/plain' },
      metadata: {},
      condition: undefined,
      upload: noMemo,
    },
    signal,
  )
  const found = await provider.head(key, signal)
  if (found?.size !== bytes.byteLength)
    throw new HoldfastError('UNAVAILABLE', `${provider.name} took an object and does not have it`, {
      provider: provider.name,
      reason: 'SERVER',
    })
  await provider.delete(key, undefined, signal)
}

const removal = 'find out who wrote it, and remove it'

/** Only a person can say whether that is meant. */
function replaced(provider: Provider, what: string): HoldfastError {
  return identityError(
    provider,
    what,
    'point the options back, or, if this is to be the bucket from now on, accept it: `holdfast accept-bucket`, store.acceptBucket',
  )
}

function identityError(provider: Provider, what: string, remedy: string): HoldfastError {
  return new HoldfastError('DENIED', `${provider.name} ${what}. Nothing is written to it; ${remedy}`, {
    provider: provider.name,
    reason: 'IDENTITY',
    retryable: false,
  })
}
