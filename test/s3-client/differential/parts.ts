import { Readable } from 'node:stream'
import { algorithms, attributes, bodyOf, claims, copySource } from './objects.ts'
import { type Call, type KnownUpload, maybe, someEtag, someKey, type World } from './world.ts'

const mebibyte = 2 ** 20

/** One that is open, mostly; or nothing that ever was. */
function someUpload(
  { chance, uploads, bucket: Bucket }: World,
  among: readonly KnownUpload[] = uploads,
): KnownUpload & { readonly name: (side: 'plain' | 'wrapped') => object } {
  const known = among[chance.below(among.length)]
  const upload: KnownUpload =
    known !== undefined && chance.percent(95)
      ? known
      : {
          key: 'a',
          id: { plain: 'nothing', wrapped: 'nothing' },
          algorithm: undefined,
          type: undefined,
          parts: new Map(),
        }
  const Key = chance.percent(97) ? upload.key : 'another'
  return { ...upload, name: side => ({ Bucket, Key, UploadId: upload.id[side] }) }
}

export function createMultipartUpload(world: World): Call {
  const { chance, bucket: Bucket } = world
  const Key = someKey(world)
  const input = {
    Bucket,
    Key,
    ...attributes(world),
    ...chance.weighted<Record<string, unknown>>([
      [4, {}],
      [4, { ChecksumAlgorithm: chance.one(algorithms) }],
      [2, { ChecksumAlgorithm: chance.one(algorithms), ChecksumType: chance.one(['COMPOSITE', 'FULL_OBJECT']) }],
      [0.3, { ChecksumType: 'FULL_OBJECT' }],
    ]),
  }
  return {
    command: 'CreateMultipartUpload',
    input: () => input,
    learn: ({ plain, wrapped }) => {
      world.uploads.push({
        key: Key,
        id: { plain: String(plain['UploadId']), wrapped: String(wrapped['UploadId']) },
        algorithm: plain['ChecksumAlgorithm'] as string | undefined,
        type: plain['ChecksumType'] as string | undefined,
        parts: new Map(),
      })
      if (world.uploads.length > 4) world.uploads.shift()
    },
  }
}

export function uploadPart(world: World): Call {
  const { chance } = world
  const upload = someUpload(world)
  const PartNumber = chance.weighted([
    [10, 1],
    [8, 2],
    [4, 3],
    [1, 10_000],
    [0.5, 0],
    [0.5, 10_001],
  ])
  const bytes = chance.bytes(
    chance.weighted([
      [3, 5 * mebibyte],
      [1, 6 * mebibyte],
      [5, 1_000],
      [0.5, 0],
    ]),
  )
  const form = bodyOf(chance, bytes)
  const made = form()
  const actual = typeof made === 'string' ? Buffer.from(made) : bytes
  const rest = {
    PartNumber,
    ...(made instanceof Readable ? { ContentLength: actual.length } : {}),
    ...(upload.algorithm !== undefined && chance.percent(90)
      ? { ChecksumAlgorithm: upload.algorithm }
      : claims(chance, actual)),
  }
  return {
    command: 'UploadPart',
    input: side => ({ ...upload.name(side), Body: form(), ...rest }),
    learn: learnPart(upload, PartNumber, actual.length),
  }
}

function learnPart(upload: KnownUpload, number: number, size: number): NonNullable<Call['learn']> {
  return ({ plain }) => {
    const answer = (plain['CopyPartResult'] ?? plain) as Readonly<Record<string, unknown>>
    const checksums = Object.entries(answer).filter(([name]) => name.startsWith('Checksum'))
    upload.parts.set(number, { etag: String(answer['ETag']), size, checksums: Object.fromEntries(checksums) })
  }
}

export function uploadPartCopy(world: World): Call {
  const { chance } = world
  const upload = someUpload(world)
  const from = someKey(world)
  const PartNumber = chance.one([1, 2, 3])
  const malformed = world.etags.has(from) ? ['bytes=5-', 'bytes=-3'] : []
  const rest = {
    CopySource: copySource(world, from),
    PartNumber,
    // One thing wrong at a time: which S3 looks at first is not said.
    ...(chance.percent(60)
      ? maybe(chance, {
          CopySourceRange: [60, () => chance.one(['bytes=0-3', 'bytes=2-9', 'bytes=0-999999', ...malformed])],
        })
      : maybe(chance, {
          CopySourceIfMatch: [40, () => someEtag(world, from)],
          CopySourceIfNoneMatch: [30, () => someEtag(world, from)],
        })),
  }
  return {
    command: 'UploadPartCopy',
    input: side => ({ ...upload.name(side), ...rest }),
    learn: learnPart(upload, PartNumber, 0),
  }
}

export function listParts(world: World): Call {
  const { chance } = world
  const upload = someUpload(world)
  const rest = maybe(chance, {
    MaxParts: [40, () => chance.one([0, 1, 2, 5_000])],
    PartNumberMarker: [30, () => chance.one(['0', '1', '2', '20000', 'x'])],
  })
  return { command: 'ListParts', input: side => ({ ...upload.name(side), ...rest }) }
}

/** Mostly the parts that are there, with what is known of them; else wrong in one way. */
export function completeMultipartUpload(world: World): Call {
  const { chance } = world
  const begun = world.uploads.filter(({ parts }) => parts.size > 0)
  const upload = someUpload(world, begun.length > 0 ? begun : world.uploads)
  const right = [...upload.parts].toSorted(([a], [b]) => a - b)
  // Parts that are too small are refused; leaving them out makes what is right likelier.
  const large = right.filter(([, { size }], index) => size >= 5 * mebibyte || index === right.length - 1)
  const listed = (chance.percent(75) ? large : right).map(([PartNumber, { etag: ETag, checksums }]) => ({
    PartNumber,
    ETag,
    ...(upload.algorithm !== undefined && chance.percent(95) ? checksums : {}),
  }))
  const Parts = chance.weighted<() => readonly object[]>([
    [20, () => listed],
    [1, () => listed.toReversed()],
    [1, () => [...listed, { PartNumber: 77, ETag: `"${'0'.repeat(32)}"` }]],
    [1, () => listed.map(part => ({ ...part, ETag: `"${'0'.repeat(32)}"` }))],
    [0.5, () => []],
  ])()
  const size = large.reduce((sum, [, part]) => sum + part.size, 0)
  const rest = maybe(chance, {
    MpuObjectSize: [10, () => chance.one([size, size, 1])],
    IfNoneMatch: [world.withConditions ? 8 : 0, () => '*'],
    IfMatch: [world.withConditions ? 6 : 0, () => someEtag(world, upload.key)],
    ChecksumType: [6, () => chance.one(['COMPOSITE', 'FULL_OBJECT'])],
  })
  return {
    command: 'CompleteMultipartUpload',
    input: side => ({ ...upload.name(side), MultipartUpload: { Parts }, ...rest }),
    learn: ({ plain }) => {
      world.etags.set(upload.key, String(plain['ETag']))
      world.modified.delete(upload.key)
      ended(world, upload)
    },
  }
}

export function abortMultipartUpload(world: World): Call {
  const upload = someUpload(world)
  return {
    command: 'AbortMultipartUpload',
    input: side => ({ ...upload.name(side) }),
    learn: () => ended(world, upload),
  }
}

/** Mostly forgotten; sometimes asked for again. */
function ended({ chance, uploads }: World, { id }: KnownUpload): void {
  const at = uploads.findIndex(each => each.id === id)
  if (at >= 0 && chance.percent(75)) uploads.splice(at, 1)
}
