import { invalid, shown } from '../../core/errors.ts'
import { featureRefusal, type ProviderFeatures, s3FeatureNames, type S3FeatureName } from '../../core/features.ts'
import type { Provider } from '../../core/provider.ts'
import { suggestion } from '../../core/suggest.ts'
import { isPlain, unsafeNames } from './metadata.ts'
import { reading } from './take.ts'

const mostTags = 10
const longestTagName = 128
const longestTagValue = 256
/** Characters. Long enough for whatever S3 takes in one of these headers; tags are the longest, spelled with percent signs. */
const longest: Readonly<Partial<Record<S3FeatureName, number>>> = { Tagging: 8192, WebsiteRedirectLocation: 2048 }
const longestElsewhere = 1024

/**
 * What S3 answers 400 to, whichever values it knows: a write that was accepted would wait for ever. A lock has a mode and a date; a key of KMS needs
 * the encryption named; access is given by one canned ACL, or by grants. https://docs.aws.amazon.com/AmazonS3/latest/API/API_PutObject.html
 */
const together: readonly (readonly [first: S3FeatureName, second: S3FeatureName, are: 'both' | 'apart'])[] = [
  ['ObjectLockMode', 'ObjectLockRetainUntilDate', 'both'],
  ['ObjectLockRetainUntilDate', 'ObjectLockMode', 'both'],
  ['SSEKMSKeyId', 'ServerSideEncryption', 'both'],
  ['SSEKMSEncryptionContext', 'ServerSideEncryption', 'both'],
  ['ACL', 'GrantFullControl', 'apart'],
  ['ACL', 'GrantRead', 'apart'],
  ['ACL', 'GrantReadACP', 'apart'],
  ['ACL', 'GrantWriteACP', 'apart'],
]

/**
 * A copy of what was given, without what is `undefined`; `undefined` where nothing is left. The values of S3's features are no closed lists: new
 * storage classes appear, and other services that speak S3 have their own. INVALID, field `features`, `features.s3`, `features.s3.ACL` …: rule
 * `type`, `unknown` (no such feature), `empty`, `ascii`, `length`, `tags`, `date`, `syntax`, `together` (what S3 takes only with, or not
 * with, another). And rule `provider`, with the provider's name, where one of these providers has no equal and `relax` does not let it go without.
 */
export function checkFeatures(features: unknown, providers: readonly Provider[]): ProviderFeatures | undefined {
  if (features === undefined) return undefined
  const checked = reading('features', 'features', () => {
    const given = group('features', features, ['s3', 'gcs', 'azure', 'relax'])
    const s3 = given['s3'] === undefined ? undefined : checkS3(given['s3'])
    const gcs = given['gcs'] === undefined ? undefined : checkGcs(given['gcs'])
    const azure = given['azure'] === undefined ? undefined : checkAzure(given['azure'])
    const relax = given['relax'] === undefined ? [] : checkRelax(given['relax'])
    if (s3 === undefined && gcs === undefined && azure === undefined) return undefined
    return {
      ...(s3 === undefined ? {} : { s3 }),
      ...(gcs === undefined ? {} : { gcs }),
      ...(azure === undefined ? {} : { azure }),
      ...(relax.length === 0 ? {} : { relax }),
    }
  })
  if (checked !== undefined) demandKept(checked, providers)
  return checked
}

/** INVALID, rule `provider`, where one of these providers can keep a feature neither as given nor by an equal. */
function demandKept(features: ProviderFeatures, providers: readonly Provider[]): void {
  for (const provider of providers) {
    const refusal = featureRefusal(provider, features)
    if (refusal === undefined) continue
    const { field, message } = refusal
    const name = s3FeatureNames.find(each => field === `s3.${each}`)
    const remedy = name === undefined ? '' : `; features.relax: ['${name}'] lets that provider go without it`
    const text = `features.${field} ${message} (provider ${shown(provider.name)})${remedy}`
    throw invalid(`features.${field}`, 'provider', text, { provider: provider.name })
  }
}

/** The properties of a plain object that are given, each read once. */
function group<Name extends string>(
  field: string,
  value: unknown,
  names: readonly Name[],
): Readonly<Partial<Record<Name, unknown>>> {
  if (!isPlain(value)) throw invalid(field, 'type', `${field} must be a plain object, got ${shown(value)}`)
  const given: Partial<Record<Name, unknown>> = {}
  for (const name of Object.keys(value)) {
    const known = names.find(each => each === name)
    if (known === undefined)
      throw invalid(field, 'unknown', `${field} knows nothing of ${shown(name)}${suggestion(name, names)}`)
    const found = value[name]
    if (found !== undefined) given[known] = found
  }
  return given
}

function checkS3(value: unknown): ProviderFeatures['s3'] {
  const given = group('features.s3', value, s3FeatureNames)
  const checked: Partial<Record<S3FeatureName, string | boolean>> = {}
  for (const name of s3FeatureNames) {
    const found = given[name]
    const field = `features.s3.${name}`
    if (found === undefined || (name === 'Tagging' && found === '')) continue
    if (name === 'BucketKeyEnabled') {
      if (typeof found !== 'boolean')
        throw invalid(field, 'type', `${field} must be true or false, got ${shown(found)}`)
      checked[name] = found
    } else checked[name] = checkText(field, found, longest[name] ?? longestElsewhere)
  }
  const { Tagging, ObjectLockRetainUntilDate, WebsiteRedirectLocation } = checked
  if (typeof Tagging === 'string') checkTagging(Tagging)
  if (typeof ObjectLockRetainUntilDate === 'string') checkDate(ObjectLockRetainUntilDate)
  if (typeof WebsiteRedirectLocation === 'string' && !/^(?:\/|https?:\/\/)/.test(WebsiteRedirectLocation)) {
    const field = 'features.s3.WebsiteRedirectLocation'
    const text = `${field} must begin with /, http:// or https://, got ${shown(WebsiteRedirectLocation)}`
    throw invalid(field, 'syntax', text)
  }
  for (const [first, second, are] of together) {
    if (checked[first] === undefined || (checked[second] !== undefined) === (are === 'both')) continue
    const text = `features.s3.${first} is taken by S3 only ${are === 'both' ? 'together with' : 'without'} ${second}`
    throw invalid(`features.s3.${first}`, 'together', text)
  }
  return Object.keys(checked).length === 0 ? undefined : (checked as ProviderFeatures['s3'])
}

function checkGcs(value: unknown): ProviderFeatures['gcs'] {
  const { storageClass } = group('features.gcs', value, ['storageClass'])
  if (storageClass === undefined) return undefined
  return { storageClass: checkText('features.gcs.storageClass', storageClass, longestElsewhere) }
}

function checkAzure(value: unknown): ProviderFeatures['azure'] {
  const given = group('features.azure', value, ['tier', 'tags'])
  const tier = given.tier === undefined ? {} : { tier: checkText('features.azure.tier', given.tier, longestElsewhere) }
  const tags = given.tags === undefined ? {} : { tags: checkTags('features.azure.tags', given.tags) }
  return given.tier === undefined && given.tags === undefined ? undefined : { ...tier, ...tags }
}

function checkRelax(value: unknown): readonly S3FeatureName[] {
  const field = 'features.relax'
  if (!Array.isArray(value)) throw invalid(field, 'type', `${field} must be an array of names, got ${shown(value)}`)
  const relaxed = new Set<S3FeatureName>()
  for (const name of value as readonly unknown[]) {
    if (typeof name !== 'string') throw invalid(field, 'type', `${field} must have names only, got ${shown(name)}`)
    const known = s3FeatureNames.find(each => each === name)
    if (known === undefined)
      throw invalid(field, 'unknown', `${field} names ${shown(name)}${suggestion(name, s3FeatureNames)}`)
    relaxed.add(known)
  }
  return [...relaxed]
}

/** As it can be sent in a header. */
function checkText(field: string, value: unknown, most: number): string {
  if (typeof value !== 'string') throw invalid(field, 'type', `${field} must be a string, got ${shown(value)}`)
  if (value.trim() === '') throw invalid(field, 'empty', `${field} is empty; leave it out instead`)
  if (value.length > most) throw invalid(field, 'length', `${field} has ${value.length} characters, limit ${most}`)
  if (!/^[!-~](?:[ -~]*[!-~])?$/.test(value))
    throw invalid(field, 'ascii', `${field} must be printable ASCII without blanks at its ends, got ${shown(value)}`)
  return value
}

/** `a=1&b=2`, percent-encoded, as the header `x-amz-tagging` has it. */
function checkTagging(text: string): void {
  const field = 'features.s3.Tagging'
  const refuse = (why: string): Error => invalid(field, 'tags', `${field} ${why}: ${shown(text)}`)
  const parts = text.split('&')
  if (parts.length > mostTags) throw refuse(`has ${parts.length} tags, limit ${mostTags}`)
  const tags = new Map<string, string>()
  for (const part of parts) {
    const at = part.indexOf('=')
    const [name, value] = [at < 0 ? part : part.slice(0, at), at < 0 ? '' : part.slice(at + 1)].map(decoded)
    if (name === undefined || value === undefined) throw refuse('is not percent-encoded as a query is')
    if (name === '') throw refuse('has a tag without a name')
    if (tags.has(name)) throw refuse(`has ${shown(name)} twice`)
    tags.set(name, value)
  }
  for (const [name, value] of tags) demandTagLength(field, name, value)
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '))
  } catch {
    return undefined
  }
}

function checkTags(field: string, value: unknown): Readonly<Record<string, string>> {
  if (!isPlain(value)) throw invalid(field, 'type', `${field} must be a plain object of strings, got ${shown(value)}`)
  const names = Object.keys(value)
  if (names.length > mostTags) throw invalid(field, 'tags', `${field} has ${names.length} tags, limit ${mostTags}`)
  const tags: Record<string, string> = Object.create(null)
  for (const name of names) {
    const found = value[name]
    if (typeof found !== 'string') throw invalid(field, 'type', `${field} has ${shown(found)} where a string is to be`)
    if (name === '' || unsafeNames.has(name)) throw invalid(field, 'tags', `${field} has a tag named ${shown(name)}`)
    demandTagLength(field, name, found)
    tags[name] = found
  }
  return tags
}

/** https://docs.aws.amazon.com/AmazonS3/latest/userguide/object-tagging.html; Azure's blob index tags have the same limits. */
function demandTagLength(field: string, name: string, value: string): void {
  const refuse = (what: string): Error => invalid(field, 'tags', `${field}: the tag ${shown(name)} has ${what}`)
  if (name.length > longestTagName) throw refuse(`a name of ${name.length} characters, limit ${longestTagName}`)
  if (value.length > longestTagValue) throw refuse(`a value of ${value.length} characters, limit ${longestTagValue}`)
  if (!`${name}${value}`.isWellFormed() || /\p{Cc}/u.test(name + value))
    throw refuse('a character that no tag can have')
}

const iso8601 = /^\d{4}-\d{2}-\d{2}(?:T\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?(?:Z|[+-]\d{2}:\d{2}))?$/

function checkDate(text: string): void {
  const field = 'features.s3.ObjectLockRetainUntilDate'
  if (iso8601.test(text) && !Number.isNaN(Date.parse(text))) return
  throw invalid(
    field,
    'date',
    `${field} must be a date as ISO 8601 writes it (2031-01-01T00:00:00Z), got ${shown(text)}`,
  )
}
