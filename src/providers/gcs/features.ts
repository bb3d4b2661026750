import type { FeatureRefusal, ProviderFeatures } from '../../core/features.ts'
import { shown } from '../../core/errors.ts'
import { type EqualTable, noEquals, refuseUnequal, wordFor } from '../features.ts'

/** https://cloud.google.com/storage/docs/storage-classes */
export const gcsClasses = ['STANDARD', 'NEARLINE', 'COLDLINE', 'ARCHIVE'] as const

/**
 * What of S3's features has an equal at Google Cloud Storage. Classes go by how long an object is to stay and how soon it can be read:
 * all of Google's are read at once, so that what S3 gives back after hours only is no worse there. Everything is encrypted with AES-256
 * (https://cloud.google.com/storage/docs/encryption/default-keys), and belongs to the project, to nobody else, unless shared.
 */
export const gcsEquals: EqualTable = {
  ...noEquals,
  ACL: { is: 'so anyway', values: ['private', 'bucket-owner-full-control'] },
  ServerSideEncryption: { is: 'so anyway', values: ['AES256'] },
  StorageClass: {
    is: 'a word',
    of: 'storage class',
    words: {
      STANDARD: 'STANDARD',
      REDUCED_REDUNDANCY: 'STANDARD',
      STANDARD_IA: 'NEARLINE',
      ONEZONE_IA: 'NEARLINE',
      GLACIER_IR: 'COLDLINE',
      GLACIER: 'ARCHIVE',
      DEEP_ARCHIVE: 'ARCHIVE',
    },
  },
}

/** Pure. `at`: the provider's name. */
export function refuseGcsFeatures(features: ProviderFeatures, at: string): FeatureRefusal | undefined {
  const said = features.gcs?.storageClass
  if (said !== undefined && !(gcsClasses as readonly string[]).includes(said)) {
    return { field: 'gcs.storageClass', message: `is ${shown(said)}; ${at} knows ${gcsClasses.join(', ')}` }
  }
  return refuseUnequal(features, gcsEquals, at, said === undefined ? [] : ['StorageClass'])
}

/** The class to store with, `undefined` for the bucket's own. */
export function gcsClass(features: ProviderFeatures | undefined): string | undefined {
  return features?.gcs?.storageClass ?? wordFor(gcsEquals.StorageClass, features?.s3?.StorageClass)
}
