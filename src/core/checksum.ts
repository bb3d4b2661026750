/** Checksums in S3's words that an app may ask to be kept with an object, and to be given back. */
export const checksumAlgorithms = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const

export type ChecksumAlgorithm = (typeof checksumAlgorithms)[number]

/**
 * A checksum that is kept with an object besides our own digests, because the app's client speaks of it. Stored in the metadata entry
 * `holdfastsum` as `CRC32:<value>`; see FORMAT.md.
 */
export interface KeptChecksum {
  readonly algorithm: ChecksumAlgorithm
  /** Base64 of the digest's bytes as S3 writes it; with `-N` behind it where it is a checksum of N parts' checksums (COMPOSITE). */
  readonly value: string
}

/** Metadata entry that keeps it. Without a separator in its name: services change those. */
export const checksumName = 'holdfastsum'

const CHECKSUM = /^(CRC32|CRC32C|CRC64NVME|SHA1|SHA256):([A-Za-z0-9+/]{6,44}={0,2}(?:-[1-9][0-9]{0,4})?)$/

export function writeChecksum({ algorithm, value }: KeptChecksum): string {
  return `${algorithm}:${value}`
}

/** `undefined` for what is none, or of a kind that this version does not know. */
export function readChecksum(text: string | undefined): KeptChecksum | undefined {
  const found = text === undefined ? null : CHECKSUM.exec(text)
  return found === null ? undefined : { algorithm: found[1] as ChecksumAlgorithm, value: found[2] as string }
}
