import {
  type ChecksumAlgorithm,
  checksumName,
  type KeptChecksum,
  longestChecksumBytes,
  readChecksum,
  writeChecksum,
} from './checksum.ts'
import { entryName } from './entry.ts'
import type { ContentHeaders, MetadataLimits, RemoteObject } from './provider.ts'

/** What is kept with a body besides its bytes: headers and the user's metadata (lower-case names, Unicode values). */
export interface Attributes extends ContentHeaders {
  readonly metadata: Readonly<Record<string, string>>
  /** Of the whole body, where the app asked for one to be kept. */
  readonly checksum?: KeptChecksum
}

/** Holds, encoded, the metadata that a provider cannot hold as it is. See FORMAT.md. */
export const packedName = 'holdfast_meta'

/** Our own entry is counted at its longest when user metadata is measured: etag with parts, largest sizes. */
export const longestEntryBytes: number = entryName.length + 150

/** The metadata as this provider is given it: what it can hold as it is, the rest encoded in one entry, and our own entries. */
export function packMetadata(
  metadata: Readonly<Record<string, string>>,
  entry: string,
  limits: MetadataLimits,
  checksum?: KeptChecksum,
): Readonly<Record<string, string>> {
  const stored: Record<string, string> = Object.create(null)
  const rest: [string, string][] = []
  for (const [name, value] of Object.entries(metadata)) {
    if (limits.holds(name, value)) stored[name] = value
    else rest.push([name, value])
  }
  if (rest.length > 0) {
    rest.sort(([a], [b]) => (a < b ? -1 : 1))
    stored[packedName] = Buffer.from(JSON.stringify(rest), 'utf8').toString('base64url')
  }
  if (checksum !== undefined) stored[checksumName] = writeChecksum(checksum)
  stored[entryName] = entry
  return stored
}

/** The user's metadata out of what a provider holds. What the reserved entry cannot give back is left as it is stored. */
export function unpackMetadata(stored: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const metadata: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(stored)) {
    if (name === entryName || (name === checksumName && readChecksum(value) !== undefined)) continue
    const packed = name === packedName ? readPacked(value) : undefined
    if (packed === undefined) metadata[name] = value
    else for (const [inner, text] of packed) metadata[inner] = text
  }
  return metadata
}

function readPacked(value: string): [string, string][] | undefined {
  try {
    const pairs: unknown = JSON.parse(Buffer.from(value, 'base64url').toString('utf8'))
    const isPair = (pair: unknown): pair is [string, string] =>
      Array.isArray(pair) && pair.length === 2 && pair.every(part => typeof part === 'string')
    return Array.isArray(pairs) && pairs.every(isPair) ? pairs : undefined
  } catch {
    return undefined
  }
}

/** Bytes that this metadata takes at a provider, with our own entries at their longest. */
export function metadataBytes(
  metadata: Readonly<Record<string, string>>,
  limits: MetadataLimits,
  checksum?: ChecksumAlgorithm,
): number {
  let bytes = longestEntryBytes + (checksum === undefined ? 0 : longestChecksumBytes(checksum))
  for (const [name, value] of Object.entries(packMetadata(metadata, '', limits))) {
    if (name !== entryName) bytes += Buffer.byteLength(name) + Buffer.byteLength(value)
  }
  return bytes
}

export function attributesOf(object: RemoteObject): Attributes {
  const checksum = readChecksum(object.metadata[checksumName])
  return {
    ...object.headers,
    metadata: unpackMetadata(object.metadata),
    ...(checksum === undefined ? {} : { checksum }),
  }
}

/**
 * Of an object that somebody else wrote: without what only we write. It may have come along with a copy, and says nothing of these bytes.
 */
export function foreignAttributesOf(object: RemoteObject): Attributes {
  const { checksum: _, metadata, ...headers } = attributesOf(object)
  return { ...headers, metadata: withoutOurs(metadata) }
}

/** Metadata without names that only Holdfast may give. */
export function withoutOurs(metadata: Readonly<Record<string, string>>): Readonly<Record<string, string>> {
  const theirs: Record<string, string> = Object.create(null)
  for (const [name, value] of Object.entries(metadata)) if (!name.startsWith(entryName)) theirs[name] = value
  return theirs
}

const headerNames = ['contentType', 'cacheControl', 'contentDisposition', 'contentEncoding', 'contentLanguage'] as const

export function sameAttributes(a: Attributes, b: Attributes): boolean {
  const names = Object.keys(a.metadata)
  return (
    a.checksum?.algorithm === b.checksum?.algorithm &&
    a.checksum?.value === b.checksum?.value &&
    headerNames.every(name => a[name] === b[name]) &&
    names.length === Object.keys(b.metadata).length &&
    names.every(name => Object.hasOwn(b.metadata, name) && a.metadata[name] === b.metadata[name])
  )
}
