import type { KeptChecksum } from '../core/checksum.ts'
import { HoldfastError } from '../core/errors.ts'
import type { Clock } from '../core/ports.ts'
import type { Version } from '../core/version.ts'
import type { Journal } from '../journal/contract.ts'
import { checkUntil, type UntilOptions } from './input/calls.ts'
import type { AckLevel } from './input/put.ts'
import { type Block, type Standing, standingOf } from './standing.ts'
import type { Waiting } from './waiting.ts'

/** A write that is promised: it survives a power cut of this machine, and goes to every provider. */
export interface Receipt {
  /** As it was given. */
  readonly key: string
  /** 32 hex digits; orders all writes to the key. */
  readonly version: Version
  /**
   * Resolves when every provider has it (`until: 'stored'`, the default), or was looked at twice ('verified'). A write that was superseded
   * resolves with its successor. Rejects with BLOCKED when nothing goes on by itself, with the reason of the provider.
   */
  replicated(options?: UntilOptions): Promise<void>
}

/** Of a put: also what was stored, as it was computed while the body was read. */
export interface PutReceipt extends Receipt {
  /** Bytes. */
  readonly size: number
  /** Of the body, 8 hex digits. */
  readonly crc32c: string
  /** Of the body, 32 hex digits. */
  readonly md5?: string
  /** As S3 would say it, without quotes: the MD5 in hex, or `hex-N` of what came in N parts. */
  readonly etag: string
  /** Where one was asked for, or comes from the source of a copy. */
  readonly checksum?: KeptChecksum
}

export interface ReceiptDeps {
  readonly journal: Journal
  readonly configured: ReadonlySet<number>
  readonly waiting: Waiting
  readonly clock: Clock
  readonly ackTimeoutMs: number
}

export interface Promised {
  readonly seq: number
  readonly key: string
  readonly version: Version
}

export function receiptOf(deps: ReceiptDeps, promised: Promised): Receipt {
  const { key, version } = promised
  return {
    key,
    version,
    async replicated(options) {
      const { until, signal } = checkUntil(options, 'replicated')
      await deps.waiting.until(() => {
        const standing = standingNow(deps, promised)
        if (standing[until] >= standing.of) return true
        const blocked = standing.blocked[until]
        if (blocked !== undefined) throw blockedError(blocked, { key: promised.key, version: promised.version })
        return undefined
      }, signal)
    },
  }
}

/** Waits as long as the ack level asks. ACK_TIMEOUT says that the write *is* accepted and on its way. */
export async function acknowledge(
  deps: ReceiptDeps,
  promised: Promised,
  ack: AckLevel,
  signal: AbortSignal | undefined,
): Promise<void> {
  if (ack === 'local') return
  const stop = new AbortController()
  const late = (cause: unknown) =>
    new HoldfastError(
      'ACK_TIMEOUT',
      `the write is accepted and on its way, but ${ack === 'one' ? 'no provider has' : 'not all providers have'} it yet`,
      {
        key: promised.key,
        version: promised.version,
        outcome: 'accepted',
        retryable: false,
        ...(cause === undefined ? {} : { cause }),
      },
    )
  const inTime = deps.clock.sleep(deps.ackTimeoutMs, stop.signal).then(
    () => stop.abort(),
    () => {},
  )
  const signals = signal === undefined ? stop.signal : AbortSignal.any([stop.signal, signal])
  try {
    await deps.waiting.until(() => {
      const standing = standingNow(deps, promised)
      const enough = ack === 'one' ? 1 : standing.of
      return standing.stored >= enough ? true : undefined
    }, signals)
  } catch (error) {
    if (signal?.aborted === true) throw late(signal.reason)
    if (stop.signal.aborted) throw late(undefined)
    // The store closed, or its disk failed, after the commit: the write goes on at the next open.
    throw late(error)
  } finally {
    stop.abort()
    await inTime
  }
}

function standingNow({ journal, configured }: ReceiptDeps, { seq, key, version }: Promised): Standing {
  return standingOf(journal, configured, seq, key, version)
}

export function blockedError(blocked: Block, about: { key?: string; version?: Version }): HoldfastError {
  return new HoldfastError(
    'BLOCKED',
    `${blocked.provider} does not take the write (${blocked.reason}): ${blocked.message}`,
    {
      ...about,
      provider: blocked.provider,
      reason: blocked.reason,
      outcome: 'accepted',
      retryable: false,
    },
  )
}
