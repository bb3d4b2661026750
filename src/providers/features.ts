import { shown } from '../core/errors.ts'
import type { FeatureRefusal, ProviderFeatures, S3FeatureName } from '../core/features.ts'

/** What a service that does not speak S3 has instead of one of S3's features. */
export type Equal =
  /** Nothing: a write with it is refused. */
  | { readonly is: 'none' }
  /** With these values it asks for what is so anyway; with others, nothing. */
  | { readonly is: 'so anyway'; readonly values: readonly string[] }
  /** Another word for each of these values; for others, nothing. */
  | { readonly is: 'a word'; readonly of: string; readonly words: Readonly<Record<string, string>> }
  /** The same thing in another form, where it fits. */
  | { readonly is: 'converted'; readonly to: string }

/** A row for every feature. */
export type EqualTable = Readonly<Record<S3FeatureName, Equal>>

const none: Equal = { is: 'none' }

/** To begin a table with: nothing at all. */
export const noEquals: EqualTable = {
  ACL: none,
  GrantFullControl: none,
  GrantRead: none,
  GrantReadACP: none,
  GrantWriteACP: none,
  StorageClass: none,
  ServerSideEncryption: none,
  SSEKMSKeyId: none,
  SSEKMSEncryptionContext: none,
  BucketKeyEnabled: none,
  Tagging: none,
  WebsiteRedirectLocation: none,
  Expires: none,
  ObjectLockMode: none,
  ObjectLockRetainUntilDate: none,
  ObjectLockLegalHoldStatus: none,
}

/** A store without accounts keeps everything private: `fs` and `memory`. */
export const privateOnly: EqualTable = { ...noEquals, ACL: { is: 'so anyway', values: ['private'] } }

/**
 * The first of S3's features that has no equal here, and may not be gone without. `said`: those that the service's own block of the
 * features speaks for. `unfit`: why a value does not fit where it would be converted, if it does not.
 */
export function refuseUnequal(
  features: ProviderFeatures,
  table: EqualTable,
  at: string,
  said: readonly S3FeatureName[] = [],
  unfit: (value: string) => string | undefined = () => undefined,
): FeatureRefusal | undefined {
  const { s3 = {}, relax = [] } = features
  for (const name of Object.keys(table) as S3FeatureName[]) {
    const value = s3[name]
    if (value === undefined || said.includes(name) || relax.includes(name)) continue
    const why = without(table[name], String(value), at, unfit)
    if (why !== undefined) return { field: `s3.${name}`, message: why }
  }
  return undefined
}

function without(
  equal: Equal,
  value: string,
  at: string,
  unfit: (value: string) => string | undefined,
): string | undefined {
  switch (equal.is) {
    case 'none':
      return `has no equal at ${at}`
    case 'so anyway':
      return equal.values.includes(value) ? undefined : `is ${shown(value)}, which has no equal at ${at}`
    case 'a word':
      return Object.hasOwn(equal.words, value) ? undefined : `is ${shown(value)}, which has no equal at ${at}`
    case 'converted': {
      const why = unfit(value)
      return why === undefined ? undefined : `has no equal at ${at}: ${why}`
    }
    default:
      return equal satisfies never
  }
}

/** The word of the table for a value, if it has one. */
export function wordFor(equal: Equal, value: string | undefined): string | undefined {
  if (equal.is !== 'a word' || value === undefined || !Object.hasOwn(equal.words, value)) return undefined
  return equal.words[value]
}

/** S3's `a=1&b=2`, encoded as in a query. `undefined` where it is not. */
export function tagPairs(tagging: string): readonly (readonly [string, string])[] | undefined {
  try {
    return tagging
      .split('&')
      .filter(each => each !== '')
      .map(each => {
        const [key = '', ...value] = each.split('=')
        return [decoded(key), decoded(value.join('='))] as const
      })
  } catch {
    return undefined
  }
}

const decoded = (text: string): string => decodeURIComponent(text.replaceAll('+', ' '))
