import type { Reason } from '../core/errors.ts'
import type { Version } from '../core/version.ts'
import type { Journal, ProviderRow, ReplicaRow, WriteRow } from '../journal/contract.ts'

/** Why nothing goes on at a provider until somebody does something. */
export interface Block {
  readonly provider: string
  readonly reason: Reason
  readonly message: string
}

/** Where one accepted write stands, over all its providers. */
export interface Standing {
  /** Providers that confirmed it once, or twice; of those that a person did not give up. */
  readonly stored: number
  readonly verified: number
  readonly of: number
  /** Set when nothing goes on by itself towards being stored, or verified, everywhere: a replica, or the provider that it waits for, is blocked. */
  readonly blocked: { readonly stored: Block | undefined; readonly verified: Block | undefined }
}

const finished: Standing = { stored: 1, verified: 1, of: 1, blocked: { stored: undefined, verified: undefined } }

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
  if (row !== undefined && row.replicas.every(({ state }) => state === 'abandoned')) return givenUp(row)
  const successor = journal.view(key).open
  if (successor === undefined || successor.version <= version) return finished
  return standingOfRow(successor, providersOf(journal, configured))
}

/** No provider gets it: a person said so. */
function givenUp({ replicas }: WriteRow): Standing {
  const [replica] = replicas
  const message = 'it was given up, and is nowhere now'
  const block = { provider: 'every provider', reason: replica?.reason ?? ('NOT_CONFIGURED' as const), message }
  return { stored: 0, verified: 0, of: 1, blocked: { stored: block, verified: block } }
}

function standingOfRow(row: WriteRow, providers: ReadonlyMap<number, Configured>): Standing {
  let stored = 0
  let verified = 0
  const lacking: (Block | undefined)[] = []
  const unverified: (Block | undefined)[] = []
  const replicas = row.replicas.filter(({ state }) => state !== 'abandoned')
  for (const replica of replicas) {
    if (replica.state === 'stored' || replica.state === 'verified') stored++
    if (replica.state === 'verified') {
      verified++
      continue
    }
    const block = blockOfReplica(replica, providers.get(replica.provider))
    unverified.push(block)
    if (replica.state !== 'stored') lacking.push(block)
  }
  const firstOf = (blocks: readonly (Block | undefined)[]) => (blocks.includes(undefined) ? undefined : blocks[0])
  return {
    stored,
    verified,
    of: replicas.length,
    blocked: { stored: firstOf(lacking), verified: firstOf(unverified) },
  }
}

function blockOfReplica(replica: ReplicaRow, provider: Configured | undefined): Block | undefined {
  const block = replica.state === 'blocked' ? { reason: replica.reason, message: replica.message } : blockOf(provider)
  return (
    block && {
      provider: provider?.row.name ?? `provider ${replica.provider}`,
      reason: block.reason ?? 'REFUSED',
      message: block.message ?? '',
    }
  )
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
