import {
  ListObjectsCommand,
  type ListObjectsCommandOutput,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
  PutObjectCommand,
  type S3Client,
} from '@aws-sdk/client-s3'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { seededRandom } from '../../src/testing/clock.ts'
import { clientOf, failure, signedRaw } from './local-s3-tools.ts'

let cloud: LocalCloud
let client: S3Client
const Bucket = 'listed'
const seed = Number(process.env['SEED'] ?? Date.now() % 1_000_000)
const random = seededRandom(seed)
const pick = <Item>(items: readonly Item[]): Item => items[Math.floor(random.number() * items.length)] as Item

/** Characters that sort differently as UTF-16 units than as bytes, delimiters, and what must be escaped. */
const alphabet = ['a', 'b', '/', '/', '-', ' ', '&', '<', '\u0001', 'ü', '日', '\uffee', '😀', '\u{10ffff}', '%', '+']
const word = (most: number): string =>
  Array.from({ length: 1 + Math.floor(random.number() * most) }, () => pick(alphabet)).join('')
let keys: string[] = []

const byBytes = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b))

/** What S3's documentation says of a listing, in the plainest way. */
function model(prefix: string, delimiter: string, after: string): string[] {
  const found = new Set<string>()
  for (const key of keys) {
    if (!key.startsWith(prefix) || byBytes(key, after) <= 0) continue
    const cut = delimiter === '' ? -1 : key.indexOf(delimiter, prefix.length)
    found.add(cut < 0 ? `object ${key}` : `prefix ${key.slice(0, cut + delimiter.length)}`)
  }
  return [...found]
}

beforeAll(async () => {
  console.log(`seed ${seed} (SEED=${seed} to repeat)`)
  cloud = await startLocalS3({ buckets: [Bucket, 'empty'] })
  client = clientOf(cloud)
  keys = [...new Set(Array.from({ length: 120 }, () => word(6)))].sort(byBytes)
  for (const Key of keys) await client.send(new PutObjectCommand({ Bucket, Key, Body: Key }))
})
afterAll(async () => {
  client.destroy()
  await cloud.stop()
})

interface Asked {
  readonly Prefix: string
  readonly Delimiter: string
  readonly MaxKeys: number
}

const asUrl = (text: string | undefined): string => decodeURIComponent((text ?? '').replaceAll('+', '%20'))

async function listV2(asked: Asked, StartAfter: string): Promise<string[]> {
  const all: string[] = []
  let ContinuationToken: string | undefined
  do {
    const page: ListObjectsV2CommandOutput = await client.send(
      new ListObjectsV2Command({ Bucket, EncodingType: 'url', StartAfter, ContinuationToken, ...asked }),
    )
    const objects = (page.Contents ?? []).map(({ Key }) => `object ${asUrl(Key)}`)
    const prefixes = (page.CommonPrefixes ?? []).map(({ Prefix }) => `prefix ${asUrl(Prefix)}`)
    expect(page.KeyCount).toBe(objects.length + prefixes.length)
    expect(page.KeyCount).toBeLessThanOrEqual(asked.MaxKeys)
    if (page.IsTruncated === true) expect(page.KeyCount).toBe(asked.MaxKeys)
    expect(asUrl(page.Prefix)).toBe(asked.Prefix)
    all.push(...[...objects, ...prefixes].sort((a, b) => byBytes(a.slice(7), b.slice(7))))
    ContinuationToken = page.NextContinuationToken
    expect(ContinuationToken !== undefined).toBe(page.IsTruncated)
  } while (ContinuationToken !== undefined)
  return all
}

async function listV1(asked: Asked): Promise<string[]> {
  const all: string[] = []
  let Marker: string | undefined
  do {
    const page: ListObjectsCommandOutput = await client.send(
      new ListObjectsCommand({ Bucket, EncodingType: 'url', Marker, ...asked }),
    )
    const objects = (page.Contents ?? []).map(({ Key }) => `object ${asUrl(Key)}`)
    const prefixes = (page.CommonPrefixes ?? []).map(({ Prefix }) => `prefix ${asUrl(Prefix)}`)
    all.push(...[...objects, ...prefixes].sort((a, b) => byBytes(a.slice(7), b.slice(7))))
    if (asked.Delimiter === '') expect(page.NextMarker).toBeUndefined()
    Marker = page.IsTruncated === true ? asUrl(page.NextMarker ?? page.Contents?.at(-1)?.Key) : undefined
  } while (Marker !== undefined)
  return all
}

describe('a listing', () => {
  test('is what the documentation says, whatever prefix, delimiter, start and page size', async () => {
    for (let round = 0; round < 30; round++) {
      const Prefix = pick(['', '', pick(keys).slice(0, 2), word(2), '/'].filter(text => text.isWellFormed()))
      const Delimiter = pick(['', '/', '/', 'a', '//', 'ü'])
      const MaxKeys = pick([5, 7, 50, 1_000])
      const startAfter = pick(['', '', pick(keys), word(3), '\u{10ffff}'])
      const asked = { Prefix, Delimiter, MaxKeys }
      expect([asked, startAfter, await listV2(asked, startAfter)]).toEqual([
        asked,
        startAfter,
        model(Prefix, Delimiter, startAfter),
      ])
      expect([asked, await listV1(asked)]).toEqual([asked, model(Prefix, Delimiter, '')])
    }
  })

  test('has what there is to know of each object', async () => {
    const { Contents } = await client.send(
      new ListObjectsV2Command({ Bucket, MaxKeys: 1, FetchOwner: true, EncodingType: 'url' }),
    )
    expect(Contents?.[0]).toMatchObject({
      Size: Buffer.byteLength(keys[0] ?? ''),
      StorageClass: 'STANDARD',
      ChecksumAlgorithm: ['CRC32'],
      ChecksumType: 'FULL_OBJECT',
      ETag: expect.stringMatching(/^"[0-9a-f]{32}"$/),
      LastModified: expect.any(Date),
      Owner: { ID: expect.any(String) },
    })
  })

  test('of nothing is empty; of no bucket an error', async () => {
    const page = await client.send(new ListObjectsV2Command({ Bucket: 'empty' }))
    expect(page).toMatchObject({ KeyCount: 0, IsTruncated: false })
    expect(page.Contents).toBeUndefined()
    expect(await client.send(new ListObjectsV2Command({ Bucket, MaxKeys: 0 }))).toMatchObject({
      KeyCount: 0,
      IsTruncated: false,
    })
    expect((await failure(client.send(new ListObjectsV2Command({ Bucket: 'none' })))).name).toBe('NoSuchBucket')
  })

  test('refuses numbers, encodings and tokens that are none', async () => {
    const ask = async (query: string) => (await signedRaw(cloud, 'GET', `/${Bucket}?${query}`)).code
    expect(await ask('list-type=2&max-keys=x')).toBe('InvalidArgument')
    expect(await ask('list-type=2&max-keys=-1')).toBe('InvalidArgument')
    expect(await ask('encoding-type=html&list-type=2')).toBe('InvalidArgument')
    expect(await ask('continuation-token=nonsense&list-type=2')).toBe('InvalidArgument')
    expect(await ask('continuation-token=&list-type=2')).toBe('InvalidArgument')
    expect(await ask('list-type=2&max-keys=100000')).toBeUndefined()
  })
})
