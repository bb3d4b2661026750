import type { GetObjectAttributesCommandInput, GetObjectAttributesCommandOutput } from '@aws-sdk/client-s3'
import { wholeSeconds } from './conditions.ts'
import { checksumFields } from './described.ts'
import { invalidArgument, metadata, noSuchKey } from './errors.ts'
import type { Call } from './handler.ts'
import { keyOf, signalled } from './inputs.ts'

const names = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize']

/** Of parts their number only: their sizes and checksums are not kept with an object. */
export async function getObjectAttributes(
  call: Call<GetObjectAttributesCommandInput>,
): Promise<GetObjectAttributesCommandOutput> {
  const { input, store } = call
  const asked = new Set<string>(input.ObjectAttributes ?? [])
  const key = keyOf(input)
  const info = await store.head(key, signalled(call))
  if (info === undefined) throw noSuchKey(key)
  if (asked.size === 0 || [...asked].some(name => !names.includes(name))) {
    throw invalidArgument('x-amz-object-attributes', [...asked].join(), 'Invalid attribute name specified')
  }
  const { parts, features, etag, size } = info
  const checksum = checksumFields(info)
  return {
    $metadata: metadata(200),
    LastModified: wholeSeconds(info.modifiedAt),
    // Without the quotes that it has everywhere else.
    ...(asked.has('ETag') ? { ETag: etag } : {}),
    ...(asked.has('Checksum') && info.checksum !== undefined ? { Checksum: withoutCount(checksum) } : {}),
    ...(asked.has('ObjectParts') && parts !== undefined ? { ObjectParts: { TotalPartsCount: parts.count } } : {}),
    ...(asked.has('StorageClass') ? { StorageClass: storageClass(features?.StorageClass) } : {}),
    ...(asked.has('ObjectSize') ? { ObjectSize: size } : {}),
  }
}

function storageClass(given = 'STANDARD'): NonNullable<GetObjectAttributesCommandOutput['StorageClass']> {
  return given as NonNullable<GetObjectAttributesCommandOutput['StorageClass']>
}

/** A checksum of parts is said here without their number. */
function withoutCount<Fields extends object>(fields: Fields): Fields {
  const pairs = Object.entries(fields).map(([name, value]) => [name, String(value).split('-')[0]])
  return Object.fromEntries(pairs) as Fields
}
