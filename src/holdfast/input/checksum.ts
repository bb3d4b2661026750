import { type ChecksumAlgorithm, checksumAlgorithms, checksumBytes, isDigest } from '../../core/checksum.ts'
import { invalid, shown } from '../../core/errors.ts'
import { suggestion } from '../../core/suggest.ts'
import type { AskedChecksum } from '../../stage/intake.ts'
import { reading } from './take.ts'

/**
 * A checksum that is to be kept; nothing is compared here. INVALID, field `checksum`: rule `type`, `unknown` (a name that there is not), `value`
 * (no algorithm, or none that is known), `base64`, `length` (not so many bytes as a digest of it has).
 */
export function checkAskedChecksum(checksum: unknown): AskedChecksum | undefined {
  if (checksum === undefined) return undefined
  if (typeof checksum !== 'object' || checksum === null) {
    throw invalid(
      'checksum',
      'type',
      `checksum must be an object such as { algorithm: 'CRC32' }, got ${shown(checksum)}`,
    )
  }
  return reading('checksum', 'checksum', () => {
    const names = ['algorithm', 'value']
    const unknown = Object.keys(checksum).find(name => !names.includes(name))
    if (unknown !== undefined) {
      throw invalid('checksum', 'unknown', `checksum knows nothing of ${shown(unknown)}${suggestion(unknown, names)}`)
    }
    const { algorithm: named, value } = checksum as Record<string, unknown>
    const algorithm = checkAlgorithm(named)
    return value === undefined ? { algorithm } : { algorithm, value: checkValue(algorithm, value) }
  })
}

/** INVALID, field `checksum`, rule `type` or `value`. */
export function checkAlgorithm(named: unknown): ChecksumAlgorithm {
  if (typeof named !== 'string') {
    const wanted = checksumAlgorithms.join(', ')
    throw invalid('checksum', 'type', `checksum.algorithm must be one of ${wanted}, got ${shown(named)}`)
  }
  const algorithm = checksumAlgorithms.find(known => known === named)
  if (algorithm !== undefined) return algorithm
  const hint = suggestion(named, checksumAlgorithms)
  throw invalid('checksum', 'value', `checksum.algorithm ${shown(named)} is none that is known${hint}`)
}

function checkValue(algorithm: ChecksumAlgorithm, value: unknown): string {
  const bytes = checksumBytes[algorithm]
  const wanted = `checksum.value must be the ${bytes} bytes of a ${algorithm} in base64`
  if (typeof value !== 'string') throw invalid('checksum', 'type', `${wanted}, got ${shown(value)}`)
  if (isDigest(algorithm, value)) return value
  const found = Buffer.from(value, 'base64')
  if (found.toString('base64') === value) {
    throw invalid('checksum', 'length', `${wanted}, got ${found.byteLength}: ${shown(value)}`)
  }
  const isHex = value.length === 2 * bytes && /^[0-9a-f]+$/i.test(value)
  const hint = isHex ? ` (hex of ${Buffer.from(value, 'hex').toString('base64')}?)` : ''
  throw invalid('checksum', 'base64', `${wanted}, got ${shown(value)}${hint}`)
}
