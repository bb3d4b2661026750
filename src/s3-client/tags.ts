import type { CopyObjectCommandInput } from '@aws-sdk/client-s3'
import type { Source } from './copy-from.ts'
import type { CopySource } from './copy-source.ts'
import { s3Error } from './errors.ts'
import type { Call } from './handler.ts'
import { sdk } from './sdk.ts'

/**
 * The tags that a copy takes over, in a query's words; `undefined` for none. No read shows them: unless the source is still on local disk, with all that it
 * was written with, the source's own bucket is asked. Where that cannot be reached the copy is refused rather than made without
 * them, unless `relax` names Tagging.
 */
export async function sourceTags(
  call: Call<CopyObjectCommandInput>,
  { bucket, key }: CopySource,
  source: Source,
): Promise<string | undefined> {
  const { input, settings, plain } = call
  if (input.TaggingDirective === 'REPLACE') return undefined
  if (source.isLocal) return source.info.features?.Tagging
  // A service that speaks S3 says how many there are; another has said nothing of them.
  const { tagCount, features } = source.info
  if (tagCount === undefined && features !== undefined) return undefined
  const { GetObjectTaggingCommand } = sdk()
  try {
    const { TagSet = [] } = await plain(new GetObjectTaggingCommand({ Bucket: bucket, Key: key }))
    const tags = new URLSearchParams(TagSet.map(({ Key = '', Value = '' }): [string, string] => [Key, Value]))
    return TagSet.length === 0 ? undefined : tags.toString()
  } catch (error) {
    if (call.signal?.aborted === true) throw error
    if (settings.relax.includes('Tagging')) return undefined
    const status = statusOf(error)
    const hasTags = (tagCount ?? 0) > 0
    // There are some: without the right to see them S3 refuses the copy too.
    if (status === 403 && hasTags) throw error
    // A service without tags, no right to see whether there are any, a copy that is not there yet.
    if (status === 501 || (status < 500 && !hasTags)) return undefined
    const message = `CopyObject: whether ${bucket}/${key} has tags is not known while its bucket cannot be reached: copy with TaggingDirective REPLACE, or leave them out with withHoldfast(…, { relax: ['Tagging'] })`
    throw s3Error('ServiceUnavailable', 503, message, { cause: error })
  }
}

/** 503 for what has no answer at all. */
function statusOf(error: unknown): number {
  const { httpStatusCode } = (error as { readonly $metadata?: { readonly httpStatusCode?: number } }).$metadata ?? {}
  return httpStatusCode ?? 503
}
