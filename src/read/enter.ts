import type { Ticket } from '../core/breaker.ts'
import { HoldfastError } from '../core/errors.ts'
import type { Provider } from '../core/provider.ts'
import type { ReadDeps, ReadProvider } from './types.ts'

/**
 * Leave to ask a provider now. UNAVAILABLE when its breaker is open, and when the bucket under its name is another one than before:
 * what that holds, or does not, says nothing of ours.
 */
export function enter(deps: ReadDeps, at: ReadProvider, what: 'read' | 'list'): Ticket {
  const { name } = at.provider
  const health = deps.journal.providers().find(({ id }) => id === at.id)?.health
  if (health?.state === 'blocked' && health.reason === 'IDENTITY') {
    throw new HoldfastError('UNAVAILABLE', `${name}: not asked, ${health.message ?? 'it is another bucket now'}`, {
      reason: 'IDENTITY',
      provider: name,
    })
  }
  const breaker = at.breakers[what]
  const ticket = breaker.tryEnter()
  if (ticket !== undefined) return ticket
  const last = breaker.lastError
  const because = last === undefined ? '' : `, because: ${last.message}`
  throw new HoldfastError(
    'UNAVAILABLE',
    `${name}: not asked for another ${Math.ceil(breaker.retryInMs)} ms${because}`,
    {
      provider: name,
      ...(last === undefined ? {} : { cause: last }),
    },
  )
}

/** Anything that a provider threw, as one of our errors. */
export function asError(provider: Provider, error: unknown): HoldfastError {
  return error instanceof HoldfastError ? error : provider.classify(error)
}
