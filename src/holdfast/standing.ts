import type { Reason } from '../core/errors.ts'
import type { Version } from '../core/version.ts'
import type { Journal, ProviderRow, WriteRow } from '../journal/contract.ts'

/** Where one accepted write stands, over all its providers. */
export interface Standing {
  /** Providers that confirmed it once, or twice. */
  readonly stored: number
  readonly verified: number
  readonly of: number
  /** Set when nothing goes on by itself: a replica, or the provider that it waits for, is blocked. */
  readonly blocked: { readonly provider: string; readonly reason: Reason; readonly message: string } | undefined
}

const finished: Standing = { stored: 1, verified: 1, of: 1, blocked: undefined }

/**
 * Where a write stands now. One that was superseded stands where its successor does; one that the journal does not know any more was
 * released, or superseded by one that was.
 */
export function standingOf(
  journal: Journal,
  configured: ReadonlySet<number>,
  seq: number,
  key: string,
  version: Version,
): Standing {
  const row = journal.write(seq)
  if (row !== undefined && row.state !== 'superseded') return standingOfRow(row, providersOf(journal, configured))
  const successor = journal.view(key).open
  if (successor === undefined || successor.version <= version) return finished
  return standingOfRow(successor, providersOf(journal, configured))
}

function standingOfRow(row: WriteRow, providers: ReadonlyMap<number, Configured>): Standing {
  let stored = 0
  let verified = 0
  let isMoving = false
  let blocked: Standing['blocked']
  for (const replica of row.replicas) {
    const provider = providers.get(replica.provider)
    if (replica.state === 'verified') verified++
    if (replica.state === 'stored' || replica.state === 'verified') stored++
    else {
      const name = provider?.row.name ?? `provider ${replica.provider}`
      const block =
        replica.state === 'blocked' ? { reason: replica.reason, message: replica.message } : blockOf(provider)
      if (block === undefined) isMoving = true
      else blocked ??= { provider: name, reason: block.reason ?? 'REFUSED', message: block.message ?? '' }
    }
  }
  return { stored, verified, of: row.replicas.length, blocked: isMoving ? undefined : blocked }
}

/** A provider as this process's options and the replicating process see it. */
export interface Configured {
  readonly row: ProviderRow
  readonly isConfigured: boolean
}

export function providersOf(journal: Journal, configured: ReadonlySet<number>): ReadonlyMap<number, Configured> {
  return new Map(journal.providers().map(row => [row.id, { row, isConfigured: configured.has(row.id) }]))
}

/** Why nothing goes to this provider until somebody does something, if so. */
export function blockOf(
  provider: Configured | undefined,
): { readonly reason: Reason; readonly message: string } | undefined {
  if (provider === undefined || !provider.isConfigured)
    return {
      reason: 'NOT_CONFIGURED',
      message: 'it is not among the options any more: configure it again, or settle what it is owed',
    }
  const { health } = provider.row
  if (health?.state !== 'blocked') return undefined
  return { reason: health.reason ?? 'REFUSED', message: health.message ?? '' }
}
