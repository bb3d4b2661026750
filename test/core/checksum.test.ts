import { describe, expect, test } from 'vitest'
import {
  checksumAlgorithms,
  checksumBytes,
  checksumName,
  checksummer,
  isComposite,
  isDigest,
  longestChecksumBytes,
  readChecksum,
  writeChecksum,
} from '../../src/core/checksum.ts'

/** Check values of "123456789": the CRC catalogue of reveng (CRC-32/ISO-HDLC, CRC-32/ISCSI, CRC-64/NVME), and FIPS 180's hashes by sha1sum, sha256sum. */
const check = {
  CRC32: 'cbf43926',
  CRC32C: 'e3069283',
  CRC64NVME: 'ae8b14860a799888',
  SHA1: 'f7c3bc1d808e04732adf679965ccc34ca7ae3441',
  SHA256: '15e2b0d3c33891ebb0f1ef609ec419420c20e320ce94c65fbc8c3312448eb225',
} as const

describe('checksums in the words of S3', () => {
  test.each(checksumAlgorithms)('%s of 123456789 is the published one, in one chunk and in nine', algorithm => {
    const whole = checksummer(algorithm)
    whole.update(Buffer.from('123456789'))
    expect(whole.digest().toString('hex')).toBe(check[algorithm])
    const digits = checksummer(algorithm)
    for (const digit of '123456789') digits.update(Buffer.from(digit))
    expect(digits.digest().toString('hex')).toBe(check[algorithm])
  })

  test.each(checksumAlgorithms)('%s is the same however a body is cut', algorithm => {
    const body = Buffer.from(Array.from({ length: 100_003 }, (_, index) => (index * 131) ^ (index >> 7)))
    const whole = checksummer(algorithm)
    whole.update(body)
    const wanted = whole.digest()
    expect(wanted.byteLength).toBe(checksumBytes[algorithm])
    for (const piece of [1, 7, 8, 9, 4096, 65_537]) {
      const cut = checksummer(algorithm)
      for (let at = 0; at < body.length; at += piece) cut.update(body.subarray(at, at + piece))
      expect(cut.digest().equals(wanted), `in pieces of ${piece}`).toBe(true)
    }
  })

  test('an empty body has the digest of nothing', () => {
    expect(checksummer('CRC32').digest().toString('hex')).toBe('00000000')
    expect(checksummer('CRC64NVME').digest().toString('hex')).toBe('0000000000000000')
    expect(checksummer('SHA1').digest().toString('hex')).toBe('da39a3ee5e6b4b0d3255bfef95601890afd80709')
  })

  test('what is written in an entry is read from it, with parts and without', () => {
    for (const algorithm of checksumAlgorithms) {
      const value = Buffer.from(check[algorithm], 'hex').toString('base64')
      for (const sum of [
        { algorithm, value },
        { algorithm, value: `${value}-10000` },
      ]) {
        const entry = writeChecksum(sum)
        expect(readChecksum(entry)).toEqual(sum)
        expect(checksumName.length + entry.length).toBeLessThanOrEqual(longestChecksumBytes(algorithm))
        expect(isComposite(sum)).toBe(sum.value !== value)
      }
    }
  })

  test('what no version wrote is no checksum', () => {
    const texts = [
      '',
      'CRC32',
      'CRC32:',
      'CRC32:abc',
      'CRC32:y/Q5Jg',
      'CRC32:y/Q5Jg==-0',
      'CRC32:y/Q5Jg==-',
      'MD5:y/Q5Jg==',
    ]
    texts.push(
      'crc32:y/Q5Jg==',
      'CRC32:y/Q5Jh==',
      'CRC64NVME:y/Q5Jg==',
      'constructor:y/Q5Jg==',
      ' CRC32:y/Q5Jg==',
      'CRC32:y/Q5Jg==-100000',
    )
    for (const text of texts) expect(readChecksum(text), text).toBeUndefined()
    expect(readChecksum(undefined)).toBeUndefined()
    expect(readChecksum('CRC32:y/Q5Jg==')).toEqual({ algorithm: 'CRC32', value: 'y/Q5Jg==' })
  })

  test('a digest in base64 is told from other text', () => {
    expect(isDigest('CRC32', 'y/Q5Jg==')).toBe(true)
    expect(isDigest('CRC32', 'y/Q5Jg')).toBe(false)
    expect(isDigest('CRC32', 'y_Q5Jg==')).toBe(false)
    expect(isDigest('SHA256', 'y/Q5Jg==')).toBe(false)
  })
})
