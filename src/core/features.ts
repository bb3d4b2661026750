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

export type S3FeatureName = keyof S3Features

/** Why a provider cannot keep a feature, and has no equal to it. */
export interface FeatureRefusal {
  /** `s3.ACL`. */
  readonly field: string
  /** Ends the sentence "features.s3.ACL …": `has no equal at gcs:photos`. */
  readonly message: string
}
