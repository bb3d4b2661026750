/** What a service asks for, in USD. */
export interface Price {
  /** For each GB (10⁹ bytes) that leaves it. */
  readonly egressPerGB: number
  /** For 1,000 requests that write or list. */
  readonly putPer1000: number
  /** For 1,000 requests that read: get and head. */
  readonly getPer1000: number
}

/** By kind of provider (`s3`, `gcs`, `azure`, `fs`, `memory`) or, before that, by a provider's name. Each replaces what is given of it. */
export type PriceTable = Readonly<Record<string, Partial<Price>>>

const free: Price = { egressPerGB: 0, putPer1000: 0, getPer1000: 0 }

/**
 * List prices of 2026-11, to the internet, for standard storage in the cheapest regions of the USA and Europe, without allowances and discounts. They
 * are a guess at a bill, not a bill: other regions, classes and contracts have others, and other services that speak S3 charge no egress at all. Give
 * your own as `prices`.
 *
 * - s3: https://aws.amazon.com/s3/pricing/ (first 10 TB a month)
 * - gcs: https://cloud.google.com/storage/pricing (class A and B operations; the first TB a month)
 * - azure: https://azure.microsoft.com/pricing/details/storage/blobs/ and https://azure.microsoft.com/pricing/details/bandwidth/ (hot, LRS)
 */
const listPrices: Readonly<Record<string, Price>> = {
  s3: { egressPerGB: 0.09, putPer1000: 0.005, getPer1000: 0.0004 },
  gcs: { egressPerGB: 0.12, putPer1000: 0.005, getPer1000: 0.0004 },
  azure: { egressPerGB: 0.087, putPer1000: 0.005, getPer1000: 0.0004 },
}

/** What a provider is taken to ask for. Of a kind that nobody gave a price for: nothing. */
export function priceOf(
  { name, kind }: { readonly name: string; readonly kind: string },
  table: PriceTable | undefined,
): Price {
  return { ...free, ...listPrices[kind], ...table?.[kind], ...table?.[name] }
}
