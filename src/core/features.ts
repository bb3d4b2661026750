/**
 * What one service can keep with an object and others cannot, or not under that name. Carried in the write. A provider of the kind that
 * is named gets it as given. The others get its equal, where they have one (docs/wrap-existing-s3-code.md has the table). Where one has
 * none, the write is refused before anything is stored (INVALID, field `features.s3.ACL`, rule `provider`), unless `relax` names it.
 */
export interface ProviderFeatures {
  /** In the words of S3's PutObject. */
  readonly s3?: S3Features
  /** Before what follows from `s3`. */
  readonly gcs?: {
    /** STANDARD, NEARLINE, COLDLINE, ARCHIVE. */
    readonly storageClass?: string
  }
  /** Before what follows from `s3`. */
  readonly azure?: {
    /** Hot, Cool, Cold, Archive. */
    readonly tier?: string
    /** Blob index tags, at most 10. */
    readonly tags?: Readonly<Record<string, string>>
  }
  /** Names of `s3` that a provider of another kind, where it has no equal, may go without. */
  readonly relax?: readonly S3FeatureName[]
}

/** As the fields of S3's PutObject of the same names; all are text as it is sent, but for `BucketKeyEnabled`. */
export interface S3Features {
  readonly ACL?: string
  readonly GrantFullControl?: string
  readonly GrantRead?: string
  readonly GrantReadACP?: string
  readonly GrantWriteACP?: string
  readonly StorageClass?: string
  readonly ServerSideEncryption?: string
  readonly SSEKMSKeyId?: string
  readonly SSEKMSEncryptionContext?: string
  readonly BucketKeyEnabled?: boolean
  /** As in a query: `a=1&b=2`. */
  readonly Tagging?: string
  readonly WebsiteRedirectLocation?: string
  /** The `Expires` header, as it is sent. */
  readonly Expires?: string
  readonly ObjectLockMode?: string
  /** ISO 8601. */
  readonly ObjectLockRetainUntilDate?: string
  readonly ObjectLockLegalHoldStatus?: string
}

/** Which of them. */
export type S3FeatureName = keyof S3Features

export const s3FeatureNames: readonly S3FeatureName[] = [
  'ACL',
  'GrantFullControl',
  'GrantRead',
  'GrantReadACP',
  'GrantWriteACP',
  'StorageClass',
  'ServerSideEncryption',
  'SSEKMSKeyId',
  'SSEKMSEncryptionContext',
  'BucketKeyEnabled',
  'Tagging',
  'WebsiteRedirectLocation',
  'Expires',
  'ObjectLockMode',
  'ObjectLockRetainUntilDate',
  'ObjectLockLegalHoldStatus',
]

/** Why a provider cannot keep a feature, and has no equal to it. */
export interface FeatureRefusal {
  /** `s3.ACL`. */
  readonly field: string
  /** Ends the sentence "features.s3.ACL …": `has no equal at gcs:photos`. */
  readonly message: string
}

interface Refusing {
  readonly name: string
  refuseFeatures?(features: ProviderFeatures): FeatureRefusal | undefined
}

/** Why this provider takes no write with these features, if it does not. One whose driver knows nothing of features keeps none. */
export function featureRefusal(provider: Refusing, features: ProviderFeatures): FeatureRefusal | undefined {
  if (provider.refuseFeatures !== undefined) return provider.refuseFeatures(features)
  const { s3 = {}, relax = [] } = features
  const name = s3FeatureNames.find(each => s3[each] !== undefined && !relax.includes(each))
  return name && { field: `s3.${name}`, message: `is not kept by the driver of ${provider.name}` }
}

/**
 * What goes along when an object is stored once more, by what a provider that speaks S3 says of it: storage class, redirection, `Expires`.
 * Encryption and locks do not: what an object says of these may be its bucket's doing, and another bucket may have neither the key nor
 * locks. Access rights and tags no read shows. `undefined` where that is nothing, or where one of these providers takes not even that.
 */
export function featuresAlong(
  said: S3Features | undefined,
  providers: readonly Refusing[],
): ProviderFeatures | undefined {
  const { StorageClass, WebsiteRedirectLocation, Expires } = said ?? {}
  const s3: S3Features = {
    ...(StorageClass === undefined ? {} : { StorageClass }),
    ...(WebsiteRedirectLocation === undefined ? {} : { WebsiteRedirectLocation }),
    ...(Expires === undefined ? {} : { Expires }),
  }
  if (Object.keys(s3).length === 0) return undefined
  const features = { s3, relax: s3FeatureNames }
  return providers.some(provider => featureRefusal(provider, features) !== undefined) ? undefined : features
}
