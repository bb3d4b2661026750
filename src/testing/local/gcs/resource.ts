import { Buffer } from 'node:buffer'
import { invalidArgument, refuse } from './refusal.ts'

/** What is kept of an object besides its bytes. The names are those of the JSON API's object resource. */
export interface ObjectFacts extends Described {
  readonly generation: string
  readonly metageneration: number
  /** Base64. */
  readonly crc32c: string
  /** Base64; none on composed objects. */
  readonly md5Hash?: string
  readonly componentCount?: number
  /** ISO 8601. */
  readonly timeCreated: string
  readonly updated: string
}

/** What a client may say of an object. */
export interface Described {
  readonly contentType?: string
  readonly cacheControl?: string
  readonly contentDisposition?: string
  readonly contentEncoding?: string
  readonly contentLanguage?: string
  readonly customTime?: string
  readonly storageClass?: string
  readonly temporaryHold?: boolean
  readonly eventBasedHold?: boolean
  readonly metadata?: Readonly<Record<string, string>>
}

const texts = [
  'contentType',
  'cacheControl',
  'contentDisposition',
  'contentEncoding',
  'contentLanguage',
  'customTime',
  'storageClass',
] as const
const flags = ['temporaryHold', 'eventBasedHold'] as const

const metadataBytes = 8192
const nameBytes = 1024

/** A client's description of an object. Refuses what the service refuses; passes over what it only ever says itself. */
export function describedBy(resource: unknown): Described {
  return patched({}, resource)
}

/** A description with a JSON merge patch applied: null removes. */
export function patched(before: Described, patch: unknown): Described {
  if (typeof patch !== 'object' || patch === null) refuse(invalidArgument('The request body is not an object.'))
  const changes = patch as Readonly<Record<string, unknown>>
  const after: Record<string, unknown> = { ...before }
  for (const name of [...texts, ...flags]) {
    const value = changes[name]
    if (value === undefined) continue
    const type = (flags as readonly string[]).includes(name) ? 'boolean' : 'string'
    if (value === null) delete after[name]
    else if (typeof value === type) after[name] = value
    else refuse(invalidArgument(`Invalid value for: ${name}.`))
  }
  if (changes['metadata'] === null) delete after['metadata']
  else if (changes['metadata'] !== undefined) after['metadata'] = patchedMetadata(before.metadata, changes['metadata'])
  return after as Described
}

function patchedMetadata(before: Described['metadata'], patch: unknown): Readonly<Record<string, string>> {
  if (typeof patch !== 'object' || patch === null) refuse(invalidArgument('Invalid value for: metadata.'))
  const after = new Map(Object.entries(before ?? {}))
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) after.delete(name)
    else if (typeof value === 'string') after.set(name, value)
    else refuse(invalidArgument(`Invalid value for: metadata.${name}.`))
  }
  let bytes = 0
  for (const [name, value] of after) bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
  if (bytes > metadataBytes) refuse(invalidArgument(`The metadata has ${bytes} bytes, the limit is ${metadataBytes}.`))
  return Object.fromEntries(after)
}

/** https://cloud.google.com/storage/docs/objects#naming */
export function checkName(key: string): void {
  const bytes = Buffer.byteLength(key)
  if (bytes === 0) refuse({ status: 400, reason: 'required', message: 'Required' })
  if (bytes > nameBytes) {
    refuse(
      invalidArgument(`The maximum object length is ${nameBytes} characters, but got a name with ${bytes} characters.`),
    )
  }
  if (/[\r\n]/.test(key) || !key.isWellFormed()) {
    refuse(invalidArgument(`Disallowed unicode characters present in object name '${key}'`))
  }
  if (key === '.' || key === '..' || key.startsWith('.well-known/acme-challenge/')) {
    refuse(invalidArgument(`Invalid object name: '${key}'`))
  }
}

/** As the JSON API shows it. */
export function resourceOf(
  endpoint: string,
  bucket: string,
  key: string,
  facts: ObjectFacts,
  size: number,
): Record<string, unknown> {
  const { generation, metageneration, timeCreated, updated, ...described } = facts
  const path = `storage/v1/b/${bucket}/o/${encodeURIComponent(key)}`
  return {
    kind: 'storage#object',
    id: `${bucket}/${key}/${generation}`,
    selfLink: `${endpoint}/${path}`,
    mediaLink: `${endpoint}/download/${path}?generation=${generation}&alt=media`,
    name: key,
    bucket,
    generation,
    metageneration: String(metageneration),
    storageClass: 'STANDARD',
    size: String(size),
    ...described,
    etag: etagOf(facts),
    timeCreated,
    updated,
    timeStorageClassUpdated: timeCreated,
    timeFinalized: timeCreated,
  }
}

/** The two numbers as a protocol buffer, in base64, as the service makes it. */
export function etagOf({ generation, metageneration }: ObjectFacts): string {
  return Buffer.from([0x08, ...varint(BigInt(generation)), 0x10, ...varint(BigInt(metageneration))]).toString('base64')
}

function varint(value: bigint): number[] {
  const bytes: number[] = []
  for (; value > 0x7fn; value >>= 7n) bytes.push(Number(value & 0x7fn) | 0x80)
  return [...bytes, Number(value)]
}
