import { createHash, randomBytes } from 'node:crypto'
import { crc32 } from 'node:zlib'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  type CompletedPart,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectAttributesCommand,
  GetObjectCommand,
  HeadObjectCommand,
  ListMultipartUploadsCommand,
  type ListMultipartUploadsCommandOutput,
  ListPartsCommand,
  PutObjectCommand,
  type S3Client,
  UploadPartCommand,
  UploadPartCopyCommand,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { crc32c } from '../../src/core/digest.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { clientOf, failure, signedRaw } from './local-s3-tools.ts'

let cloud: LocalCloud
let client: S3Client
/** Sends no checksums that it is not told to send. */
let quiet: S3Client
const Bucket = 'parts'
const partBytes = 5 * 1024 ** 2
const [first, second, last] = [randomBytes(partBytes), randomBytes(partBytes), randomBytes(1_000)]
const whole = Buffer.concat([first, second, last])

beforeAll(async () => {
  cloud = await startLocalS3({ buckets: [Bucket] })
  client = clientOf(cloud)
  quiet = clientOf(cloud, { requestChecksumCalculation: 'WHEN_REQUIRED' })
})
afterAll(async () => {
  client.destroy()
  quiet.destroy()
  await cloud.stop()
})

const hex = (data: Uint8Array): string => createHash('md5').update(data).digest('hex')
const base64 = (value: number): string => {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes.toString('base64')
}

async function begin(Key: string, more: object = {}): Promise<string> {
  const { UploadId = '' } = await quiet.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }))
  return UploadId
}

async function send(
  Key: string,
  UploadId: string,
  bodies: readonly Uint8Array[],
  more: object = {},
  by = quiet,
): Promise<CompletedPart[]> {
  const parts: CompletedPart[] = []
  for (const [index, Body] of bodies.entries()) {
    const PartNumber = index + 1
    const { ETag, ChecksumCRC32C, ChecksumSHA256 } = await by.send(
      new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body, ...more }),
    )
    parts.push({ PartNumber, ETag, ChecksumCRC32C, ChecksumSHA256 })
  }
  return parts
}

const complete = (Key: string, UploadId: string, Parts: CompletedPart[], more: object = {}) =>
  quiet.send(new CompleteMultipartUploadCommand({ Bucket, Key, UploadId, MultipartUpload: { Parts }, ...more }))
const bytesOf = async (Key: string, more: object = {}): Promise<Buffer> =>
  Buffer.from(
    (await (await client.send(new GetObjectCommand({ Bucket, Key, ...more }))).Body?.transformToByteArray()) ?? [],
  )

describe('an upload in parts', () => {
  test('becomes an object with what its beginning said of it', async () => {
    const id = await begin('object', { ContentType: 'text/a', Metadata: { in: 'parts' } })
    const parts = await send('object', id, [first, second, last])
    expect(parts.map(({ ETag }) => ETag)).toEqual([first, second, last].map(part => `"${hex(part)}"`))
    const { ETag } = await complete('object', id, parts)
    expect(ETag).toBe(`"${hex(Buffer.concat([first, second, last].map(part => Buffer.from(hex(part), 'hex'))))}-3"`)
    expect((await bytesOf('object')).equals(whole)).toBe(true)
    expect(await client.send(new HeadObjectCommand({ Bucket, Key: 'object' }))).toMatchObject({
      ETag,
      ContentLength: whole.byteLength,
      ContentType: 'text/a',
      Metadata: { in: 'parts' },
    })
  })

  test('is read by part, and across its parts', async () => {
    const answer = await client.send(new GetObjectCommand({ Bucket, Key: 'object', PartNumber: 2 }))
    expect(answer).toMatchObject({
      PartsCount: 3,
      ContentLength: partBytes,
      ContentRange: `bytes ${partBytes}-${2 * partBytes - 1}/${whole.byteLength}`,
    })
    expect(Buffer.from((await answer.Body?.transformToByteArray()) ?? []).equals(second)).toBe(true)
    const across = await bytesOf('object', { Range: `bytes=${partBytes - 5}-${2 * partBytes + 4}` })
    expect(across.equals(whole.subarray(partBytes - 5, 2 * partBytes + 5))).toBe(true)
    expect((await bytesOf('object', { Range: 'bytes=-1005' })).equals(whole.subarray(-1_005))).toBe(true)
    expect((await failure(bytesOf('object', { PartNumber: 4 }))).name).toBe('InvalidPartNumber')
  })

  test('leaves out parts that the end does not list, and takes the last of what a part was', async () => {
    const id = await begin('chosen')
    await send('chosen', id, [first, last])
    const [again] = await send('chosen', id, [second])
    const { ETag } = await quiet.send(
      new UploadPartCommand({ Bucket, Key: 'chosen', UploadId: id, PartNumber: 9_999, Body: last }),
    )
    await complete('chosen', id, [again as CompletedPart, { PartNumber: 9_999, ETag }])
    expect((await bytesOf('chosen')).equals(Buffer.concat([second, last]))).toBe(true)
  })

  test('does nothing to the object before it is complete, nor after it was aborted', async () => {
    await client.send(new PutObjectCommand({ Bucket, Key: 'kept', Body: 'kept' }))
    const id = await begin('kept')
    const parts = await send('kept', id, [last])
    expect((await bytesOf('kept')).toString()).toBe('kept')
    await quiet.send(new AbortMultipartUploadCommand({ Bucket, Key: 'kept', UploadId: id }))
    expect(await failure(complete('kept', id, parts))).toMatchObject({ name: 'NoSuchUpload', status: 404 })
    expect((await failure(send('kept', id, [last]))).name).toBe('NoSuchUpload')
    expect(
      (await failure(quiet.send(new AbortMultipartUploadCommand({ Bucket, Key: 'kept', UploadId: id })))).name,
    ).toBe('NoSuchUpload')
    expect((await failure(quiet.send(new ListPartsCommand({ Bucket, Key: 'kept', UploadId: id })))).name).toBe(
      'NoSuchUpload',
    )
    expect((await bytesOf('kept')).toString()).toBe('kept')
  })

  test('may be completed again with the same answer while its object is there', async () => {
    const id = await begin('again')
    const parts = await send('again', id, [last])
    const { ETag } = await complete('again', id, parts)
    expect((await complete('again', id, parts)).ETag).toBe(ETag)
    expect((await failure(complete('again', id, [{ PartNumber: 1, ETag: '"00"' }]))).name).toBe('NoSuchUpload')
    expect((await failure(complete('again', id, parts, { IfNoneMatch: '*' }))).name).toBe('PreconditionFailed')
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'again' }))
    expect((await failure(complete('again', id, parts))).name).toBe('NoSuchUpload')
  })

  test('is refused for parts that are wrong', async () => {
    const id = await begin('wrong')
    const [one, two] = (await send('wrong', id, [first, last])) as [CompletedPart, CompletedPart]
    const attempt = async (...parts: CompletedPart[]) => (await failure(complete('wrong', id, parts))).name
    expect(await attempt(two, one)).toBe('InvalidPartOrder')
    expect(await attempt(one, one)).toBe('InvalidPartOrder')
    expect(await attempt(one, { PartNumber: 3, ETag: two.ETag })).toBe('InvalidPart')
    expect(await attempt(one, { PartNumber: 2, ETag: one.ETag })).toBe('InvalidPart')
    expect(await attempt({ ...one, ChecksumCRC32: 'AAAAAA==' })).toBe('InvalidPart')
    expect(await attempt()).toBe('MalformedXML')
    const { ETag } = await quiet.send(
      new UploadPartCommand({ Bucket, Key: 'wrong', UploadId: id, PartNumber: 3, Body: first }),
    )
    expect(await attempt(one, two, { PartNumber: 3, ETag })).toBe('EntityTooSmall')
    expect((await failure(complete('wrong', id, [one], { MpuObjectSize: 7 }))).name).toBe('InvalidRequest')
    expect((await failure(complete('other-key', id, [one]))).name).toBe('NoSuchUpload')
    await complete('wrong', id, [one, two], { MpuObjectSize: partBytes + 1_000 })
  })

  test('numbers its parts from 1 to 10,000', async () => {
    const id = await begin('numbers')
    for (const PartNumber of [0, 10_001, -1])
      expect(
        await failure(
          quiet.send(new UploadPartCommand({ Bucket, Key: 'numbers', UploadId: id, PartNumber, Body: last })),
        ),
      ).toMatchObject({ name: 'InvalidArgument', status: 400 })
    await quiet.send(new UploadPartCommand({ Bucket, Key: 'numbers', UploadId: id, PartNumber: 10_000, Body: last }))
  })

  test('ends in XML that is strict', async () => {
    const id = await begin('xml')
    const path = `/${Bucket}/xml?uploadId=${id}`
    for (const body of [
      '',
      'nonsense',
      '<CompleteMultipartUpload/>',
      '<Complete><Part><PartNumber>1</PartNumber><ETag>a</ETag></Part></Complete>',
      '<CompleteMultipartUpload><Part><PartNumber>x</PartNumber><ETag>a</ETag></Part></CompleteMultipartUpload>',
    ])
      expect((await signedRaw(cloud, 'POST', path, body)).code).toBe('MalformedXML')
  })

  test('has conditions at its end; refused, it can still be completed or aborted', async () => {
    const id = await begin('conditional')
    const parts = await send('conditional', id, [last])
    const { ETag } = await client.send(new PutObjectCommand({ Bucket, Key: 'conditional', Body: 'first' }))
    expect(await failure(complete('conditional', id, parts, { IfNoneMatch: '*' }))).toMatchObject({
      name: 'PreconditionFailed',
      status: 412,
    })
    expect(await failure(complete('conditional', id, parts, { IfMatch: '"00"' }))).toMatchObject({
      name: 'PreconditionFailed',
      status: 412,
    })
    expect((await bytesOf('conditional')).toString()).toBe('first')
    await complete('conditional', id, parts, { IfMatch: ETag })
    const late = await begin('conditional-new')
    const lateParts = await send('conditional-new', late, [last])
    expect(await failure(complete('conditional-new', late, lateParts, { IfMatch: ETag }))).toMatchObject({
      name: 'NoSuchKey',
      status: 404,
    })
    await complete('conditional-new', late, lateParts, { IfNoneMatch: '*' })
  })

  test('of eight that complete the same new key at once, one wins', async () => {
    const uploads = await Promise.all(
      Array.from({ length: 8 }, async (_, writer) => {
        const id = await begin('raced')
        return { id, parts: await send('raced', id, [Buffer.from(`by ${writer}`)]) }
      }),
    )
    const results = await Promise.allSettled(
      uploads.map(({ id, parts }) => complete('raced', id, parts, { IfNoneMatch: '*' })),
    )
    const winners = results.flatMap(({ status }, writer) => (status === 'fulfilled' ? [writer] : []))
    expect(winners).toHaveLength(1)
    expect((await bytesOf('raced')).toString()).toBe(`by ${winners[0]}`)
  })
})

describe('checksums of uploads in parts', () => {
  const ofWhole = base64(crc32c(whole))

  test('a whole one comes out of those of the parts, and a wrong one is refused', async () => {
    const id = await begin('full', { ChecksumAlgorithm: 'CRC32C', ChecksumType: 'FULL_OBJECT' })
    const parts = await send('full', id, [first, second, last], { ChecksumAlgorithm: 'CRC32C' })
    expect(parts[2]?.ChecksumCRC32C).toBe(base64(crc32c(last)))
    const whenWrong = complete('full', id, parts, { ChecksumCRC32C: base64(1), ChecksumType: 'FULL_OBJECT' })
    expect(await failure(whenWrong)).toMatchObject({ name: 'BadDigest', status: 400 })
    expect((await failure(complete('full', id, parts, { ChecksumType: 'COMPOSITE' }))).name).toBe('InvalidRequest')
    const answer = await complete('full', id, parts, { ChecksumCRC32C: ofWhole, ChecksumType: 'FULL_OBJECT' })
    expect(answer).toMatchObject({ ChecksumCRC32C: ofWhole, ChecksumType: 'FULL_OBJECT' })
    const head = await client.send(new HeadObjectCommand({ Bucket, Key: 'full', ChecksumMode: 'ENABLED' }))
    expect(head).toMatchObject({ ChecksumCRC32C: ofWhole, ChecksumType: 'FULL_OBJECT' })
    // The SDK checks the bytes against it.
    expect((await bytesOf('full')).equals(whole)).toBe(true)
  })

  test('a whole one needs none from the parts', async () => {
    const id = await begin('full-quiet', { ChecksumAlgorithm: 'CRC32C', ChecksumType: 'FULL_OBJECT' })
    const parts = (await send('full-quiet', id, [first, last])).map(({ PartNumber, ETag }) => ({ PartNumber, ETag }))
    const answer = await complete('full-quiet', id, parts)
    expect(answer.ChecksumCRC32C).toBe(base64(crc32c(last, crc32c(first))))
  })

  test('a composite one is of the checksums, which the end must list', async () => {
    const id = await begin('composite', { ChecksumAlgorithm: 'SHA256' })
    expect((await failure(send('composite', id, [first]))).name).toBe('InvalidRequest')
    expect((await failure(send('composite', id, [first], { ChecksumAlgorithm: 'CRC32C' }))).name).toBe('InvalidRequest')
    const parts = await send('composite', id, [first, last], { ChecksumAlgorithm: 'SHA256' })
    const bare = parts.map(({ PartNumber, ETag }) => ({ PartNumber, ETag }))
    expect((await failure(complete('composite', id, bare))).name).toBe('InvalidRequest')
    const swapped = bare.map((part, index) => ({ ...part, ChecksumSHA256: parts[1 - index]?.ChecksumSHA256 }))
    expect((await failure(complete('composite', id, swapped))).name).toBe('InvalidPart')
    const answer = await complete('composite', id, parts)
    const sums = [first, last].map(part => createHash('sha256').update(part).digest())
    const composite = createHash('sha256').update(Buffer.concat(sums)).digest('base64')
    expect(answer).toMatchObject({ ChecksumSHA256: `${composite}-2`, ChecksumType: 'COMPOSITE' })
    expect((await bytesOf('composite')).equals(Buffer.concat([first, last]))).toBe(true)
    const attributes = await client.send(
      new GetObjectAttributesCommand({ Bucket, Key: 'composite', ObjectAttributes: ['ObjectParts', 'Checksum'] }),
    )
    expect(attributes.Checksum).toMatchObject({ ChecksumSHA256: composite, ChecksumType: 'COMPOSITE' })
    expect(attributes.ObjectParts).toMatchObject({ TotalPartsCount: 2, IsTruncated: false })
    expect(attributes.ObjectParts?.Parts?.map(({ Size }) => Size)).toEqual([partBytes, 1_000])
  })

  test('without any, the object gets a CRC64NVME; parts may still carry one that is checked', async () => {
    const id = await begin('plain')
    const parts = await send('plain', id, [first, last], {}, client)
    const answer = await complete(
      'plain',
      id,
      parts.map(({ PartNumber, ETag }) => ({ PartNumber, ETag })),
    )
    const alone = await signedRaw(cloud, 'PUT', `/${Bucket}/alone`, Buffer.concat([first, last]))
    expect(answer).toMatchObject({
      ChecksumCRC64NVME: alone.headers['x-amz-checksum-crc64nvme'],
      ChecksumType: 'FULL_OBJECT',
    })
    const other = await begin('plain')
    const wrong = await signedRaw(cloud, 'PUT', `/${Bucket}/plain?partNumber=1&uploadId=${other}`, 'x', {
      headers: { 'x-amz-checksum-crc32': base64(crc32('y')) },
    })
    expect(wrong).toMatchObject({ status: 400, code: 'BadDigest' })
  })

  test('algorithm and type must go together', async () => {
    const attempt = async (more: object) => (await failure(begin('types', more))).name
    expect(await attempt({ ChecksumAlgorithm: 'SHA256', ChecksumType: 'FULL_OBJECT' })).toBe('InvalidRequest')
    expect(await attempt({ ChecksumAlgorithm: 'CRC64NVME', ChecksumType: 'COMPOSITE' })).toBe('InvalidRequest')
    expect(await attempt({ ChecksumAlgorithm: 'XXHASH64' })).toBe('InvalidRequest')
    expect(
      (
        await signedRaw(cloud, 'POST', `/${Bucket}/types?uploads`, '', {
          headers: { 'x-amz-checksum-type': 'FULL_OBJECT' },
        })
      ).code,
    ).toBe('InvalidRequest')
  })
})

describe('parts that are copies', () => {
  test('of an object, or of a range of it', async () => {
    await client.send(new PutObjectCommand({ Bucket, Key: 'source', Body: whole }))
    const id = await begin('from-copies')
    const copy = (PartNumber: number, more: object = {}) =>
      quiet.send(
        new UploadPartCopyCommand({
          Bucket,
          Key: 'from-copies',
          UploadId: id,
          PartNumber,
          CopySource: `${Bucket}/source`,
          ...more,
        }),
      )
    const one = await copy(1)
    const two = await copy(2, { CopySourceRange: 'bytes=10-19' })
    expect(two.CopyPartResult?.ETag).toBe(`"${hex(whole.subarray(10, 20))}"`)
    await complete('from-copies', id, [
      { PartNumber: 1, ETag: one.CopyPartResult?.ETag },
      { PartNumber: 2, ETag: two.CopyPartResult?.ETag },
    ])
    await client.send(new DeleteObjectCommand({ Bucket, Key: 'source' }))
    expect((await bytesOf('from-copies')).equals(Buffer.concat([whole, whole.subarray(10, 20)]))).toBe(true)
  })

  test('are refused where source or range is not there', async () => {
    const id = await begin('refused-copies')
    await client.send(new PutObjectCommand({ Bucket, Key: 'ten', Body: '0123456789' }))
    const copy = async (more: object) =>
      (
        await failure(
          quiet.send(
            new UploadPartCopyCommand({
              Bucket,
              Key: 'refused-copies',
              UploadId: id,
              PartNumber: 1,
              CopySource: `${Bucket}/ten`,
              ...more,
            }),
          ),
        )
      ).name
    expect(await copy({ CopySourceRange: 'bytes=5-10' })).toBe('InvalidArgument')
    expect(await copy({ CopySourceRange: 'bytes=5-' })).toBe('InvalidArgument')
    expect(await copy({ CopySourceIfMatch: '"00"' })).toBe('PreconditionFailed')
    expect(await copy({ CopySource: `${Bucket}/none` })).toBe('NoSuchKey')
    expect(await copy({ UploadId: 'none' })).toBe('NoSuchUpload')
  })
})

describe('listings of what is unfinished', () => {
  test('parts come page by page', async () => {
    const id = await begin('listed', { ChecksumAlgorithm: 'CRC32C' })
    await send('listed', id, [last, first, last, second], { ChecksumAlgorithm: 'CRC32C' })
    const seen: (number | undefined)[] = []
    let PartNumberMarker: string | undefined
    do {
      const page = await quiet.send(
        new ListPartsCommand({ Bucket, Key: 'listed', UploadId: id, MaxParts: 3, PartNumberMarker }),
      )
      expect(page).toMatchObject({ ChecksumAlgorithm: 'CRC32C', ChecksumType: 'COMPOSITE', UploadId: id })
      seen.push(...(page.Parts?.map(({ Size }) => Size) ?? []))
      expect(page.Parts?.every(({ ChecksumCRC32C }) => ChecksumCRC32C !== undefined)).toBe(true)
      PartNumberMarker = page.IsTruncated === true ? page.NextPartNumberMarker : undefined
    } while (PartNumberMarker !== undefined)
    expect(seen).toEqual([1_000, partBytes, 1_000, partBytes])
  })

  test('uploads come in order of key and time, page by page, by prefix and delimiter', async () => {
    const expected: [string, string][] = []
    for (const key of ['up/a', 'up/b', 'up/b', 'up/c/1', 'up/c/2', 'up/\u{1f600}', 'up/\uffee'])
      expected.push([key, await begin(key)])
    expected.sort(([a], [b]) => Buffer.compare(Buffer.from(a), Buffer.from(b)))
    const all: [string | undefined, string | undefined][] = []
    let markers: { KeyMarker?: string; UploadIdMarker?: string } | undefined = {}
    while (markers !== undefined) {
      const page: ListMultipartUploadsCommandOutput = await quiet.send(
        new ListMultipartUploadsCommand({ Bucket, Prefix: 'up/', MaxUploads: 2, ...markers }),
      )
      all.push(
        ...(page.Uploads ?? []).map(({ Key, UploadId }): [string | undefined, string | undefined] => [Key, UploadId]),
      )
      markers =
        page.IsTruncated === true
          ? { KeyMarker: page.NextKeyMarker ?? '', UploadIdMarker: page.NextUploadIdMarker ?? '' }
          : undefined
    }
    expect(all.map(([key]) => key)).toEqual(expected.map(([key]) => key))
    expect(new Set(all.map(([, id]) => id))).toEqual(new Set(expected.map(([, id]) => id)))
    const grouped = await quiet.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'up/', Delimiter: '/' }))
    expect(grouped.CommonPrefixes?.map(({ Prefix }) => Prefix)).toEqual(['up/c/'])
    expect(grouped.Uploads).toHaveLength(5)
    for (const [key, id] of expected)
      await quiet.send(new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId: id }))
    expect((await quiet.send(new ListMultipartUploadsCommand({ Bucket, Prefix: 'up/' }))).Uploads).toBeUndefined()
  })
})
