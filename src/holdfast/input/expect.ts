import { invalid, shown } from '../../core/errors.ts'
import { suggestion } from '../../core/suggest.ts'
import type { Expected } from '../../stage/intake.ts'
import { reading, whole } from './take.ts'

/** Hex digits of each. */
const digits = { md5: 32, crc32c: 8, sha256: 64 } as const
const names = ['size', 'md5', 'crc32c', 'sha256'] as const

/**
 * What the caller announced of a body, digests in lower case; nothing is compared here. INVALID: field `size`, rule `type` or `range`;
 * else field `expect`, rule `type`, `unknown` (no such digest), `hex` or `length`.
 */
export function checkExpect(expect: unknown): Expected {
  if (expect === undefined) return {}
  if (typeof expect !== 'object' || expect === null) {
    throw invalid('expect', 'type', `expect must be an object such as { md5: … }, got ${shown(expect)}`)
  }
  return reading('expect', 'expect', () => {
    const unknown = Object.keys(expect).find(name => !names.some(known => known === name))
    if (unknown !== undefined) {
      throw invalid('expect', 'unknown', `expect knows nothing of ${shown(unknown)}${suggestion(unknown, names)}`)
    }
    const { size, ...given } = expect as Record<string, unknown>
    const expected: { -readonly [Name in keyof Expected]: Expected[Name] } = {}
    if (size !== undefined) expected.size = whole('size', size, 0, Number.MAX_SAFE_INTEGER)
    for (const name of ['md5', 'crc32c', 'sha256'] as const) {
      if (given[name] !== undefined) expected[name] = checkDigest(name, given[name])
    }
    return expected
  })
}

function checkDigest(name: keyof typeof digits, value: unknown): string {
  const wanted = `expect.${name} must be ${digits[name]} hex digits`
  if (typeof value !== 'string') throw invalid('expect', 'type', `${wanted}, got ${shown(value)}`)
  if (!/^[0-9a-f]*$/i.test(value)) {
    const bytes = /^[A-Za-z0-9+/]+={0,2}$/.test(value) ? Buffer.from(value, 'base64') : undefined
    const hint = bytes?.byteLength === digits[name] / 2 ? ` (base64 of ${bytes.toString('hex')}?)` : ''
    throw invalid('expect', 'hex', `${wanted}, got ${shown(value)}${hint}`)
  }
  if (value.length !== digits[name]) throw invalid('expect', 'length', `${wanted}, got ${value.length}`)
  return value.toLowerCase()
}
