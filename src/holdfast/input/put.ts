import type { Attributes } from '../../core/attributes.ts'
import type { ChecksumAlgorithm } from '../../core/checksum.ts'
import { invalid, shown } from '../../core/errors.ts'
import type { ProviderFeatures } from '../../core/features.ts'
import type { Provider } from '../../core/provider.ts'
import { isVersion, type Version } from '../../core/version.ts'
import type { Condition } from '../../journal/contract.ts'
import type { AskedChecksum, Expected } from '../../stage/intake.ts'
import { checkAskedChecksum } from './checksum.ts'
import { checkExpect } from './expect.ts'
import { checkFeatures } from './features.ts'
import { type HeaderName, checkHeader, headerNames } from './headers.ts'
import { checkMetadata } from './metadata.ts'
import { checkSignal, flag, oneOf, reading, take } from './take.ts'

/** When a write resolves: on local disk, when one provider has it too, when all have. */
export type AckLevel = 'local' | 'one' | 'all'

/** Of every call that may take long. */
export interface CallOptions {
  /** Honoured until the commit starts, then ignored; while waiting for 'one' or 'all' it rejects as ACK_TIMEOUT does. */
  readonly signal?: AbortSignal
}

/** Of `put` and `copy`: what is kept with the body, and what has to hold. */
export interface PutOptions extends CallOptions {
  /** A media type. Default `application/octet-stream`. At most 255 characters. */
  readonly contentType?: string
  /** Printable ASCII, as the other headers. At most 1,024 characters. */
  readonly cacheControl?: string
  /** At most 2,048 characters; names beyond ASCII as RFC 5987 writes them. */
  readonly contentDisposition?: string
  /** Content codings, such as `gzip`. Said of the bytes as they are; they are neither compressed nor unpacked. */
  readonly contentEncoding?: string
  /** At most 100 characters. */
  readonly contentLanguage?: string
  /**
   * At most 64 entries. Names are HTTP tokens of at most 128 characters, kept in lower case, not beginning with `holdfast`. Values are
   * Unicode without control characters. In all as many bytes as fit beside Holdfast's own entry at the provider with the least room.
   */
  readonly metadata?: Readonly<Record<string, string>>
  /**
   * Given to the kind of provider they name, substituted on the others, or refused before the body is read (INVALID, field `features.s3.ACL`, rule
   * `provider`). A copy has its own: those of its source are not read (tags and access rights no read shows), and not copied.
   */
  readonly features?: ProviderFeatures
  /**
   * Computed while the body is read, kept with the object, and given back by `head` and `get`. With `value` (base64) compared first: CHECKSUM,
   * field `checksum`. Default: none is kept; of a copy that of its source, of all bytes.
   */
  readonly checksum?: { readonly algorithm: ChecksumAlgorithm; readonly value?: string }
  /**
   * Sent to providers in one request up to what they take in one (S3: 5 GiB), so that their own listings have the MD5 for an ETag. Default false:
   * large bodies go in parts, and an upload that broke goes on where it was.
   */
  readonly inOnePiece?: boolean
  /** Checked while the body is read; a mismatch rejects with CHECKSUM and stores nothing. Size in bytes, digests as hex. */
  readonly expect?: {
    readonly size?: number
    readonly md5?: string
    readonly crc32c?: string
    readonly sha256?: string
  }
  /** Only if the key has no object / only over that version; else PRECONDITION. Decided at the primary: needs it up, else UNAVAILABLE. */
  readonly if?: 'absent' | { readonly version: string }
  /** Default: that of the store. */
  readonly ack?: AckLevel
}

export interface CheckedPut {
  /** Those that were given. */
  readonly attributes: Partial<Attributes>
  readonly features: ProviderFeatures | undefined
  readonly checksum: AskedChecksum | undefined
  readonly inOnePiece: boolean
  readonly expected: Expected
  readonly condition: Condition | undefined
  /** `undefined`: not given. */
  readonly ack: AckLevel | undefined
  readonly signal: AbortSignal | undefined
}

const putNames = [
  ...headerNames,
  'metadata',
  'features',
  'checksum',
  'inOnePiece',
  'expect',
  'if',
  'ack',
  'signal',
] as const

/** The options of a put or a copy. INVALID, UNSUPPORTED or TypeError, with what each part below says. Whole attributes: `wholeAttributes`. */
export function checkPut(options: unknown, providers: readonly Provider[], of = 'put'): CheckedPut {
  const given = take(options, putNames, of)
  const signal = checkSignal(given.signal)
  const checksum = checkAskedChecksum(given.checksum)
  return {
    attributes: givenAttributes(given, providers, checksum?.algorithm),
    features: checkFeatures(given.features, providers),
    checksum,
    inOnePiece: flag('inOnePiece', given.inOnePiece, false),
    expected: checkExpect(given.expect),
    condition: checkCondition(given.if),
    ack: checkAck(given.ack),
    signal,
  }
}

/** What a body is stored with: what was given, over what its source has, over nothing but the default content type. */
export function wholeAttributes(given: Partial<Attributes>, source: Partial<Attributes> = {}): Attributes {
  const nothing: Record<string, string> = Object.create(null)
  return { contentType: 'application/octet-stream', metadata: nothing, ...source, ...given }
}

/** The headers and metadata in the options of a put, others left out. INVALID as `checkHeader` and `checkMetadata` say. */
export function givenAttributes(
  given: Readonly<Record<HeaderName | 'metadata', unknown>>,
  providers: readonly Provider[],
  checksum?: ChecksumAlgorithm,
): Partial<Attributes> {
  const attributes: { -readonly [Name in keyof Attributes]?: Attributes[Name] } = {}
  for (const name of headerNames) {
    if (given[name] !== undefined) attributes[name] = checkHeader(name, given[name])
  }
  if (given.metadata !== undefined) attributes.metadata = checkMetadata(given.metadata, providers, checksum)
  return attributes
}

/** INVALID, field `if`: rule `type`, or `version` for what is no version. */
export function checkCondition(condition: unknown): Condition | undefined {
  return condition === 'absent' ? condition : checkVersionCondition(condition, "'absent' or { version }")
}

/** The same without `absent`: for deletes. */
export function checkVersionCondition(
  condition: unknown,
  wanted = '{ version }',
): { readonly version: Version } | undefined {
  if (condition === undefined) return undefined
  const refused = (): Error => invalid('if', 'type', `if must be ${wanted}, got ${shown(condition)}`)
  if (typeof condition !== 'object' || condition === null) throw refused()
  return reading('if', 'if', () => {
    const { version } = condition as Record<string, unknown>
    if (Object.keys(condition).some(name => name !== 'version')) throw refused()
    if (typeof version === 'string' && isVersion(version)) return { version }
    throw invalid('if', 'version', `if.version must be the version of a receipt (32 hex digits), got ${shown(version)}`)
  })
}

export function checkAck(ack: unknown): AckLevel | undefined {
  return oneOf<AckLevel, undefined>('ack', ack, ['local', 'one', 'all'], undefined)
}
