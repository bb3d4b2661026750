import type { Attributes } from '../core/attributes.ts'
import { crc32c, hex32 } from '../core/digest.ts'
import type { Reason } from '../core/errors.ts'
import type { ProviderFeatures } from '../core/features.ts'
import type { Layout } from '../core/layout.ts'
import type { Proof } from '../core/provider.ts'
import type {
  CachedBody,
  Condition,
  ProviderHealth,
  ProviderRow,
  Refusal,
  ReplicaRow,
  WriteBody,
  WriteRow,
} from './contract.ts'

/** Rows as SQLite gives them, and what the contract calls them. */

export interface WriteRecord {
  seq: number
  key: string
  version: string
  kind: 'put' | 'delete'
  origin: 'app' | 'repair'
  state: WriteRow['state']
  condition: string | null
  refusal: string | null
  size: number
  crc32c: string
  md5: string
  attributes: string
  sum: string
  body: Uint8Array | null
  file: string | null
  accepted_at: number
  targets: number
  waiting: number
  blocked: number
  stored: number
}

export interface ReplicaRecord {
  seq: number
  provider: number
  state: ReplicaRow['state']
  attempt: number
  not_before: number
  reason: string | null
  message: string | null
  token: string | null
  proof: string | null
  etag: string | null
  part_size: number | null
  stored_at: number | null
  upload: string | null
}

export interface ProviderRecord {
  id: number
  location: string
  name: string
  identity: string | null
  capabilities: string | null
  health: string | null
}

export interface CachedRecord {
  key: string
  version: string
  body: Uint8Array | null
  file: string | null
  size: number
  crc32c: string
  md5: string
  attributes: string
}

export function asWrite(row: WriteRecord, replicas: readonly ReplicaRecord[]): WriteRow {
  return {
    seq: row.seq,
    key: row.key,
    version: row.version,
    kind: row.kind,
    origin: row.origin,
    state: row.state,
    condition: parsed<Condition>(row.condition),
    refusal: parsed<Refusal>(row.refusal),
    size: row.size,
    crc32c: row.crc32c,
    md5: row.md5,
    ...asKept(row),
    damaged: row.sum !== sumOf(row),
    body: asBody(row.body, row.file),
    acceptedAt: row.accepted_at,
    replicas: replicas.map(asReplica),
  }
}

export function asReplica(row: ReplicaRecord): ReplicaRow {
  return {
    provider: row.provider,
    state: row.state,
    attempt: row.attempt,
    notBefore: row.not_before,
    reason: (row.reason ?? undefined) as Reason | undefined,
    message: row.message ?? undefined,
    token: row.token ?? undefined,
    proof: (row.proof ?? undefined) as Proof | undefined,
    etag: row.etag ?? undefined,
    partSize: row.part_size ?? undefined,
    storedAt: row.stored_at ?? undefined,
    upload: row.upload ?? undefined,
  }
}

export function asProvider(row: ProviderRecord): ProviderRow {
  return {
    id: row.id,
    location: row.location,
    name: row.name,
    identity: row.identity ?? undefined,
    capabilities: parsed(row.capabilities),
    health: parsed<ProviderHealth>(row.health),
  }
}

export function asCached(row: CachedRecord): CachedBody {
  return {
    key: row.key,
    version: row.version,
    body: asBody(row.body, row.file),
    size: row.size,
    crc32c: row.crc32c,
    md5: row.md5,
    ...asKept(row),
  }
}

type Summed = Pick<WriteRecord, 'key' | 'version' | 'kind' | 'size' | 'crc32c' | 'md5' | 'attributes'>

/** SQLite has no checksums of its own: a flipped bit in what a row says must be found before the row is believed. */
export function sumOf(row: Summed): string {
  const text = [row.key, row.version, row.kind, row.size, row.crc32c, row.md5, row.attributes].join('\n')
  return hex32(crc32c(Buffer.from(text, 'utf8')))
}

/** What a row keeps besides attributes in the same column; see FORMAT.md. */
interface Rest {
  readonly layout?: Layout | undefined
  readonly features?: ProviderFeatures | undefined
}

/** Metadata goes into a row as pairs, so that a name like `__proto__` is data and nothing else. */
export function writeAttributes(attributes: Attributes, { layout, features }: Rest = {}): string {
  const { metadata, ...headers } = attributes
  const pairs = Object.entries(metadata)
  return JSON.stringify(
    layout === undefined && features === undefined ? [headers, pairs] : [headers, pairs, { layout, features }],
  )
}

/** What is in the column `attributes`. */
export function asKept(row: { attributes: string; size: number; md5: string }): {
  readonly attributes: Attributes
  readonly layout: Layout
  readonly keepsLayout: boolean
  readonly features: ProviderFeatures | undefined
} {
  const metadata: Record<string, string> = Object.create(null)
  const parts = parsed<[Omit<Attributes, 'metadata'>, [string, string][], Rest?]>(row.attributes)
  const [headers, pairs, { layout, features } = {}] = parts ?? [{ contentType: 'application/octet-stream' }, []]
  for (const [name, value] of pairs) metadata[name] = value
  return {
    attributes: { ...headers, metadata },
    layout: layout ?? { etag: row.md5, parts: [{ count: 1, bytes: row.size }] },
    keepsLayout: layout !== undefined,
    features,
  }
}

function asBody(bytes: Uint8Array | null, file: string | null): WriteBody {
  if (bytes !== null) return { in: 'row', bytes }
  return file === null ? { in: 'none' } : { in: 'file', file }
}

function parsed<T>(text: string | null): T | undefined {
  if (text === null) return undefined
  try {
    return JSON.parse(text) as T
  } catch {
    // Damaged: the row's sum says so to whoever reads it.
    return undefined
  }
}
