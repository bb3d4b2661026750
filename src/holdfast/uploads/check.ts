import type { Attributes } from '../../core/attributes.ts'
import { HoldfastError, invalid, shown } from '../../core/errors.ts'
import type { ProviderFeatures } from '../../core/features.ts'
import { mostParts } from '../../core/layout.ts'
import type { Provider } from '../../core/provider.ts'
import type { Condition } from '../../journal/contract.ts'
import type { UploadChecksum } from '../../journal/upload-contract.ts'
import type { AskedChecksum, Expected } from '../../stage/intake.ts'
import { checkAlgorithm, checkAskedChecksum } from '../input/checksum.ts'
import { checkExpect } from '../input/expect.ts'
import { checkFeatures } from '../input/features.ts'
import { headerNames } from '../input/headers.ts'
import { type AckLevel, checkAck, checkCondition, givenAttributes, wholeAttributes } from '../input/put.ts'
import { checkSignal, oneOf, reading, take, whole } from '../input/take.ts'

const createNames = [...headerNames, 'metadata', 'features', 'checksum', 'signal'] as const

export interface CheckedUpload {
  readonly attributes: Attributes
  readonly features: ProviderFeatures | undefined
  readonly checksum: UploadChecksum | undefined
  readonly signal: AbortSignal | undefined
}

/** The options of `create`: as those of a put. INVALID, field `checksum`: `type`, `value`, `algorithm` (no such type of it). */
export function checkUpload(options: unknown, providers: readonly Provider[]): CheckedUpload {
  const given = take(options, createNames, 'uploads.create')
  const signal = checkSignal(given.signal)
  const checksum = checkKind(given.checksum)
  return {
    attributes: wholeAttributes(givenAttributes(given, providers, checksum?.algorithm)),
    features: checkFeatures(given.features, providers),
    checksum,
    signal,
  }
}

/** Which type S3 keeps where none was asked for: of CRC64NVME that of the whole, else one of the parts'. SHA is not made of the whole there. */
function checkKind(value: unknown): UploadChecksum | undefined {
  if (value === undefined) return undefined
  const given = takeFrom('checksum', value, ['algorithm', 'type'])
  const algorithm = checkAlgorithm(given.algorithm)
  const usual = algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : 'COMPOSITE'
  const type = oneOf('checksum', given.type, ['COMPOSITE', 'FULL_OBJECT'], usual)
  const possible = algorithm.startsWith('SHA') ? 'COMPOSITE' : algorithm === 'CRC64NVME' ? 'FULL_OBJECT' : type
  if (type !== possible)
    throw invalid('checksum', 'algorithm', `${algorithm} of an upload in parts is always ${possible}, got ${type}`)
  return { algorithm, type }
}

/** An object inside the options: whatever is wrong with it is INVALID, and the option is the field. */
function takeFrom<Name extends string>(field: string, value: unknown, names: readonly Name[]): Record<Name, unknown> {
  try {
    return take(value ?? null, names, field)
  } catch (error) {
    const { message } = error as Error
    const rule = error instanceof HoldfastError ? (error.rule ?? 'type') : 'type'
    throw invalid(field, rule, message, { cause: error })
  }
}

/** A text, as any id is; whether there is such an upload is for the journal to say. */
export function checkId(id: unknown): string {
  if (typeof id === 'string') return id
  throw invalid('upload', 'type', `the id of an upload must be a string, got ${shown(id)}`)
}

export function checkNumber(number: unknown): number {
  return whole('number', number, 1, mostParts)
}

export interface CheckedPart {
  readonly expected: Expected
  readonly checksum: AskedChecksum | undefined
  readonly signal: AbortSignal | undefined
}

export function checkPart(options: unknown): CheckedPart {
  const given = take(options, ['expect', 'checksum', 'signal'], 'uploads.putPart')
  return {
    expected: checkExpect(given.expect),
    checksum: checkAskedChecksum(given.checksum),
    signal: checkSignal(given.signal),
  }
}

export interface WantedPart {
  readonly number: number
  /** `undefined`: whatever it has. */
  readonly etag: string | undefined
}

/** INVALID, field `parts`: `type`, `count` (none, or more than there can be), `order`; field `number`; field `etag`, rule `type`. */
export function checkParts(parts: unknown): readonly WantedPart[] {
  const listed = reading('parts', 'parts', () => (Array.isArray(parts) ? parts.slice(0, mostParts + 1) : undefined))
  if (listed === undefined)
    throw invalid('parts', 'type', `parts must be an array of { number, etag }, got ${shown(parts)}`)
  if (listed.length === 0) throw invalid('parts', 'count', 'there are no parts to make an object of')
  if (listed.length > mostParts) throw invalid('parts', 'count', `there are more than ${mostParts} parts`)
  const wanted = Array.from(listed, checkWanted)
  let last = 0
  for (const { number } of wanted) {
    if (number <= last)
      throw invalid('parts', 'order', `part ${number} comes after part ${last}: parts go in ascending order`)
    last = number
  }
  return wanted
}

function checkWanted(part: unknown): WantedPart {
  if (typeof part !== 'object' || part === null)
    throw invalid('parts', 'type', `a part must be { number, etag }, got ${shown(part)}`)
  const { number, etag } = reading('parts', 'a part', () => {
    const given = part as Record<string, unknown>
    return { number: given['number'], etag: given['etag'] }
  })
  if (etag !== undefined && typeof etag !== 'string')
    throw invalid('etag', 'type', `the etag of a part must be a string, got ${shown(etag)}`)
  return { number: checkNumber(number), etag: etag?.replace(/^"(.*)"$/, '$1').toLowerCase() }
}

export interface CheckedComplete {
  readonly condition: Condition | undefined
  readonly ack: AckLevel | undefined
  readonly expected: { readonly size: number | undefined; readonly checksum: string | undefined }
  readonly signal: AbortSignal | undefined
}

/** INVALID, field `expect`: `type`, `unknown`; field `size`. */
export function checkComplete(options: unknown): CheckedComplete {
  const given = take(options, ['if', 'ack', 'expect', 'signal'], 'uploads.complete')
  return {
    condition: checkCondition(given.if),
    ack: checkAck(given.ack),
    expected: checkWhole(given.expect),
    signal: checkSignal(given.signal),
  }
}

function checkWhole(expect: unknown): CheckedComplete['expected'] {
  if (expect === undefined) return { size: undefined, checksum: undefined }
  const { size, checksum } = takeFrom('expect', expect, ['size', 'checksum'])
  if (checksum !== undefined && typeof checksum !== 'string')
    throw invalid('expect', 'type', `expect.checksum must be a string, got ${shown(checksum)}`)
  return {
    size: size === undefined ? undefined : whole('size', size, 0, Number.MAX_SAFE_INTEGER),
    checksum,
  }
}

/** The options of `list`. */
export function checkPrefix(options: unknown): { readonly prefix: string; readonly signal: AbortSignal | undefined } {
  const { prefix = '', signal } = take(options, ['prefix', 'signal'], 'uploads.list')
  if (typeof prefix !== 'string') throw invalid('prefix', 'type', `prefix must be a string, got ${shown(prefix)}`)
  return { prefix, signal: checkSignal(signal) }
}
