import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import { crc32, crc32c } from '@node-rs/crc32'
import type { Chance } from './chance.ts'
import { type Call, maybe, type Side, someEtag, someKey, someTime, type World } from './world.ts'

const headers = (chance: Chance): Record<string, unknown> => ({
  ...maybe(chance, {
    ContentType: [40, () => chance.one(['image/jpeg', 'text/plain; charset=utf-8', 'application/json'])],
    CacheControl: [20, () => 'max-age=60'],
    ContentDisposition: [20, () => 'attachment; filename="a b.jpg"'],
    ContentEncoding: [10, () => chance.one(['gzip', 'br'])],
    ContentLanguage: [10, () => 'de-AT'],
    Metadata: [
      35,
      () =>
        chance.weighted<object>([
          [20, { Owner: 'me', 'x-y': 'a  b' }],
          [10, { empty: '' }],
          [5, {}],
        ]),
    ],
  }),
})

const features = (chance: Chance): Record<string, unknown> =>
  maybe(chance, {
    Expires: [10, () => new Date(1_900_000_000_000)],
    StorageClass: [12, () => chance.one(['STANDARD', 'STANDARD_IA', 'GLACIER_IR'])],
    ServerSideEncryption: [8, () => 'AES256'],
    Tagging: [12, () => chance.one(['a=1', 'a=1&b=x%20y'])],
    ACL: [6, () => chance.one(['private', 'bucket-owner-full-control'])],
    WebsiteRedirectLocation: [5, () => '/elsewhere'],
  })

/** What the object is to be kept with; the same for uploads in parts. */
export const attributes = ({ chance, withFeatures }: World): Record<string, unknown> => ({
  ...headers(chance),
  ...(withFeatures ? features(chance) : {}),
})

const word = (value: number): string => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value >>> 0)
  return bytes.toString('base64')
}

const digests: Readonly<Record<string, (bytes: Uint8Array) => string>> = {
  ContentMD5: bytes => createHash('md5').update(bytes).digest('base64'),
  ChecksumCRC32: bytes => word(crc32(bytes)),
  ChecksumCRC32C: bytes => word(crc32c(bytes)),
  ChecksumSHA1: bytes => createHash('sha1').update(bytes).digest('base64'),
  ChecksumSHA256: bytes => createHash('sha256').update(bytes).digest('base64'),
}

export const algorithms = ['CRC32', 'CRC32C', 'CRC64NVME', 'SHA1', 'SHA256'] as const

/** What the body is to be compared with: mostly nothing or the right thing. */
export function claims(chance: Chance, body: Uint8Array): Record<string, unknown> {
  const name = chance.one(['ContentMD5', 'ChecksumCRC32', 'ChecksumCRC32C', 'ChecksumSHA1', 'ChecksumSHA256'])
  const value = digests[name]?.(body) ?? ''
  return chance.weighted<Record<string, unknown>>([
    [12, {}],
    [4, { ChecksumAlgorithm: chance.one(algorithms) }],
    [3, { [name]: value }],
    [2, { [name]: digests[name]?.(Buffer.concat([body, Buffer.from('!')])) }],
    [1, { [name]: 'bm90IG9uZQ==' }],
  ])
}

/** The same bytes in one of the forms that clients take. */
export function bodyOf(chance: Chance, bytes: Buffer): () => unknown {
  if (bytes.length === 0 && chance.percent(50)) return () => undefined
  return chance.weighted<() => unknown>([
    [4, () => bytes],
    [2, () => new Uint8Array(bytes)],
    // S3 wants chunks of 8 KiB at least, and the SDK makes one of each that it is given.
    [
      2,
      () =>
        Readable.from(bytes.length === 0 ? [] : [bytes.subarray(0, 8_192), bytes.subarray(8_192)], {
          objectMode: false,
        }),
    ],
    [2, () => bytes.toString('latin1').replaceAll(/[^ -~]/g, '.')],
  ])
}

export function putObject(world: World): Call {
  const { chance, bucket: Bucket } = world
  const Key = chance.percent(1) ? 'ä'.repeat(513) : someKey(world)
  const bytes = chance.bytes(
    chance.weighted([
      [2, 0],
      [3, 1],
      [6, 11],
      [4, 4_000],
      [1, 70_000],
    ]),
  )
  const form = bodyOf(chance, bytes)
  const made = form()
  const isStream = made instanceof Readable
  const actual = typeof made === 'string' ? Buffer.from(made) : bytes
  // One thing wrong at a time: which S3 looks at first is not said.
  const length = isStream ? { ContentLength: actual.length } : {}
  const rest =
    Key.length > 500
      ? length
      : chance.percent(1)
        ? { ...length, Metadata: { large: 'x'.repeat(2_100) } }
        : {
            ...length,
            ...attributes(world),
            ...(chance.percent(65) ? claims(chance, actual) : condition(world, Key)),
          }
  return { command: 'PutObject', input: () => ({ Bucket, Key, Body: form(), ...rest }), learn: wrote(world, Key) }
}

export function condition(world: World, Key: string): Record<string, unknown> {
  if (!world.withConditions) return {}
  return world.chance.weighted<() => Record<string, unknown>>([
    [3, () => ({})],
    [3, () => ({ IfNoneMatch: '*' })],
    [6, () => ({ IfMatch: someEtag(world, Key) })],
    [0.4, () => ({ IfNoneMatch: '"x"' })],
    [0.4, () => ({ IfNoneMatch: '*', IfMatch: '"x"' })],
  ])()
}

function wrote(world: World, key: string): NonNullable<Call['learn']> {
  return ({ plain }) => {
    const result = (plain['CopyObjectResult'] ?? plain) as { readonly ETag?: string }
    if (result.ETag !== undefined) world.etags.set(key, result.ETag)
    world.modified.delete(key)
  }
}

const ranges = [
  'bytes=0-9',
  'bytes=0-0',
  'bytes=5-',
  'bytes=-3',
  'bytes=-0',
  'bytes=3-2',
  'bytes=4000-4100',
  'bytes=999999-',
  'bytes=0-1,3-4',
  'bytes=x-y',
  'items=0-1',
] as const

function conditions(world: World, Key: string, prefix = ''): (side: Side) => Record<string, unknown> {
  const { chance } = world
  const since = someTime(world, Key)
  const until = someTime(world, Key)
  const etags = maybe(chance, {
    [`${prefix}IfMatch`]: [12, () => someEtag(world, Key)],
    [`${prefix}IfNoneMatch`]: [12, () => someEtag(world, Key)],
  })
  const [withSince, withUntil] = [chance.percent(10), chance.percent(10)]
  return side => ({
    ...etags,
    ...(withSince ? { [`${prefix}IfModifiedSince`]: since(side) } : {}),
    ...(withUntil ? { [`${prefix}IfUnmodifiedSince`]: until(side) } : {}),
  })
}

/** GetObject and HeadObject. */
export function readObject(world: World): Call {
  const { chance, bucket: Bucket } = world
  const Key = someKey(world)
  const asked = conditions(world, Key)
  const rest = maybe(chance, {
    // Both at once are refused; nobody says whether before or after the conditions were looked at.
    ...(chance.percent(80)
      ? { Range: [40, () => chance.one(ranges)] }
      : { PartNumber: [40, () => chance.one([1, 1, 2, 3, 0])] }),
    ChecksumMode: [30, () => 'ENABLED'],
    ResponseContentType: [6, () => 'text/html'],
    ResponseCacheControl: [4, () => 'no-store'],
    ResponseContentDisposition: [6, () => 'inline'],
    ResponseContentEncoding: [3, () => 'identity'],
    ResponseContentLanguage: [3, () => 'en'],
    ResponseExpires: [3, () => new Date(1_800_000_000_000)],
  })
  return {
    command: chance.one(['GetObject', 'HeadObject']),
    input: side => ({ Bucket, Key, ...rest, ...asked(side) }),
    learn: ({ plain, wrapped }) => {
      const [a, b] = [plain['LastModified'], wrapped['LastModified']]
      if (a instanceof Date && b instanceof Date) world.modified.set(Key, { plain: a, wrapped: b })
    },
  }
}

const attributeNames = ['ETag', 'Checksum', 'ObjectParts', 'StorageClass', 'ObjectSize'] as const

export function getObjectAttributes(world: World): Call {
  const { chance, bucket: Bucket } = world
  const chosen = attributeNames.filter(() => chance.percent(60))
  const rest = maybe(chance, { MaxParts: [25, () => chance.one([1, 2])], PartNumberMarker: [15, () => '1'] })
  const input = { Bucket, Key: someKey(world), ObjectAttributes: chosen.length === 0 ? ['ETag'] : chosen, ...rest }
  return { command: 'GetObjectAttributes', input: () => input }
}

export function deleteObject(world: World): Call {
  const { chance, bucket: Bucket } = world
  const Key = someKey(world)
  const rest = maybe(chance, { IfMatch: [world.withConditions ? 25 : 0, () => someEtag(world, Key)] })
  return {
    command: 'DeleteObject',
    input: () => ({ Bucket, Key, ...rest }),
    learn: () => void world.etags.delete(Key),
  }
}

export function deleteObjects(world: World): Call {
  const { chance, bucket: Bucket } = world
  // Each key once: in which order they go is not said.
  const chosen = new Set(Array.from({ length: 1 + chance.below(4) }, () => someKey(world)))
  const Objects = [...chosen].map(Key => ({
    Key,
    ...maybe(chance, { ETag: [world.withConditions ? 15 : 0, () => someEtag(world, Key)] }),
  }))
  const none = chance.percent(4)
  const Delete = { Objects: none ? [] : Objects, ...maybe(chance, { Quiet: [30, () => true] }) }
  return {
    command: 'DeleteObjects',
    input: () => ({ Bucket, Delete }),
    learn: ({ plain }) => {
      const failed = new Set(((plain['Errors'] ?? []) as readonly { readonly Key?: string }[]).map(({ Key }) => Key))
      for (const { Key } of Objects) if (!failed.has(Key)) world.etags.delete(Key)
    },
  }
}

export function copySource({ chance, bucket }: World, key: string): string {
  const encoded = `${bucket}/${key.split('/').map(encodeURIComponent).join('/')}`
  return chance.weighted([
    [8, encoded],
    [3, `/${encoded}`],
    [2, `${bucket}/${encodeURIComponent(key)}`],
    [0.5, bucket],
    [0.5, `${bucket}/`],
  ])
}

export function copyObject(world: World): Call {
  const { chance, bucket: Bucket } = world
  const from = someKey(world)
  const Key = chance.percent(15) ? from : someKey(world)
  const asked = conditions(world, from, 'CopySource')
  const directive = maybe(chance, { MetadataDirective: [50, () => chance.one(['COPY', 'REPLACE', 'REPLACE'])] })
  // Onto itself a copy may here also change nothing but access rights or tags, since the commands that do so are refused.
  const others =
    from === Key && directive['MetadataDirective'] !== 'REPLACE'
      ? {}
      : { ...maybe(chance, { TaggingDirective: [20, () => chance.one(['COPY', 'REPLACE'])] }), ...attributes(world) }
  const rest = {
    CopySource: copySource(world, from),
    ...directive,
    ...others,
    ...maybe(chance, { ChecksumAlgorithm: [20, () => chance.one(algorithms)] }),
    ...(chance.percent(20) ? condition(world, Key) : {}),
  }
  return {
    command: 'CopyObject',
    input: side => ({ Bucket, Key, ...rest, ...asked(side) }),
    learn: wrote(world, Key),
  }
}
