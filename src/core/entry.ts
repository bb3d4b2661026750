import { keyHash } from './digest.ts'
import type { RemoteObject } from './provider.ts'
import { foreignVersion, isVersion, type Version } from './version.ts'

/** Name of the metadata entry that says which write an object is. Its format is fixed in FORMAT.md. */
export const entryName = 'holdfast'

export interface Entry {
  readonly version: Version
  /** Bytes. */
  readonly size: number
  readonly crc32c: string
  /** As S3 would say it: MD5 in hex, or `hex-parts`. */
  readonly etag: string
  /** Bytes of every part but the last, where the etag has parts; 0 where they differ. */
  readonly partSize: number | undefined
}

const ENTRY =
  /^1;([0-9a-f]{32});(0|[1-9][0-9]{0,15});([0-9a-f]{8});([0-9a-f]{32})(?:-([1-9][0-9]{0,4}):(0|[1-9][0-9]{0,15}))?;([0-9a-f]{16})$/

export function writeEntry(key: string, entry: Entry): string {
  const etag = entry.partSize === undefined ? entry.etag : `${entry.etag}:${entry.partSize}`
  return `1;${entry.version};${entry.size};${entry.crc32c};${etag};${keyHash(key)}`
}

function readEntry(key: string, text: string | undefined): Entry | undefined {
  const found = text === undefined ? null : ENTRY.exec(text)
  if (found === null) return undefined
  const [, version, size, crc32c, md5, parts, partSize, hash] = found as unknown as string[]
  if (hash !== keyHash(key) || !isVersion(version as string)) return undefined
  return {
    version: version as string,
    size: Number(size),
    crc32c: crc32c as string,
    etag: parts === undefined ? (md5 as string) : `${md5}-${parts}`,
    partSize: partSize === undefined ? undefined : Number(partSize),
  }
}

/** The version that an object's entry claims, whether or not the object is what the entry says: a damaged copy of ours claims to be ours. */
export function claimedVersion(object: RemoteObject): Version | undefined {
  return readEntry(object.key, object.metadata[entryName])?.version
}

/** Whose an object at a provider is. `ours` only if the entry fits the object; a foreign one has its last-modified time for a version. */
export type Recognised =
  | { readonly whose: 'ours'; readonly version: Version; readonly entry: Entry }
  | { readonly whose: 'foreign'; readonly version: Version }

export function recognise(object: RemoteObject): Recognised {
  const entry = entryThatCounts(object, object.metadata[entryName])
  return entry === undefined
    ? { whose: 'foreign', version: foreignVersion(object.modifiedAt) }
    : { whose: 'ours', version: entry.version, entry }
}

/** What an entry says of the object that it was found with, a listing's too; `undefined` where there is none, or it does not fit. */
export function entryThatCounts(
  { key, size, attested }: Pick<RemoteObject, 'key' | 'size' | 'attested'>,
  text: string | undefined,
): Entry | undefined {
  const entry = readEntry(key, text)
  const fits =
    entry !== undefined &&
    entry.size === size &&
    (attested.crc32c === undefined || attested.crc32c === entry.crc32c) &&
    (attested.md5 === undefined || entry.etag.includes('-') || attested.md5 === entry.etag)
  return fits ? entry : undefined
}
