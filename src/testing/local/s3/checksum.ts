import { createHash } from 'node:crypto'
import { crc32 as crc32Of } from 'node:zlib'
import { crc32c as crc32cOf } from '../../../core/digest.ts'
import { crc64, crc64Polynomial } from '../../../core/crc64.ts'

/** The checksums of S3 that this server computes. */
export type Algorithm = 'CRC32' | 'CRC32C' | 'CRC64NVME' | 'SHA1' | 'SHA256' | 'SHA512' | 'MD5'
export type ChecksumType = 'FULL_OBJECT' | 'COMPOSITE'

/** As kept with an object: base64, followed by `-<parts>` where it is composite. */
export interface Checksum {
  readonly algorithm: Algorithm
  readonly type: ChecksumType
  readonly value: string
}

export const algorithms: readonly Algorithm[] = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256', 'SHA512', 'MD5']
/** Those that S3 has and this server has not. */
export const unknownAlgorithms: readonly string[] = ['XXHASH64', 'XXHASH3', 'XXHASH128']

const digestBytes: Readonly<Record<Algorithm, number>> = {
  CRC32: 4,
  CRC32C: 4,
  CRC64NVME: 8,
  SHA1: 20,
  SHA256: 32,
  SHA512: 64,
  MD5: 16,
}

export interface Summer {
  update(bytes: Uint8Array): void
  /** Most significant byte first, as it goes over the wire. Once, at the end. */
  digest(): Buffer
}

export function summer(algorithm: Algorithm): Summer {
  switch (algorithm) {
    case 'CRC32':
      return crc32Summer((bytes, seed) => crc32Of(bytes, seed))
    case 'CRC32C':
      return crc32Summer(crc32cOf)
    case 'CRC64NVME': {
      const crc = crc64()
      return { update: bytes => crc.update(bytes), digest: () => bigEndian(crc.value(), 8) }
    }
    case 'SHA1':
    case 'SHA256':
    case 'SHA512':
    case 'MD5': {
      const hash = createHash(algorithm)
      return { update: bytes => void hash.update(bytes), digest: () => hash.digest() }
    }
    default:
      return algorithm satisfies never
  }
}

function crc32Summer(next: (bytes: Uint8Array, seed: number) => number): Summer {
  let value = 0
  return {
    update(bytes) {
      value = next(bytes, value)
    },
    digest: () => bigEndian(BigInt(value), 4),
  }
}

function bigEndian(value: bigint, bytes: number): Buffer {
  return Buffer.from(value.toString(16).padStart(bytes * 2, '0'), 'hex')
}

/** Whether this is a checksum of the algorithm at all: base64 of the right number of bytes. */
export function isDigest(algorithm: Algorithm, value: string): boolean {
  const bytes = Buffer.from(value, 'base64')
  return bytes.byteLength === digestBytes[algorithm] && bytes.toString('base64') === value
}

/** `x-amz-checksum-crc32c`. */
export function checksumHeader(algorithm: Algorithm): string {
  return `x-amz-checksum-${algorithm.toLowerCase()}`
}

/** Whether the checksum of a whole can be had from those of its parts. */
export function combines(algorithm: Algorithm): boolean {
  return algorithm === 'CRC32' || algorithm === 'CRC32C' || algorithm === 'CRC64NVME'
}

/** The checksum of checksums: of what the parts' digests are in a row, with their number. */
export function compositeOf(algorithm: Algorithm, parts: readonly string[]): string {
  const whole = summer(algorithm)
  for (const part of parts) whole.update(Buffer.from(part, 'base64'))
  return `${whole.digest().toString('base64')}-${parts.length}`
}

/** The CRC of parts put together, out of their CRCs (base64) and sizes. */
export function combined(algorithm: Algorithm, parts: readonly { value: string; size: number }[]): string {
  const bits = digestBytes[algorithm] * 8
  const field = polynomials(bits, reflectedPolynomials[algorithm] ?? 0n)
  let crc = 0n
  for (const { value, size } of parts) crc = field.multiply(crc, field.powerOfX(size * 8)) ^ number(value)
  return bigEndian(crc, bits / 8).toString('base64')
}

const reflectedPolynomials: Partial<Readonly<Record<Algorithm, bigint>>> = {
  CRC32: 0xedb88320n,
  CRC32C: 0x82f63b78n,
  CRC64NVME: crc64Polynomial,
}

function number(base64: string): bigint {
  return BigInt(`0x${Buffer.from(base64, 'base64').toString('hex')}`)
}

/**
 * Polynomials over GF(2) modulo that of a CRC, bits reversed as in the CRC itself (the highest bit is x^0). Appending n zero bits to a
 * message multiplies its CRC by x^n; the ones before and after cancel out.
 */
function polynomials(bits: number, polynomial: bigint) {
  const one = 1n << BigInt(bits - 1)
  const powers = new Map<number, bigint>()

  function multiply(a: bigint, b: bigint): bigint {
    let product = 0n
    let shifted = b
    for (let bit = one; bit > 0n; bit >>= 1n) {
      if ((a & bit) !== 0n) product ^= shifted
      shifted = (shifted >> 1n) ^ ((shifted & 1n) === 1n ? polynomial : 0n)
    }
    return product
  }

  function powerOfX(exponent: number): bigint {
    const known = powers.get(exponent)
    if (known !== undefined) return known
    let result = one
    let square = one >> 1n
    for (let left = BigInt(exponent); left > 0n; left >>= 1n) {
      if ((left & 1n) === 1n) result = multiply(result, square)
      square = multiply(square, square)
    }
    powers.set(exponent, result)
    return result
  }

  return { multiply, powerOfX }
}
