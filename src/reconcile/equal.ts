import { attributesOf, foreignAttributesOf, sameAttributes } from '../core/attributes.ts'
import type { Digests } from '../core/digest.ts'
import { type Entry, entryThatCounts } from '../core/entry.ts'
import type { ListedObject } from '../core/listing.ts'
import type { RemoteObject } from '../core/provider.ts'
import type { Version } from '../core/version.ts'

/** What is under a key at one provider, looked at. */
export interface Copy {
  readonly object: RemoteObject
  /** Of a foreign object: its last-modified time. */
  readonly version: Version
  /** Of an object of ours. */
  readonly entry: Entry | undefined
  /** The version that its entry claims, also where the object is not what the entry says. */
  readonly claims: Version | undefined
  /** It is not what its own entry, or its provider, says it is. */
  readonly isDamaged: boolean
  /** Of its bytes, where they were read. */
  readonly read: Digests | undefined
}

/**
 * Whether listings alone prove that all providers have the same bytes under a key. Everywhere the same size, and the same entry of ours or a digest
 * of the same kind; where any two contradict each other, or say nothing that can be compared, nothing is proven.
 */
export function isProvenEqual(entries: readonly (ListedObject | undefined)[]): boolean {
  const [first] = entries
  if (first === undefined) return false
  for (let index = 1; index < entries.length; index++) {
    const entry = entries[index]
    if (entry === undefined || !agreesWithOne(entry, entries, index)) return false
  }
  return true
}

function agreesWithOne(entry: ListedObject, entries: readonly (ListedObject | undefined)[], before: number): boolean {
  for (let index = 0; index < before; index++) {
    const other = entries[index]
    if (other !== undefined && agree(entry, other)) return true
  }
  return false
}

function agree(a: ListedObject, b: ListedObject): boolean {
  if (a.size !== b.size) return false
  if ((a.entry === undefined || b.entry === undefined) && isPlainlySame(a, b)) return true
  const [x, y] = [attestedOf(a), attestedOf(b)]
  if (contradict(x, y)) return false
  if (a.entry === undefined || b.entry === undefined) return share(x, y) || share(withEntry(a, x), withEntry(b, y))
  // Of two entries that are the same text, both count or neither does, as far as what the providers attest allows.
  if (a.entry !== b.entry) return false
  return entryThatCounts(a, a.entry) !== undefined && (share(x, y) || entryThatCounts(b, b.entry) !== undefined)
}

/** The common case, at little cost: both say the same MD5, as an ETag or as such, and nothing else that is not the same. */
function isPlainlySame(a: ListedObject, b: ListedObject): boolean {
  const md5 = a.attested.md5 ?? a.etag
  if (md5 === undefined || md5 !== (b.attested.md5 ?? b.etag) || !plain.test(md5)) return false
  return a.attested.crc32c === b.attested.crc32c || a.attested.crc32c === undefined || b.attested.crc32c === undefined
}

/** Of the whole body. `etag`: as S3 would say it, of parts too. */
interface Known {
  readonly md5: string | undefined
  readonly crc32c: string | undefined
  readonly etag: string | undefined
}

const plain = /^[0-9a-f]{32}$/
const ofParts = /^[0-9a-f]{32}-[0-9]+$/

function attestedOf({ attested, etag }: Pick<RemoteObject, 'attested' | 'etag'>): Known {
  const said = etag !== undefined && (plain.test(etag) || ofParts.test(etag)) ? etag : undefined
  return { md5: attested.md5, crc32c: attested.crc32c, etag: said ?? attested.md5 }
}

/** With what an entry of ours says of bytes that nothing else is said of. */
function withEntry(listed: ListedObject, known: Known): Known {
  const entry = listed.entry === undefined ? undefined : entryThatCounts(listed, listed.entry)
  if (entry === undefined) return known
  return { md5: known.md5, crc32c: known.crc32c ?? entry.crc32c, etag: entry.etag }
}

function contradict(a: Known, b: Known): boolean {
  return differ(a.md5, b.md5) || differ(a.crc32c, b.crc32c)
}

function differ(a: string | undefined, b: string | undefined): boolean {
  return a !== undefined && b !== undefined && a !== b
}

function share(a: Known, b: Known): boolean {
  return (
    (a.md5 !== undefined && (a.md5 === b.md5 || a.md5 === b.etag)) ||
    (a.etag !== undefined && (a.etag === b.etag || a.etag === b.md5)) ||
    (a.crc32c !== undefined && a.crc32c === b.crc32c)
  )
}

/**
 * Whether two copies are the same to whoever reads them: bytes, headers and metadata. Of ours the version counts too. Of an object that somebody
 * else wrote, what mirrors it counts as the same by its digest; where the two have none in common, by its version.
 */
export function isSameCopy(a: Copy, b: Copy): boolean {
  if (a.object.size !== b.object.size) return false
  const bytes = sameBytes(a, b)
  if (bytes === false) return false
  if (a.entry !== undefined && b.entry !== undefined) {
    const { entry: x } = a
    const { entry: y } = b
    return (
      x.version === y.version && x.etag === y.etag && sameAttributes(attributesOf(a.object), attributesOf(b.object))
    )
  }
  if (bytes === undefined && a.version !== b.version) return false
  return sameAttributes(foreignAttributesOf(a.object), foreignAttributesOf(b.object))
}

/** `undefined`: they have no digest in common. */
export function sameBytes(a: Copy, b: Copy): boolean | undefined {
  const [x, y] = [knownOf(a), knownOf(b)]
  if (a.object.size !== b.object.size || contradict(x, y)) return false
  return share(x, y) ? true : undefined
}

function knownOf({ object, entry, read }: Copy): Known {
  const { md5, crc32c, etag } = attestedOf(object)
  const written = entry === undefined || entry.etag.includes('-') ? undefined : entry.etag
  return {
    md5: read?.md5 ?? md5 ?? written,
    crc32c: read?.crc32c ?? crc32c ?? entry?.crc32c,
    etag: entry?.etag ?? etag ?? read?.md5,
  }
}
