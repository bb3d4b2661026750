import type { FeatureRefusal, ProviderFeatures, S3FeatureName } from '../../core/features.ts'
import { shown } from '../../core/errors.ts'
import { type EqualTable, noEquals, refuseUnequal, tagPairs, wordFor } from '../features.ts'

/** https://learn.microsoft.com/azure/storage/blobs/access-tiers-overview */
export const azureTiers = ['Hot', 'Cool', 'Cold', 'Archive'] as const

/** Of the tags of one blob: https://learn.microsoft.com/azure/storage/blobs/storage-manage-find-blobs */
export const azureTagLimits = { tags: 10, keyCharacters: 128, valueCharacters: 256 } as const

/**
 * What of S3's features has an equal at Azure. Everything is encrypted with AES-256
 * (https://learn.microsoft.com/azure/storage/common/storage-service-encryption), and belongs to the account.
 */
export const azureEquals: EqualTable = {
  ...noEquals,
  ACL: { is: 'so anyway', values: ['private', 'bucket-owner-full-control'] },
  ServerSideEncryption: { is: 'so anyway', values: ['AES256'] },
  StorageClass: {
    is: 'a word',
    of: 'access tier',
    words: {
      STANDARD: 'Hot',
      REDUCED_REDUNDANCY: 'Hot',
      STANDARD_IA: 'Cool',
      ONEZONE_IA: 'Cool',
      GLACIER_IR: 'Cold',
      GLACIER: 'Archive',
      DEEP_ARCHIVE: 'Archive',
    },
  },
  Tagging: { is: 'converted', to: 'blob index tags' },
}

/** Pure. `at`: the provider's name. */
export function refuseAzureFeatures(features: ProviderFeatures, at: string): FeatureRefusal | undefined {
  const { tier, tags } = features.azure ?? {}
  if (tier !== undefined && !(azureTiers as readonly string[]).includes(tier)) {
    return { field: 'azure.tier', message: `is ${shown(tier)}; ${at} knows ${azureTiers.join(', ')}` }
  }
  const unfit = tags === undefined ? undefined : misfit(Object.entries(tags))
  if (unfit !== undefined) return { field: 'azure.tags', message: `cannot be kept at ${at}: ${unfit}` }
  const said: S3FeatureName[] = []
  if (tier !== undefined) said.push('StorageClass')
  if (tags !== undefined) said.push('Tagging')
  return refuseUnequal(features, azureEquals, at, said, text => {
    const pairs = tagPairs(text)
    return pairs === undefined ? 'it is not encoded as a query' : misfit(pairs)
  })
}

/** What is sent with a blob when it comes to be. What does not fit here was gone without, or refused before. */
export function blobFeatures(features: ProviderFeatures | undefined): {
  readonly tier?: string
  readonly tags?: Record<string, string>
} {
  const tier = features?.azure?.tier ?? wordFor(azureEquals.StorageClass, features?.s3?.StorageClass)
  const tags = tagsOf(features)
  return {
    ...(tier === undefined ? {} : { tier }),
    ...(tags === undefined || tags.length === 0 ? {} : { tags: Object.fromEntries(tags) }),
  }
}

function tagsOf(features: ProviderFeatures | undefined): readonly (readonly [string, string])[] | undefined {
  if (features?.azure?.tags !== undefined) return Object.entries(features.azure.tags)
  const pairs = tagPairs(features?.s3?.Tagging ?? '')
  return pairs === undefined || misfit(pairs) !== undefined ? undefined : pairs
}

/** Why these cannot be the tags of one blob, if they cannot. */
function misfit(pairs: readonly (readonly [string, string])[]): string | undefined {
  const { tags, keyCharacters, valueCharacters } = azureTagLimits
  if (pairs.length > tags) return `${pairs.length} tags, limit ${tags}`
  if (new Set(pairs.map(([key]) => key)).size < pairs.length) return 'a tag comes twice'
  for (const [key, value] of pairs) {
    if (key === '' || key.length > keyCharacters)
      return `a key has ${key.length} characters, limit 1 to ${keyCharacters}`
    if (value.length > valueCharacters) return `a value has ${value.length} characters, limit ${valueCharacters}`
    const wrong = [key, value].find(text => !/^[A-Za-z0-9 +\-./:=_]*$/.test(text))
    if (wrong !== undefined) return `${shown(wrong)} has other characters than letters, digits, space and + - . / : = _`
  }
  return undefined
}
