import { createHash, randomBytes } from 'node:crypto'
import {
  CompleteMultipartUploadCommand,
  type CompletedPart,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandInput,
  GetObjectCommand,
  type S3Client,
  type S3ClientConfig,
  UploadPartCommand,
  type UploadPartCommandInput,
} from '@aws-sdk/client-s3'
import { expect } from 'vitest'
import type { Provider } from '../../src/core/provider.ts'
import type { Holdfast } from '../../src/holdfast/holdfast.ts'
import type { HoldfastOptions } from '../../src/holdfast/options.ts'
import { s3 } from '../../src/providers/s3.ts'
import { withHoldfast, type WithHoldfastOptions } from '../../src/s3-client/index.ts'
import type { LocalCloud } from '../../src/testing/local/cloud.ts'
import { startLocalS3 } from '../../src/testing/local/s3/index.ts'
import { testDirectory } from '../support/store.ts'
import { clientOf } from '../testing/local-s3-tools.ts'

export const Bucket = 'photos'
export const partBytes = 5 * 1024 ** 2
export const [first, second, last] = [randomBytes(partBytes), randomBytes(partBytes), randomBytes(1_000)] as const

/** An app with two clouds that speak S3, and a client that was wrapped. */
export interface Shop extends AsyncDisposable {
  readonly clouds: readonly [LocalCloud, LocalCloud]
  /** The directory of the store. */
  readonly path: string
  readonly store: Holdfast
  readonly client: S3Client
  /** The first cloud's own client, as the app had it. */
  readonly plain: S3Client
  /** The same of the second. */
  readonly other: S3Client
  /** Closes the store and opens it again, as after a restart; `client` is wrapped anew. */
  restart(): Promise<void>
  /** No cloud answers, until `up`. */
  down(): Promise<void>
  up(): Promise<void>
}

export interface ShopOptions extends WithHoldfastOptions {
  readonly config?: S3ClientConfig
  readonly store?: Partial<HoldfastOptions>
}

export function providerOf(cloud: Pick<LocalCloud, 'endpoint' | 'credentials'>, name: string): Provider {
  return s3({
    bucket: Bucket,
    name,
    endpoint: cloud.endpoint,
    region: 'us-east-1',
    forcePathStyle: true,
    credentials: { accessKeyId: cloud.credentials.id, secretAccessKey: cloud.credentials.secret },
  })
}

export async function openShop({ config, store: storeOptions, ...options }: ShopOptions = {}): Promise<Shop> {
  const clouds = [await startLocalS3({ buckets: [Bucket, 'else'] }), await startLocalS3({ buckets: [Bucket] })] as const
  const directory = await testDirectory()
  const open = () => directory.open([providerOf(clouds[0], 'one'), providerOf(clouds[1], 'two')], storeOptions)
  let store = await open()
  const plain = clientOf(clouds[0], config)
  const other = clientOf(clouds[1])
  let client = withHoldfast(plain, { [Bucket]: store }, options)
  return {
    clouds,
    path: directory.path,
    get store() {
      return store
    },
    get client() {
      return client
    },
    plain,
    other,
    async restart() {
      await store.close()
      store = await open()
      client = withHoldfast(plain, { [Bucket]: store }, options)
    },
    async down() {
      for (const cloud of clouds) await cloud.fault({ fault: { kind: 'reset' } })
    },
    async up() {
      for (const cloud of clouds) await cloud.heal()
    },
    async [Symbol.asyncDispose]() {
      await directory[Symbol.asyncDispose]()
      plain.destroy()
      other.destroy()
      for (const cloud of clouds) await cloud.stop()
    },
  }
}

export const md5 = (data: Uint8Array): string => createHash('md5').update(data).digest('hex')

/** The ETag of an object in these parts, quoted. */
export function etagOf(...parts: readonly Uint8Array[]): string {
  const whole = createHash('md5')
  for (const part of parts) whole.update(createHash('md5').update(part).digest())
  return `"${whole.digest('hex')}-${parts.length}"`
}

export async function begin(
  client: S3Client,
  Key: string,
  more: Partial<CreateMultipartUploadCommandInput> = {},
): Promise<string> {
  const { UploadId = '' } = await client.send(new CreateMultipartUploadCommand({ Bucket, Key, ...more }))
  return UploadId
}

/** Uploads them as parts 1, 2, … and answers what Complete wants to know of them. */
export async function sendParts(
  client: S3Client,
  Key: string,
  UploadId: string,
  bodies: readonly Uint8Array[],
  more: Partial<UploadPartCommandInput> = {},
): Promise<CompletedPart[]> {
  const parts: CompletedPart[] = []
  for (const [index, Body] of bodies.entries()) {
    const PartNumber = index + 1
    const { ETag } = await client.send(new UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body, ...more }))
    parts.push({ PartNumber, ETag })
  }
  return parts
}

export function complete(
  client: S3Client,
  Key: string,
  UploadId: string,
  Parts: readonly CompletedPart[] | undefined,
  more: object = {},
) {
  return client.send(
    new CompleteMultipartUploadCommand({
      Bucket,
      Key,
      UploadId,
      ...(Parts === undefined ? {} : { MultipartUpload: { Parts: [...Parts] } }),
      ...more,
    }),
  )
}

export async function bytesOf(client: S3Client, Key: string, more: object = {}): Promise<Buffer> {
  const { Body } = await client.send(new GetObjectCommand({ Bucket, Key, ...more }))
  return Buffer.from((await Body?.transformToByteArray()) ?? [])
}

/** What it rejects with: name and status. */
export async function refusal(running: Promise<unknown>): Promise<string> {
  const error = await running.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(Error)
  const { name, $metadata } = error as Error & { $metadata?: { httpStatusCode?: number } }
  return `${name} ${$metadata?.httpStatusCode}`
}
