import { recognise } from '../core/entry.ts'
import { HoldfastError } from '../core/errors.ts'
import type { Provider } from '../core/provider.ts'
import { versionTime } from '../core/version.ts'
import type { Journal } from '../journal/contract.ts'
import type { Doubt } from './doubt.ts'
import { checkSign } from './input/calls.ts'
import { checkKey } from './input/key.ts'

/** One thing that its bearer may do until it expires. */
export interface SignedUrl {
  readonly url: string
  readonly method: 'GET' | 'PUT'
  /** To be sent with the request, exactly. */
  readonly headers: Readonly<Record<string, string>>
  /** Whose URL it is: what was uploaded there is taken in by `adopt`. */
  readonly provider: string
  readonly expiresAt: Date
}

export interface SignDeps {
  readonly journal: Journal
  readonly doubt: Pick<Doubt, 'until'>
  readonly providers: readonly { readonly id: number; readonly provider: Provider }[]
}

/**
 * Signs at a provider that is up: for GET one that holds the newest version this directory knows of, for PUT the first. One that was away for long
 * comes last, and for GET not at all where another proves the key absent. UNAVAILABLE where there is none now; UNSUPPORTED where no provider can sign.
 */
export async function sign(deps: SignDeps, key: unknown, options: unknown, signal: AbortSignal): Promise<SignedUrl> {
  const all = deps.providers.map(({ provider }) => provider)
  const checkedKey = checkKey(key, all)
  const { method, except, ...rest } = checkSign(options, all)
  const { doubt } = deps
  const able = deps.providers
    .filter(({ provider }) => provider.capabilities.sign)
    .toSorted((a, b) => Number(doubt.until(a.id) !== undefined) - Number(doubt.until(b.id) !== undefined))
  if (able.length === 0)
    throw new HoldfastError('UNSUPPORTED', 'none of the providers can sign URLs', {
      field: 'method',
      rule: 'sign',
      outcome: 'rejected',
    })
  const view = deps.journal.view(checkedKey)
  if (method === 'GET' && view.open?.kind === 'delete') throw unavailable(checkedKey, 'the key is deleted')
  const rows = new Map(deps.journal.providers().map(row => [row.id, row]))
  const failures: string[] = []
  let isProvenAbsent = false
  for (const { id, provider } of able) {
    const { health, capabilities } = rows.get(id) ?? {}
    const state = health?.state
    if (except.includes(provider)) failures.push(`${provider.name} is left out by except`)
    else if (state === 'down' || state === 'blocked') failures.push(`${provider.name} is ${state}`)
    else if (
      method === 'GET' &&
      view.open?.replicas.some(
        replica => replica.provider === id && replica.state !== 'stored' && replica.state !== 'verified',
      ) === true
    )
      failures.push(`${provider.name} does not have the newest write yet`)
    else {
      try {
        // Whoever replicates has asked the service what it can do; that may have been another process.
        if (capabilities !== undefined) await provider.learn(capabilities, signal)
        if (method === 'GET') {
          const found = await provider.head(checkedKey, signal)
          isProvenAbsent ||= found === undefined && doubt.until(id) === undefined
          const version = found && recognise(found).version
          if (isProvenAbsent && version !== undefined && versionTime(version) < (doubt.until(id) ?? 0)) {
            failures.push(`${provider.name} was away for long, and another proves the key absent`)
            continue
          }
          if (version === undefined || (view.newest !== undefined && version < view.newest)) {
            failures.push(`${provider.name} does not have it`)
            continue
          }
        }
        const signed = await provider.sign({ method, key: checkedKey, ...rest }, signal)
        return { ...signed, method, provider: provider.name }
      } catch (error) {
        signal.throwIfAborted()
        failures.push(`${provider.name}: ${provider.classify(error).message}`)
      }
    }
  }
  throw unavailable(checkedKey, failures.join('; '))
}

function unavailable(key: string, why: string): HoldfastError {
  return new HoldfastError('UNAVAILABLE', `no URL can be signed now: ${why}`, { key, outcome: 'rejected' })
}
