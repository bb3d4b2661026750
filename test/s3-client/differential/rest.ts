import { HeadObjectCommand, paginateListObjectsV2, type S3Client } from '@aws-sdk/client-s3'
import { unpackMetadata } from '../../../src/core/attributes.ts'
import { differences, outcomeOf } from './compare.ts'
import type { Both } from './world.ts'

/**
 * Where two buckets differ that were written to in the same way, one by a plain client and one through Holdfast: objects as listed, and
 * what HEAD says of each. Our own keys and
 * metadata entries are left out, and metadata that S3 does not give back as it came is looked for where FORMAT.md says.
 */
export async function differencesAtRest(bucket: string, buckets: Both<S3Client>): Promise<string[]> {
  const plain = await listed(buckets.plain, bucket)
  const wrapped = await listed(buckets.wrapped, bucket)
  const found = differences('ListObjectsV2', { plain: { output: plain }, wrapped: { output: wrapped } })
  for (const Key of Object.keys(plain)) {
    const look = (client: S3Client) =>
      outcomeOf(async () => {
        const { Metadata = {}, ...rest } = await client.send(new HeadObjectCommand({ Bucket: bucket, Key }))
        return { ...rest, Metadata: { ...unpackMetadata(Metadata) } }
      })
    const both = { plain: await look(buckets.plain), wrapped: await look(buckets.wrapped) }
    found.push(...differences('HeadObject', both).map(line => `${Key}: ${line}`))
  }
  return found
}

async function listed(client: S3Client, Bucket: string): Promise<Record<string, object>> {
  const found: Record<string, object> = {}
  for await (const { Contents = [] } of paginateListObjectsV2({ client }, { Bucket })) {
    for (const { Key = '', ETag, Size, StorageClass } of Contents) {
      if (!Key.startsWith('.holdfast/')) found[Key] = { ETag, Size, StorageClass }
    }
  }
  return found
}
