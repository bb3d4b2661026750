import { invalid, shown } from '../core/errors.ts'
import type { Provider } from '../core/provider.ts'
import { suggestion } from '../core/suggest.ts'
import type { Journal } from '../journal/contract.ts'
import { identityOf } from '../replicate/admit.ts'
import type { Events } from './events.ts'
import { checkAcceptBucket } from './input/settle.ts'

/** Which bucket was accepted, and in the place of which. */
export interface AcceptedBucket {
  /** What the bucket says of itself now: nobody has marked it yet where it is `undefined`; that is done when it is next written to. */
  readonly identity: string | undefined
  /** What this directory remembered until now. */
  readonly before: string
}

export interface AcceptDeps {
  readonly journal: Pick<Journal, 'providers' | 'acceptBucket'>
  /** Those of the options, guarded: no call of them hangs. */
  readonly providers: readonly { readonly id: number; readonly provider: Provider }[]
  readonly events: Events
}

/** As `Holdfast.acceptBucket`; `closing`: the store's own end. */
export async function acceptBucket(
  { journal, providers, events }: AcceptDeps,
  name: unknown,
  options: unknown,
  closing: AbortSignal,
): Promise<AcceptedBucket> {
  const { provider: wanted, why, signal: given } = checkAcceptBucket(name, options)
  const at = providers.find(({ provider }) => provider.name === wanted)
  if (at === undefined) {
    const names = providers.map(({ provider }) => provider.name)
    throw invalid(
      'provider',
      'unknown',
      `no provider of the options is called ${shown(wanted)}${suggestion(wanted, names)}`,
    )
  }
  const before = journal.providers().find(({ id }) => id === at.id)?.identity
  if (before === undefined) throw nothingToAccept(wanted, 'nothing was written to it yet, so any bucket will do')
  const signal = given === undefined ? closing : AbortSignal.any([closing, given])
  const identity = await ask(at.provider, signal)
  if (identity === before) throw nothingToAccept(wanted, `it is the bucket that it was, ${before}`)
  if (!(await journal.acceptBucket(at.id, before)))
    throw nothingToAccept(wanted, 'another process accepted a bucket at this moment')
  events.emit('bucket-accepted', { provider: wanted, before, why })
  return { identity, before }
}

async function ask(provider: Provider, signal: AbortSignal): Promise<string | undefined> {
  signal.throwIfAborted()
  try {
    return await identityOf(provider, signal)
  } catch (error) {
    signal.throwIfAborted()
    throw provider.classify(error)
  }
}

function nothingToAccept(name: string, why: string): Error {
  return invalid('provider', 'same', `there is nothing to accept of ${shown(name)}: ${why}`)
}
