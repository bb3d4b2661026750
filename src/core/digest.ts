import { createHash, hash } from 'node:crypto'
import { crc32c as crc32cOf } from '@node-rs/crc32'

/** CRC32C and MD5 in one pass over a body: what the three clouds can check between them. */
export interface Digester {
  update(bytes: Uint8Array): void
  /** Hex. Call once, at the end. */
  finish(): Digests
}

/** Lower-case hex, most significant byte first. */
export interface Digests {
  readonly crc32c: string
  readonly md5: string
}

export function digester(): Digester {
  let crc = 0
  const md5 = createHash('md5')
  return {
    update(bytes) {
      crc = crc32cOf(bytes as Buffer, crc)
      md5.update(bytes)
    },
    finish: () => ({ crc32c: hex32(crc), md5: md5.digest('hex') }),
  }
}

/** Of bytes that are all there: for small ones at half the price. */
export function digestsOf(bytes: Uint8Array): Digests {
  return { crc32c: hex32(crc32cOf(bytes as Buffer)), md5: hash('md5', bytes) }
}

/** Running CRC32C of a stream: pass the last answer as `seed`. */
export function crc32c(bytes: Uint8Array, seed = 0): number {
  return crc32cOf(bytes as Buffer, seed)
}

export function hex32(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0')
}

export function hexToBase64(hex: string): string {
  return Buffer.from(hex, 'hex').toString('base64')
}

export function base64ToHex(base64: string): string {
  return Buffer.from(base64, 'base64').toString('hex')
}

/** First 8 bytes of the SHA-256 of the key: ties a `holdfast` entry to the key that it was written under. */
export function keyHash(key: string): string {
  return sha256Hex(key).slice(0, 16)
}

export function sha256Hex(text: string): string {
  return hash('sha256', text)
}
