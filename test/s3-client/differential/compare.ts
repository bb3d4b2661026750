import { isDeepStrictEqual } from 'node:util'
import { S3ServiceException } from '@aws-sdk/client-s3'
import type { Both } from './world.ts'

/** What came of one call: plain values that can be compared. */
export interface Outcome {
  readonly output?: Readonly<Record<string, unknown>>
  readonly error?: Readonly<Record<string, unknown>>
}

/** The answer of a client, with its body read. */
export async function outcomeOf(answering: () => Promise<unknown>): Promise<Outcome> {
  try {
    const output = (await answering()) as Readonly<Record<string, unknown>>
    const body = output['Body'] as { transformToByteArray(): Promise<Uint8Array> } | undefined
    if (body === undefined) return { output }
    return { output: { ...output, Body: Buffer.from(await body.transformToByteArray()).toString('latin1') } }
  } catch (error) {
    if (!(error instanceof S3ServiceException)) {
      const { name, message } = error as Error
      return { error: { name, message, isService: false } }
    }
    const { name, $fault, $metadata } = error
    const { Code } = error as { readonly Code?: unknown }
    return { error: { name, $fault, Code, class: error.constructor.name, $metadata: { ...$metadata } } }
  }
}

/** What differs on purpose, or cannot be the same, between a plain client and one that is wrapped; all of it, each with why. */
export interface Intended {
  readonly name: string
  readonly why: string
  /** Only of these commands; of all where it is left out. */
  readonly commands?: readonly string[]
  /** Only where it says so. */
  readonly when?: (asked: Asked, answers: Both<Outcome>) => boolean
  /** A value of this field, wherever in an answer, as it is compared; `undefined`: not at all. */
  readonly fields: Readonly<Record<string, (value: unknown) => unknown>> | 'all'
}

type Asked = Readonly<Record<string, unknown>>

const gone = (): undefined => undefined
const isThere = (value: unknown): unknown => (value instanceof Date ? 'a date' : value)
const someText = (value: unknown): unknown => (typeof value === 'string' && value !== '' ? 'some text' : value)

export const intended: readonly Intended[] = [
  {
    name: 'request ids',
    why: 'Nothing was asked of S3, so nobody there knows the request; ours begin with `holdfast-`.',
    fields: { requestId: gone, extendedRequestId: gone, cfId: gone, attempts: gone, totalRetryDelay: gone },
  },
  {
    name: 'times',
    why: 'Two writes have two times.',
    fields: { LastModified: isThere, Initiated: isThere },
  },
  {
    name: 'upload ids and continuation tokens',
    why: 'They are opaque, and each client is only ever given its own.',
    fields: {
      UploadId: someText,
      UploadIdMarker: someText,
      NextUploadIdMarker: someText,
      ContinuationToken: someText,
      NextContinuationToken: someText,
    },
  },
  {
    name: 'owners',
    why: 'A mirrored object belongs to an account at each provider, and to none of them first.',
    fields: { Owner: gone, Initiator: gone },
  },
  {
    name: 'Location',
    why: 'The two servers have different ports.',
    fields: {
      Location: value => (typeof value === 'string' ? value.replace(/^http:\/\/127\.0\.0\.1:\d+/, '') : value),
    },
  },
  {
    name: 'checksums in listings',
    why: 'A listing says which algorithm an object has a checksum of. What the app had computed is in its metadata, which listings do not show.',
    commands: ['ListObjects', 'ListObjectsV2'],
    fields: { ChecksumAlgorithm: gone, ChecksumType: gone },
  },
  {
    name: 'checksums that nobody asked for',
    why: 'S3 makes a CRC64NVME of an upload in parts that was begun without an algorithm. Holdfast keeps of it what was asked for: none.',
    commands: ['CompleteMultipartUpload', 'GetObject', 'HeadObject', 'GetObjectAttributes'],
    when: (_, { plain, wrapped }) =>
      !/"Checksum[A-Z]/.test(JSON.stringify(wrapped.output ?? {})) && isOfParts(plain.output?.['ETag']),
    fields: {
      ChecksumCRC64NVME: gone,
      ChecksumType: gone,
      Checksum: value => (isPlain(value) && 'ChecksumCRC64NVME' in value ? undefined : value),
    },
  },
  {
    name: 'parts one by one',
    why: 'What is kept of parts is how many there were and their size: no list of them, and no part by number where sizes differ.',
    commands: ['GetObjectAttributes'],
    fields: {
      ObjectParts: value => (isPlain(value) ? { TotalPartsCount: value['TotalPartsCount'] } : value),
    },
  },
  {
    name: 'a part by number',
    why: 'As above: NotImplemented, rather than the wrong bytes.',
    commands: ['GetObject', 'HeadObject'],
    when: ({ PartNumber }, { wrapped }) =>
      PartNumber !== undefined &&
      isPlain(wrapped.error?.['$metadata']) &&
      wrapped.error['$metadata']['httpStatusCode'] === 501,
    fields: 'all',
  },
]

/** Of an answer that says no ETag nobody knows. */
function isOfParts(etag: unknown): boolean {
  return typeof etag !== 'string' || /-\d+"?$/.test(etag)
}

/** Where two outcomes differ, one line each; none where they are the same but for what is intended. */
export function differences(
  command: string,
  answers: Both<Outcome>,
  asked: Asked = {},
  among: readonly Intended[] = intended,
): string[] {
  const applied = among.filter(
    ({ commands, when }) => (commands?.includes(command) ?? true) && (when?.(asked, answers) ?? true),
  )
  const normal = (outcome: Outcome): unknown => normalised(outcome, applied)
  return [...unequal('', normal(answers.plain), normal(answers.wrapped))]
}

function normalised(outcome: Outcome, applied: readonly Intended[]): unknown {
  if (applied.some(({ fields }) => fields === 'all')) return {}
  const rules = new Map(applied.flatMap(({ fields }) => Object.entries(fields === 'all' ? {} : fields)))
  const walk = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(walk)
    if (typeof value !== 'object' || value === null || value instanceof Date) return value
    const kept: Record<string, unknown> = {}
    for (const [name, each] of Object.entries(value)) {
      const rule = rules.get(name)
      const compared = rule === undefined ? walk(each) : rule(each)
      if (compared !== undefined) kept[name] = compared
    }
    return kept
  }
  return walk(outcome)
}

function* unequal(at: string, plain: unknown, wrapped: unknown): Generator<string> {
  if (isDeepStrictEqual(plain, wrapped)) return
  if (isPlain(plain) && isPlain(wrapped)) {
    for (const name of new Set([...Object.keys(plain), ...Object.keys(wrapped)])) {
      yield* unequal(at === '' ? name : `${at}.${name}`, plain[name], wrapped[name])
    }
  } else {
    yield `${at}: plain ${shown(plain)}, wrapped ${shown(wrapped)}`
  }
}

/** Whether it is something with fields. */
export function isPlain(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !(value instanceof Date)
}

/** Short enough for a line of a report. */
export function shown(value: unknown): string {
  const text = JSON.stringify(value, (_, each: unknown) => (each instanceof Uint8Array ? `${each.length} bytes` : each))
  return text === undefined ? 'nothing' : text.length > 300 ? `${text.slice(0, 300)}… (${text.length})` : text
}
