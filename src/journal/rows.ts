import type { Attributes } from '../core/attributes.ts'
import type { KeptChecksum } from '../core/checksum.ts'
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
import type { BodyPart, UploadChecksum, UploadedPart, UploadRow } from './upload-contract.ts'
import type { PartRecord } from './parts.ts'

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
  /** Of a body in parts: how many, and the digest of what their rows say; see `listSum`. */
  parts: string | null
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
  confirmed: 0 | 1
}

export interface ProviderRecord {
  id: number
  location: string
  name: string
  identity: string | null
  capabilities: string | null
  health: string | null
  filled: 0 | 1
  stale: 0 | 1
  retired: 0 | 1
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

/** The files of a body in parts, with the digest of their rows. */
export interface PartList {
  readonly parts: readonly BodyPart[]
  readonly sum: string
}

/** `list`: where `row.parts` says that the body is in parts. */
export function asWrite(row: WriteRecord, replicas: readonly ReplicaRecord[], list?: PartList): WriteRow {
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
    damaged: row.sum !== sumOf(row) || row.parts !== (list?.sum ?? null),
    body: list === undefined ? asBody(row.body, row.file) : { in: 'parts', parts: list.parts },
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
    isConfirmed: row.confirmed === 1,
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
    isFilled: row.filled === 1,
    isStale: row.stale === 1,
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

type Summed = Pick<WriteRecord, 'key' | 'version' | 'kind' | 'size' | 'crc32c' | 'md5' | 'attributes' | 'parts'>

/** SQLite has no checksums of its own: a flipped bit in what a row says must be found before the row is believed. */
export function sumOf(row: Summed): string {
  const fields = [row.key, row.version, row.kind, row.size, row.crc32c, row.md5, row.attributes]
  return sumOfText(row.parts === null ? fields : [...fields, row.parts])
}

/** What rows are compared with: the CRC32C of their fields as text, joined by line feeds. */
export function sumOfText(fields: readonly (string | number)[]): string {
  return hex32(crc32c(Buffer.from(fields.join('\n'), 'utf8')))
}

/** Of the parts of a write: how many, and the digest of what their rows say of them, in order. The write's own sum covers it. */
export function listSum(parts: readonly BodyPart[]): string {
  return `${parts.length}:${sumOfText(parts.flatMap(({ file, size, crc32c: crc, md5 }) => [file, size, crc, md5]))}`
}

/** What a row keeps besides attributes in the same column; see FORMAT.md. */
interface Rest {
  readonly layout?: Layout | undefined
  readonly features?: ProviderFeatures | undefined
}

export interface UploadRecord {
  id: string
  key: string
  attributes: string
  checksum: string | null
  sum: string
  created_at: number
  used_at: number
  /** The tentative write that is being made of it. */
  seq: number | null
}

/** Fields that cannot be missing from the text stand in it as they are; one that can as ''. */
export function sumOfUpload(row: Pick<UploadRecord, 'id' | 'key' | 'attributes' | 'checksum'>): string {
  return sumOfText([row.id, row.key, row.attributes, row.checksum ?? ''])
}

/** Whose a part is changes; the sum of its row does not. */
export function sumOfPart(row: Pick<PartRecord, 'file' | 'number' | 'size' | 'crc32c' | 'md5' | 'checksum'>): string {
  return sumOfText([row.file, row.number, row.size, row.crc32c, row.md5, row.checksum ?? ''])
}

export function asUpload(row: UploadRecord): UploadRow {
  const { attributes, features } = asKept({ ...row, size: 0, md5: '' })
  return {
    id: row.id,
    key: row.key,
    attributes,
    features,
    checksum: parsed<UploadChecksum>(row.checksum),
    createdAt: row.created_at,
    damaged: row.sum !== sumOfUpload(row),
  }
}

export function asUploadedPart(row: PartRecord): UploadedPart {
  const { file, number, size, crc32c: crc, md5 } = row
  return {
    file,
    number,
    size,
    crc32c: crc,
    md5,
    checksum: parsed<KeptChecksum>(row.checksum),
    uploadedAt: row.uploaded_at,
    damaged: row.sum !== sumOfPart(row),
  }
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
