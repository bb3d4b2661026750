import { HoldfastError } from '../core/errors.ts'
import type { Clock } from '../core/ports.ts'
import { lacks, sizeOf } from './fill.ts'
import { joined, type Rows } from './join.ts'
import { type Price, priceOf, type PriceTable } from './prices.ts'
import type { Side } from './types.ts'

/** Entries that services list in one request. */
const entriesPerList = 1_000
const bytesPerGB = 1e9

/** What filling a provider would take, by the listings. A guess: the app puts and deletes meanwhile, and what digests of listings cannot tell is asked for. */
export interface FillEstimate {
  /** Keys that the provider lacks, or has otherwise as far as listings tell. */
  readonly objects: number
  /** Of these. */
  readonly bytes: number
  /** Keys listed, by provider. */
  readonly listed: Readonly<Record<string, number>>
  /** Requests, by provider: of the comparison, of the transfer, of its second look. Large bodies that go in parts take a `put` more for each. */
  readonly requests: Readonly<Record<string, RequestCounts>>
  /** Bytes that leave each provider. */
  readonly egressBytes: Readonly<Record<string, number>>
  /** At the given pace, and with the room that repairs have on local disk: no less. How fast providers and lines are nobody knows here. */
  readonly seconds: number
  /** In USD, by list prices or those that were given; see `prices`. */
  readonly money: { readonly egress: number; readonly requests: number; readonly total: number }
  /** What was reckoned with, by provider. */
  readonly prices: Readonly<Record<string, Price>>
  /** Names of providers that could not be listed. */
  readonly without: readonly string[]
}

/** How many requests of a kind. */
export interface RequestCounts {
  /** Of a thousand entries each. */
  readonly list: number
  /** Of objects and of delete markers. */
  readonly head: number
  /** Of whole objects. */
  readonly get: number
  /** Of whole objects. */
  readonly put: number
}

export interface EstimateTerms {
  readonly to: Side
  /** In the order in which they are believed. */
  readonly sources: readonly Side[]
  /** Which of them is reckoned without where it cannot be listed. */
  readonly from: Side | undefined
  readonly without: readonly string[]
  readonly prefix: string
  readonly prices: PriceTable | undefined
  readonly requestsPerSecond: number
  readonly bytesPerSecond: number | undefined
  /** Bytes that repairs may hold on local disk, and for how long each is held before its second look. */
  readonly roomBytes: number
  readonly holdMs: number
}

/** Lists all of them once. Rejects with the error of a provider that cannot be listed, but for the one that is to be left. */
export async function estimate(terms: EstimateTerms, clock: Clock, signal: AbortSignal): Promise<FillEstimate> {
  const { from } = terms
  try {
    return await reckon(terms, clock, signal)
  } catch (error) {
    const isOfFrom = from !== undefined && error instanceof HoldfastError && error.provider === from.provider.name
    if (!isOfFrom || signal.aborted) throw error
    const sources = terms.sources.filter(side => side !== from)
    const without = [...terms.without, from.provider.name]
    return reckon({ ...terms, sources, without, from: undefined }, clock, signal)
  }
}

async function reckon(terms: EstimateTerms, clock: Clock, signal: AbortSignal): Promise<FillEstimate> {
  const { to, sources, prefix, without } = terms
  const sides = [...sources, to]
  const listed = sides.map(() => 0)
  /** Of each side: the objects that would be read from it. */
  const read = sides.map(() => ({ objects: 0, bytes: 0 }))
  let objects = 0
  let bytes = 0
  {
    const providers = sides.map(({ provider }) => provider)
    await using rows: Rows = joined(providers, { prefix, startAfter: '' }, clock, signal)
    for (let part = await rows.next(); part !== undefined; part = await rows.next()) {
      for (const row of part) {
        for (const [index, entry] of row.entries.entries())
          if (entry !== undefined) listed[index] = (listed[index] ?? 0) + 1
        const source = row.entries.findIndex(entry => entry !== undefined)
        const taken = read[source]
        // What it alone has is left alone.
        if (taken === undefined || source === sides.length - 1 || !lacks(row)) continue
        const size = sizeOf(row)
        objects++
        bytes += size
        taken.objects++
        taken.bytes += size
      }
    }
  }

  const requests: Record<string, RequestCounts> = {}
  const egressBytes: Record<string, number> = {}
  const prices: Record<string, Price> = {}
  const money = { egress: 0, requests: 0 }
  let seconds = Math.max(
    terms.bytesPerSecond === undefined ? 0 : bytes / terms.bytesPerSecond,
    // What is held for its second look makes room only then.
    (Math.max(0, bytes - terms.roomBytes) / terms.roomBytes) * (terms.holdMs / 1_000),
  )
  for (const [index, side] of sides.entries()) {
    const { provider } = side
    const isTarget = side === to
    // Listed once to count and once to compare. Object and marker are asked for at each; at the target both once more when it is sent and when it is looked at.
    const list = 2 * Math.max(1, Math.ceil((listed[index] ?? 0) / entriesPerList))
    const head = objects * (isTarget ? 5 : 2)
    const get = read[index]?.objects ?? 0
    const puts = isTarget ? objects : 0
    const price = priceOf(provider, terms.prices)
    const egress = read[index]?.bytes ?? 0
    requests[provider.name] = { list, head, get, put: puts }
    egressBytes[provider.name] = egress
    prices[provider.name] = price
    money.egress += (egress / bytesPerGB) * price.egressPerGB
    money.requests += ((list + puts) * price.putPer1000 + (head + get) * price.getPer1000) / 1_000
    // What is sent is paced by the replicator.
    const paced = list + get + (isTarget ? objects * 2 : head)
    seconds = Math.max(seconds, paced / terms.requestsPerSecond)
  }
  return {
    objects,
    bytes,
    listed: Object.fromEntries(sides.map(({ provider }, index) => [provider.name, listed[index] ?? 0])),
    requests,
    egressBytes,
    seconds: Math.ceil(seconds),
    money: { ...money, total: money.egress + money.requests },
    prices,
    without,
  }
}
