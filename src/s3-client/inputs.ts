import type { PutObjectCommandInput } from '@aws-sdk/client-s3'
import type { CallOptions, ProviderFeatures, PutOptions, S3FeatureName } from '../index.ts'
import { defined } from './described.ts'
import { invalidArgument } from './errors.ts'
import { fields, type HandledCommand } from './fields.ts'
import type { FieldRows } from './fields/row.ts'
import type { Call } from './handler.ts'

/** The key. Without one the SDK itself refuses the call, before anything is sent. */
export function keyOf({ Key }: { readonly Key?: string | undefined }): string {
  if (Key === undefined || Key === null) throw new Error('No value provided for input HTTP label: Key.')
  return Key
}

/** The options of a call of the store that is to end with the app's signal. */
export function signalled({ signal }: Pick<Call, 'signal'>): CallOptions {
  return signal === undefined ? {} : { signal }
}

type Content = Pick<
  PutObjectCommandInput,
  'ContentType' | 'CacheControl' | 'ContentDisposition' | 'ContentEncoding' | 'ContentLanguage' | 'Metadata'
>

/** Headers and metadata as a store takes them; an empty one is none. */
export function contentOf(
  input: Content,
): Pick<
  PutOptions,
  'contentType' | 'cacheControl' | 'contentDisposition' | 'contentEncoding' | 'contentLanguage' | 'metadata'
> {
  const { Metadata } = input
  const metadata = Metadata === undefined || Metadata === null ? undefined : Object.entries(Metadata)
  return defined({
    contentType: input.ContentType,
    cacheControl: input.CacheControl,
    contentDisposition: input.ContentDisposition,
    contentEncoding: withoutFraming(input.ContentEncoding),
    contentLanguage: input.ContentLanguage,
    // A number that came past the types goes out as its digits.
    metadata: metadata && Object.fromEntries(metadata.map(([name, value]: [string, unknown]) => [name, String(value)])),
  })
}

/** `aws-chunked` is the framing of a request; S3 keeps what is left of the header without it. */
function withoutFraming(encoding: string | undefined): string | undefined {
  if (encoding === undefined || encoding === null || !encoding.includes('aws-chunked')) return encoding
  const codings = encoding.split(',').map(each => each.trim())
  return codings.filter(each => each !== 'aws-chunked').join(',')
}

/** What the services keep each in their own way, for the features of a write. */
export function featuresOf(
  command: HandledCommand,
  input: object,
  relax: readonly string[],
): { readonly features?: ProviderFeatures } {
  const s3: Record<string, unknown> = {}
  for (const name of featureNames(command)) {
    const value = (input as Readonly<Record<string, unknown>>)[name]
    if (value === undefined || value === null || value === '') continue
    demandKnown(name, value)
    s3[name] = written(name, value)
  }
  const names = Object.keys(s3)
  if (names.length === 0) return {}
  const relaxed = relax.filter(name => names.includes(name)) as S3FeatureName[]
  return { features: { s3, ...(relaxed.length === 0 ? {} : { relax: relaxed }) } }
}

function featureNames(command: HandledCommand): readonly S3FeatureName[] {
  const rows: FieldRows = fields[command]
  return Object.values(rows).flatMap(row => (row.kind === 'feature' ? [row.name] : []))
}

/**
 * The values that S3 has for good. What is none of them would be accepted, and blocked at every provider. Storage classes and kinds of
 * encryption are left open: there are more each year, and services of their own.
 */
const closed: Partial<Readonly<Record<S3FeatureName, readonly [header: string, ...values: string[]]>>> = {
  ACL: [
    'x-amz-acl',
    'private',
    'public-read',
    'public-read-write',
    'authenticated-read',
    'aws-exec-read',
    'bucket-owner-read',
    'bucket-owner-full-control',
  ],
  ObjectLockMode: ['x-amz-object-lock-mode', 'GOVERNANCE', 'COMPLIANCE'],
  ObjectLockLegalHoldStatus: ['x-amz-object-lock-legal-hold', 'ON', 'OFF'],
}

function demandKnown(name: S3FeatureName, value: unknown): void {
  const [header, ...values] = closed[name] ?? []
  if (header === undefined || values.some(known => known === value)) return
  throw invalidArgument(header, value, `${name} must be one of ${values.join(', ')}`)
}

/** As it is sent. */
function written(name: S3FeatureName, value: unknown): unknown {
  if (name === 'BucketKeyEnabled') return value
  if (name === 'Expires') return value instanceof Date ? value.toUTCString() : String(value)
  return value instanceof Date ? value.toISOString() : String(value)
}
