import { createHash } from 'node:crypto'
import { crc32, crc32c } from '@node-rs/crc32'
import { crc64 } from './crc64.ts'

/** Checksums in S3's words that an app may ask to be kept with an object, and to be given back. */
export const checksumAlgorithms = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const

/** One of them. */
export type ChecksumAlgorithm = (typeof checksumAlgorithms)[number]

/** Bytes of a digest of each. */
export const checksumBytes: Readonly<Record<ChecksumAlgorithm, number>> = {
  CRC32: 4,
  CRC32C: 4,
  CRC64NVME: 8,
  SHA1: 20,
  SHA256: 32,
}

/**
 * A checksum that is kept with an object besides our own digests, because the app's client speaks of it. Stored in the metadata entry
 * `holdfastsum` as `CRC32:<value>`; see FORMAT.md.
 */
export interface KeptChecksum {
  readonly algorithm: ChecksumAlgorithm
  /** Base64 of the digest's bytes as S3 writes it; with `-N` behind it where it is a checksum of N parts' checksums (COMPOSITE). */
  readonly value: string
}

/** One checksum in one pass over a body. */
export interface Checksummer {
  update(bytes: Uint8Array): void
  /** Most significant byte first, as S3 encodes it. Call once, at the end. */
  digest(): Buffer
}

/** Of bytes that come one after the other, in chunks of any length. */
export function checksummer(algorithm: ChecksumAlgorithm): Checksummer {
  switch (algorithm) {
    case 'CRC32':
      return running(crc32)
    case 'CRC32C':
      return running(crc32c)
    case 'CRC64NVME': {
      const sum = crc64()
      return {
        update: bytes => sum.update(bytes),
        digest() {
          const bytes = Buffer.alloc(8)
          bytes.writeBigUInt64BE(sum.value())
          return bytes
        },
      }
    }
    case 'SHA1':
    case 'SHA256': {
      const hash = createHash(algorithm)
      return { update: bytes => void hash.update(bytes), digest: () => hash.digest() }
    }
    default:
      return algorithm satisfies never
  }
}

function running(next: (bytes: Buffer, seed: number) => number): Checksummer {
  let sum = 0
  return {
    update(bytes) {
      sum = next(bytes as Buffer, sum)
    },
    digest() {
      const bytes = Buffer.alloc(4)
      bytes.writeUInt32BE(sum >>> 0)
      return bytes
    },
  }
}

/** Metadata entry that keeps it. Without a separator in its name: services change those. */
export const checksumName = 'holdfastsum'

const CHECKSUM = /^([A-Z0-9]+):([A-Za-z0-9+/]+={0,2})(-[1-9][0-9]{0,4})?$/

export function writeChecksum({ algorithm, value }: KeptChecksum): string {
  return `${algorithm}:${value}`
}

/** `undefined` for what is none, or of a kind that this version does not know. */
export function readChecksum(text: string | undefined): KeptChecksum | undefined {
  const found = text === undefined ? null : CHECKSUM.exec(text)
  if (found === null) return undefined
  const [, name, digest, parts = ''] = found
  const algorithm = checksumAlgorithms.find(known => known === name)
  if (algorithm === undefined || digest === undefined || !isDigest(algorithm, digest)) return undefined
  return { algorithm, value: digest + parts }
}

/** Whether a text is the base64 of a digest of this kind, written as everybody writes it. */
export function isDigest(algorithm: ChecksumAlgorithm, text: string): boolean {
  const bytes = Buffer.from(text, 'base64')
  return bytes.byteLength === checksumBytes[algorithm] && bytes.toString('base64') === text
}

/** Whether it is a checksum of the parts' checksums rather than of the bytes. */
export function isComposite({ value }: KeptChecksum): boolean {
  return value.includes('-')
}

/** Bytes that the metadata entry takes at most, its name among them: with the largest number of parts. */
export function longestChecksumBytes(algorithm: ChecksumAlgorithm): number {
  const digest = 4 * Math.ceil(checksumBytes[algorithm] / 3)
  return checksumName.length + algorithm.length + ':'.length + digest + '-10000'.length
}
