import { expect } from 'vitest'
import { HoldfastError } from '../../src/core/errors.ts'
import type { KeyRefusal, MetadataLimits, Provider } from '../../src/core/provider.ts'
import { memory } from '../../src/providers/memory.ts'

/** What a bad input was refused with: all that a caller may act on. */
export interface Refusal {
  readonly code: string
  readonly field: string | undefined
  readonly rule: string | undefined
  readonly message: string
  readonly provider: string | undefined
}

/** Runs what must refuse, and says how. Anything but a HoldfastError that rejected the write is a failure of the test. */
export function refusalOf(run: () => unknown): Refusal {
  try {
    run()
  } catch (error) {
    return describeRefusal(error)
  }
  throw new Error('nothing was refused')
}

export async function rejectionOf(run: () => unknown): Promise<Refusal> {
  try {
    await run()
  } catch (error) {
    return describeRefusal(error)
  }
  throw new Error('nothing was refused')
}

function describeRefusal(error: unknown): Refusal {
  if (!(error instanceof HoldfastError)) throw new Error(`not a HoldfastError: ${String(error)}`, { cause: error })
  expect(error.outcome).toBe('rejected')
  expect(error.retryable).toBe(false)
  expect(error.message.length).toBeLessThan(600)
  expect(error.message).not.toMatch(/[\p{Cc}\p{Surrogate}\u2028\u2029\u202a-\u202e]/u)
  const { code, field, rule, message, provider } = error
  return { code, field, rule, message, provider }
}

/** A memory provider that takes less: for what a service would refuse. */
export function provider(less: {
  readonly name?: string
  readonly location?: string
  readonly kind?: string
  readonly refuseKey?: (key: string) => KeyRefusal | undefined
  readonly metadata?: MetadataLimits
  readonly objectBytes?: number
}): Provider {
  const whole = memory(less.name === undefined ? {} : { name: less.name })
  return {
    ...whole,
    kind: less.kind ?? whole.kind,
    location: less.location ?? whole.location,
    refuseKey: key => whole.refuseKey(key) ?? less.refuseKey?.(key),
    limits: {
      ...whole.limits,
      objectBytes: less.objectBytes ?? whole.limits.objectBytes,
      metadata: less.metadata ?? whole.limits.metadata,
    },
  }
}

/** As S3 holds metadata: 2,048 bytes of printable ASCII without blanks at the ends. */
export const likeS3: MetadataLimits = {
  bytes: 2048,
  holds: (_name, value) => /^[ -~]*$/.test(value) && value.trim() === value && !value.startsWith('=?'),
}

/** As Azure does: names are identifiers. */
export const likeAzure: MetadataLimits = {
  bytes: 8192,
  holds: (name, value) => /^[a-z_][a-z0-9_]*$/.test(name) && value !== '' && likeS3.holds(name, value),
}

/** As Cloud Storage does: Unicode. */
export const likeGcs: MetadataLimits = { bytes: 8192, holds: () => true }

/** What the strictest service would say of a key, by the rules of its own documentation. Most tests of keys need one that says no. */
export function refuseStrictly(key: string): KeyRefusal | undefined {
  const control = key.search(/[\p{Cc}\u2028\u2029]/u)
  if (control >= 0) {
    const code = (key.codePointAt(control) ?? 0).toString(16).toUpperCase().padStart(4, '0')
    return { rule: 'control', index: control, message: `has the control character U+${code}` }
  }
  const segments = key.split('/')
  if (segments.some(segment => segment === '.' || segment === '..')) {
    return { rule: 'segment', message: 'has a "." or ".." segment' }
  }
  if (segments.includes('') || key.includes('\\'))
    return { rule: 'slash', message: 'has an empty segment or a backslash' }
  const odd = key.search(/[\ufffe\uffff]|^\ufeff/)
  if (odd >= 0) return { rule: 'unicode', index: odd, message: 'has a noncharacter' }
  if (segments.length > 254) return { rule: 'length', message: `has ${segments.length} segments, limit 254` }
  if (segments.some(segment => Buffer.byteLength(segment) > 255))
    return { rule: 'length', message: 'has a segment over 255 bytes' }
  const reserved = /^\.well-known\/acme-challenge\/|^soap$|[. ](?:\/|$)|(?:^|\/)(?:con|nul|com1)(?:\/|$)/i
  return reserved.test(key) ? { rule: 'reserved', message: 'is reserved' } : undefined
}
